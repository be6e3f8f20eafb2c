//! flow: a lineage's files, as the measure of what is served.

use std::path::{Path, PathBuf};

use crate::base::certificate;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::ca::served::ExpectedCertificate;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A certificate that cannot be read.
    #[error("{}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        source: certificate::Error,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Certificate { .. } => Exit::Failed,
        }
    }
}

/// The certificate in `file`, with the `chain.pem` and `privkey.pem` beside it; every client
/// that has lineages calls them so. What of those two cannot be read is not measured by.
pub fn read(file: &Path) -> Result<ExpectedCertificate, Error> {
    let beside = |name: &str| files::read_trusted(&file.with_file_name(name)).ok();
    let leaf = files::read_trusted(file)?;
    let unreadable = |source| Error::Certificate { file: file.to_owned(), source };
    let disk = ExpectedCertificate::from_pem(&leaf, None).map_err(unreadable)?;
    let with_chain = beside("chain.pem")
        .and_then(|chain| ExpectedCertificate::from_pem(&leaf, Some(&chain)).ok());
    let disk = with_chain.unwrap_or(disk);
    let belongs = beside("privkey.pem").and_then(|key| certificate::key_matches(&leaf, &key).ok());
    Ok(match belongs {
        Some(belongs) => disk.with_key(belongs),
        None => disk,
    })
}
