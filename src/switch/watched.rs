//! flow: whether the files that Apache accepted are still those that it is about to load.
//!
//! A look at each is enough where its times are old. A file that changed in the tick of the
//! clock in which it was looked at may have changed again since: there its content is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::base::clock;
use crate::base::files::{self, Stamp};
use crate::switch::report::Error;

/// Files and directories, as they were looked at.
#[derive(Debug, Default)]
pub struct Watched {
    files: BTreeMap<PathBuf, Version>,
    /// The names in the directories of those files: Apache may find more of them.
    directories: BTreeMap<PathBuf, (Stamp, Vec<OsString>)>,
}

#[derive(Debug)]
struct Version {
    stamp: Stamp,
    /// Where the stamp alone does not tell.
    bytes: Option<Vec<u8>>,
}

impl Watched {
    /// Looks at the file that Apache opened as `path`. What cannot be looked at is not watched.
    pub fn add(&mut self, path: &Path) {
        let Ok(stamp) = files::stamp(path) else { return };
        let bytes = is_young(stamp.changed, clock::now())
            .then(|| files::snapshot(path).ok().map(|file| file.bytes));
        self.insert(path, stamp, bytes.flatten());
    }

    /// The same of a file that was read.
    pub fn add_read(&mut self, path: &Path, file: &files::Snapshot) {
        let stamp = file.stamp();
        let bytes = is_young(stamp.changed, clock::now()).then(|| file.bytes.clone());
        self.insert(path, stamp, bytes);
    }

    fn insert(&mut self, path: &Path, stamp: Stamp, bytes: Option<Vec<u8>>) {
        if let Some(directory) = path.parent()
            && !self.directories.contains_key(directory)
            && let (Ok(stamp), Ok(names)) = (files::stamp(directory), names(directory))
        {
            self.directories.insert(directory.to_owned(), (stamp, names));
        }
        self.files.insert(path.to_owned(), Version { stamp, bytes });
    }

    /// A file was replaced, by us: `old` by `new`, which has `bytes`.
    pub fn replaced(&mut self, old: Stamp, new: Stamp, bytes: &[u8]) {
        for version in self.files.values_mut().filter(|version| version.stamp == old) {
            *version = Version { stamp: new, bytes: Some(bytes.to_vec()) };
        }
    }

    /// Every version.
    pub fn stamps(&self) -> BTreeSet<Stamp> {
        let directories = self.directories.values().map(|(stamp, _)| *stamp);
        self.files.values().map(|version| version.stamp).chain(directories).collect()
    }

    /// Of what a question that began at `began` may have met another version: it is as young, or
    /// from a time that has yet to come, and none of those that were `known` before.
    pub fn unsure(&self, began: Timestamp, known: &BTreeSet<Stamp>) -> Option<&Path> {
        let files = self.files.iter().map(|(path, version)| (path, version.stamp));
        let directories = self.directories.iter().map(|(path, (stamp, _))| (path, *stamp));
        let is_new = |stamp: &Stamp| is_young(stamp.changed, began) && !known.contains(stamp);
        files.chain(directories).find(|(_, stamp)| is_new(stamp)).map(|(path, _)| path.as_path())
    }

    /// An error names what is not as it was.
    pub fn still(&self) -> Result<(), Error> {
        let changed = |path: &Path| Err(files::Error::Raced(path.to_owned()).into());
        for (path, version) in &self.files {
            let is_same = files::stamp(path).is_ok_and(|stamp| stamp == version.stamp);
            let has_same =
                |bytes: &Vec<u8>| files::snapshot(path).is_ok_and(|file| file.bytes == *bytes);
            if !is_same || !version.bytes.as_ref().is_none_or(has_same) {
                return changed(path);
            }
        }
        for (path, (_, then)) in &self.directories {
            if names(path).is_ok_and(|now| now != *then) {
                return changed(path);
            }
        }
        Ok(())
    }
}

/// What an `Include` may find in a directory; hidden names are editors' and ours.
fn names(directory: &Path) -> Result<Vec<OsString>, files::Error> {
    let mut names = files::list(directory)?;
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    Ok(names)
}

/// Whether something may have changed at or after `moment` although its time says `changed`.
fn is_young(changed: Timestamp, moment: Timestamp) -> bool {
    changed + TICK >= moment
}

/// The kernel stamps files with the time of its last tick (`current_time`, at most 10 ms ago).
const TICK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_saved_after_the_look_is_noticed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.conf");
        files::write_scratch(&path, b"Timeout 10\n").unwrap();
        let watched = || {
            let mut watched = Watched::default();
            watched.add(&path);
            watched
        };
        assert!(watched().still().is_ok());
        // In the same tick, as long as before.
        let before = watched();
        files::write_scratch(&path, b"Timeout 20\n").unwrap();
        let told = before.still().unwrap_err().to_string();
        assert!(told.contains("a.conf"), "{told}");
        // One more file for a pattern, but not an editor's own.
        let before = watched();
        files::write_scratch(&scratch.path().join(".a.conf.swp"), b"x").unwrap();
        assert!(before.still().is_ok());
        files::write_scratch(&scratch.path().join("b.conf"), b"x").unwrap();
        assert!(before.still().is_err());
        // What is gone.
        let before = watched();
        files::remove_own(&path).unwrap();
        assert!(before.still().is_err());
    }

    #[test]
    fn what_changed_while_apache_read_is_asked_about_again() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.conf");
        let began = clock::now();
        files::write_scratch(&path, b"x").unwrap();
        let mut watched = Watched::default();
        watched.add(&path);
        assert_eq!(watched.unsure(began, &BTreeSet::new()), Some(&*path));
        assert_eq!(watched.unsure(began, &watched.stamps()), None);
        let later = began + Duration::from_mins(1);
        assert_eq!(watched.unsure(later, &BTreeSet::new()), None);
        // A clock that was set back leaves files of a time that has yet to come.
        let earlier = began - Duration::from_mins(1);
        assert_eq!(watched.unsure(earlier, &BTreeSet::new()), Some(&*path));
    }
}
