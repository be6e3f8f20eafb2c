//! pure: whether Apache serves what certbot renews, as far as the configuration and the files tell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::apache::by_hand::ByHand;
use crate::apache::dump::{Dump, Node};
use crate::apache::vhosts::{Vhost, answering};
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::{HTTPS_PORT, Hostname};
use crate::check::directive::Texts;
use crate::check::faults::first_word;

/// A certificate file as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDisk {
    /// Links resolved.
    pub real: PathBuf,
    /// The serial number of its leaf.
    pub serial: String,
    /// Every name of its leaf.
    pub names: BTreeSet<String>,
    /// When it was written.
    pub written: Timestamp,
}

impl OnDisk {
    /// Whether it is for `name`; a wildcard stands for one label.
    pub fn is_for(&self, name: &Hostname) -> bool {
        self.names.iter().any(|pattern| name.is_covered_by(pattern))
    }
}

/// A lineage and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Its name.
    pub name: String,
    /// `live/NAME`.
    pub live: PathBuf,
    /// The certificate, links resolved.
    pub cert: PathBuf,
    /// The same with its chain.
    pub fullchain: PathBuf,
    /// The serial number of the certificate.
    pub serial: String,
}

/// What the files tell.
pub trait Disk {
    /// The certificate at `path`, if there is one.
    fn certificate(&self, path: &Path) -> Option<OnDisk>;
    /// Whether a certificate and a key belong together; `None` if that cannot be told.
    fn belong_together(&self, certificate: &Path, key: &Path) -> Option<bool>;
    /// Whether a file of certificates, which is there, ends in the middle of one, or has none.
    fn is_broken(&self, certificates: &Path) -> bool;
}

/// What is wrong with the certificate that Apache serves for `name`, of `lineages`.
pub fn faults(
    dump: &Dump,
    texts: &Texts<'_>,
    name: &Hostname,
    lineages: &[&Files],
    disk: &dyn Disk,
    loaded: Option<Timestamp>,
    by_hand: &ByHand,
) -> Vec<Finding> {
    let vhost = answering(dump, None, HTTPS_PORT, name);
    // What no lineage here has is held against its own name alone (`uncovered`).
    if !vhost.is_named(name) || !is_on(&vhost) || lineages.is_empty() {
        return Vec::new();
    }
    let files = directives(&vhost, "sslcertificatefile");
    let root = Path::new(&dump.server_root);
    let (mut wrong, mut broken) = (Vec::new(), Vec::new());
    let mut is_served = false;
    for node in &files {
        let path = root.join(first_word(&node.arguments));
        if disk.is_broken(&path) {
            broken.push(Finding::new(
                Code::CertificateBroken,
                Some(texts.place(&node.origin)),
                format!("{} cannot be read to its end: configtest does not see it, and Apache ends at its next reload", path.display()),
                "write it anew; a fullchain.pem of certbot's is cert.pem and behind it chain.pem, which lie beside it",
            ));
        }
        let Some(found) = disk.certificate(&path) else { continue };
        let served = Served { path: &path, found: &found, name, has_chain: has_chain(&vhost) };
        match served.fault(lineages) {
            None => is_served = true,
            Some(fault) => wrong.push(Finding { place: Some(texts.place(&node.origin)), ..fault }),
        }
        if loaded.is_some_and(|loaded| found.written > loaded) {
            let what = format!(
                "{} changed after Apache last loaded it: the certificate of before is served",
                path.display()
            );
            let place = Some(texts.place(&node.origin));
            let remedy = format!("{}; and let a deploy hook do so", by_hand.reload());
            wrong.push(Finding::new(Code::OldCertificate, place, what, &*remedy));
        }
    }
    wrong.retain(|found| !is_served || found.code == Code::OldCertificate);
    wrong.append(&mut broken);
    let keys = directives(&vhost, "sslcertificatekeyfile");
    for (node, key) in files.iter().zip(&keys) {
        let (certificate, key_file) =
            (root.join(first_word(&node.arguments)), root.join(first_word(&key.arguments)));
        if disk.belong_together(&certificate, &key_file) == Some(false) {
            wrong.push(Finding::new(
                Code::KeyMismatch,
                Some(texts.place(&key.origin)),
                format!("{} is not the key of {}: configtest does not see it, and Apache ends at its next reload", key_file.display(), certificate.display()),
                "name fullchain.pem and privkey.pem of the same lineage",
            ));
        }
    }
    for finding in &mut wrong {
        finding.names.push(name.clone());
    }
    wrong
}

/// Whether it speaks TLS.
pub(super) fn is_on(vhost: &Vhost<'_>) -> bool {
    vhost
        .last("sslengine")
        .is_some_and(|node| node.words().all(|w| !w.eq_ignore_ascii_case(b"off")))
}

/// A vhost's own lines, else the main server's.
pub(super) fn directives<'a>(vhost: &Vhost<'a>, name: &str) -> Vec<&'a Node> {
    let own: Vec<&Node> = vhost.own().filter(|node| node.name == name).collect();
    if own.is_empty() {
        return vhost.main.iter().copied().filter(|node| node.name == name).collect();
    }
    own
}

fn has_chain(vhost: &Vhost<'_>) -> bool {
    vhost.all().any(|node| node.name == "sslcertificatechainfile")
}

struct Served<'a> {
    path: &'a Path,
    found: &'a OnDisk,
    name: &'a Hostname,
    has_chain: bool,
}

impl Served<'_> {
    fn fault(&self, lineages: &[&Files]) -> Option<Finding> {
        let Self { path, found, .. } = self;
        let shown = path.display();
        let full = lineages.iter().find(|files| files.fullchain == found.real);
        let leaf = lineages.iter().find(|files| files.cert == found.real);
        let in_archive = path.parent().and_then(Path::parent).and_then(Path::file_name);
        let first = lineages.first()?;
        let found_so = |code, what: String| {
            let remedy = format!("name {}", first.live.join("fullchain.pem").display());
            Some(Finding::new(code, None, what, remedy))
        };
        if (full.is_some() || leaf.is_some()) && in_archive.is_some_and(|name| name == "archive") {
            let what = format!(
                "{shown} is a file of certbot's archive: the next renewal writes another one, and this one stays"
            );
            return found_so(Code::ArchiveFile, what);
        }
        if full.is_some() {
            return None;
        }
        if leaf.is_some() {
            let what = format!(
                "{shown} has no chain, so clients that do not know the intermediate certificate refuse it"
            );
            return found_so(Code::IncompleteChain, what).filter(|_| !self.has_chain);
        }
        if !found.is_for(self.name) {
            let what = format!("{shown} is not for {}", self.name);
            return found_so(Code::WrongCertificate, what);
        }
        if lineages.iter().any(|files| files.serial == found.serial) {
            let what = format!(
                "{shown} is a copy of certbot's file: a renewal changes it only if a hook copies it again"
            );
            return found_so(Code::CertificateCopied, what);
        }
        let what = format!("{shown} is not the certificate that certbot renews for {}", self.name);
        found_so(Code::OtherCertificate, what)
    }
}

/// What a host's own files tell of its certificates, more than a handshake does.
pub const OF_CERTIFICATES: [Code; 4] =
    [Code::OldCertificate, Code::IncompleteChain, Code::WrongCertificate, Code::ServedNotCovered];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::oracle::Blocks;
    use crate::apache::sample;

    struct Sample;

    impl Disk for Sample {
        fn certificate(&self, path: &Path) -> Option<OnDisk> {
            let text = path.to_str()?;
            let number = if text.contains("old") { "1" } else { "2" };
            let of = if text.contains("/b/") { "b.example.org" } else { "a.example.org" };
            let written = Timestamp::from_second(if text.contains("new") { 20 } else { 5 }).ok()?;
            let real = text.replace("/live/", "/archive/");
            Some(OnDisk {
                real: real.into(),
                serial: number.into(),
                names: [of.to_owned()].into(),
                written,
            })
        }

        fn belong_together(&self, certificate: &Path, key: &Path) -> Option<bool> {
            Some(certificate.parent() == key.parent())
        }

        fn is_broken(&self, certificates: &Path) -> bool {
            certificates.ends_with("cut.pem")
        }
    }

    fn codes(lines: &[&str]) -> Vec<String> {
        let head = ["<VirtualHost *:443>", "ServerName a.example.org", "SSLEngine on"];
        let text = [&head, lines, &["</VirtualHost>"]].concat().join("\n");
        let (dump, documents) = (sample::dump(&text, &[]), sample::documents(&text));
        let blocks = Blocks::new();
        let texts = Texts { documents: &documents, blocks: &blocks };
        let files = Files {
            name: "a".into(),
            live: "/le/live/a".into(),
            cert: "/le/archive/a/cert.pem".into(),
            fullchain: "/le/archive/a/fullchain.pem".into(),
            serial: "2".into(),
        };
        let name = Hostname::parse("a.example.org").unwrap();
        let loaded = Timestamp::from_second(10).ok();
        let by_hand = ByHand::installed(Path::new("/usr/sbin/apache2"), None, true);
        let found = faults(&dump, &texts, &name, &[&files], &Sample, loaded, &by_hand);
        found.into_iter().map(|f| format!("{}:{}", f.code, f.place.unwrap_or_default())).collect()
    }

    #[test]
    fn the_file_with_the_chain_is_the_right_one() {
        assert_eq!(codes(&["SSLCertificateFile /le/live/a/fullchain.pem"]), Vec::<String>::new());
        let chain = [
            "SSLCertificateFile /le/live/a/cert.pem",
            "SSLCertificateChainFile /le/live/a/chain.pem",
        ];
        assert_eq!(codes(&chain), Vec::<String>::new());
        assert_eq!(codes(&chain[..1]), ["incomplete-chain:/f:4"]);
    }

    #[test]
    fn another_file_is_told_from_a_copy_and_from_the_archive() {
        let one = |file: &str| codes(&[&format!("SSLCertificateFile {file}")]);
        assert_eq!(one("/le/live/b/fullchain.pem"), ["wrong-certificate:/f:4"]);
        assert_eq!(one("/etc/ssl/copy.pem"), ["certificate-copied:/f:4"]);
        assert_eq!(one("/etc/ssl/old.pem"), ["other-certificate:/f:4"]);
        assert_eq!(one("/le/archive/a/fullchain.pem"), ["archive-file:/f:4"]);
    }

    #[test]
    fn a_certificate_that_is_newer_than_what_apache_loaded_is_not_served() {
        let new = codes(&["SSLCertificateFile /new/copy.pem"]);
        assert_eq!(new, ["certificate-copied:/f:4", "old-certificate:/f:4"]);
    }

    #[test]
    fn a_chain_that_is_cut_off_ends_apache_whoever_it_is_for() {
        let cut = codes(&["SSLCertificateFile /etc/ssl/cut.pem"]);
        assert!(cut.contains(&"certificate-broken:/f:4".to_owned()), "{cut:?}");
        let both = codes(&[
            "SSLCertificateFile /le/live/a/fullchain.pem",
            "SSLCertificateFile /etc/ssl/cut.pem",
        ]);
        assert_eq!(both, ["certificate-broken:/f:5"]);
    }

    #[test]
    fn a_key_of_another_lineage_ends_apache() {
        let lines = [
            "SSLCertificateFile /le/live/a/fullchain.pem",
            "SSLCertificateKeyFile /le/live/b/privkey.pem",
        ];
        assert_eq!(codes(&lines), ["key-mismatch:/f:5"]);
    }
}
