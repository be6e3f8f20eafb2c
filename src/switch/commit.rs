//! flow: one switch of routes to this host, from the lock to the proof, or all of it undone.
//!
//! What is local and not wanted any more goes back first (`give_back`), and stays there
//! whatever becomes of the rest. The steps are data, run in order by `perform`, each beside what
//! undoes it; each ends in a state from which any later run goes on, with or without the journal.
//! What to write is decided in `plan`, whether it may be installed in `prepare` and `oracle`.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::cause::chain;
use crate::base::clock::{self, Deadline, Stopwatch};
use crate::base::files::{self, Replaced, Transaction};
use crate::config::Settings;
use crate::switch::apply;
use crate::switch::challenge_proof::{self, Unproven};
use crate::switch::give_back;
use crate::switch::guess;
use crate::switch::journal::{self, Intent, Record};
use crate::switch::loadable;
use crate::switch::order::{Options, Order, Reload, Return, SwitchReport};
use crate::switch::prepare::{self, Prepared, subset};
use crate::switch::report::{Error, Note};
use crate::switch::said;
use crate::switch::taken::Taken;

/// A switch that changes things.
#[derive(Debug)]
pub struct Commit<'a> {
    prepared: Prepared<'a>,
    /// The files as they are replaced.
    pub files: Transaction,
    /// When Apache had loaded its configuration before that.
    loaded: Option<Timestamp>,
    signalled: bool,
    /// What turned out to be local and not proven.
    unproven: Vec<Unproven>,
}

/// One step of a switch.
pub struct SwitchStep {
    /// For messages and tests.
    pub name: &'static str,
    make: fn(&mut Commit<'_>) -> Result<(), Error>,
    undo: Option<Undo>,
}

type Undo = fn(&mut Commit<'_>) -> Result<Undone, Error>;

/// What was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undone {
    /// One step.
    Step,
    /// Everything: it was given back, as any route is.
    All,
}

/// All that changes anything, in order.
pub const STEPS: [SwitchStep; 5] = [
    SwitchStep { name: "journal", make: write_intent, undo: Some(withdraw_intent) },
    SwitchStep { name: "install", make: install_files, undo: Some(put_back_files) },
    // What Apache has loaded is undone by its next reload, once the files are back.
    SwitchStep { name: "reload", make: reload, undo: None },
    SwitchStep { name: "prove", make: prove, undo: None },
    SwitchStep { name: "settle", make: settle, undo: None },
];

/// For who saves files while a switch is planned.
const MOMENT: Duration = Duration::from_millis(100);

/// Switches the routes as `order` says; where the web server is not Apache, what is left of that.
pub fn switch(
    settings: &Settings,
    order: &Order,
    options: &Options,
) -> Result<SwitchReport, Error> {
    if let Some(server) = &settings.web_server {
        let local = match order {
            Order::Only(routes) | Order::Add(routes) => routes.clone(),
            Order::Proxied(_) => Vec::new(),
        };
        return give_back::unswitched(settings, server, local, &Reload::Never);
    }
    let _lock = apply::hold(settings)?;
    let patience = Deadline::after(settings.proof_time);
    loop {
        match once(settings, order, options) {
            // Saved while it was planned, which has changed nothing yet.
            Err(Error::File(files::Error::Raced(_))) if clock::pause(MOMENT, &patience).is_ok() => {
            }
            done => return done,
        }
    }
}

fn once(settings: &Settings, order: &Order, options: &Options) -> Result<SwitchReport, Error> {
    let mut planned = prepare::plan(settings, order, options)?;
    let mut given_back = SwitchReport::default();
    if !planned.leaving.is_empty() {
        let leaving = Return::Names(std::mem::take(&mut planned.leaving));
        drop(planned);
        go_on(options)?;
        given_back = give_back::under_lock(settings, &leaving, &Reload::Never)?;
        planned = prepare::plan(settings, order, options)?;
    }
    let report = planned.check()?.commit()?;
    Ok(SwitchReport {
        returned: given_back.returned,
        still: given_back.still,
        steps: [given_back.steps, report.steps].concat(),
        ..report
    })
}

/// Says in the log what was switched, if anything was, and what a person should know.
pub fn log(settings: &Settings, report: &SwitchReport) {
    let (lasting, other): (Vec<&Note>, Vec<&Note>) = report.notes.iter().partition(|n| n.lasts);
    let lasting = lasting.into_iter().map(ToString::to_string).collect();
    let other = other.into_iter().map(ToString::to_string);
    for note in other.chain(said::news(&settings.state_directory, lasting)) {
        tracing::warn!("{note}");
    }
    if let Some(line) = report.line() {
        tracing::info!("{line}");
    }
    for name in &report.still {
        tracing::info!("{name} is answered from its webroot on this host without our lines, too");
    }
}

/// What `order` would change, as a unified diff; nothing is changed.
pub fn dry_run(
    settings: &Settings,
    order: &Order,
    options: &Options,
) -> Result<(String, SwitchReport), Error> {
    let _lock = apply::hold(settings)?;
    let prepared = prepare::prepare(settings, order, options)?;
    Ok((prepared.diff(), prepared.report()))
}

impl<'a> Prepared<'a> {
    /// Does it: all of it, or an error after which all is as before, unless that says otherwise.
    pub fn commit(self) -> Result<SwitchReport, Error> {
        let settings = self.scene.settings;
        let mut commit = self.begin()?;
        perform(&mut commit, &STEPS)?;
        let Commit { prepared, files, signalled, unproven, .. } = commit;
        files.settle();
        let reloaded = signalled.then(|| "Apache".to_owned());
        let report = SwitchReport { reloaded, ..prepared.report() };
        Ok(if unproven.is_empty() { report } else { subset::without(settings, report, unproven) })
    }

    /// From here on things are changed.
    pub fn begin(self) -> Result<Commit<'a>, Error> {
        go_on(self.scene.options)?;
        let (state, observed) = (&self.scene.settings.state_directory, &self.scene.observed);
        let files = Transaction::begin(state, observed.opened_files(), Replaced::keep);
        let loaded = self.scene.server.loaded_at(Path::new(&observed.user.pid_file)).ok();
        Ok(Commit { prepared: self, files, loaded, signalled: false, unproven: Vec::new() })
    }
}

/// Runs `steps` in order; on an error, undoes those that were begun, the last first.
pub fn perform(commit: &mut Commit<'_>, steps: &[SwitchStep]) -> Result<(), Error> {
    for (index, step) in steps.iter().enumerate() {
        let watch = Stopwatch::start();
        let made = (step.make)(commit);
        commit.prepared.scene.steps.push((step.name, watch.elapsed()));
        if let Err(cause) = made {
            let cause = Box::new(cause);
            return Err(match undo(commit, &steps[..=index]) {
                Ok(()) => Error::Undone(cause),
                Err(obstacle) => Error::NotUndone { cause, obstacle: Box::new(obstacle) },
            });
        }
    }
    Ok(())
}

fn undo(commit: &mut Commit<'_>, begun: &[SwitchStep]) -> Result<(), Error> {
    for undo in begun.iter().rev().filter_map(|step| step.undo) {
        if undo(commit)? == Undone::All {
            break;
        }
    }
    Ok(())
}

/// Unless the switch was called off.
fn go_on(options: &Options) -> Result<(), Error> {
    let called_off = || Error::CalledOff("the switch was called off".to_owned());
    options.outset.leave().then_some(()).ok_or_else(called_off)
}

fn write_intent(commit: &mut Commit<'_>) -> Result<(), Error> {
    let Prepared { scene, selection } = &commit.prepared;
    if selection.changes.is_empty() && !scene.observed.is_unrecorded() {
        return Ok(());
    }
    let paths = selection.changes.iter().map(|change| change.snapshot.path.display().to_string());
    let (at, local) = (clock::now(), selection.wanted.clone());
    let intent = Intent { at, local, files: paths.collect() };
    apply::record(&scene.settings.state_directory, &Record::Intent(intent))
}

/// Apache knows nothing of it; what an earlier run left to be loaded still is.
fn withdraw_intent(commit: &mut Commit<'_>) -> Result<Undone, Error> {
    let Prepared { scene, .. } = &commit.prepared;
    let pending = scene.observed.journal.pending;
    if scene.observed.local.is_empty() && !pending {
        commit.forget_journal()?;
        return Ok(Undone::Step);
    }
    commit.record_as_before()?;
    if !pending {
        apply::record(&scene.settings.state_directory, &Record::Loaded)?;
    }
    Ok(Undone::Step)
}

fn install_files(commit: &mut Commit<'_>) -> Result<(), Error> {
    let Prepared { scene, selection } = &mut commit.prepared;
    for change in &selection.changes {
        let (old, new) = commit.files.replace(&change.snapshot, &change.after)?;
        scene.observed.watched.replaced(old, new, &change.after);
    }
    Ok(())
}

/// The files as they were, or, where somebody wrote to one since, without the lines of this switch;
/// Apache loads that if it may have seen them.
fn put_back_files(commit: &mut Commit<'_>) -> Result<Undone, Error> {
    let Prepared { scene, selection } = &commit.prepared;
    let (settings, observed) = (scene.settings, &scene.observed);
    let new = selection.wanted.iter().filter(|route| !observed.local.contains(route));
    let new = Return::Names(new.map(|route| route.name.clone()).collect());
    let is_begun = commit.files.is_begun();
    let put_back = commit.files.undo(|path| {
        let taken = Taken::look(path, &new)?.filter(Taken::has_more);
        taken.map_or(Ok(()), |mut taken| taken.take_out(&new, settings))
    });
    let loaded = scene.server.loaded_at(Path::new(&observed.user.pid_file)).ok();
    // Somebody else's reload may have been the one.
    if commit.signalled || is_begun && loaded != commit.loaded {
        // From here on it is a return like any other, of which Apache is to be told.
        commit.record_as_before().ok();
        give_back::under_lock(settings, &new, &Reload::Never)?;
        return Ok(Undone::All);
    }
    put_back.map(|()| Undone::Step)
}

fn reload(commit: &mut Commit<'_>) -> Result<(), Error> {
    let Prepared { scene, selection } = &commit.prepared;
    if !scene.reloads(&selection.changes) {
        return Ok(());
    }
    loadable::check(&scene.observed.user, &scene.server, &scene.listeners)?;
    let signalled = &mut commit.signalled;
    apply::reload(&scene.server, scene.settings.proof_time, || {
        scene.observed.watched.still()?;
        *signalled = true;
        Ok(())
    })
}

fn prove(commit: &mut Commit<'_>) -> Result<(), Error> {
    let Prepared { scene, selection } = &commit.prepared;
    let listeners = scene.server.listeners()?;
    let doors = &selection.plan.doors;
    let unproven = challenge_proof::local(doors, &listeners, scene.settings.proof_time)?;
    let is_unproven = |route| unproven.iter().any(|(other, _)| other == route);
    if scene.options.partly && !selection.wanted.iter().all(is_unproven) {
        commit.unproven = unproven;
        return Ok(());
    }
    subset::none_left(scene.options, &selection.left_out, unproven).map_or(Ok(()), Err)
}

fn settle(commit: &mut Commit<'_>) -> Result<(), Error> {
    // An editor may have had one of them open all the time.
    commit.files.release()?;
    let Prepared { scene, selection } = &commit.prepared;
    let settings = scene.settings;
    if let Err(error) =
        guess::note(&settings.state_directory, &selection.wanted, &selection.changes)
    {
        // Nothing but the speed of the next switch hangs on it.
        tracing::warn!("the next switch will be slower: {}", chain(&error));
    }
    if selection.wanted.is_empty() && scene.observed.damaged.is_empty() {
        return commit.forget_journal();
    }
    if commit.signalled {
        apply::record(&settings.state_directory, &Record::Loaded)?;
    }
    Ok(())
}

impl Commit<'_> {
    fn forget_journal(&self) -> Result<(), Error> {
        let Prepared { scene, selection } = &self.prepared;
        let changed = selection.changes.iter().map(|change| &change.snapshot.path);
        apply::forget_spares(scene.settings, &scene.observed.journal, changed);
        Ok(files::remove_own(&journal::path(&scene.settings.state_directory))?)
    }

    fn record_as_before(&self) -> Result<(), Error> {
        let Prepared { scene, .. } = &self.prepared;
        let (local, files) = (&scene.observed.local, &scene.observed.journal.files);
        let intent = Intent { at: clock::now(), local: local.clone(), files: files.clone() };
        apply::record(&scene.settings.state_directory, &Record::Intent(intent))
    }
}
