//! flow: a lineage's files, as the measure of what is served.

use std::path::{Path, PathBuf};

use crate::ca::served::OnDisk;
use crate::certbot::certificate;
use crate::files;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A certificate or key that cannot be read.
    #[error("{}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        source: certificate::Error,
    },
}

/// The certificate in `file`, with the `chain.pem` and `privkey.pem` beside it as far as
/// they are there; every client that has lineages calls them so.
pub fn read(file: &Path) -> Result<OnDisk, Error> {
    let beside = |name: &str| {
        let path = file.with_file_name(name);
        match files::read_trusted(&path) {
            Ok(bytes) => Ok(Some((path, bytes))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    };
    let leaf = files::read_trusted(file)?;
    let chain = beside("chain.pem")?.map(|(_, bytes)| bytes);
    let in_file = |file: &Path| {
        let file = file.to_owned();
        move |source| Error::Certificate { file, source }
    };
    let disk = OnDisk::from_pem(&leaf, chain.as_deref()).map_err(in_file(file))?;
    let Some((path, key)) = beside("privkey.pem")? else { return Ok(disk) };
    Ok(disk.with_key(certificate::key_matches(&leaf, &key).map_err(in_file(&path))?))
}
