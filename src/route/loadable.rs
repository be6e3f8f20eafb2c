//! flow: what ends Apache at a reload although its own test passes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::document::words;
use crate::apache::dump::{Dump, Node};
use crate::apache::server::Server;
use crate::certbot::certificate;
use crate::files;
use crate::route::report::Error;

/// Refuses the reload that would be Apache's last.
pub fn check(dump: &Dump, server: &Server) -> Result<(), Error> {
    keys_match(dump, server)
}

/// Certificates and keys that changed since Apache loaded them must belong together.
///
/// A mismatch passes configtest and ends the parent at the reload.
fn keys_match(dump: &Dump, server: &Server) -> Result<(), Error> {
    // Without a pid file Apache is about to end.
    let Ok(loaded) = server.loaded_at(Path::new(&dump.pid_file)) else { return Ok(()) };
    let sections = dump.config.iter().filter(|n| n.name == "<virtualhost");
    let mut checked = BTreeSet::new();
    let levels = sections.map(|n| &n.children[..]).chain([&dump.config[..]]);
    for (certificate, key) in levels.flat_map(|nodes| pairs(nodes, &dump.server_root)) {
        if !checked.insert((certificate.clone(), key.clone())) {
            continue;
        }
        let newer = |path: &Path| files::snapshot(path).map(|s| (s.changed > loaded, s.bytes));
        let (certificate_new, certificate_pem) = newer(&certificate)?;
        let (key_new, key_pem) = newer(&key)?;
        if !certificate_new && !key_new {
            continue;
        }
        match certificate::key_matches(&certificate_pem, &key_pem) {
            Ok(true) => {}
            Ok(false) => return Err(Error::KeyMismatch { certificate, key }),
            Err(source) => return Err(Error::Key { file: certificate, source }),
        }
    }
    Ok(())
}

/// `SSLCertificateFile` and the key for it: the n-th with the n-th, else the file itself.
fn pairs(nodes: &[Node], root: &str) -> Vec<(PathBuf, PathBuf)> {
    let paths = |name: &'static str| {
        nodes.iter().filter(move |n| n.name == name).filter_map(|n| words(&n.arguments).next())
    };
    let path = |bytes: Vec<u8>| Path::new(root).join(String::from_utf8_lossy(&bytes).as_ref());
    let mut keys = paths("sslcertificatekeyfile").map(path);
    paths("sslcertificatefile")
        .map(path)
        .map(|certificate| {
            let key = keys.next().unwrap_or_else(|| certificate.clone());
            (certificate, key)
        })
        .collect()
}
