//! flow: proves that a web server which is not Apache serves the certificate that is on disk.
//!
//! Its configuration is not known: every listener on port 443 is asked for
//! every name. Its generations are not known either, so the new certificate has
//! to be seen several times in a row: one that still drains shows the old one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::base::certificate;
use crate::base::clock::{Deadline, Stopwatch, pause};
use crate::base::files;
use crate::base::names::{HTTPS_PORT, Hostname};
use crate::base::sockets;
use crate::switch::certificate_proof::{self, Knowledge};
use crate::switch::challenge_proof::Error;
use crate::switch::plan::TlsDoor;

/// Proves, within `time` after a reload, that the lineage in `directory` is served; what a
/// person should know comes back.
pub fn prove(directory: &Path, time: Duration) -> Result<Vec<String>, Error> {
    let (watch, deadline) = (Stopwatch::start(), Deadline::after(time));
    let mut in_a_row = 0;
    loop {
        let failure = match look(directory, deadline.remaining().unwrap_or_default().max(LAST)) {
            Ok(notes) => {
                in_a_row += 1;
                if in_a_row == ROUNDS {
                    return Ok(notes);
                }
                None
            }
            Err(error @ (Error::OldCertificate { .. } | Error::NoHandshake(_))) => {
                in_a_row = 0;
                Some(error)
            }
            Err(error) => return Err(error),
        };
        match (pause(AGAIN, &deadline), failure) {
            (Err(_), Some(Error::OldCertificate { name, address, fault })) => {
                let waited = watch.elapsed();
                return Err(Error::NotReloaded { name, address, fault, waited });
            }
            (Err(_), Some(error)) => return Err(error),
            _ => {}
        }
    }
}

/// One look at every listener; an error if it serves another certificate for a name.
pub fn look(directory: &Path, time: Duration) -> Result<Vec<String>, Error> {
    let file = directory.join("fullchain.pem");
    let unreadable = |source| Error::Certificate { file: file.clone(), source };
    let pem = files::read_trusted(&file)?;
    let names = certificate::name_set(&pem).map_err(unreadable)?;
    let listeners = sockets::all_listening().map_err(Error::Addresses)?;
    let listeners: Vec<_> = listeners.into_values().filter(|l| l.port() == HTTPS_PORT).collect();
    if listeners.is_empty() {
        let note = format!(
            "nobody listens on port {HTTPS_PORT} here: that {} is served is not proven",
            file.display()
        );
        return Ok(vec![note]);
    }
    let door = |name: Hostname| TlsDoor {
        names: vec![name.clone()],
        name,
        address: None,
        elsewhere: BTreeSet::new(),
        port: HTTPS_PORT,
        certificate: file.clone(),
    };
    // A wildcard is no name to ask for.
    let names = names.iter().filter_map(|name| Hostname::parse(name).ok());
    let doors: Vec<TlsDoor> = names.map(door).collect();
    certificate_proof::prove(&doors, &listeners, time, Knowledge::Guessed)
}

/// How often the right certificate has to be seen.
const ROUNDS: u32 = 3;

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(200);

/// For a look at the very end of the time.
const LAST: Duration = Duration::from_secs(1);
