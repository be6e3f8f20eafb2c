//! flow: what ends Apache at a reload although its own test passes.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::apache::document::words;
use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::server::Server;
use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::files;
use crate::base::sockets;
use crate::switch::report::Error;

/// Refuses the reload that would be Apache's last. `listeners` are the addresses that it listens
/// on, or did a moment ago.
pub fn check(dump: &Dump, server: &Server, listeners: &[SocketAddr]) -> Result<(), Error> {
    files_are_whole(dump)?;
    keys_match(dump, server)?;
    ports_are_free(dump, server, listeners)?;
    logs_can_be_written(dump)
}

/// Each file that mod_ssl reads at a reload, whatever Apache's own test thinks of it, can be read
/// to its end (`ssl_init_server_certs`, `ssl_init_ctx_verify`, `ssl_init_ctx_crl`,
/// `ssl_init_ticket_key`, `ssl_init_proxy_certs`; ssl_engine_init.c). So says none a time: one that
/// Apache has loaded could be.
fn files_are_whole(dump: &Dump) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    let is_off = |nodes: &&[Node]| {
        let own = nodes.iter().rfind(|node| node.name == "sslengine");
        own.is_some_and(|node| node.arguments.trim_ascii().eq_ignore_ascii_case(b"off"))
    };
    for node in levels(dump).filter(|nodes| !is_off(nodes)).flatten() {
        let Some((_, kind)) = FILES.iter().find(|(name, _)| *name == node.name) else { continue };
        let Some(word) = words(&node.arguments).next() else { continue };
        let path = Path::new(&dump.server_root).join(String::from_utf8_lossy(&word).as_ref());
        if !seen.insert((path.clone(), *kind)) {
            continue;
        }
        // Not a file: a token of PKCS #11, a word of OpenSSL's, or what the test has missed already.
        let Ok(found) = files::snapshot(&path) else { continue };
        if let Some(what) = kind.fault(&found.bytes) {
            let what = format!("{} {what}", path.display());
            return Err(Error::Deadly { origin: node.origin.clone(), what });
        }
    }
    Ok(())
}

/// What a file is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Certificates.
    Certificates,
    /// PEM of other kinds, or of several.
    Pem,
    /// The key of session tickets (`TLSEXT_TICKET_KEY_LEN`).
    TicketKey,
}

impl Kind {
    fn fault(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Certificates => {
                let error = certificate::all_readable(bytes).err()?;
                Some(format!("cannot be read to its end ({})", chain(&error)))
            }
            Self::Pem => (!certificate::is_paired(bytes)).then(|| "is not whole PEM".to_owned()),
            Self::TicketKey => (bytes.len() < 48).then(|| "has less than 48 bytes".to_owned()),
        }
    }
}

/// Directives whose first word is such a file.
const FILES: [(&str, Kind); 10] = [
    ("sslcertificatefile", Kind::Certificates),
    ("sslcertificatekeyfile", Kind::Pem),
    ("sslcertificatechainfile", Kind::Certificates),
    ("sslcacertificatefile", Kind::Certificates),
    ("sslcarevocationfile", Kind::Pem),
    ("sslproxycacertificatefile", Kind::Certificates),
    ("sslproxycarevocationfile", Kind::Pem),
    ("sslproxymachinecertificatefile", Kind::Pem),
    ("sslproxymachinecertificatechainfile", Kind::Certificates),
    ("sslsessionticketkeyfile", Kind::TicketKey),
];

/// The lines of each vhost, and those outside of them.
fn levels(dump: &Dump) -> impl Iterator<Item = &[Node]> {
    let sections = dump.config.iter().filter(|node| node.name == "<virtualhost");
    sections.map(|node| &node.children[..]).chain([&dump.config[..]])
}

/// What Apache does not listen on yet, nobody else may: it ends when it cannot bind (`open_listeners`, listen.c).
fn ports_are_free(dump: &Dump, server: &Server, listeners: &[SocketAddr]) -> Result<(), Error> {
    let listens = dump.config.iter().filter(|node| node.name == "listen");
    let wanted: Vec<(SocketAddr, &Origin)> = listens
        .filter_map(|node| Some((address(&words(&node.arguments).next()?)?, &node.origin)))
        .collect();
    for (address, origin) in wanted {
        let is_held = |held: &SocketAddr| {
            held.port() == address.port()
                && (held.ip() == address.ip()
                    || (held.ip().is_unspecified() && address.ip().is_unspecified()))
        };
        if !listeners.iter().any(is_held)
            && let Err(why) = sockets::can_bind(address)
            // Somebody else may have reloaded it meanwhile.
            && !server.listeners()?.iter().any(is_held)
        {
            let what = format!("Apache cannot listen on {address} ({why})");
            return Err(Error::Deadly { origin: origin.clone(), what });
        }
    }
    Ok(())
}

/// `[ADDRESS:]PORT`; nothing of a name, which Apache resolves (`ap_set_listener`, listen.c).
fn address(word: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(word).ok()?;
    match text.parse::<u16>() {
        Ok(port) => Some((Ipv6Addr::UNSPECIFIED, port).into()),
        Err(_) => text.replace("*:", "[::]:").parse().ok(),
    }
}

/// A program that a log is piped to must be there, and so must the directory of a file
/// (`ap_open_logs`, log.c; `init_config_log`, mod_log_config.c).
fn logs_can_be_written(dump: &Dump) -> Result<(), Error> {
    // Most vhosts log to the same few.
    let mut seen = BTreeSet::new();
    for node in levels(dump).flatten().filter(|node| LOGS.contains(&node.name.as_str())) {
        let Some(word) = words(&node.arguments).next() else { continue };
        let word = String::from_utf8_lossy(&word).into_owned();
        if !seen.insert(word.clone()) {
            continue;
        }
        let deadly = |what: String| Err(Error::Deadly { origin: node.origin.clone(), what });
        if let Some(piped) = word.strip_prefix('|') {
            // `|$` is a shell's, which is there.
            let piped = piped.strip_prefix('|').unwrap_or(piped).trim_start();
            let program = piped.split_whitespace().next().unwrap_or_default();
            if program.starts_with('/') && !files::is_program(Path::new(program)) {
                return deadly(format!("the program of this log, {program}, cannot be run"));
            }
        } else if word.contains('/') && !word.contains(':') {
            let path = Path::new(&dump.server_root).join(&word);
            if path.parent().is_some_and(|directory| !files::exists(directory)) {
                return deadly(format!("the directory of this log, {word}, is not there"));
            }
        }
    }
    Ok(())
}

/// Directives whose first word is where a log goes.
const LOGS: [&str; 5] = ["errorlog", "customlog", "transferlog", "globallog", "forensiclog"];

/// Certificates and keys must belong together, whatever their times say: a clock may have been
/// set back since. What cannot be compared counts only if Apache has not loaded it yet.
///
/// A mismatch passes configtest and ends the parent at the reload.
fn keys_match(dump: &Dump, server: &Server) -> Result<(), Error> {
    // Without a pid file Apache is about to end.
    let Ok(loaded) = server.loaded_at(Path::new(&dump.pid_file)) else { return Ok(()) };
    let mut checked = BTreeSet::new();
    for (certificate, key) in levels(dump).flat_map(|nodes| pairs(nodes, &dump.server_root)) {
        if !checked.insert((certificate.clone(), key.clone())) {
            continue;
        }
        // Not a file: a token of PKCS #11, or what the test has missed already.
        let (Ok(public), Ok(private)) = (files::snapshot(&certificate), files::snapshot(&key))
        else {
            continue;
        };
        match certificate::key_matches(&public.bytes, &private.bytes) {
            Ok(true) => {}
            Ok(false) => return Err(Error::KeyMismatch { certificate, key }),
            // Encrypted, perhaps; it was fine when Apache loaded it.
            Err(_) if public.changed <= loaded && private.changed <= loaded => {}
            Err(source) => return Err(Error::Key { file: certificate, source }),
        }
    }
    Ok(())
}

/// The files of certificates that the vhosts name.
pub fn certificates(dump: &Dump) -> BTreeSet<PathBuf> {
    let pairs = levels(dump).flat_map(|nodes| pairs(nodes, &dump.server_root));
    pairs.map(|(certificate, _)| certificate).collect()
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
