//! flow: one switch of routes to this host, from the lock to the proof, or all of it undone.
//!
//! What is local and not wanted any more goes back first (`give_back`), and stays there
//! whatever becomes of the rest. The steps are data, run in order by `perform`; each ends in a state from
//! which any later run goes on, with or without the journal. What to write is
//! decided in `plan`, whether it may be installed in `prepare` and `oracle`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::apache::server::{self, Server};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline, Stopwatch};
use crate::base::files::{self, Replaced};
use crate::base::names::{Hostname, Route};
use crate::ca::probe;
use crate::config::Settings;
use crate::switch::apply::{self, FileEdit};
use crate::switch::certificate_proof::{self, Knowledge};
use crate::switch::challenge_proof::{self, Unproven};
use crate::switch::difference;
use crate::switch::give_back;
use crate::switch::guess::{self, Guess};
use crate::switch::journal::{Intent, Record};
use crate::switch::loadable;
use crate::switch::observe::{self, Observation};
use crate::switch::order::{LeftOutRoute, Options, Order, Reload, Return, SwitchReport};
use crate::switch::plan::{self, Plan};
use crate::switch::report::{Error, Note};
use crate::switch::said;
use crate::switch::unswitched;

mod prepare;
mod subset;
mod undo;

/// Everything one switch knows while it runs.
pub struct SwitchRun<'a> {
    settings: &'a Settings,
    order: &'a Order,
    options: &'a Options,
    server: Server,
    observed: Observation,
    guess: Option<Guess>,
    /// The addresses that Apache listened on before the switch.
    listeners: Vec<SocketAddr>,
    wanted: Vec<Route>,
    /// What of the order is not wanted any more.
    left_out: Vec<LeftOutRoute>,
    /// What is local but not proven.
    unproven: Vec<Unproven>,
    plan: Plan,
    /// The names that have to go back before this can be done.
    leaving: BTreeSet<Hostname>,
    changes: Vec<FileEdit>,
    /// How many of `changes` were begun to be installed.
    installed: usize,
    /// The old files, until they are let go.
    replaced: Vec<Replaced>,
    /// When Apache had loaded its configuration before that.
    loaded: Option<Timestamp>,
    signalled: bool,
    notes: Vec<Note>,
    steps: Vec<(&'static str, Duration)>,
}

/// One step: its name for messages and tests, and what it does.
pub type SwitchStep = (&'static str, fn(&mut SwitchRun<'_>) -> Result<(), Error>);

/// The whole switch. After `journal`, an error undoes what was done; what goes back to the
/// peer is no step of it.
pub const STEPS: [SwitchStep; 7] = [
    ("plan", prepare::plan_routes),
    ("check", prepare::check_candidate),
    ("journal", write_intent),
    ("install", install_files),
    ("reload", reload),
    ("prove", prove),
    ("settle", settle),
];

/// How many of them leave nothing behind, and find whatever can be known beforehand.
const PREPARED: usize = 2;

/// For who saves files while a switch is planned.
const MOMENT: Duration = Duration::from_millis(100);

/// Switches the routes as `order` says; where the web server is not Apache, what is left of that.
pub fn switch(
    settings: &Settings,
    order: &Order,
    options: &Options,
) -> Result<SwitchReport, Error> {
    let Some(server) = &settings.web_server else { return by_apache(settings, order, options) };
    if files::exists(&settings.journal()) {
        // From when it was Apache.
        let _lock = apply::hold(settings)?;
        give_back::under_lock(settings, &Return::All, &Options::default())?;
    }
    let local = match order {
        Order::Only(routes) | Order::Add(routes) => routes.clone(),
        Order::Proxied(_) => Vec::new(),
    };
    unswitched::perform(settings, server, local, options)
}

fn by_apache(settings: &Settings, order: &Order, options: &Options) -> Result<SwitchReport, Error> {
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
    let mut run = begin(settings, order, options)?;
    let watch = Stopwatch::start();
    let planned = prepare::plan_routes(&mut run);
    let mut given_back = SwitchReport::default();
    if run.leaving.is_empty() {
        planned?;
        run.steps.push(("plan", watch.elapsed()));
        perform(&mut run, &STEPS[1..])?;
    } else {
        let leaving = Return::Names(std::mem::take(&mut run.leaving));
        drop(run);
        go_on(options)?;
        given_back = give_back::under_lock(settings, &leaving, &Options::default())?;
        run = begin(settings, order, options)?;
        perform(&mut run, &STEPS)?;
    }
    let unproven = std::mem::take(&mut run.unproven);
    let report = run.report();
    let report = SwitchReport {
        returned: given_back.returned,
        still: given_back.still,
        steps: [given_back.steps, report.steps].concat(),
        ..report
    };
    if unproven.is_empty() { Ok(report) } else { Ok(subset::without(settings, report, unproven)) }
}

/// Says in the log what was switched, if anything was, and what a person should know.
pub fn log(settings: &Settings, report: &SwitchReport) {
    let (lasting, other): (Vec<&Note>, Vec<&Note>) = report.notes.iter().partition(|n| n.lasts);
    let lasting = lasting.into_iter().map(ToString::to_string).collect();
    let other = other.into_iter().map(ToString::to_string);
    for note in other.chain(said::news(settings, lasting)) {
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
    let mut run = begin(settings, order, options)?;
    // The very steps of a real one, up to the first that leaves something behind.
    perform(&mut run, &STEPS[..PREPARED])?;
    let diffs = run.changes.iter().map(|change| {
        let file = change.snapshot.path.display().to_string();
        difference::unified(&file, &change.snapshot.bytes, &change.after)
    });
    Ok((diffs.collect(), run.report()))
}

/// Looks at everything, for who holds the lock; changes nothing.
pub fn begin<'a>(
    settings: &'a Settings,
    order: &'a Order,
    options: &'a Options,
) -> Result<SwitchRun<'a>, Error> {
    let watch = Stopwatch::start();
    let server = server::find(settings.pid_file.as_deref())?;
    let (journal, notes) = apply::read_journal(&settings.journal())?;
    // Something will be proven, and the client takes longer than Apache's first answer.
    probe::prepare();
    let began = clock::now();
    let mut guess = guess::guess(settings, order, &server);
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
    Ok(SwitchRun {
        settings,
        order,
        options,
        server,
        observed,
        guess,
        listeners,
        wanted: Vec::new(),
        left_out: Vec::new(),
        unproven: Vec::new(),
        plan: Plan::default(),
        leaving: BTreeSet::new(),
        changes: Vec::new(),
        installed: 0,
        replaced: Vec::new(),
        loaded: None,
        signalled: false,
        notes,
        steps: vec![("look", watch.elapsed())],
    })
}

/// Runs `steps` in order; on an error after the journal was written, undoes them.
pub fn perform(run: &mut SwitchRun<'_>, steps: &[SwitchStep]) -> Result<(), Error> {
    let mut journalled = false;
    for (name, step) in steps {
        if *name == "journal" {
            go_on(run.options)?;
            journalled = true;
        }
        let watch = Stopwatch::start();
        let done = step(run);
        run.steps.push((*name, watch.elapsed()));
        if let Err(error) = done {
            return Err(if journalled { run.undo(error) } else { error });
        }
    }
    Ok(())
}

/// From here on things are changed.
fn go_on(options: &Options) -> Result<(), Error> {
    let called_off = || Error::CalledOff("the switch was called off".to_owned());
    options.outset.leave().then_some(()).ok_or_else(called_off)
}

fn write_intent(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    if run.changes.is_empty() && !run.observed.is_unrecorded() {
        return Ok(());
    }
    let paths = run.changes.iter().map(|change| change.snapshot.path.display().to_string());
    let intent = Intent { at: clock::now(), local: run.wanted.clone(), files: paths.collect() };
    apply::record(&run.settings.journal(), &Record::Intent(intent))
}

fn install_files(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    let seen = run.observed.opened_files();
    run.loaded = run.server.loaded_at(Path::new(&run.observed.user.pid_file)).ok();
    for change in &run.changes {
        let staging = files::staging(&change.snapshot.path, &run.settings.state_directory, &seen)?;
        // Before: when syncing its directory fails, the file is replaced already.
        run.installed += 1;
        let replaced = change.snapshot.exchange(&change.after, staging)?;
        run.observed.watched.replaced(replaced.old_stamp(), replaced.stamp, &change.after);
        run.replaced.push(replaced);
    }
    Ok(())
}

/// Whether Apache has anything to load.
fn reloads(run: &SwitchRun<'_>) -> bool {
    !run.changes.is_empty() || run.observed.journal.pending || run.options.reload == Reload::Always
}

fn reload(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    if !reloads(run) {
        return Ok(());
    }
    loadable::check(&run.observed.user, &run.server, &run.listeners)?;
    let (watched, signalled) = (&run.observed.watched, &mut run.signalled);
    apply::reload(&run.server, run.settings.proof_time, || {
        watched.still()?;
        *signalled = true;
        Ok(())
    })
}

fn prove(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    let listeners = run.server.listeners()?;
    let unproven = challenge_proof::local(&run.plan.doors, &listeners, run.settings.proof_time)?;
    let is_all = run.wanted.iter().all(|route| unproven.iter().any(|(other, _)| other == route));
    if run.options.partly && !is_all {
        run.unproven = unproven;
    } else if let Some(error) = subset::none_left(run, unproven) {
        return Err(error);
    }
    if let Some(directory) = &run.options.certificate {
        let doors = plan::tls_doors(&run.observed.user, directory);
        let found = certificate_proof::prove(
            &doors,
            &listeners,
            run.settings.proof_time,
            Knowledge::Configured,
        )?;
        run.notes.extend(found.into_iter().map(Note::new));
    }
    Ok(())
}

fn settle(run: &mut SwitchRun<'_>) -> Result<(), Error> {
    // An editor may have had one of them open all the time.
    for replaced in run.replaced.drain(..) {
        replaced.keep()?;
    }
    if let Err(error) = guess::note(run.settings, &run.wanted, &run.changes) {
        // Nothing but the speed of the next switch hangs on it.
        tracing::warn!("the next switch will be slower: {}", chain(&error));
    }
    if run.wanted.is_empty() && run.observed.damaged.is_empty() {
        let changed = run.changes.iter().map(|change| &change.snapshot.path);
        apply::forget_spares(run.settings, &run.observed.journal, changed);
        return Ok(files::remove_own(&run.settings.journal())?);
    }
    if run.signalled {
        apply::record(&run.settings.journal(), &Record::Loaded)?;
    }
    Ok(())
}

impl SwitchRun<'_> {
    /// The lines of the vhosts that never decide.
    fn dead(&self) -> Vec<Note> {
        let vhosts = self.plan.vhosts.iter();
        vhosts.flat_map(|vhost| &vhost.obstacles.dead).map(Note::dead).collect()
    }

    fn report(self) -> SwitchReport {
        let dead = self.dead();
        let replaced = self.changes.iter().map(|change| change.snapshot.path.clone()).collect();
        SwitchReport {
            local: self.wanted,
            left_out: self.left_out,
            returned: Vec::new(),
            vhosts: self.plan.vhosts,
            replaced,
            reloaded: self.signalled.then(|| "Apache".to_owned()),
            still: Vec::new(),
            notes: self.notes.into_iter().chain(dead).collect(),
            steps: self.steps,
        }
    }
}
