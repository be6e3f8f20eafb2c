//! flow: whether a host could renew now, found out by having its certbot ask the CA.

use crate::setup::On;
use crate::stage::Stage;

impl Stage {
    /// What becomes of a renewal on a host, as things are, or after a switch; and why.
    ///
    /// A rehearsal (`--dry-run` asks the CA of the lineage if it is not Let's Encrypt) without certbaton's hooks,
    /// which would not let it come so far.
    pub(crate) fn try_renewal(&self, on: On, lineage: &str, switch: bool) -> (bool, String) {
        let host = self.host(on);
        let names: &[&str] = match lineage {
            "cloud.example.org" => &["cloud.example.org", "www.cloud.example.org"],
            other => &[other],
        };
        if switch {
            let switched = host.run(&[&["certbaton", "switch", "local"], names].concat());
            if !switched.status.success() {
                return (false, switched.err);
            }
        }
        let done = host.run(&[
            "certbot",
            "renew",
            "-q",
            "--dry-run",
            "--no-directory-hooks",
            "--cert-name",
            lineage,
        ]);
        if switch {
            let back = host.run(&["certbaton", "switch", "peer"]);
            assert!(back.status.success(), "{back:?}");
        }
        (done.status.success(), done.err)
    }

    /// Without its hooks nothing switches.
    pub(crate) fn switches(&self, on: On) -> bool {
        let hooks = "test -x /etc/letsencrypt/renewal-hooks/pre/certbaton || \
                     grep -q certbaton-pre-hook /etc/letsencrypt/renewal/*";
        self.host(on).run(&["sh", "-c", hooks]).status.success()
    }
}
