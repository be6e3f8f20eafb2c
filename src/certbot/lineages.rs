//! system: certbot's `renewal/` directory and the certificates it names, read into lineages.
//!
//! It writes nothing and takes none of certbot's locks: a hook runs inside the
//! certbot that holds them.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::certificate;
use crate::base::exit::CarriesExit;
use crate::base::files;
use crate::certbot::renewal_file::{self, Lineage, Refused};
use crate::certbot::unusable::Error;

/// What is in a configuration directory, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineages {
    /// Those that can be used.
    pub usable: Vec<Lineage>,
    /// Those that cannot; whether that matters depends on what certbot is about to do.
    pub refused: Vec<Refused>,
}

/// Reads every `renewal/*.conf` of `config_dir`, in certbot's order, with the
/// names of its certificate. No such directory is no lineage.
pub fn lineages(config_dir: &Path) -> Result<Lineages, Error> {
    let mut found = Lineages::default();
    for path in renewal_files(config_dir)? {
        match lineage(&path) {
            Ok(lineage) => found.usable.push(lineage),
            Err(error) => found.refused.push(refused(&path, &error)),
        }
    }
    Ok(found)
}

/// `storage.py:renewal_conf_files`: sorted; like glob(3), without hidden files.
pub fn renewal_files(config_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let directory = config_dir.join("renewal");
    let failed = |source| Error::Unlisted { path: directory.clone(), source };
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".conf") && !bytes.starts_with(b".") {
            paths.push(directory.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

fn lineage(path: &Path) -> Result<Lineage, Error> {
    let mut lineage = renewal_file::parse(path, &files::read_trusted(path)?)?;
    let pem = files::read_trusted(&lineage.cert)?;
    let unreadable = |source| Error::Certificate { path: lineage.cert.clone(), source };
    let certificate = certificate::from_pem(&pem).map_err(unreadable)?;
    (lineage.names, lineage.addresses) = (certificate.names, certificate.addresses);
    Ok(lineage)
}

fn refused(path: &Path, error: &Error) -> Refused {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // Text of somebody else's is no text: then it is where certbot puts it.
    let text = files::read_trusted(path).unwrap_or_default();
    let cert = renewal_file::certificate_of(path, &text);
    Refused { name, reason, certbot_skips_it: error.certbot_skips_it(), cert, exit: error.exit() }
}
