//! flow: the part of a switch that changes nothing: what is wanted, and whether it can be had.
//!
//! What can fail is to fail here, before the first file is replaced. What is prepared is committed
//! (`commit`), or dropped, and then nothing has happened.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::apache::oracle;
use crate::apache::server::{self, Server};
use crate::base::clock::{self, Stopwatch};
use crate::base::files;
use crate::base::names::{Hostname, Route};
use crate::ca::probe;
use crate::config::Settings;
use crate::switch::apply::{self, FileEdit};
use crate::switch::difference;
use crate::switch::guess::{self, Guess};
use crate::switch::loadable;
use crate::switch::observe::{self, Observation};
use crate::switch::oddity::Oddity;
use crate::switch::order::{LeftOutRoute, Options, Order, SwitchReport};
use crate::switch::plan::{self, Plan};
use crate::switch::report::{Error, Note};

pub(super) mod subset;

/// What a switch finds, and what it is told to do.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) options: &'a Options,
    pub(super) server: Server,
    pub(super) observed: Observation,
    /// The addresses that Apache listens on.
    pub(super) listeners: Vec<SocketAddr>,
    notes: Vec<Note>,
    pub(super) steps: Vec<(&'static str, Duration)>,
}

/// What of an order can be switched, and how the files have to change for that.
#[derive(Debug)]
pub(super) struct Selection {
    /// The routes that are local afterwards.
    pub(super) wanted: Vec<Route>,
    /// What of the order is not wanted any more.
    pub(super) left_out: Vec<LeftOutRoute>,
    pub(super) plan: Plan,
    pub(super) changes: Vec<FileEdit>,
}

/// An order that was planned for what is here.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    scene: Scene<'a>,
    guess: Option<Guess>,
    /// What has to go back first, whatever becomes of the rest: it is not wanted, or its lines can
    /// stay no longer. A return, which is never undone, is no part of a switch.
    pub(super) leaving: BTreeSet<Hostname>,
    selection: Result<Selection, Error>,
}

/// A switch that Apache accepts and that can be proven, as far as that is known beforehand.
#[derive(Debug)]
#[must_use = "nothing is changed until it is committed"]
pub struct Prepared<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) selection: Selection,
}

/// Plans and checks what `order` says, for who holds the lock.
pub fn prepare<'a>(
    settings: &'a Settings,
    order: &Order,
    options: &'a Options,
) -> Result<Prepared<'a>, Error> {
    plan(settings, order, options)?.check()
}

/// Plans what `order` wants, and what has to leave for that.
pub(super) fn plan<'a>(
    settings: &'a Settings,
    order: &Order,
    options: &'a Options,
) -> Result<Planned<'a>, Error> {
    let (mut scene, guess) = look(settings, order, options)?;
    let watch = Stopwatch::start();
    let wanted = wanted(order, &scene.observed);
    let (leaving, selection) = match scene.observed.oddities(&scene.server) {
        Ok(oddities) => {
            scene.notes.extend(oddities.iter().filter_map(Oddity::note));
            subset::select(&scene, wanted, Vec::new())
        }
        Err(error) => (unwanted(&wanted, &scene.observed), Err(error)),
    };
    scene.steps.push(("plan", watch.elapsed()));
    Ok(Planned { scene, guess, leaving, selection })
}

/// Looks at everything; asks Apache about the likely candidate meanwhile.
fn look<'a>(
    settings: &'a Settings,
    order: &Order,
    options: &'a Options,
) -> Result<(Scene<'a>, Option<Guess>), Error> {
    let watch = Stopwatch::start();
    let server = server::find(settings.pid_file.as_deref())?;
    let (journal, notes) = apply::read_journal(&settings.state_directory)?;
    // Something will be proven, and the client takes longer than Apache's first answer.
    probe::prepare();
    let began = clock::now();
    let mut guess = guess::guess(&settings.state_directory, order, &server);
    let mut observed = observe::observe(&server, journal.clone())?;
    if observed.watched.unsure(began, &BTreeSet::new()).is_some() {
        // It may have met other versions of the files, and Apache others than we; the next time
        // they are known.
        guess = None;
        let (known, began) = (observed.watched.stamps(), clock::now());
        observed = observe::observe(&server, journal)?;
        if let Some(changing) = observed.watched.unsure(began, &known) {
            return Err(files::Error::Raced(changing.to_owned()).into());
        }
    }
    let listeners = server.listeners()?;
    let steps = vec![("look", watch.elapsed())];
    Ok((Scene { settings, options, server, observed, listeners, notes, steps }, guess))
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

/// The names that are local and not wanted.
fn unwanted(wanted: &[Route], observed: &Observation) -> BTreeSet<Hostname> {
    let is_wanted = |name: &Hostname| wanted.iter().any(|route| route.name == *name);
    let local = observed.local.iter().map(|route| &route.name);
    local.filter(|name| !is_wanted(name)).cloned().collect()
}

impl<'a> Planned<'a> {
    /// Everything a later step would fail for is looked at; Apache parses the candidate, and
    /// nothing but our lines may be new in it.
    pub(super) fn check(self) -> Result<Prepared<'a>, Error> {
        let Self { mut scene, guess, leaving: _, selection } = self;
        let selection = selection?;
        let watch = Stopwatch::start();
        let mut selection = subset::provable(&scene, selection)?;
        let seen = scene.observed.opened_files();
        for change in &selection.changes {
            drop(files::staging(&change.snapshot.path, &scene.settings.state_directory, &seen)?);
        }
        if scene.reloads(&selection.changes) {
            loadable::check(&scene.observed.user, &scene.server, &scene.listeners)?;
        }
        if let Err(refused) = scene.accepts(&selection.changes, guess) {
            // What Apache read then is not what was planned for.
            scene.observed.watched.still()?;
            let partly = scene.options.partly;
            let rest = if partly { subset::accepted(&scene, selection)? } else { None };
            selection = rest.ok_or(refused)?;
            scene.accepts(&selection.changes, None)?;
        }
        scene.steps.push(("check", watch.elapsed()));
        Ok(Prepared { scene, selection })
    }
}

impl Scene<'_> {
    /// Whether Apache has anything to load once `changes` are made.
    pub(super) fn reloads(&self, changes: &[FileEdit]) -> bool {
        !changes.is_empty() || self.observed.journal.pending
    }

    /// Whether Apache takes `changes`, and reads nothing else that is new; asked already by `guess`.
    fn accepts(&self, changes: &[FileEdit], guess: Option<Guess>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let guessed = guess.and_then(|guess| guess.answer(changes));
        let dump = guessed.unwrap_or_else(|| {
            let staged = apply::stage(changes, &self.settings.state_directory)?;
            apply::question(self.server.inquirer(), &staged)
        })?;
        let (texts, blocks) = self.observed.after(&dump, changes)?;
        oracle::adds_only_blocks(&self.observed.user, dump, &texts, &blocks)
            .map_err(|refusal| Error::Refused(vec![refusal]))
    }
}

impl Prepared<'_> {
    /// What would change, as a unified diff.
    pub fn diff(&self) -> String {
        let diffs = self.selection.changes.iter().map(|change| {
            let file = change.snapshot.path.display().to_string();
            difference::unified(&file, &change.snapshot.bytes, &change.after)
        });
        diffs.collect()
    }

    /// What is local and in the files once this is committed.
    pub fn report(self) -> SwitchReport {
        let Self { scene, selection: Selection { wanted, left_out, plan, changes, .. } } = self;
        // The lines of the vhosts that never decide.
        let dead = plan.vhosts.iter().flat_map(|vhost| &vhost.obstacles.dead).map(Note::dead);
        SwitchReport {
            notes: scene.notes.into_iter().chain(dead).collect(),
            local: wanted,
            left_out,
            vhosts: plan.vhosts,
            replaced: changes.into_iter().map(|change| change.snapshot.path).collect(),
            steps: scene.steps,
            ..SwitchReport::default()
        }
    }
}
