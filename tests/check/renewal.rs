//! flow: whether a host could renew now, found out by having its certbot ask the CA.

use crate::setup::{On, Renewal};
use crate::stage::Stage;

impl Stage {
    /// What becomes of a renewal on a host, as things are, and why.
    ///
    /// A rehearsal (`--dry-run` asks the CA of the lineage if it is not Let's Encrypt) without certbaton's hooks,
    /// which would not let it come so far. Home is switched before and after, as they would.
    pub(crate) fn try_renewal(&self, on: On, lineage: &str) -> (Renewal, String) {
        let host = self.host(on);
        let names: &[&str] = match lineage {
            "cloud.example.org" => &["cloud.example.org", "www.cloud.example.org"],
            other => &[other],
        };
        if on == On::Home {
            let switched = host.run(&[&["certbaton", "switch", "local"], names].concat());
            if !switched.status.success() {
                return (Renewal::Fails, switched.err);
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
        if on == On::Home {
            let back = host.run(&["certbaton", "switch", "peer"]);
            assert!(back.status.success(), "{back:?}");
        }
        if done.status.success() {
            (Renewal::Passes, String::new())
        } else {
            (Renewal::Fails, done.err)
        }
    }
}
