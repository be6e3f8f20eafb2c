//! system: what each peer said last, kept for when it cannot be asked: one file each.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::files;
use crate::base::names::HostLabel;
use crate::base::own_directories::StateDirectory;
use crate::fleet::host_report::HostReport;
use crate::fleet::protocol::MAX_ANSWER;

/// What a host said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remembered {
    /// When.
    pub seen: Timestamp,
    /// What.
    pub found: HostReport,
}

/// Keeps what `host` says now; what it said before is gone.
pub fn keep(
    state: &StateDirectory,
    host: &HostLabel,
    remembered: &Remembered,
) -> Result<(), files::Error> {
    state.make()?;
    files::own_directory(&peers(state), 0o700)?;
    let text = serde_json::to_vec(remembered).unwrap_or_default();
    if text.len() > MAX_ANSWER { Ok(()) } else { files::write_own(&path(state, host), &text) }
}

/// What `host` said last; none if it never did, or another version of certbaton kept it.
pub fn recall(state: &StateDirectory, host: &HostLabel) -> Option<Remembered> {
    let bytes = files::read_trusted(&path(state, host)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn peers(state: &StateDirectory) -> PathBuf {
    state.join("peers")
}

fn path(state: &StateDirectory, host: &HostLabel) -> PathBuf {
    peers(state).join(format!("{host}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample;

    #[test]
    fn what_a_host_said_last_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let state = &StateDirectory::from(directory.path().join("state"));
        let vps = HostLabel::parse("vps").unwrap();
        assert_eq!(recall(state, &vps), None);
        let found = sample::host("vps", false).found.unwrap();
        for seen in [Timestamp::UNIX_EPOCH, sample::now()] {
            let remembered = Remembered { seen, found: found.clone() };
            keep(state, &vps, &remembered).unwrap();
            assert_eq!(recall(state, &vps), Some(remembered));
        }
    }
}
