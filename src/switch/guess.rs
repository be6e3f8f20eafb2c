//! flow: asks Apache about the likely candidate while Apache still tells what is there.
//!
//! Both questions take Apache most of the time of a switch, and the second needs
//! the first one's answer; but the files seldom change between two renewals. The
//! guess is what the same order wrote last. It is never
//! trusted: its answer counts only if the plan turns out to be the same, byte for byte.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apache::dump::Dump;
use crate::apache::server::Server;
use crate::base::files;
use crate::base::fingerprint::fingerprint;
use crate::base::names::Route;
use crate::base::own_directories::StateDirectory;
use crate::base::threads::{self, Thread};
use crate::switch::apply::{self, FileEdit};
use crate::switch::order::Order;
use crate::switch::report::Error;

/// What a switch wrote, as the next one like it will find it useful.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    routes: Vec<Route>,
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: PathBuf,
    /// Fingerprint of its bytes before.
    before: String,
    after: String,
}

/// A candidate that Apache is asked about already.
#[derive(Debug)]
pub struct Guess {
    changes: Vec<FileEdit>,
    /// `None` once it was joined.
    answer: Option<Thread<Result<Dump, Error>>>,
}

/// Asks about what `order` will probably write; `None` where there is nothing to go by.
pub fn guess(state: &StateDirectory, order: &Order, server: &Server) -> Option<Guess> {
    let changes = match order {
        Order::Only(routes) => as_last_time(&last_switch(state), routes),
        Order::Add(_) | Order::Proxied(_) => None,
    }?;
    let staged = apply::stage(&changes, state).ok()?;
    let inquirer = server.inquirer().clone();
    let ask = move || apply::question(&inquirer, &staged);
    Some(Guess { changes, answer: Some(threads::start("guess", ask).ok()?) })
}

/// What was written for the same routes, if the files are as they were then.
/// The routes of the last switch that was made.
pub fn last_routes(state: &StateDirectory) -> Vec<Route> {
    let read = files::read_trusted(&last_switch(state));
    let written = read.ok().and_then(|bytes| serde_json::from_slice::<Written>(&bytes).ok());
    written.map(|written| written.routes).unwrap_or_default()
}

/// Where it is kept.
pub fn last_switch(state: &StateDirectory) -> PathBuf {
    state.join("last-switch.json")
}

fn as_last_time(path: &Path, routes: &[Route]) -> Option<Vec<FileEdit>> {
    let written: Written = serde_json::from_slice(&files::read_trusted(path).ok()?).ok()?;
    if written.routes != routes {
        return None;
    }
    let change = |file: File| {
        let snapshot = files::snapshot(&file.path).ok()?;
        let same = fingerprint(&snapshot.bytes, FINGERPRINT) == file.before;
        same.then_some(FileEdit { snapshot, after: file.after.into_bytes() })
    };
    written.files.into_iter().map(change).collect()
}

/// Notes what was written, for the next guess.
pub fn note(state: &StateDirectory, routes: &[Route], changes: &[FileEdit]) -> Result<(), Error> {
    let file = |change: &FileEdit| {
        let before = fingerprint(&change.snapshot.bytes, FINGERPRINT);
        let after = String::from_utf8(change.after.clone()).ok()?;
        Some(File { path: change.snapshot.path.clone(), before, after })
    };
    let files = changes.iter().map(file).collect::<Option<Vec<File>>>();
    // Not UTF-8: no guess next time.
    let Some(files) = files.filter(|files| !files.is_empty() && !routes.is_empty()) else {
        return Ok(());
    };
    let text = serde_json::to_vec(&Written { routes: routes.to_vec(), files })?;
    let path = last_switch(state);
    if files::read_trusted(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    Ok(files::write_own(&path, &text)?)
}

impl Guess {
    /// The answer, if exactly `changes` were asked about.
    pub fn answer(mut self, changes: &[FileEdit]) -> Option<Result<Dump, Error>> {
        let answer = self.join()?;
        let same = |(a, b): (&FileEdit, &FileEdit)| {
            (&a.snapshot.path, &a.snapshot.bytes, &a.after)
                == (&b.snapshot.path, &b.snapshot.bytes, &b.after)
        };
        let right =
            self.changes.len() == changes.len() && self.changes.iter().zip(changes).all(same);
        right.then_some(answer)
    }

    fn join(&mut self) -> Option<Result<Dump, Error>> {
        Some(self.answer.take()?.wait())
    }
}

impl Drop for Guess {
    /// Nothing that was started is left running.
    fn drop(&mut self) {
        self.join();
    }
}

/// Bytes of a hash.
const FINGERPRINT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::{Hostname, Webroot};

    #[test]
    fn what_was_written_is_guessed_again_for_the_same_routes_and_bytes_only() {
        let directory = tempfile::tempdir().unwrap();
        let site = directory.path().join("site.conf");
        files::write_scratch(&site, b"before").unwrap();
        let state = &StateDirectory::from(directory.path());
        let webroot = Webroot::parse("/srv").unwrap();
        let route = |name| Route { name: Hostname::parse(name).unwrap(), webroot: webroot.clone() };
        let (a, b) = ([route("a.example")], [route("b.example")]);
        let last = |routes: &[Route]| as_last_time(&last_switch(state), routes);

        assert!(last(&a).is_none());
        let snapshot = files::snapshot(&site).unwrap();
        note(state, &a, &[FileEdit { snapshot, after: b"after".to_vec() }]).unwrap();
        let guessed = last(&a).unwrap();
        assert_eq!((guessed.len(), &guessed[0].after[..]), (1, &b"after"[..]));
        assert!(last(&b).is_none());
        files::write_scratch(&site, b"edited").unwrap();
        assert!(last(&a).is_none());
        files::write_scratch(&last_switch(state), b"{").unwrap();
        assert!(last(&a).is_none());
    }

    #[test]
    fn an_answer_about_anything_else_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let site = directory.path().join("site.conf");
        files::write_scratch(&site, b"before").unwrap();
        let snapshot = files::snapshot(&site).unwrap();
        let change = |after: &str| {
            let after = after.as_bytes().to_vec();
            vec![FileEdit { snapshot: snapshot.clone(), after }]
        };
        let guess = || Guess {
            changes: change("after"),
            answer: Some(threads::start("guess", || Ok(Dump::default())).unwrap()),
        };
        assert!(guess().answer(&change("after")).is_some());
        assert!(guess().answer(&change("other")).is_none());
        assert!(guess().answer(&[]).is_none());
    }
}
