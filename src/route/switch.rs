//! flow: one switch of routes, from the lock to the proof, or all of it undone.
//!
//! The steps are data, run in order by `perform`; each ends in a state from
//! which any later run goes on, with or without the journal. What to write is
//! decided in `plan`, whether it may be installed in `oracle`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::apache::dump::Origin;
use crate::apache::oracle;
use crate::apache::server::{self, Server};
use crate::ca::probe;
use crate::cause::chain;
use crate::clock::{self, Stopwatch};
use crate::config::Settings;
use crate::files;
use crate::lock::{self, Lock};
use crate::names::{Hostname, Route};
use crate::route::difference;
use crate::route::guess::{self, Guess};
use crate::route::install::{self, Change};
use crate::route::journal::{Intent, Journal, Record};
use crate::route::observe::{self, Observation};
use crate::route::order::{LeftOut, Options, Order, Report};
use crate::route::plan::{self, Door, Plan};
use crate::route::proof::{self, Unproven};
use crate::route::report::{Error, Note};
use crate::route::serving::{self, Knowledge};
use crate::route::stopped;
use crate::route::unswitched;

mod subset;

/// Everything one switch knows while it runs.
pub struct Run<'a> {
    settings: &'a Settings,
    order: &'a Order,
    options: &'a Options,
    server: Server,
    observed: Observation,
    guess: Option<Guess>,
    wanted: Vec<Route>,
    /// What of the order is not wanted any more.
    left_out: Vec<LeftOut>,
    /// What is local but not proven.
    unproven: Vec<Unproven>,
    plan: Plan,
    /// Doors that were local and are not wanted any more.
    returned: Vec<Door>,
    changes: Vec<Change>,
    /// How many of `changes` were begun to be installed.
    installed: usize,
    signalled: bool,
    notes: Vec<Note>,
    steps: Vec<(&'static str, Duration)>,
    _lock: Lock,
}

/// One step: its name for messages and tests, and what it does.
pub type Step = (&'static str, fn(&mut Run<'_>) -> Result<(), Error>);

/// The whole switch. After `journal`, an error undoes what was done.
pub const STEPS: [Step; 7] = [
    ("plan", plan_routes),
    ("check", check_candidate),
    ("journal", write_intent),
    ("install", install_files),
    ("reload", reload),
    ("prove", prove),
    ("settle", settle),
];

/// Switches the routes as `order` says; where the web server is not Apache, what is left of that.
pub fn switch(settings: &Settings, order: &Order, options: &Options) -> Result<Report, Error> {
    let Some(server) = &settings.web_server else { return by_apache(settings, order, options) };
    if files::exists(&settings.journal()) {
        // From when it was Apache.
        by_apache(settings, &Order::Only(Vec::new()), &Options::default())?;
    }
    unswitched::perform(settings, server, order, options)
}

fn by_apache(settings: &Settings, order: &Order, options: &Options) -> Result<Report, Error> {
    let mut run = match begin(settings, order, options) {
        Err(cause) => match stopped::without_apache(settings, order, options, cause)? {
            Some(report) => return Ok(report),
            // Started meanwhile: it may have read what was just taken out.
            None => begin(settings, order, options)?,
        },
        begun => begun?,
    };
    perform(&mut run, &STEPS)?;
    let unproven = std::mem::take(&mut run.unproven);
    let report = run.report();
    if unproven.is_empty() {
        Ok(report)
    } else {
        Ok(subset::without(settings, options, report, unproven))
    }
}

/// Says in the log what was switched, if anything was, and what a person should know.
pub fn log(report: &Report) {
    for note in &report.notes {
        tracing::warn!("{note}");
    }
    if let Some(line) = report.line() {
        tracing::info!("{line}");
    }
}

/// What `order` would change, as a unified diff; nothing is changed.
pub fn dry_run(
    settings: &Settings,
    order: &Order,
    options: &Options,
) -> Result<(String, Report), Error> {
    let mut run = begin(settings, order, options)?;
    plan_routes(&mut run)?;
    check_candidate(&mut run)?;
    let diffs = run.changes.iter().map(|change| {
        let file = change.snapshot.path.display().to_string();
        difference::unified(&file, &change.snapshot.bytes, &change.after)
    });
    Ok((diffs.collect(), run.report()))
}

/// Takes the lock and looks at everything; changes nothing.
pub fn begin<'a>(
    settings: &'a Settings,
    order: &'a Order,
    options: &'a Options,
) -> Result<Run<'a>, Error> {
    let watch = Stopwatch::start();
    files::own_directory(&settings.runtime_directory, 0o755)?;
    // Ours to list; the arbiter, another user, passes through to its own part.
    files::own_directory(&settings.state_directory, 0o711)?;
    let lock = lock::acquire(&settings.switch_lock(), settings.proof_time * 3)?;
    // Whoever left them there is dead: the lock is ours.
    files::sweep(&settings.state_directory)?;
    let server = server::find(settings.pid_file.as_deref())?;
    let (journal, notes) = install::read_journal(&settings.journal())?;
    if *order != Order::Only(Vec::new()) || journal != Journal::default() {
        // Something will be proven, and the client takes longer than Apache's first answer.
        probe::prepare();
    }
    let guess = guess::guess(settings, order, &journal, &server);
    let observed = observe::observe(&server, journal)?;
    Ok(Run {
        settings,
        order,
        options,
        server,
        observed,
        guess,
        wanted: Vec::new(),
        left_out: Vec::new(),
        unproven: Vec::new(),
        plan: Plan::default(),
        returned: Vec::new(),
        changes: Vec::new(),
        installed: 0,
        signalled: false,
        notes,
        steps: vec![("look", watch.elapsed())],
        _lock: lock,
    })
}

/// Runs `steps` in order; on an error after the journal was written, undoes them.
pub fn perform(run: &mut Run<'_>, steps: &[Step]) -> Result<(), Error> {
    let mut journalled = false;
    for (name, step) in steps {
        journalled |= *name == "journal";
        let watch = Stopwatch::start();
        let done = step(run);
        run.steps.push((*name, watch.elapsed()));
        if let Err(error) = done {
            return Err(if journalled { run.undo(error) } else { error });
        }
    }
    Ok(())
}

fn plan_routes(run: &mut Run<'_>) -> Result<(), Error> {
    run.wanted = wanted(run.order, &run.observed);
    run.notes.extend(run.observed.notes(&run.server)?);
    subset::plan(run)?;
    let dead = run.plan.vhosts.iter().flat_map(|vhost| &vhost.obstacles.dead);
    run.notes.extend(dead.map(Note::dead));
    Ok(())
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
        Order::Without(names) => {
            local.iter().filter(|route| !names.contains(&route.name)).cloned().collect()
        }
        Order::Proxied(webroot) => plan::proxied_routes(&observed.user, webroot.as_ref()),
    };
    wanted.sort();
    wanted.dedup();
    wanted
}

/// The doors of `gone` that lead through vhosts which are not switched any more.
fn returned(user: plan::Configuration<'_>, plan: &Plan, gone: &[Route]) -> Vec<Door> {
    // What was switched once can be refused by now; then there is nothing to prove.
    let Ok(before) = plan::plan(user, gone) else { return Vec::new() };
    let still = |origin: &Origin| plan.vhosts.iter().any(|vhost| vhost.origin == *origin);
    let switched: Vec<&Origin> = before
        .vhosts
        .iter()
        .filter(|vhost| !vhost.obstacles.is_empty() && !still(&vhost.origin))
        .map(|vhost| &vhost.origin)
        .collect();
    let through = |door: &Door| door.vhost.as_ref().is_some_and(|o| switched.contains(&o));
    before.doors.into_iter().filter(through).collect()
}

/// Apache parses the candidate, and nothing but our lines may be new in it.
fn check_candidate(run: &mut Run<'_>) -> Result<(), Error> {
    let guess = run.guess.take();
    match accepted(run, &run.changes, guess) {
        Err(_) if run.options.partly && subset::leave_out_what_is_refused(run)? => {
            accepted(run, &run.changes, None)
        }
        checked => checked,
    }
}

fn accepted(run: &Run<'_>, changes: &[Change], guess: Option<Guess>) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let guessed = guess.and_then(|guess| guess.answer(changes));
    let dump = guessed.unwrap_or_else(|| {
        let staged = install::stage(changes, &run.settings.state_directory)?;
        install::question(run.server.inquirer(), &staged)
    })?;
    let (texts, blocks) = run.observed.after(&dump, changes)?;
    oracle::adds_only_blocks(&run.observed.user, dump, &texts, &blocks)
        .map_err(|refusal| Error::Refused(vec![refusal]))
}

fn write_intent(run: &mut Run<'_>) -> Result<(), Error> {
    if run.changes.is_empty() && !run.observed.is_unrecorded() {
        return Ok(());
    }
    let paths = run.changes.iter().map(|change| change.snapshot.path.display().to_string());
    let intent = Intent { at: clock::now(), local: run.wanted.clone(), files: paths.collect() };
    install::record(&run.settings.journal(), &Record::Intent(intent))
}

fn install_files(run: &mut Run<'_>) -> Result<(), Error> {
    let seen = run.observed.directories();
    for change in &run.changes {
        let staging = files::staging(&change.snapshot.path, &run.settings.state_directory, &seen)?;
        // Before: when syncing its directory fails, the file is replaced already.
        run.installed += 1;
        change.snapshot.replace(&change.after, &staging)?;
    }
    Ok(())
}

fn reload(run: &mut Run<'_>) -> Result<(), Error> {
    let Journal { pending, since, .. } = &run.observed.journal;
    // Blocks that somebody else took out: whether Apache knows, only a reload makes sure.
    let vanished = run.wanted.is_empty() && run.observed.damaged.is_empty() && since.is_some();
    if run.changes.is_empty() && !pending && !vanished && !run.options.reload {
        return Ok(());
    }
    run.observed.keys_match(&run.server)?;
    run.signalled = true;
    install::reload(&run.server, run.settings.proof_time)?;
    Ok(())
}

fn prove(run: &mut Run<'_>) -> Result<(), Error> {
    let listeners = run.server.listeners()?;
    let unproven = proof::local(&run.plan.doors, &listeners, run.settings.proof_time)?;
    let is_all = run.wanted.iter().all(|route| unproven.iter().any(|(other, _)| other == route));
    if run.options.partly && !is_all {
        run.unproven = unproven;
    } else if let Some((_, error)) = unproven.into_iter().next() {
        return Err(error.into());
    }
    if run.signalled {
        proof::peer(&run.returned, &listeners)?;
    }
    if let Some(directory) = &run.options.certificate {
        let doors = plan::tls_doors(&run.observed.user, directory);
        let found =
            serving::prove(&doors, &listeners, run.settings.proof_time, Knowledge::Configured)?;
        run.notes.extend(found.into_iter().map(Note));
    }
    Ok(())
}

fn settle(run: &mut Run<'_>) -> Result<(), Error> {
    if let Err(error) = guess::note(run.settings, &run.wanted, &run.changes) {
        // Nothing but the speed of the next switch hangs on it.
        tracing::warn!("the next switch will be slower: {}", chain(&error));
    }
    if run.wanted.is_empty() && run.observed.damaged.is_empty() {
        files::remove_own(&run.settings.journal())?;
    } else if run.signalled {
        install::record(&run.settings.journal(), &Record::Loaded)?;
    }
    match run.observed.damaged.first() {
        // It costs the names of its file, which are left out.
        Some(_) if run.options.partly && !run.wanted.is_empty() => Ok(()),
        Some(damage) => Err(Error::LeftBehind(damage.clone())),
        None => Ok(()),
    }
}

impl Run<'_> {
    /// Puts back every file that is still as this run wrote it, and reloads if Apache may have seen it.
    fn undo(&mut self, cause: Error) -> Error {
        if matches!(cause, Error::LeftBehind(_)) {
            return cause;
        }
        match self.put_back() {
            Ok(()) => Error::Undone(Box::new(cause)),
            Err(obstacle) => {
                Error::NotUndone { cause: Box::new(cause), obstacle: Box::new(obstacle) }
            }
        }
    }

    fn put_back(&mut self) -> Result<(), Error> {
        let seen = self.observed.directories();
        for change in &self.changes[..self.installed] {
            let path = &change.snapshot.path;
            let now = files::snapshot(path)?;
            if now.bytes == change.snapshot.bytes {
                continue;
            }
            if now.bytes != change.after {
                return Err(files::Error::Raced(path.clone()).into());
            }
            let staging = files::staging(path, &self.settings.state_directory, &seen)?;
            now.replace(&change.snapshot.bytes, &staging)?;
        }
        if self.signalled {
            if !self.server.is_alive()? {
                return Err(self.server.died().into());
            }
            install::reload(&self.server, self.settings.proof_time)?;
        }
        let journal = self.settings.journal();
        // What an earlier run left to be loaded still is, unless this one did it.
        let pending = self.observed.journal.pending && !self.signalled;
        if self.observed.local.is_empty() && !pending {
            return Ok(files::remove_own(&journal)?);
        }
        let (at, local) = (clock::now(), self.observed.local.clone());
        install::record(&journal, &Record::Intent(Intent { at, local, files: Vec::new() }))?;
        if !pending {
            install::record(&journal, &Record::Loaded)?;
        }
        Ok(())
    }

    fn report(self) -> Report {
        let returned = self.returned.into_iter().map(|door| door.route.name);
        let returned: BTreeSet<Hostname> = returned.collect();
        let replaced = self.changes.iter().map(|change| change.snapshot.path.clone()).collect();
        Report {
            local: self.wanted,
            left_out: self.left_out,
            returned: returned.into_iter().collect(),
            vhosts: self.plan.vhosts,
            replaced,
            reloaded: self.signalled.then(|| "apache".to_owned()),
            notes: self.notes,
            steps: self.steps,
        }
    }
}
