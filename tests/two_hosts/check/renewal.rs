//! flow: whether a host could renew now, found out by having its certbot ask the CA.

use crate::check::setup::On;
use crate::check::stage::Stage;

impl Stage {
    /// What becomes of a renewal on a host, as things are, or after a switch; and why.
    ///
    /// A rehearsal (`--dry-run` asks the CA of the lineage if it is not Let's Encrypt) without certbaton's hooks,
    /// which would not let it come so far.
    pub(crate) fn try_renewal(&self, on: On, lineage: &str, switch: bool) -> (bool, String) {
        if !switch {
            return self.rehearse(on, lineage);
        }
        let host = self.host(on);
        // A switch by hand lasts until the next `recover`.
        host.sh("systemctl stop certbaton-recover.timer");
        let switched = host.run(&[&["certbaton", "switch", "local"][..], &names(lineage)].concat());
        let mut done = (false, switched.err);
        if switched.status.success() {
            done = self.rehearse(on, lineage);
            let back = host.run(&["certbaton", "switch", "peer"]);
            assert!(back.status.success(), "{back:?}");
        }
        host.sh("systemctl start certbaton-recover.timer");
        done
    }

    fn rehearse(&self, on: On, lineage: &str) -> (bool, String) {
        let host = self.host(on);
        let words = ["certbot", "renew", "-q", "--dry-run", "--no-directory-hooks", "--cert-name"];
        let done = host.run(&[&words[..], &[lineage]].concat());
        // certbot says what failed, its log why.
        let why = host.run(&["grep", "-h", "\"detail\"", "/var/log/letsencrypt/letsencrypt.log"]);
        (done.status.success(), done.err + &why.out)
    }

    /// Without its hooks nothing switches.
    pub(crate) fn switches(&self, on: On) -> bool {
        let hooks = "test -x /etc/letsencrypt/renewal-hooks/pre/certbaton || \
                     grep -q certbaton-pre-hook /etc/letsencrypt/renewal/*";
        self.host(on).run(&["sh", "-c", hooks]).status.success()
    }
}

fn names(lineage: &str) -> Vec<&str> {
    match lineage {
        "cloud.example.org" => vec!["cloud.example.org", "www.cloud.example.org"],
        other => vec![other],
    }
}
