//! flow: one host of a run: it is asked to renew, looked at again, and told of in the report.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Coordinator, Notice};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline, Stopwatch};
use crate::base::exit::Exit;
use crate::base::names::{HostLabel, Hostname};
use crate::check::own_report;
use crate::coordinate::decision::{self, HostPlan, Surveyed};
use crate::coordinate::final_report::{CoordinatedHost, CoordinatedLineage};
use crate::coordinate::outcome::{LineageOutcome, Tried, outcome};
use crate::coordinate::shared;
use crate::fleet::duplicates::Budget;
use crate::fleet::host_report::{HostReport, LineageReport};
use crate::fleet::link;
use crate::fleet::protocol::{LookOrder, Renewed};
use crate::history::record::Event;

/// How one host's renewal went.
pub(super) struct Done {
    /// By how certbot ended, for each lineage; none if that was not heard.
    ended: Option<Vec<Renewed>>,
    failure: Option<String>,
    /// It refused, so that nothing was tried.
    refused: bool,
    busy: bool,
    /// None where nobody can tell.
    routes_back: Option<bool>,
}

impl Coordinator<'_> {
    /// Renews on one host and looks whether its routes are back: the names that others renew too
    /// and which it still answers by itself.
    pub(super) fn host(
        &mut self,
        host: &HostPlan,
        surveyed: &mut [Surveyed],
        done: &mut BTreeMap<HostLabel, Done>,
    ) -> BTreeSet<Hostname> {
        let none = BTreeSet::new();
        let Some(renewal) = host.renewal.clone() else { return none };
        let Some(index) = self.hosts.ways.iter().position(|way| way.name == host.name) else {
            return none;
        };
        (self.say)(Notice::Progress(&format!("{}: renewing", host.name)));
        let (name, watch) = (host.name.clone(), Stopwatch::start());
        let (say, way) = (&mut *self.say, &self.hosts.ways[index]);
        let answer = way.renew(renewal, host.asked(), self.signals.as_fd(), |line| {
            say(Notice::Progress(&format!("{name}: {line}")));
        });
        let (mut refused, mut busy) = (false, false);
        let (ended, mut failure) = match answer {
            Ok(results) => (Some(results), None),
            Err(error) => {
                self.note(&error);
                refused = matches!(&error, link::Error::Refused { .. });
                busy = matches!(&error, link::Error::Refused { exit, .. } if *exit == Exit::Busy.code());
                (None, Some(chain(&error)))
            }
        };
        let place = surveyed.iter().position(|known| known.name == host.name);
        let before = place.and_then(|place| surveyed[place].report.clone().ok());
        let Surveyed { report: after, skew, .. } = match &before {
            // Its files are read as they are, which takes no time.
            Some(before) if self.is_called_off && self.hosts.is_own(&host.name) => {
                let (name, skew) = (host.name.clone(), SignedDuration::ZERO);
                Surveyed { name, report: Ok(own_report::disks(self.settings, before)), skew }
            }
            _ => {
                if self.is_called_off {
                    let text = format!(
                        "{}: looking at what is on its disks; another signal ends that",
                        host.name
                    );
                    (self.say)(Notice::Progress(&text));
                }
                self.look_again(index)
            }
        };
        let renewed = match (&before, &after) {
            (Some(before), Ok(after)) => renewed(before, after),
            _ => Vec::new(),
        };
        self.record.record(Event::Host {
            host: host.name.to_string(),
            renewed,
            failure: failure.clone(),
            millis: u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let left = after
            .as_ref()
            .map(|report| shared::left(report, &host.name, self.hosts.own.as_ref(), surveyed));
        let (routes_back, local) = match left {
            Ok(left) => {
                if left.is_back {
                    failure = failure.or(left.why);
                } else if let Some(why) = left.why {
                    (self.say)(Notice::Warning(&format!("{}: {why}", host.name)));
                }
                (Some(left.is_back), left.local)
            }
            // It is left to itself: the lease keeps it and the next host apart.
            Err(why) => {
                let name = &host.name;
                let text = format!("{name}: cannot be asked whether its routes are back: {why}");
                (self.say)(Notice::Warning(&text));
                (None, none)
            }
        };
        // Where it cannot be asked, nobody knows what the order left.
        if let Some(place) = place {
            surveyed[place] = Surveyed { name: host.name.clone(), report: after, skew };
        }
        done.insert(host.name.clone(), Done { ended, failure, refused, busy, routes_back });
        local
    }

    /// A host whose connection just broke may be back in a moment.
    fn look_again(&mut self, index: usize) -> Surveyed {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let way = self.hosts.ways[index].clone();
            let way = if self.is_called_off { way.patient(LAST_LOOK) } else { way };
            let answer = way.look_at_itself(LookOrder::Survey, Some(self.signals.as_fd()));
            let seen = self.surveyed(way.name, answer);
            if seen.report.is_ok() || self.is_called_off || deadline.remaining().is_none() {
                return seen;
            }
            let signalled = clock::ready(&[self.signals.as_fd()], Some(LOOK_AGAIN));
            if signalled.is_ok_and(|ready| ready == [true]) {
                self.call_off();
            }
        }
    }

    /// One host's part of the report.
    pub(super) fn told(
        &self,
        host: &HostPlan,
        before: &[Surveyed],
        after: &[Surveyed],
        done: &BTreeMap<HostLabel, Done>,
    ) -> CoordinatedHost {
        let lineages_of = |all: &'_ [Surveyed]| -> Vec<LineageReport> {
            let host = all.iter().find(|known| known.name == host.name);
            host.and_then(|host| host.report.as_ref().ok())
                .map(|r| r.lineages.clone())
                .unwrap_or_default()
        };
        let (old, new) = (lineages_of(before), lineages_of(after));
        let budget =
            Budget::new(decision::known(after), self.settings.duplicates_per_week, clock::now());
        let done = done.get(&host.name);
        let lineages = host.lineages.iter().map(|(name, decision)| {
            let of =
                |list: &[LineageReport]| list.iter().find(|lineage| lineage.name == *name).cloned();
            let now = of(&new).or_else(|| of(&old));
            let tried = match (done, &self.stopped) {
                (Some(done), _) => done.tried(name),
                (None, Some(why)) => Tried::No(why.clone()),
                (None, None) => Tried::No("its host was not asked".to_owned()),
            };
            let before = of(&old).map(|lineage| lineage.serial).unwrap_or_default();
            // A host that is gone since it answered has said it.
            let heard = || done.and_then(|done| done.heard(name)?.after.clone());
            let seen = of(&new).map(|lineage| lineage.serial).or_else(heard);
            let (result, why) =
                outcome(decision, &before, seen.as_deref(), tried, self.wish.dry_run);
            // The CA's own sentence says more than how certbot ended.
            let said =
                done.and_then(|done| done.said(name)).filter(|_| result == LineageOutcome::Failed);
            let why = said.or(why);
            let (issued_in_7_days, limit) =
                now.as_ref().map_or((0, None), |lineage| budget.used(lineage));
            CoordinatedLineage {
                name: name.clone(),
                result,
                why,
                serial: now.as_ref().map(|lineage| lineage.serial.clone()),
                not_after: now.as_ref().map(|lineage| lineage.not_after),
                names: now.map(|lineage| lineage.survey.hostnames).unwrap_or_default(),
                issued_in_7_days,
                limit,
            }
        });
        CoordinatedHost {
            name: host.name.to_string(),
            failure: host.obstacle.clone().or_else(|| done.and_then(|done| done.failure.clone())),
            busy: done.is_some_and(|done| done.busy),
            routes_back: done.and_then(|done| done.routes_back),
            lineages: lineages.collect(),
        }
    }
}

impl Done {
    /// Why the CA did not renew `name`, if it said so.
    fn said(&self, name: &str) -> Option<String> {
        self.heard(name)?.why.clone()
    }

    fn heard(&self, name: &str) -> Option<&Renewed> {
        self.ended.as_ref()?.iter().find(|renewed| renewed.name == name)
    }

    fn tried(&self, lineage: &str) -> Tried {
        match (&self.ended, &self.failure) {
            (Some(_), _) => {
                let none = || Tried::No("its host says nothing of it".to_owned());
                self.heard(lineage).map_or_else(none, |renewed| Tried::Ended(renewed.status))
            }
            (None, Some(why)) if self.refused => Tried::No(why.clone()),
            (None, _) => Tried::Unheard,
        }
    }
}

/// The lineages that have another certificate on disk than before.
fn renewed(before: &HostReport, after: &HostReport) -> Vec<String> {
    let serial = |lineage: &LineageReport| {
        let old = before.lineages.iter().find(|old| old.name == lineage.name);
        old.is_some_and(|old| old.serial != lineage.serial)
    };
    after.lineages.iter().filter(|lineage| serial(lineage)).map(|l| l.name.clone()).collect()
}

/// From a signal to the end, for another host to say what is on its disks.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// For a host that renewed to be reached again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two tries.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
