//! system: what each peer said last, kept for when it cannot be asked: one file each.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::files;
use crate::base::names::HostLabel;
use crate::config::Settings;
use crate::fleet::found::Found;
use crate::fleet::protocol::MAX_ANSWER;

/// What a host said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remembered {
    /// When.
    pub seen: Timestamp,
    /// What.
    pub found: Found,
}

/// Keeps what `host` says now; what it said before is gone.
pub fn keep(
    settings: &Settings,
    host: &HostLabel,
    remembered: &Remembered,
) -> Result<(), files::Error> {
    files::state_directory(&settings.state_directory)?;
    files::own_directory(&settings.peers(), 0o700)?;
    let text = serde_json::to_vec(remembered).unwrap_or_default();
    if text.len() > MAX_ANSWER { Ok(()) } else { files::write_own(&path(settings, host), &text) }
}

/// What `host` said last; none if it never did, or another version of certbaton kept it.
pub fn recall(settings: &Settings, host: &HostLabel) -> Option<Remembered> {
    let bytes = files::read_trusted(&path(settings, host)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn path(settings: &Settings, host: &HostLabel) -> PathBuf {
    settings.peers().join(format!("{host}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample;

    #[test]
    fn what_a_host_said_last_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let state_directory = directory.path().join("state");
        let settings = Settings { state_directory, ..Settings::default() };
        let vps = HostLabel::parse("vps").unwrap();
        assert_eq!(recall(&settings, &vps), None);
        let found = sample::host("vps", false).found.unwrap();
        for seen in [Timestamp::UNIX_EPOCH, sample::now()] {
            let remembered = Remembered { seen, found: found.clone() };
            keep(&settings, &vps, &remembered).unwrap();
            assert_eq!(recall(&settings, &vps), Some(remembered));
        }
    }
}
