//! flow: what the keeper writes down of its run.

use std::collections::BTreeMap;
use std::path::Path;

use super::{End, Keeper};
use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::clock::Stopwatch;
use crate::base::exit::Exit;
use crate::base::files;
use crate::base::names::Hostname;
use crate::base::process::{self, Process};
use crate::certbot::log::Log;
use crate::config::Settings;
use crate::history::file::{Recorder, Start};
use crate::history::record::{By, Deployed as DeployedRecord, Event, Kind, Switched};
use crate::renewal::Error;
use crate::renewal::certificates::Certificates;
use crate::renewal::messages::{Deployment, Names, Reply, Task};
use crate::renewal::right::Grant;
use crate::switch::order::SwitchReport;
use crate::switch::report;

/// Begins the record of the run that `task` is about.
pub(super) fn begin(settings: &Settings, task: &Task) -> Recorder {
    let lineages = match &task.names {
        Names::Lineages(needed) => needed.iter().map(|needed| needed.lineage.clone()).collect(),
        Names::Proxied(_) => Vec::new(),
    };
    let start =
        Start { by: named(task.owner), lineages, dry_run: task.dry_run, forced: task.forced };
    let recorder = Recorder::begin(settings, Kind::Renewal, start);
    let arbiter = settings.arbiter.as_ref().map(ToString::to_string);
    recorder.record(Event::Asked { arbiter });
    recorder
}

/// A process as the history names it.
pub(in crate::renewal) fn named(process: Process) -> By {
    By::process(process.pid, &process::argv(process.pid).unwrap_or_default())
}

/// A switch that was made, or why not.
pub fn switched(outcome: &Result<SwitchReport, report::Error>) -> Event {
    match outcome {
        Ok(report) => Event::Switched(Switched::from(report)),
        Err(error) => Event::NotSwitched { why: chain(error) },
    }
}

/// A lineage that has a new certificate, and whether it is served.
pub fn deployed(
    deployed: &Deployment,
    before: Option<String>,
    failure: Option<String>,
    watch: Stopwatch,
) -> Event {
    let directory = deployed.directory.as_deref();
    let pem = directory.and_then(|path| files::read_foreign(&path.join("cert.pem")).ok());
    let new = pem.and_then(|pem| certificate::from_pem(&pem).ok());
    Event::Deployed(DeployedRecord {
        lineage: lineage(deployed),
        names: deployed.names.iter().map(ToString::to_string).collect(),
        before,
        serial: new.as_ref().map(|new| new.serial.clone()),
        not_after: new.map(|new| new.not_after),
        failure,
        millis: millis(watch),
    })
}

fn lineage(deployed: &Deployment) -> String {
    let name = deployed.directory.as_deref().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Keeper<'_> {
    pub(super) fn granted(&self, grant: &Grant, without: Option<&str>) {
        let token = grant.token.map(|token| token.0);
        self.record.record(Event::Granted { token, without: without.map(str::to_owned) });
    }

    /// A proof that took as long as `watch` says.
    pub(super) fn proven(&self, names: Vec<&Hostname>, failure: Option<String>, watch: Stopwatch) {
        let millis = millis(watch);
        let names: Vec<String> = names.into_iter().map(ToString::to_string).collect();
        match failure {
            Some(why) => self.record.record(Event::NotProven { why, millis }),
            None if names.is_empty() => {}
            None => self.record.record(Event::Proven { names, millis }),
        }
    }

    /// A lineage that has a new certificate, and whether it is served.
    pub(super) fn deployed(&self, new: &Deployment, failure: Option<String>, watch: Stopwatch) {
        let before = self.before.serial(&self.task, &lineage(new));
        self.record.record(deployed(new, before, failure, watch));
    }

    /// Remembers what a hook was told, if it was that something failed: it is how the run ends.
    pub(super) fn told(&mut self, reply: &Reply) {
        if reply.exit != 0 && self.told.exit == 0 {
            self.told = reply.clone();
        }
    }

    /// The same of how the run came to its end.
    pub(super) fn came_to(&mut self, end: End) {
        let text = match end {
            End::OwnerEnded => format!("{} ended without its post-hook", self.owner_name()),
            End::Signalled => "the keeper was told to end".to_owned(),
            End::Broken => "a person broke the lease on this host".to_owned(),
            End::NotBegun | End::Finished | End::Lost | End::GivenUp => return,
        };
        // Another client may know no post-hook.
        let is_failure = self.task.stoppable || end == End::Broken;
        let exit = if is_failure { Exit::Failed } else { Exit::Done };
        self.told(&Reply { exit: exit.code(), text });
    }

    /// The lineages that this run was to renew and that have the old certificate, and all others
    /// that certbot says it failed for, each with why.
    fn failed(&self) -> BTreeMap<String, String> {
        // Who runs the hooks of another client need not renew what certbot has.
        if !self.task.stoppable {
            return BTreeMap::new();
        }
        let mut failed = self.log.as_ref().map(Log::failures).unwrap_or_default().all();
        if self.task.dry_run {
            return failed;
        }
        let now = Certificates::of(&self.task);
        for left in self.task.left_out.iter().filter(|left| left.is_due()) {
            failed.insert(left.lineage.clone(), left.why.clone());
        }
        for name in self.before.unchanged(&now, &self.task) {
            let why = || "certbot got no certificate, and did not log why".to_owned();
            if !self.task.left_out.iter().any(|left| left.lineage == name) {
                failed.entry(name.to_owned()).or_insert_with(why);
            }
        }
        failed
    }

    /// The last line of the record.
    pub(super) fn ended(self, outcome: &Result<(), Error>) {
        match outcome {
            Ok(()) if self.told.exit == 0 && self.told.text.is_empty() => {
                let failed = self.failed();
                let exit = if failed.is_empty() { Exit::Done } else { Exit::Failed };
                let lines: Vec<String> =
                    failed.iter().map(|(lineage, why)| format!("{lineage}: {why}")).collect();
                for (lineage, why) in failed {
                    self.record.record(Event::NotRenewed { lineage, why });
                }
                self.record.end(exit.code(), &lines.join("; "));
            }
            Ok(()) => self.record.end(self.told.exit, &self.told.text),
            Err(_) => self.record.end_as(outcome),
        }
    }
}

fn millis(watch: Stopwatch) -> u64 {
    u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX)
}
