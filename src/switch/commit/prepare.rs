//! flow: the part of a switch that changes nothing: what is wanted, and whether it can be had.
//!
//! What can fail is to fail here, before the first file is replaced.

use std::collections::BTreeSet;

use super::{SwitchRun, reloads, subset};
use crate::apache::oracle;
use crate::base::files;
use crate::base::names::{Hostname, Route};
use crate::switch::apply::{self, FileEdit};
use crate::switch::guess::Guess;
use crate::switch::loadable;
use crate::switch::observe::Observation;
use crate::switch::oddity::Oddity;
use crate::switch::order::Order;
use crate::switch::plan;
use crate::switch::report::Error;

/// Plans what the order wants, and what has to leave for that.
pub(super) fn plan_routes(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    run.wanted = wanted(run.order, &run.observed);
    run.leaving = leaving(run);
    let oddities = run.observed.oddities(&run.server)?;
    run.notes.extend(oddities.iter().filter_map(Oddity::note));
    subset::plan(run)
}

fn wanted(order: &Order, observed: &Observation) -> Vec<Route> {
    let local = &observed.local;
    let mut wanted: Vec<Route> = match order {
        Order::Only(routes) => routes.clone(),
        Order::Add(routes) => {
            // A new webroot for a name replaces the old one.
            let kept = local.iter().filter(|old| routes.iter().all(|new| new.name != old.name));
            routes.iter().chain(kept).cloned().collect()
        }
        Order::Proxied(webroot) => plan::proxied_routes(&observed.user, webroot.as_ref()),
    };
    wanted.sort();
    wanted.dedup();
    wanted
}

/// The names that are local and not wanted: a return, which is never undone, is none of this
/// switch's steps.
pub(super) fn leaving(run: &SwitchRun<'_>) -> BTreeSet<Hostname> {
    let is_wanted = |name: &Hostname| run.wanted.iter().any(|route| route.name == *name);
    let local = run.observed.local.iter().map(|route| &route.name);
    local.filter(|name| !is_wanted(name)).cloned().collect()
}

/// Everything a later step would fail for is looked at; Apache parses the candidate, and nothing
/// but our lines may be new in it.
pub(super) fn check_candidate(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    subset::look_ahead(run)?;
    let seen = run.observed.opened_files();
    for change in &run.changes {
        drop(files::staging(&change.snapshot.path, &run.settings.state_directory, &seen)?);
    }
    if reloads(run) {
        loadable::check(&run.observed.user, &run.server, &run.listeners)?;
    }
    let guess = run.guess.take();
    match accepted(run, &run.changes, guess) {
        // What Apache read then is not what was planned for.
        Err(_) if run.observed.watched.still().is_err() => run.observed.watched.still(),
        Err(_) if run.options.partly && subset::leave_out_what_is_refused(run)? => {
            accepted(run, &run.changes, None)
        }
        checked => checked,
    }
}

/// Whether Apache takes `changes`, and reads nothing else that is new; asked already by `guess`.
pub(super) fn accepted(
    run: &SwitchRun<'_>,
    changes: &[FileEdit],
    guess: Option<Guess>,
) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let guessed = guess.and_then(|guess| guess.answer(changes));
    let dump = guessed.unwrap_or_else(|| {
        let staged = apply::stage(changes, &run.settings.state_directory)?;
        apply::question(run.server.inquirer(), &staged)
    })?;
    let (texts, blocks) = run.observed.after(&dump, changes)?;
    oracle::adds_only_blocks(&run.observed.user, dump, &texts, &blocks)
        .map_err(|refusal| Error::Refused(vec![refusal]))
}
