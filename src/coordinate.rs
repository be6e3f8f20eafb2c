//! flow: `renew-coordinate`: all hosts of a name renew one after another, watched and verified.
//!
//! It orders; the lease excludes. On each host an agent does what it is asked;
//! what to ask is decided in [`decision`], for all hosts before any is asked.

pub mod decision;
pub mod final_report;
pub mod foretold;
mod host_renewal;
pub mod outcome;
pub mod shared;
pub mod verified;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::command::dialogue::Broken;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::lock;
use crate::base::names::{HostLabel, Hostname};
use crate::base::own_directories::RuntimeDirectory;
use crate::base::signals::Signals;
use crate::check::own;
use crate::config::Settings;
use crate::config::context::Context;
use crate::coordinate::decision::{Sequence, Surveyed, Wish};
use crate::coordinate::final_report::{Coordination, Served};
use crate::coordinate::host_renewal::Done;
use crate::coordinate::verified::{KnownHosts, Look};
use crate::fleet::host_report::HostReport;
use crate::fleet::hosts::{HostAnswer, Hosts};
use crate::fleet::link;
use crate::fleet::protocol::LookOrder;
use crate::history::file::{Recorder, Start};
use crate::history::record::{By, Kind};
use crate::switch::said;

/// Why a coordinator did not even begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one.
    #[error("another renew-coordinate runs on this host; try again when it has ended")]
    Busy,
    /// A host that is not configured.
    #[error("no [[host]] is called {0}")]
    NoHost(HostLabel),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Signals.
    #[error("cannot set up signal handling")]
    Signals(#[source] io::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Busy => Exit::Busy,
            Self::NoHost(_) => Exit::Usage,
            Self::Signals(_) => Exit::Failed,
        }
    }
}

/// A line for whoever follows.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// What happens now.
    Progress(&'a str),
    /// What should not be overlooked.
    Warning(&'a str),
}

struct Coordinator<'a> {
    settings: &'a Settings,
    wish: &'a Wish,
    hosts: Hosts,
    signals: &'a Signals,
    say: &'a mut dyn FnMut(Notice<'_>),
    record: Recorder,
    /// Why it stops before its end.
    stopped: Option<String>,
    /// A signal came.
    is_called_off: bool,
}

/// All that `by` wishes, from the lock to the report. `say` gets what a signal makes readable;
/// signals stay taken.
pub fn coordinate(
    context: &Context,
    wish: &Wish,
    by: By,
    say: &mut dyn FnMut(Notice<'_>, BorrowedFd<'_>),
) -> Result<Coordination, Error> {
    let settings = &context.settings;
    let (began, stopped, is_called_off) = (clock::now(), None, false);
    let signals = &Signals::catch().map_err(Error::Signals)?;
    let say = &mut |said: Notice<'_>| say(said, signals.as_fd());
    settings.runtime_directory.make()?;
    let _lock =
        lock::attempt(&coordinator_lock(&settings.runtime_directory))?.ok_or(Error::Busy)?;
    let hosts = Hosts::of(context);
    for name in &wish.hosts {
        if hosts.ways.iter().all(|way| way.name != *name) {
            return Err(Error::NoHost(name.clone()));
        }
    }
    let start = Start {
        by,
        lineages: wish.cert_names.iter().map(|name| name.as_str().to_owned()).collect(),
        dry_run: wish.dry_run,
        forced: wish.force,
    };
    let record = Recorder::begin(settings, Kind::Coordination, start);
    let mut run =
        Coordinator { settings, wish, hosts, signals, say, record, stopped, is_called_off };
    let summary = run.run(began);
    run.record.end(summary.exit, &summary.failures().join("; "));
    Ok(summary)
}

/// The lock of the one coordinator of this host.
pub fn coordinator_lock(runtime: &RuntimeDirectory) -> PathBuf {
    runtime.join("coordinate.lock")
}

impl Coordinator<'_> {
    fn run(&mut self, began: Timestamp) -> Coordination {
        let wish = self.wish;
        let mut surveyed = self.survey_all();
        let limit = self.settings.duplicates_per_week;
        let mut plan = decision::plan(&surveyed, wish, limit, clock::now());
        if plan.refused.is_none() && self.foretell(&plan, &mut surveyed) {
            plan = decision::plan(&surveyed, wish, limit, clock::now());
        }
        // What is so until somebody changes it, certbot's version for one, is said once.
        let lasts: BTreeSet<String> = surveyed.iter().flat_map(lasting).collect();
        let warnings = plan.warnings.iter().cloned();
        let (lasts, other): (Vec<String>, Vec<String>) = warnings.partition(|w| lasts.contains(w));
        let news = said::news(&self.settings.state_directory, lasts);
        for line in other.iter().chain(&news).chain(&plan.costs) {
            (self.say)(Notice::Warning(line));
        }
        let before = surveyed.clone();
        let mut done: BTreeMap<HostLabel, Done> = BTreeMap::new();
        if plan.refused.is_none() {
            let mut rest = &mut plan.hosts[..];
            while let Some((host, next)) = rest.split_first_mut() {
                if self.stopped.is_none() {
                    let local = self.host(host, &mut surveyed, &mut done);
                    for host_after in &mut *next {
                        host_after.leave_out(&surveyed, &local, &host.name);
                    }
                }
                rest = next;
            }
        }
        let (served, bound) = if self.stopped.is_none() && plan.refused.is_none() {
            self.verify(&surveyed)
        } else {
            (Vec::new(), None)
        };
        let hosts =
            plan.hosts.iter().map(|host| self.told(host, &before, &surveyed, &done)).collect();
        let Sequence { mut warnings, costs, unknown, refused, .. } = plan;
        warnings.extend(bound);
        let mut summary = Coordination {
            version: 1,
            began,
            ended: clock::now(),
            dry_run: wish.dry_run,
            exit: 0,
            unknown,
            refused,
            stopped: self.stopped.clone(),
            warnings,
            costs,
            hosts,
            served,
            called_off: self.is_called_off,
        };
        summary.exit = summary.exit().code();
        summary
    }

    fn survey_all(&mut self) -> Vec<Surveyed> {
        for way in &self.hosts.ways {
            (self.say)(Notice::Progress(&format!("{}: looking", way.name)));
        }
        let answers = self.hosts.look(LookOrder::Survey, Some(self.signals.as_fd()));
        let names: Vec<HostLabel> = self.hosts.ways.iter().map(|way| way.name.clone()).collect();
        let surveyed = names.into_iter().zip(answers).map(|(name, answer)| {
            let stopped = self.stopped.clone();
            let mut surveyed = self.surveyed(name, answer);
            if let Err(why) = &mut surveyed.report {
                *why = stopped.unwrap_or_else(|| why.clone());
                (self.say)(Notice::Progress(&format!("{}: {why}", surveyed.name)));
            }
            surveyed
        });
        surveyed.collect()
    }

    fn surveyed(&mut self, name: HostLabel, answer: HostAnswer) -> Surveyed {
        let report = answer.report.map_err(|error| {
            self.note(&error);
            chain(&error)
        });
        Surveyed { name, report, skew: answer.skew }
    }

    fn note(&mut self, error: &link::Error) {
        if matches!(error, link::Error::Broken(Broken::CalledOff)) {
            self.call_off();
        }
    }

    fn call_off(&mut self) {
        self.stopped.get_or_insert_with(|| "called off by a signal".to_owned());
        self.is_called_off = true;
        // The next one ends the last look.
        self.signals.drain();
    }

    /// What is served, and which bound kept the rest from being looked at.
    fn verify(&mut self, surveyed: &[Surveyed]) -> (Vec<Served>, Option<String>) {
        let hosts: Vec<(HostLabel, HostReport)> = surveyed
            .iter()
            .filter_map(|host| Some((host.name.clone(), host.report.as_ref().ok()?.clone())))
            .collect();
        let complete = hosts.len() == surveyed.len();
        let own = self.hosts.own.clone();
        let disks = own.as_ref().map(|_| verified::disks(self.settings)).unwrap_or_default();
        let known = KnownHosts { hosts, own, disks, complete };
        let names = self.wish.names(surveyed);
        let bounds = own::bounds_for(self.settings, names.iter());
        let (say, signals) = (&mut *self.say, self.signals);
        let going_on = &mut |name: Option<&Hostname>| {
            if let Some(name) = name {
                say(Notice::Progress(&format!("{name}: what is served?")));
            }
            let signalled = clock::ready(&[signals.as_fd()], Some(Duration::ZERO));
            !signalled.is_ok_and(|ready| ready == [true])
        };
        let Look { mut served, is_whole, bound } = verified::all(known, names, bounds, going_on);
        if !is_whole {
            self.call_off();
        }
        if let Some(bound) = &bound {
            (self.say)(Notice::Warning(bound));
        }
        verified::once(&mut served);
        (served, bound)
    }
}

/// What a host says of itself that stays so, as the plan warns of it.
fn lasting(host: &Surveyed) -> Vec<String> {
    let Ok(report) = &host.report else { return Vec::new() };
    let traps = report.survey.certbot.iter().flat_map(|certbot| &certbot.traps);
    traps
        .chain(&report.odd)
        .chain(&report.notes)
        .map(|text| format!("{}: {text}", host.name))
        .collect()
}
