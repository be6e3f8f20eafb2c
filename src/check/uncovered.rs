//! pure: names that a vhost answers on port 443 with a certificate that is not for them, as the files tell.
//!
//! A host without a lineage for a name knows that by its vhost alone: another host may have one,
//! and need not be there to be asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::dump::Dump;
use crate::apache::vhosts::{answering, vhosts};
use crate::base::names::{HTTPS_PORT, Hostname};
use crate::check::directive::Texts;
use crate::check::faults::first_word;
use crate::check::tls::{Disk, Files, OnDisk, directives, is_on};

/// A name, and the line that gives it a certificate without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// The name.
    pub name: Hostname,
    /// `FILE:LINE` of the certificate.
    pub place: String,
    /// The certificate.
    pub file: PathBuf,
}

/// The names without a lineage of this host: those of `wanted`, and those of the vhosts that serve
/// one of `lineages`, which are meant to be reached.
pub fn uncovered(
    dump: &Dump,
    texts: &Texts<'_>,
    wanted: &BTreeSet<Hostname>,
    (lineages, renewed): (&[Files], &BTreeSet<Hostname>),
    disk: &dyn Disk,
) -> Vec<Uncovered> {
    let root = Path::new(&dump.server_root);
    let mut all = Vec::new();
    for vhost in vhosts(dump).into_iter().filter(is_on) {
        let Some(origin) = vhost.origin() else { continue };
        let files = directives(&vhost, "sslcertificatefile");
        let Some(first) = files.first() else { continue };
        let file = |node| root.join(first_word(node));
        let found: Option<Vec<OnDisk>> =
            files.iter().map(|node| disk.certificate(&file(&node.arguments))).collect();
        // What cannot be read is told by itself.
        let Some(found) = found else { continue };
        let is_lineages = |one: &OnDisk| {
            lineages.iter().any(|files| files.fullchain == one.real || files.cert == one.real)
        };
        let own = if found.iter().any(is_lineages) { vhost.names() } else { Vec::new() };
        let named = wanted.iter().filter(|name| vhost.is_named(name)).cloned();
        let names: BTreeSet<Hostname> = own.into_iter().chain(named).collect();
        let lacks = |name: &Hostname| {
            !renewed.contains(name) && !found.iter().any(|certificate| certificate.is_for(name))
        };
        let bindings = || {
            let of_vhost = dump.bindings.iter().filter(|binding| binding.vhost == *origin);
            of_vhost.filter(|binding| binding.port.is_none_or(|port| port == HTTPS_PORT))
        };
        // A name that two vhosts claim leads to the first.
        let leads_here = |name: &Hostname| {
            let mut at = bindings().map(|b| answering(dump, b.address, HTTPS_PORT, name));
            at.any(|answers| answers.origin() == Some(origin))
        };
        let names = names.into_iter().filter(lacks).filter(leads_here);
        all.extend(names.map(|name| Uncovered {
            name,
            place: texts.place(&first.origin),
            file: file(&first.arguments),
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::apache::oracle::Blocks;
    use crate::apache::sample;

    struct Sample;

    impl Disk for Sample {
        fn certificate(&self, path: &Path) -> Option<OnDisk> {
            let of = if path.starts_with("/le") { "a.example.org" } else { "*.example.net" };
            let (real, serial) = (path.to_owned(), "1".to_owned());
            let names = [of.to_owned()].into();
            Some(OnDisk { real, serial, names, written: Timestamp::UNIX_EPOCH })
        }

        fn belong_together(&self, _: &Path, _: &Path) -> Option<bool> {
            None
        }

        fn is_broken(&self, _: &Path) -> bool {
            false
        }
    }

    fn found(port: u16, names: &str, file: &str, wanted: &[&str]) -> Vec<String> {
        let text = format!(
            "<VirtualHost *:{port}>\n{names}\nSSLEngine on\nSSLCertificateFile {file}\n</VirtualHost>"
        );
        let (dump, documents) = (sample::dump(&text, &[]), sample::documents(&text));
        let blocks = Blocks::new();
        let texts = Texts { documents: &documents, blocks: &blocks };
        let files = Files {
            name: "a".into(),
            live: "/le/live/a".into(),
            cert: "/le/cert.pem".into(),
            fullchain: "/le/fullchain.pem".into(),
            serial: "1".into(),
        };
        let name = |text: &&str| Hostname::parse(text).unwrap();
        let wanted = wanted.iter().map(name).collect();
        let renewed = ["a.example.org", "r.example.org"].iter().map(name).collect();
        let found = uncovered(&dump, &texts, &wanted, (&[files], &renewed), &Sample);
        found.into_iter().map(|one| format!("{} {}", one.name, one.place)).collect()
    }

    #[test]
    fn a_name_beside_those_of_a_lineage_is_found_by_the_line_of_its_certificate() {
        let names = "ServerName a.example.org\nServerAlias b.example.org r.example.org";
        let of = |port: u16, file: &str, wanted: &[&str]| found(port, names, file, wanted);
        assert_eq!(of(443, "/le/fullchain.pem", &[]), ["b.example.org /f:5"]);
        assert!(of(8443, "/le/fullchain.pem", &[]).is_empty(), "no browser asks there");
        // No lineage's: only what is asked for.
        assert!(of(443, "/etc/ssl/other.pem", &[]).is_empty());
        let wanted = ["b.example.org", "c.example.org"];
        assert_eq!(of(443, "/etc/ssl/other.pem", &wanted), ["b.example.org /f:5"]);
        let covered = "ServerName b.example.net";
        assert!(found(443, covered, "/etc/ssl/other.pem", &["b.example.net"]).is_empty());
    }
}
