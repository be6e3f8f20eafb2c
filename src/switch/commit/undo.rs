//! flow: a switch that failed is undone: what it put in goes out, and Apache loads that if it may know it.

use std::path::Path;

use super::SwitchRun;
use crate::base::clock;
use crate::base::files::{self, Replaced};
use crate::base::names::Route;
use crate::switch::apply::{self, FileEdit};
use crate::switch::give_back;
use crate::switch::journal::{Intent, Record};
use crate::switch::order::{Options, Return};
use crate::switch::report::Error;
use crate::switch::taken::Taken;

impl SwitchRun<'_> {
    /// Takes out what this run put in, and has Apache load that if it may have seen it.
    pub(super) fn undo(&mut self, cause: Error) -> Error {
        match self.put_back() {
            Ok(()) => Error::Undone(Box::new(cause)),
            Err(obstacle) => {
                Error::NotUndone { cause: Box::new(cause), obstacle: Box::new(obstacle) }
            }
        }
    }

    fn put_back(&mut self) -> Result<(), Error> {
        // What somebody wrote into an old file is the newer one.
        let let_go: Vec<_> = self.replaced.drain(..).map(Replaced::keep).collect();
        drop(let_go);
        let is_new = |route: &&Route| !self.observed.local.contains(route);
        let new = self.wanted.iter().filter(is_new).map(|route| route.name.clone());
        let new = Return::Names(new.collect());
        let mut obstacle = None;
        for change in &self.changes[..self.installed] {
            if let Err(error) = self.put_back_one(change, &new) {
                obstacle.get_or_insert(error);
            }
        }
        let pid_file = Path::new(&self.observed.user.pid_file);
        // Somebody else's reload may have been the one.
        let is_seen = self.installed > 0 && self.server.loaded_at(pid_file).ok() != self.loaded;
        if self.signalled || is_seen {
            // From here on it is a return like any other, of which Apache is to be told.
            self.record_as_before().ok();
            let options = Options::default();
            return give_back::under_lock(self.settings, &new, &options).map(drop);
        }
        if let Some(obstacle) = obstacle {
            return Err(obstacle);
        }
        // Apache knows nothing of it; what an earlier run left to be loaded still is.
        let journal = self.settings.journal();
        let pending = self.observed.journal.pending;
        if self.observed.local.is_empty() && !pending {
            let changed = self.changes.iter().map(|change| &change.snapshot.path);
            apply::forget_spares(self.settings, &self.observed.journal, changed);
            return Ok(files::remove_own(&journal)?);
        }
        self.record_as_before()?;
        if pending { Ok(()) } else { apply::record(&journal, &Record::Loaded) }
    }

    fn record_as_before(&self) -> Result<(), Error> {
        let files = self.observed.journal.files.clone();
        let (at, local) = (clock::now(), self.observed.local.clone());
        let intent = Intent { at, local, files };
        apply::record(&self.settings.journal(), &Record::Intent(intent))
    }

    /// The file as it was, or, if somebody wrote to it since, without the lines of `new`.
    fn put_back_one(&self, change: &FileEdit, new: &Return) -> Result<(), Error> {
        let path = &change.snapshot.path;
        let now = match files::snapshot(path) {
            Err(error) if error.is_missing() => return Ok(()),
            now => now?,
        };
        if now.bytes != change.after {
            let taken = Taken::look(path, new)?.filter(Taken::has_more);
            return taken.map_or(Ok(()), |mut taken| taken.take_out(new, self.settings));
        }
        let seen = self.observed.opened_files();
        let staging = files::staging(path, &self.settings.state_directory, &seen)?;
        Ok(now.replace(&change.snapshot.bytes, staging)?)
    }
}
