//! pure: the record of a switch under way, so that any later process can finish or undo it.
//!
//! One record a line, each with its own hash: a torn last line is no record,
//! and a file cut at any byte reads as an earlier state. The configuration
//! files say what is switched; the journal adds which files were touched and
//! whether Apache has loaded them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::fingerprint::fingerprint;
use crate::base::names::Route;
use crate::base::own_directories::StateDirectory;

/// Where it is.
pub fn path(state: &StateDirectory) -> PathBuf {
    state.join("journal")
}

/// What is appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// Files are about to be replaced.
    Intent(Intent),
    /// Apache serves what the last intent asked for, proven.
    Loaded,
}

/// A switch that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// When.
    pub at: Timestamp,
    /// The routes that are local afterwards.
    pub local: Vec<Route>,
    /// The files it replaces, links resolved.
    pub files: Vec<String>,
}

/// What the journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// Every file that any intent touched since all routes were last with the peer.
    pub files: Vec<String>,
    /// The routes of the last intent.
    pub local: Vec<Route>,
    /// The last intent was not followed by proof: Apache may serve anything between.
    pub pending: bool,
    /// When the last intent was written.
    pub since: Option<Timestamp>,
}

/// A line that is complete but not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {0} is damaged")]
pub struct Damaged(pub usize);

/// The line for `record`.
pub fn line(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let text = serde_json::to_string(record)?;
    Ok(format!("{} {text}\n", hash(text.as_bytes())).into_bytes())
}

/// Reads a journal; a torn last line is dropped.
///
/// Damage before the last line is an error: then only the configuration files tell.
pub fn read(bytes: &[u8]) -> Result<Journal, Damaged> {
    let mut journal = Journal::default();
    let complete = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let lines: Vec<&[u8]> = bytes[..complete].split(|&b| b == b'\n').collect();
    for (index, text) in lines.iter().enumerate().filter(|(_, l)| !l.is_empty()) {
        match record(text) {
            Some(Record::Intent(intent)) => {
                journal.files.extend(intent.files);
                journal.local = intent.local;
                journal.since = Some(intent.at);
                journal.pending = true;
            }
            Some(Record::Loaded) => journal.pending = false,
            None => return Err(Damaged(index + 1)),
        }
    }
    journal.files.sort();
    journal.files.dedup();
    Ok(journal)
}

/// The files that the readable records of a damaged journal name.
pub fn salvage(bytes: &[u8]) -> Vec<String> {
    let mut files = BTreeSet::new();
    for line in bytes.split(|&b| b == b'\n') {
        if let Some(Record::Intent(intent)) = record(line) {
            files.extend(intent.files);
        }
    }
    files.into_iter().collect()
}

fn record(line: &[u8]) -> Option<Record> {
    let (found, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let intact = found == hash(text.as_bytes());
    intact.then(|| serde_json::from_str(text).ok()).flatten()
}

fn hash(text: &[u8]) -> String {
    fingerprint(text, 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::base::names::{Hostname, Webroot};

    fn intent(name: &str) -> Record {
        let name = Hostname::parse(name).unwrap();
        let webroot = Webroot::parse("/var/www").unwrap();
        Record::Intent(Intent {
            at: Timestamp::UNIX_EPOCH,
            local: vec![Route { name, webroot }],
            files: vec!["/etc/apache2/sites-available/a.conf".into()],
        })
    }

    fn history() -> Vec<Record> {
        vec![intent("a.example.org"), Record::Loaded, intent("b.example.org"), Record::Loaded]
    }

    fn bytes(records: &[Record]) -> Vec<u8> {
        records.iter().flat_map(|r| line(r).unwrap()).collect()
    }

    #[test]
    fn an_intent_is_pending_until_it_is_loaded() {
        assert!(read(&bytes(&history()[..1])).unwrap().pending);
        assert!(!read(&bytes(&history()[..2])).unwrap().pending);
        assert_eq!(read(b"").unwrap(), Journal::default());
    }

    #[test]
    fn damage_in_the_middle_is_an_error() {
        let mut text = bytes(&history());
        text[20] ^= 1;
        assert_eq!(read(&text), Err(Damaged(1)));
        // What can be read still names the files.
        assert_eq!(salvage(&text), ["/etc/apache2/sites-available/a.conf"]);
    }

    proptest! {
        #[test]
        fn a_journal_cut_at_any_byte_is_an_earlier_journal(cut in 0..=bytes(&history()).len()) {
            let whole = bytes(&history());
            let earlier: Vec<_> = (0..=4).map(|n| read(&bytes(&history()[..n])).unwrap()).collect();
            let found = read(&whole[..cut]).unwrap();
            prop_assert!(earlier.contains(&found));
        }
    }
}
