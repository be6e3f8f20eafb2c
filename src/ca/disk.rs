//! flow: a lineage's files, as the measure of what is served.

use std::path::Path;

use crate::base::certificate::{self, Error};
use crate::base::files;
use crate::ca::served::ExpectedCertificate;

/// The certificate `leaf` of `file`, with the `chain.pem` and `privkey.pem` beside it; every client
/// that has lineages calls them so. What of those two cannot be read is not measured by.
pub fn read(file: &Path, leaf: &[u8]) -> Result<ExpectedCertificate, Error> {
    let beside = |name: &str| files::read_trusted(&file.with_file_name(name)).ok();
    let disk = ExpectedCertificate::from_pem(leaf, None)?;
    let with_chain = beside("chain.pem")
        .and_then(|chain| ExpectedCertificate::from_pem(leaf, Some(&chain)).ok());
    let disk = with_chain.unwrap_or(disk);
    let belongs = beside("privkey.pem").and_then(|key| certificate::key_matches(leaf, &key).ok());
    Ok(match belongs {
        Some(belongs) => disk.with_key(belongs),
        None => disk,
    })
}
