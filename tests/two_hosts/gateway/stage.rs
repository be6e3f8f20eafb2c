//! system: the rendered gateway, put on the machines in place of the lab's own vhosts.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::host::{Host, Output};
use crate::lab::{Lab, tool, until};

/// The names of the lab, in sites with and without password; the last has no certificate yet.
const DESCRIPTION: &str = r#"
name = "gateway"

[vps]
name = "vps.example.org"
addresses = ["192.0.2.10", "2001:db8::10"]

[home]
name = "home.example.org"
interface = "eth0"

[[site]]
names = ["cloud.example.org", "www.cloud.example.org"]
backend = "http://[::1]:8081/"
websocket = true

[[site]]
names = ["git.example.org"]
backend = "http://[::1]:8081/"
password-file = "/etc/apache2/gateway.htpasswd"
realm = "The code"
hsts-days = 1

[[site]]
names = ["wiki.example.org"]
backend = "http://[::1]:8081/"

[[site]]
names = ["new.example.org"]
backend = "http://[::1]:8081/"
"#;

/// The vps is arbiter, and both hosts reach each other.
pub(crate) fn prepare(_: &Lab) {
    let done = tool().arg("lease").output().unwrap();
    assert!(done.status.success(), "lab lease: {done:?}");
}

/// Takes away what `reset` does not know of.
pub(crate) fn tidy(lab: &Lab) {
    for host in [&lab.home, &lab.vps] {
        host.run(&[
            "sh",
            "-c",
            "nft delete table inet cut; nft delete table inet certbaton-gateway
             pkill -f '[/]run/app.py'; rm -rf /run/app.py /etc/nftables.d /etc/fail2ban/jail.d/gateway.local",
        ]);
    }
}

/// Renders into a new directory; what the program said.
pub(crate) fn rendered(layout: &[&str]) -> (tempfile::TempDir, std::process::Output) {
    let scratch = tempfile::tempdir().unwrap();
    let description = scratch.path().join("gateway.toml");
    fs::write(&description, DESCRIPTION).unwrap();
    let mut render = Command::new(env!("CARGO_BIN_EXE_certbaton"));
    render.arg("render").arg(&description).arg("--to").arg(scratch.path().join("out")).args(layout);
    let said = render.output().unwrap();
    (scratch, said)
}

impl Lab {
    /// Renders the gateway and puts it on both machines: vhosts, firewall, application. `layout` is
    /// what `render` gets.
    pub(crate) fn render(&self, layout: &[&str]) {
        let (scratch, said) = rendered(layout);
        assert!(said.status.success(), "{said:?}");
        self.ca.names("2001:db8::20 new.example.org\n192.0.2.10 new.example.org\n");
        self.home.script("/run/app.py", include_str!("app.py"));
        if self.home.processes("/run/app.py").is_empty() {
            self.home.sh("setsid /run/app.py > /dev/null 2>&1 < /dev/null &");
        }
        for host in [&self.home, &self.vps] {
            host.put(&scratch.path().join("out").join(host.name));
        }
        // certbot at home had another webroot for it before there was a gateway.
        self.home.sh("sed -i s,/var/www/letsencrypt,/var/www/html, /etc/letsencrypt/renewal/wiki.example.org.conf");
        until("the application", || {
            self.home.run(&["curl", "-s", "http://[::1]:8081/"]).status.success()
        });
        self.note();
    }

    /// The thumbprint of the vps's account.
    pub(crate) fn thumbprint(&self) -> String {
        self.vps.sh("certbaton thumbprint")
    }

    /// A client on the Internet asks; the answer's head and body.
    pub(crate) fn ask(&self, words: &[&str]) -> Output {
        let root = format!("{}/ca/root.pem", crate::lab::state().display());
        let curl = ["curl", "-sS", "-i", "--max-time", "10", "--cacert", &root];
        self.ca.start(&[&curl, words].concat()).ended()
    }
}

impl Host {
    /// Puts the files where they belong and loads them, as their heads say.
    fn put(&self, from: &Path) {
        let copied =
            Command::new("cp").arg("-r").arg(from.join("etc/.")).arg(self.path("/etc")).status();
        assert!(copied.unwrap().success());
        self.sh("
            head=$(sed -n '/a2enmod/,/^# The/p' /etc/apache2/sites-available/gateway.conf)
            a2enmod -q $(echo \"$head\" | sed 's/^# //; s/.*a2enmod//; /^The/d') > /dev/null
            a2dissite -q cloud.example.org git.example.org wiki.example.org > /dev/null
            a2ensite -q gateway > /dev/null
            htpasswd -nbB someone secret > /etc/apache2/gateway.htpasswd
            nft -f /etc/nftables.d/gateway.nft");
        self.reload();
    }
}
