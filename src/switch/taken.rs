//! flow: one file with lines of ours, and the same file without those that go.
//!
//! The new content is always the old one with whole blocks cut out: there is no other way to
//! make one of these.

use std::path::Path;

use crate::base::files::{self, Replaced, Snapshot, Staging, Stamp};
use crate::base::names::Route;
use crate::config::Settings;
use crate::switch::edited_lines::{Damage, damage};
use crate::switch::marked_lines;
use crate::switch::observe::parsed;
use crate::switch::order::Return;
use crate::switch::report::Error;

/// What goes out of one file, and what stays.
#[derive(Debug)]
pub struct Taken {
    /// The file as it was read.
    pub snapshot: Snapshot,
    /// Its content without what goes.
    pub after: Vec<u8>,
    /// The routes that go.
    pub gone: Vec<Route>,
    /// The routes that stay.
    pub kept: Vec<Route>,
    /// Lines of ours that somebody changed; they stay too.
    pub damaged: Vec<Damage>,
    progress: Progress,
    /// The file as it was, until it is let go.
    out: Option<Replaced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Read,
    Failed,
    Done,
}

impl Taken {
    /// Reads the file at `path`; `None` if it is not there, or has no line of ours.
    pub fn look(path: &Path, which: &Return) -> Result<Option<Self>, Error> {
        let snapshot = match files::snapshot(path) {
            Err(error) if error.is_missing() => return Ok(None),
            snapshot => snapshot?,
        };
        if !marked_lines::is_marked(&snapshot.bytes) {
            return Ok(None);
        }
        let file = path.display().to_string();
        let mut document = parsed(&file, snapshot.bytes.clone())?;
        let mut gone = Vec::new();
        // What stays is told as it lies in the file afterwards; a block that another one was
        // pasted into is whole again without that.
        let stripped = loop {
            let stripped = marked_lines::take_out(&document, |route| which.covers(&route.name));
            if stripped.routes.is_empty() {
                break stripped;
            }
            gone.extend(stripped.routes);
            document = parsed(&file, stripped.bytes)?;
        };
        gone.sort();
        gone.dedup();
        let of = |lines| damage(&snapshot, lines, &document);
        let damaged = stripped.damaged.iter().map(of).collect();
        let (after, kept) = (stripped.bytes, stripped.kept);
        Ok(Some(Self { snapshot, after, gone, kept, damaged, progress: Progress::Read, out: None }))
    }

    /// Whether there are lines that could still be taken out.
    pub fn has_more(&self) -> bool {
        !self.gone.is_empty() && self.progress == Progress::Read
    }

    /// Whether lines were taken out.
    pub fn is_done(&self) -> bool {
        self.progress == Progress::Done
    }

    /// The version without them.
    pub fn stamp(&self) -> Option<Stamp> {
        self.out.as_ref().map(|out| out.stamp)
    }

    /// Lets the old file go. Whether somebody wrote into that one meanwhile: then it is back,
    /// with the lines that were in it.
    pub fn let_go(&mut self) -> Result<bool, Error> {
        // As long as lines of ours are left in it, there is a way back to go.
        let out = if self.kept.is_empty() { Replaced::let_go } else { Replaced::keep };
        match self.out.take().map_or(Ok(()), out) {
            Err(files::Error::Raced(_)) => Ok(true),
            done => Ok(done.map(|()| false)?),
        }
    }

    /// Takes them out of the file, also while somebody saves it.
    pub fn take_out(&mut self, which: &Return, settings: &Settings) -> Result<(), Error> {
        self.progress = Progress::Failed;
        let mut tries = 0..TRIES;
        let mut is_beside = false;
        for _ in 0..SAVES {
            let path = &self.snapshot.path;
            let opened = [path.clone()];
            let staging = if is_beside {
                files::staging_beside(path, &opened)
            } else {
                files::staging(path, &settings.state_directory, &opened)
            };
            // Where no directory can be made, one of the switch's may be left.
            let left = || files::left_staging(path).into_iter().find_map(Staging::shared);
            let staging = staging.or_else(|error| left().ok_or(error));
            match staging.and_then(|staging| self.snapshot.exchange(&self.after, staging)) {
                Err(files::Error::Raced(_)) => {}
                // The state directory is full, read-only or gone: beside the file there may be
                // room, and in either a moment later.
                Err(files::Error::System { .. }) if tries.next().is_some() => {
                    is_beside = !is_beside;
                }
                done => {
                    self.out = Some(done?);
                    self.progress = Progress::Done;
                    return Ok(());
                }
            }
            let path = path.clone();
            // Out already: replaced before its directory could not be synced, or by whoever saved it.
            match Self::look(&path, which)? {
                Some(again) if again.gone.is_empty() => {
                    self.progress = Progress::Done;
                    (self.kept, self.damaged) = (again.kept, again.damaged);
                    return Ok(());
                }
                None => {
                    self.progress = Progress::Done;
                    return Ok(());
                }
                Some(again) => *self = Self { progress: Progress::Failed, ..again },
            }
        }
        Err(files::Error::Raced(self.snapshot.path.clone()).into())
    }
}

/// Saves of one file in a row by somebody else that are put up with.
const SAVES: usize = 10;

/// Refusals of the system in a row that are put up with.
const TRIES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::{Hostname, Webroot};

    fn block_of(name: &str) -> String {
        let name = Hostname::parse(name).unwrap();
        let route = Route { name, webroot: Webroot::parse("/srv/www").unwrap() };
        String::from_utf8(marked_lines::render(&[route], &["ProxyPass !".into()], b"\n")).unwrap()
    }

    fn look(text: &str) -> Taken {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        files::write_own(&path, text.as_bytes()).unwrap();
        Taken::look(&path, &Return::All).unwrap().unwrap()
    }

    #[test]
    fn what_is_left_behind_is_told_by_its_lines_after_the_return() {
        let (first, second) = (block_of("a.example"), block_of("b.example"));
        let edited = second.replace("ProxyPass !", "ProxyPass ! # mine");
        let taken = look(&format!("A\n{first}B\n{edited}C\n"));
        assert_eq!(String::from_utf8_lossy(&taken.after), format!("A\nB\n{edited}C\n"));
        let [damage] = &taken.damaged[..] else { panic!("{taken:?}") };
        assert_eq!(damage.lines, (3, 6), "{damage}");
        assert!(
            damage.diff.contains("@@ -1,7 ") && !damage.diff.contains("a.example"),
            "{damage:?}"
        );
    }

    #[test]
    fn a_block_inside_another_goes_and_so_does_the_other() {
        let (outer, inner) = (block_of("a.example"), block_of("b.example"));
        let nested = outer.replace("    ProxyPass !\n", &format!("    ProxyPass !\n{inner}"));
        let taken = look(&format!("A\n{nested}C\n"));
        assert_eq!(String::from_utf8_lossy(&taken.after), "A\nC\n");
        assert_eq!((taken.gone.len(), taken.damaged.len()), (2, 0));
    }
}
