//! system: several changes of files that are made together: all of them stay, or none.
//!
//! `begin`, then one call for each change, then `release` and `settle`. Until it is settled, all of
//! it can be taken back, the last change first; that happens by itself if it is dropped. What the
//! caller wants to survive a power cut, such as a journal of the files, it writes before.

use std::path::{Path, PathBuf};

use super::displace::{self, State};
use super::{Error, Replaced, Snapshot, Staging, Stamp, remove_own, snapshot, staging};

/// Changes of files that can still be taken back.
#[derive(Debug)]
#[must_use = "what was changed is taken back when this is dropped"]
pub struct Transaction {
    preferred: PathBuf,
    opened: Vec<PathBuf>,
    out: fn(Replaced) -> Result<(), Error>,
    changes: Vec<Change>,
}

/// One change, noted before it is made: whether it was, the file tells.
#[derive(Debug)]
enum Change {
    Replace { before: Snapshot, after: Vec<u8>, old: Option<Box<Replaced>> },
    Create { path: PathBuf, bytes: Vec<u8> },
    Mode { path: PathBuf, before: u32, after: u32 },
    Directory { path: PathBuf },
}

/// What came of taking a change back.
enum TakenBack {
    /// The file is as it was before.
    Done,
    /// Somebody else has changed it since: it stays.
    Changed,
}

impl Transaction {
    /// Begins one without any change.
    ///
    /// New files are made in `preferred` if that is on their mount, else outside of all directories
    /// of `opened`, which is what a server reads; if that is empty, outside of the file's own. `out`
    /// is what becomes of the old files: [`Replaced::let_go`], or [`Replaced::keep`].
    pub fn begin(
        preferred: &Path,
        opened: Vec<PathBuf>,
        out: fn(Replaced) -> Result<(), Error>,
    ) -> Self {
        Self { preferred: preferred.to_owned(), opened, out, changes: Vec::new() }
    }

    /// Puts `bytes` in the place of `file`, if that is still as it was read. The stamps of the old
    /// version and of the new one come back.
    pub fn replace(&mut self, file: &Snapshot, bytes: &[u8]) -> Result<(Stamp, Stamp), Error> {
        let staging = self.staging(&file.path)?;
        // Before: when syncing its directory fails, the file is replaced already.
        let (before, after) = (file.clone(), bytes.to_vec());
        self.changes.push(Change::Replace { before, after, old: None });
        let replaced = file.exchange(bytes, staging)?;
        let stamps = (replaced.old_stamp(), replaced.stamp);
        if let Some(Change::Replace { old, .. }) = self.changes.last_mut() {
            *old = Some(Box::new(replaced));
        }
        Ok(stamps)
    }

    /// Puts a new file of root's at `path`, where nothing is.
    pub fn create(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
        self.make_directories(path)?;
        let staging = self.staging(path)?;
        self.changes.push(Change::Create { path: path.to_owned(), bytes: bytes.to_vec() });
        displace::create(path, bytes, mode, staging.path())
    }

    /// Gives the regular file at `path` other permission bits.
    pub fn set_mode(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        let State::File { mode: before, .. } = displace::state(path)? else {
            return Err(Error::NotRegular(path.to_owned()));
        };
        self.changes.push(Change::Mode { path: path.to_owned(), before, after: mode });
        displace::set_mode(path, mode)
    }

    /// Makes the directories above `path` that are not there.
    fn make_directories(&mut self, path: &Path) -> Result<(), Error> {
        for path in displace::missing_directories(path) {
            self.changes.push(Change::Directory { path: path.clone() });
            displace::make_directory(&path, 0o755)?;
        }
        Ok(())
    }

    /// Whether any change was begun.
    pub fn is_begun(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Lets the old files go, if nobody has written into one of them since: an editor may have had
    /// it open all the time. Everything can still be taken back.
    pub fn release(&mut self) -> Result<(), Error> {
        for change in &mut self.changes {
            if let Change::Replace { old, .. } = change {
                old.take().map_or(Ok(()), |old| (self.out)(*old))?;
            }
        }
        Ok(())
    }

    /// All changes stay.
    pub fn settle(mut self) {
        self.changes.clear();
    }

    /// Takes all changes back, the last first. Where somebody else has changed a file since,
    /// `changed` decides. What fails keeps no other change from being taken back; the first failure
    /// comes back.
    pub fn undo<E: From<Error>>(
        &mut self,
        mut changed: impl FnMut(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        // What somebody wrote into an old file is the newer version.
        while self.release().is_err() {}
        let mut outcome = Ok(());
        while let Some(change) = self.changes.pop() {
            let undone = match self.take_back(&change) {
                Ok(TakenBack::Done) => Ok(()),
                Ok(TakenBack::Changed) => changed(change.path()),
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(undone);
        }
        outcome
    }

    /// Takes one change back, as far as it was made.
    fn take_back(&self, change: &Change) -> Result<TakenBack, Error> {
        if let Change::Replace { before, after, .. } = change {
            return self.put_back(before, after);
        }
        match (change, displace::state(change.path())?) {
            (Change::Create { .. } | Change::Directory { .. }, State::Absent) => {}
            (Change::Create { path, bytes }, State::File { bytes: now, .. }) if now == *bytes => {
                remove_own(path)?;
            }
            (Change::Mode { before, .. }, State::File { mode, .. }) if mode == *before => {}
            (Change::Mode { path, before, after }, State::File { mode, .. }) if mode == *after => {
                displace::set_mode(path, *before)?;
            }
            (Change::Directory { path }, State::Other) => drop(displace::remove_empty(path)?),
            _ => return Ok(TakenBack::Changed),
        }
        Ok(TakenBack::Done)
    }

    /// Puts the content of `before` in the place of `after`. What is compared is what is replaced:
    /// somebody may save the file at any moment.
    fn put_back(&self, before: &Snapshot, after: &[u8]) -> Result<TakenBack, Error> {
        let now = match snapshot(&before.path) {
            Err(Error::NotRegular(_)) => return Ok(TakenBack::Changed),
            Err(error) if error.is_missing() => return Ok(TakenBack::Changed),
            now => now?,
        };
        // A link to another file may be in its place.
        let is_same_file = now.path == before.path;
        if is_same_file && now.bytes == before.bytes {
            return Ok(TakenBack::Done);
        }
        if !is_same_file || now.bytes != after {
            return Ok(TakenBack::Changed);
        }
        now.replace(&before.bytes, self.staging(&before.path)?)?;
        Ok(TakenBack::Done)
    }

    /// Where the new file of `path` is made.
    fn staging(&self, path: &Path) -> Result<Staging, Error> {
        let itself = [path.to_owned()];
        let opened = if self.opened.is_empty() { &itself[..] } else { &self.opened };
        staging(path, &self.preferred, opened)
    }
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Self::Replace { before, .. } => &before.path,
            Self::Create { path, .. } | Self::Mode { path, .. } | Self::Directory { path } => path,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let undone = self.undo(|path| Err(Error::Raced(path.to_owned())));
        if let Err(error) = undone {
            tracing::warn!("a change that was given up is not taken back: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with `a` and `b`, each with its name in it.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for name in ["a", "b"] {
                fs::write(place.at(name), name).unwrap();
                fs::set_permissions(place.at(name), fs::Permissions::from_mode(0o644)).unwrap();
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn begin(&self) -> Transaction {
            Transaction::begin(self.0.path(), Vec::new(), Replaced::let_go)
        }

        fn replace(&self, transaction: &mut Transaction, name: &str, bytes: &[u8]) {
            transaction.replace(&snapshot(&self.at(name)).unwrap(), bytes).unwrap();
        }

        /// All that is in it: names, what is in them or where they lead, and their rights.
        fn state(&self) -> Vec<(String, State)> {
            let entry = |name: std::ffi::OsString| {
                let name = name.into_string().unwrap();
                let state = displace::state(&self.at(&name)).unwrap();
                (name, state)
            };
            super::super::list(self.0.path()).unwrap().into_iter().map(entry).collect()
        }
    }

    fn every_kind(place: &Place) -> Transaction {
        let mut transaction = place.begin();
        place.replace(&mut transaction, "a", b"new");
        transaction.set_mode(&place.at("a"), 0o600).unwrap();
        transaction.create(&place.at("below/here/c"), b"c", 0o640).unwrap();
        transaction
    }

    #[test]
    fn what_is_dropped_has_not_happened_and_what_is_settled_stays() {
        let place = Place::new();
        drop(every_kind(&place));
        let left: Vec<String> = place.state().into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["a", "b"]);
        for name in ["a", "b"] {
            let file = State::File { bytes: name.into(), mode: 0o644 };
            assert_eq!(displace::state(&place.at(name)).unwrap(), file);
        }
        let place = Place::new();
        let mut transaction = every_kind(&place);
        assert!(transaction.is_begun());
        transaction.release().unwrap();
        transaction.settle();
        let a = State::File { bytes: b"new".into(), mode: 0o600 };
        assert_eq!(displace::state(&place.at("a")).unwrap(), a);
        assert_eq!(fs::read(place.at("below/here/c")).unwrap(), b"c");
    }

    #[test]
    fn a_change_that_fails_halfway_is_taken_back_with_those_before_it() {
        let place = Place::new();
        let before = place.state();
        let mut transaction = place.begin();
        place.replace(&mut transaction, "a", b"new");
        let stale = snapshot(&place.at("b")).unwrap();
        fs::write(place.at("b"), b"edited").unwrap();
        let raced = transaction.replace(&stale, b"new").unwrap_err();
        assert!(matches!(raced, Error::Raced(_)), "{raced}");
        fs::write(place.at("b"), b"b").unwrap();
        transaction.undo(|path| Err(Error::Raced(path.to_owned()))).unwrap();
        assert_eq!(place.state(), before);
        assert!(!transaction.is_begun());
    }

    #[test]
    fn what_somebody_else_has_changed_since_is_theirs_and_the_rest_goes_back() {
        let place = Place::new();
        let mut transaction = place.begin();
        place.replace(&mut transaction, "a", b"new");
        place.replace(&mut transaction, "b", b"new");
        fs::write(place.at("b"), b"edited").unwrap();
        let mut asked = Vec::new();
        let undone = transaction.undo(|path| {
            asked.push(path.to_owned());
            Err(Error::Raced(path.to_owned()))
        });
        assert!(matches!(undone, Err(Error::Raced(path)) if path == place.at("b")));
        assert_eq!(asked, [place.at("b")]);
        assert_eq!(fs::read(place.at("a")).unwrap(), b"a");
        assert_eq!(fs::read(place.at("b")).unwrap(), b"edited");
    }

    #[test]
    fn what_an_editor_writes_into_an_old_file_is_kept() {
        use std::io::Write;
        let place = Place::new();
        let mut open = fs::OpenOptions::new().append(true).open(place.at("a")).unwrap();
        let mut transaction = place.begin();
        place.replace(&mut transaction, "a", b"new");
        open.write_all(b" and more").unwrap();
        assert!(matches!(transaction.release(), Err(Error::Raced(_))));
        let undone = transaction.undo(|_| Ok::<(), Error>(()));
        assert!(undone.is_ok());
        assert_eq!(fs::read(place.at("a")).unwrap(), b"a and more");
    }
}
