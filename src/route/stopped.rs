//! flow: gives routes back while Apache cannot be asked, and says when that is impossible.
//!
//! A stopped Apache answers no challenge: our blocks only have to be out of its
//! files before it starts, and those files are in the journal. It is never started.

use std::path::{Path, PathBuf};

use crate::apache::server;
use crate::clock;
use crate::config::Settings;
use crate::files;
use crate::lock;
use crate::route::block;
use crate::route::install::{self, Change};
use crate::route::journal::{Intent, Journal, Record};
use crate::route::observe::{damage, parsed};
use crate::route::order::{Options, Order, Report};
use crate::route::report::{Error, Note};

/// What is left of `order` after `cause` kept it from being begun; `None`: Apache
/// was started meanwhile and wants a reload, which the journal still says.
pub fn without_apache(
    settings: &Settings,
    order: &Order,
    options: &Options,
    cause: Error,
) -> Result<Option<Report>, Error> {
    let Error::Apache(reason) = &cause else { return Err(cause) };
    let _lock = lock::acquire(&settings.switch_lock(), settings.proof_time * 3)?;
    let (journal, mut notes) = install::read_journal(&settings.journal())?;
    let unknown = journal.pending && journal.files.is_empty();
    if !gives_all_back(order, &journal) || unknown || options.reload {
        return Err(cause);
    }
    match reason {
        server::Error::NotRunning { .. }
        | server::Error::Other { .. }
        | server::Error::Contained { .. } => {
            let replaced = take_out(settings, &journal)?;
            if server::find(settings.pid_file.as_deref()).is_ok() {
                install::record(&settings.journal(), &pending(&journal))?;
                return Ok(None);
            }
            files::remove_own(&settings.journal())?;
            let names = journal.local.into_iter().map(|route| route.name);
            let returned = if replaced.is_empty() { Vec::new() } else { names.collect() };
            Ok(Some(Report { returned, replaced, notes, ..Report::default() }))
        }
        server::Error::Configtest { complaint, .. } if journal == Journal::default() => {
            notes.push(Note::unasked(complaint));
            Ok(Some(Report { notes, ..Report::default() }))
        }
        _ => Err(cause),
    }
}

/// What makes any later switch reload.
fn pending(journal: &Journal) -> Record {
    let (local, files) = (Vec::new(), journal.files.clone());
    Record::Intent(Intent { at: clock::now(), local, files })
}

fn gives_all_back(order: &Order, journal: &Journal) -> bool {
    match order {
        Order::Only(routes) => routes.is_empty(),
        Order::Without(names) => journal.local.iter().all(|route| names.contains(&route.name)),
        Order::Add(_) | Order::Proxied(_) => false,
    }
}

/// Takes every intact block out of the journal's files; the files that changed.
fn take_out(settings: &Settings, journal: &Journal) -> Result<Vec<PathBuf>, Error> {
    let paths = journal.files.iter().map(Path::new);
    let seen: Vec<PathBuf> = paths.clone().filter_map(Path::parent).map(Path::to_owned).collect();
    let (mut replaced, mut left) = (Vec::new(), None);
    for path in paths.filter(|path| files::exists(path)) {
        let snapshot = files::snapshot(path)?;
        let document = parsed(&path.display().to_string(), snapshot.bytes.clone())?;
        let stripped = block::strip(&document);
        left = left.or(stripped.damaged.first().map(|lines| damage(&snapshot, lines, &document)));
        let change = Change { snapshot, after: stripped.bytes, adds: false };
        if change.after != change.snapshot.bytes {
            let staging = files::staging(path, &settings.state_directory, &seen)?;
            change.snapshot.replace(&change.after, &staging)?;
            replaced.push(path.to_owned());
        }
    }
    left.map_or(Ok(replaced), |damage| Err(Error::LeftBehind(damage)))
}
