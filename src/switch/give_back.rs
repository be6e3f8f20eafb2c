//! flow: gives routes back: our lines out of the files, Apache told, and nothing that turns it round.
//!
//! What only takes away is finished. The lines go first, by the journal and by the files
//! themselves; then Apache is asked, which may refuse another's file: the reload is owed
//! then. No value of this module can put a line into a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::apache::server::{self, Server};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline, Stopwatch};
use crate::base::files::{self, Stamp};
use crate::base::names::{Hostname, Route};
use crate::ca::webroot;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::switch::apply;
use crate::switch::asked::{self, Asked};
use crate::switch::certificate_proof::{self, Knowledge};
use crate::switch::challenge_proof;
use crate::switch::difference;
use crate::switch::edited_lines::Damage;
use crate::switch::guess;
use crate::switch::journal::{self, Intent, Journal, Record};
use crate::switch::order::{Reload, Return, SwitchReport};
use crate::switch::plan;
use crate::switch::report::{Error, Note};
use crate::switch::taken::Taken;
use crate::switch::unswitched;

mod reload;

/// Everything one return knows while it runs.
pub struct ReturnRun<'a> {
    settings: &'a Settings,
    which: &'a Return,
    load: &'a Reload,
    /// The running Apache.
    server: Option<Server>,
    /// Why there is none.
    absence: Option<server::Error>,
    journal: Journal,
    /// The files with lines of ours, links resolved.
    files: BTreeMap<PathBuf, Taken>,
    /// The paths that were looked at.
    known: BTreeSet<PathBuf>,
    /// Why lines of ours are still in a file.
    obstacle: Option<Error>,
    asked: Option<Asked>,
    signalled: bool,
    /// For those who save files all the time.
    rounds: Range<u32>,
    /// The same, until they are left to whoever comes next.
    patience: Deadline,
    still: Vec<Hostname>,
    notes: Vec<Note>,
    steps: Vec<(&'static str, Duration)>,
}

/// One step: its name for messages and tests, and what it does.
pub type ReturnStep = (&'static str, fn(&mut ReturnRun<'_>) -> Result<(), Error>);

/// The whole return, in order; none of it is ever undone.
pub const STEPS: [ReturnStep; 6] = [
    ("journal", |run| {
        note_intent(run);
        Ok(())
    }),
    ("take out", |run| {
        take_out(run);
        Ok(())
    }),
    ("ask", reload::ask),
    ("reload", reload::reload),
    ("settle", settle),
    ("look", look_again),
];

/// Gives back what `which` covers; where the web server is not Apache, what is left of that.
pub fn give_back(
    settings: &Settings,
    which: &Return,
    reload: &Reload,
) -> Result<SwitchReport, Error> {
    if let Some(server) = &settings.web_server {
        return unswitched(settings, server, Vec::new(), reload);
    }
    let _lock = apply::hold_to_give_back(settings)?;
    under_lock(settings, which, reload)
}

/// The same for who holds the lock and knows that the web server is Apache.
pub fn under_lock(
    settings: &Settings,
    which: &Return,
    reload: &Reload,
) -> Result<SwitchReport, Error> {
    let mut run = begin(settings, which, reload);
    perform(&mut run, &STEPS)?;
    Ok(run.report())
}

/// A switch or return where the web server is not Apache: what is local from when it was goes
/// back, and the routes of `local` are this host's as they are.
pub fn unswitched(
    settings: &Settings,
    server: &WebServer,
    local: Vec<Route>,
    reload: &Reload,
) -> Result<SwitchReport, Error> {
    if files::exists(&journal::path(&settings.state_directory)) {
        let _lock = apply::hold_to_give_back(settings)?;
        under_lock(settings, &Return::All, &Reload::Never)?;
    }
    unswitched::perform(settings, server, local, reload)
}

/// What would be taken out, as a unified diff; nothing is changed.
pub fn dry_run(settings: &Settings, which: &Return) -> Result<(String, SwitchReport), Error> {
    let _lock = apply::hold_to_give_back(settings)?;
    let mut run = begin(settings, which, &Reload::Never);
    if let Some(server) = &run.server {
        let marked = asked::ask(server, &BTreeSet::new())?.marked;
        run.look_at(&marked);
    }
    let diffs = run.files.values().filter(|taken| taken.has_more()).map(|taken| {
        let file = taken.snapshot.path.display().to_string();
        difference::unified(&file, &taken.snapshot.bytes, &taken.after)
    });
    Ok((diffs.collect(), run.report()))
}

/// Looks at the journal and at its files, for who holds the lock; changes nothing.
pub fn begin<'a>(settings: &'a Settings, which: &'a Return, load: &'a Reload) -> ReturnRun<'a> {
    let watch = Stopwatch::start();
    let state = &settings.state_directory;
    let (journal, notes) = apply::read_journal(state).unwrap_or_else(|error| {
        let path = journal::path(state).display().to_string();
        let note = Note::journal(&path, &chain(&error));
        (Journal { pending: true, ..Journal::default() }, vec![note])
    });
    let (server, absence) = match server::find(settings.pid_file.as_deref()) {
        Ok(server) => (Some(server), None),
        Err(absence) => (None, Some(absence)),
    };
    let listed: BTreeSet<PathBuf> = journal.files.iter().map(PathBuf::from).collect();
    let mut run = ReturnRun {
        settings,
        which,
        load,
        server,
        absence,
        journal,
        files: BTreeMap::new(),
        known: BTreeSet::new(),
        obstacle: None,
        asked: None,
        signalled: false,
        rounds: 0..ROUNDS,
        patience: Deadline::after(settings.proof_time),
        still: Vec::new(),
        notes,
        steps: Vec::new(),
    };
    run.look_at(&listed);
    // Whoever proved there and was killed held the lock that is ours now.
    let last = guess::last_routes(state);
    let proven = run.journal.local.iter().chain(&last);
    let webroots: BTreeSet<_> = proven.map(|route| &route.webroot).collect();
    webroots.into_iter().for_each(webroot::sweep_left);
    run.steps.push(("look", watch.elapsed()));
    run
}

/// Runs `steps` in order. What one of them cannot do is an error; what was done stays done.
pub fn perform(run: &mut ReturnRun<'_>, steps: &[ReturnStep]) -> Result<(), Error> {
    for (name, step) in steps {
        let watch = Stopwatch::start();
        let done = step(run);
        run.steps.push((*name, watch.elapsed()));
        done?;
    }
    Ok(())
}

/// Whoever comes next finishes what was begun.
fn note_intent(run: &ReturnRun<'_>) {
    if !run.has_more() {
        return;
    }
    let going = run.files.values().filter(|taken| taken.has_more());
    let files = going.map(|taken| taken.snapshot.path.display().to_string()).collect();
    let intent = Intent { at: clock::now(), local: run.remaining(), files };
    if let Err(error) = apply::record(&run.settings.state_directory, &Record::Intent(intent)) {
        // A full disk is no reason to stay: who finds the lines gone, and a journal that knows
        // nothing of it, has Apache load its configuration too.
        tracing::warn!("this return is not journalled: {}", chain(&error));
    }
}

fn take_out(run: &mut ReturnRun<'_>) {
    for taken in run.files.values_mut().filter(|taken| taken.has_more()) {
        if let Err(error) = taken.take_out(run.which, run.settings) {
            run.obstacle.get_or_insert(error);
        }
    }
    // None is left to go, whatever Apache says next.
    let is_all = !run.files.is_empty() && run.files.values().all(Taken::is_done);
    if is_all && run.remaining().is_empty() && run.damage().is_empty() {
        apply::forget_spares(run.settings, &run.journal, run.files.keys());
    }
}

fn settle(run: &mut ReturnRun<'_>) -> Result<(), Error> {
    if run.let_go() && run.rounds.next().is_some() {
        run.patience = Deadline::after(run.settings.proof_time);
        take_out(run);
        reload::ask(run)?;
        reload::reload(run)?;
        return settle(run);
    }
    let settled = run.settle_journal();
    if let Some(obstacle) = run.obstacle.take() {
        return Err(Error::Kept(Box::new(obstacle)));
    }
    let damage = run.damage();
    if !damage.is_empty() {
        return Err(Error::LeftBehind(damage));
    }
    settled
}

/// Who answers now: told, and no reason for anything. That a new certificate is served is what
/// its deployment is for.
fn look_again(run: &mut ReturnRun<'_>) -> Result<(), Error> {
    let (Some(server), Some(asked), true) = (&run.server, &run.asked, run.signalled) else {
        return Ok(());
    };
    let unknown = |error: &dyn std::error::Error| {
        tracing::debug!("who answers now is not known: {}", chain(error));
    };
    let listeners = match server.listeners() {
        Ok(listeners) => listeners,
        Err(error) if matches!(run.load, Reload::Always(Some(_))) => return Err(error.into()),
        Err(error) => {
            unknown(&error);
            return Ok(());
        }
    };
    match asked.dump.as_ref().map(|dump| {
        challenge_proof::still_local(&challenge_proof::doors(dump, run.gone()), &listeners)
    }) {
        Ok(Ok(still)) => run.still = still,
        // A webroot that is full, or gone, or that nobody may write: nothing to ask for.
        Ok(Err(error)) => unknown(&error),
        Err(error) => unknown(error),
    }
    if let Reload::Always(Some(directory)) = run.load {
        let dump = asked.dump.as_ref().map_err(Clone::clone)?;
        let (doors, time) = (plan::tls_doors(dump, directory), run.settings.proof_time);
        let found = certificate_proof::prove(&doors, &listeners, time, Knowledge::Configured)?;
        run.notes.extend(found.into_iter().map(Note::new));
    }
    Ok(())
}

impl ReturnRun<'_> {
    /// Looks at `paths` for lines of ours.
    fn look_at(&mut self, paths: &BTreeSet<PathBuf>) {
        for path in paths {
            self.known.insert(path.clone());
            match Taken::look(path, self.which) {
                Ok(Some(taken)) => {
                    self.files.entry(taken.snapshot.path.clone()).or_insert(taken);
                }
                Ok(None) => {}
                Err(error) => {
                    self.obstacle.get_or_insert(error);
                }
            }
        }
    }

    /// Sweeps what somebody left who was killed, and is in no journal, or in one that was lost;
    /// whether a file is another one since.
    fn sweep_places(&mut self) -> bool {
        let back: BTreeSet<PathBuf> = self.asked.iter().flat_map(Asked::sweep_places).collect();
        self.files.retain(|path, _| !back.contains(path));
        self.look_at(&back);
        // What Apache has loaded of it is unknown.
        self.journal.pending |= !back.is_empty();
        !back.is_empty()
    }

    /// The versions that are there since before Apache is asked.
    fn known_versions(&self) -> BTreeSet<Stamp> {
        self.files.values().filter_map(Taken::stamp).collect()
    }

    /// Lets the old files go; whether somebody wrote into one of them meanwhile.
    fn let_go(&mut self) -> bool {
        let mut again = BTreeSet::new();
        for (path, taken) in &mut self.files {
            match taken.let_go() {
                Ok(false) => {}
                Ok(true) => drop(again.insert(path.clone())),
                Err(error) => drop(self.obstacle.get_or_insert(error)),
            }
        }
        self.files.retain(|path, _| !again.contains(path));
        self.look_at(&again);
        !again.is_empty()
    }

    fn has_more(&self) -> bool {
        self.files.values().any(Taken::has_more)
    }

    fn replaced(&self) -> Vec<PathBuf> {
        let done = self.files.values().filter(|taken| taken.is_done());
        done.map(|taken| taken.snapshot.path.clone()).collect()
    }

    /// The routes whose lines are out.
    fn gone(&self) -> impl Iterator<Item = &Route> {
        self.files.values().filter(|taken| taken.is_done()).flat_map(|taken| &taken.gone)
    }

    /// The routes that are local afterwards.
    fn remaining(&self) -> Vec<Route> {
        let kept = self.files.values().flat_map(|taken| &taken.kept);
        let stay = self.journal.local.iter().filter(|route| !self.which.covers(&route.name));
        let all: BTreeSet<Route> = kept.chain(stay).cloned().collect();
        all.into_iter().collect()
    }

    fn damage(&self) -> Vec<Damage> {
        self.files.values().flat_map(|taken| &taken.damaged).cloned().collect()
    }

    /// Nothing left: no journal. Else what is left, and whether Apache knows.
    fn settle_journal(&self) -> Result<(), Error> {
        let state = &self.settings.state_directory;
        let stuck = self.files.values().filter(|taken| !taken.is_done());
        let stuck = stuck.flat_map(|taken| &taken.gone).cloned();
        let left: Vec<Route> = stuck.chain(self.remaining()).collect();
        if left.is_empty() && self.damage().is_empty() && self.obstacle.is_none() {
            // First: who finds them without a journal does not know where to look.
            apply::forget_spares(self.settings, &self.journal, self.files.keys());
            let path = journal::path(state);
            return match files::remove_own(&path) {
                // Should it come back with a power cut, Apache loads its configuration once more.
                Err(_) if !files::exists(&path) => Ok(()),
                // An empty one says the same as none.
                Err(error) => files::empty_own(&path)
                    .map_err(|_| Error::JournalRemains(Box::new(error.into()))),
                Ok(()) => Ok(()),
            };
        }
        if self.journal.since.is_none() || self.obstacle.is_some() {
            let is_loaded = self.signalled || self.replaced().is_empty() && !self.journal.pending;
            return self.rewrite_journal(left, is_loaded);
        }
        if self.signalled { apply::record(state, &Record::Loaded) } else { Ok(()) }
    }

    /// What is left, in a journal that does not grow however often that stays as it is.
    fn rewrite_journal(&self, local: Vec<Route>, is_loaded: bool) -> Result<(), Error> {
        let found = self.files.keys().map(|path| path.display().to_string());
        let files: BTreeSet<String> = self.journal.files.iter().cloned().chain(found).collect();
        let at = self.journal.since.unwrap_or_else(clock::now);
        let intent = Intent { at, local, files: files.into_iter().collect() };
        let mut bytes = journal::line(&Record::Intent(intent))?;
        if is_loaded {
            bytes.extend(journal::line(&Record::Loaded)?);
        }
        Ok(files::write_own(&journal::path(&self.settings.state_directory), &bytes)?)
    }

    fn report(self) -> SwitchReport {
        let returned: BTreeSet<Hostname> = self.gone().map(|route| route.name.clone()).collect();
        SwitchReport {
            local: self.remaining(),
            left_out: Vec::new(),
            returned: returned.into_iter().collect(),
            vhosts: Vec::new(),
            replaced: self.replaced(),
            reloaded: self.signalled.then(|| "Apache".to_owned()),
            still: self.still,
            notes: self.notes,
            steps: self.steps,
        }
    }
}

/// Times that everything is looked at anew since somebody wrote into a file that was replaced.
const ROUNDS: u32 = 10;
