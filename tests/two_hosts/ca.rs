//! system: the CA and the Internet of the lab: its log, its names, and who answers the challenge path.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::Host;

/// The CA.
#[derive(Debug)]
pub(crate) struct Ca {
    host: Host,
    log: PathBuf,
    names: PathBuf,
}

/// A place in the CA's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

/// What the CA did since a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) orders: usize,
    pub(crate) valid: usize,
    pub(crate) invalid: usize,
    pub(crate) issued: usize,
}

/// The CA's questions to home do not arrive while this lives.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Ca);

impl Ca {
    pub(crate) fn new(state: &Path) -> Self {
        let (log, names) = (state.join("log/pebble.log"), state.join("dns"));
        Self { host: Host::new("ca"), log, names }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(fs::read(&self.log).unwrap().len())
    }

    pub(crate) fn said(&self, since: Mark) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()[since.0..]).into_owned()
    }

    pub(crate) fn work(&self, since: Mark) -> Work {
        let said = self.said(since);
        let count = |text| said.matches(text).count();
        Work {
            orders: count("Added order"),
            valid: count("set VALID by completed challenge"),
            invalid: count("set INVALID by completed challenge"),
            issued: count("Issued certificate serial"),
        }
    }

    /// Keeps the CA's questions from home: a run stays in its challenge.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.host.sh("nft add table inet held
             nft 'add chain inet held out { type filter hook output priority 0; }'
             nft add rule inet held out ip6 daddr 2001:db8::20 tcp dport 80 drop");
        Held(self)
    }

    /// Who answers the challenge path of each name to the CA, by a file that each machine has there.
    pub(crate) fn answers(&self, names: &[&str]) -> Vec<String> {
        let urls: Vec<String> =
            names.iter().map(|n| format!("http://{n}/.well-known/acme-challenge/who")).collect();
        let urls = urls.join(" ");
        let said = self.host.run(&["sh", "-c", &format!("curl -6 -s --max-time 10 {urls}")]);
        said.out.lines().map(str::to_owned).collect()
    }

    /// The serial of the certificate that home serves.
    pub(crate) fn served(&self, address: &str, name: &str) -> String {
        self.host.sh(&format!(
            "openssl s_client -connect '[{address}]:443' -servername {name} < /dev/null 2> /dev/null |
             openssl x509 -noout -serial"
        ))
    }

    /// More names: lines of address and name, in place of those of an earlier call.
    pub(crate) fn names(&self, text: &str) {
        fs::write(self.names.join("scenario"), text).unwrap();
    }

    /// Lets questions through, and forgets names.
    pub(crate) fn release(&self) {
        self.host.run(&["nft", "delete", "table", "inet", "held"]);
        if self.names.join("scenario").exists() {
            fs::remove_file(self.names.join("scenario")).unwrap();
        }
    }

    /// Starts a program on the Internet.
    pub(crate) fn start(&self, words: &[&str]) -> super::host::Started {
        self.host.start(words)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.host.run(&["nft", "delete", "table", "inet", "held"]);
    }
}
