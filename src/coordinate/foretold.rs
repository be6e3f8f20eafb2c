//! flow: which renewals the CA would refuse as everything stands, in the words of a check.
//!
//! What is asked for all the same costs a failed validation, and five an hour
//! are all that a CA forgives.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::{Coordinator, Notice};
use crate::base::clock::{self, Deadline};
use crate::base::finding::Severity;
use crate::base::names::{HostLabel, Hostname};
use crate::base::threads;
use crate::check::bounds::Bounds;
use crate::check::matrix::{Gathered, Matrix};
use crate::check::plant_and_ask::gather;
use crate::check::verdict::{Fate, verdict};
use crate::coordinate::decision::{Decision, Sequence, Surveyed};
use crate::coordinate::shared;
use crate::fleet::hosts::Hosts;

impl Coordinator<'_> {
    /// Looks at what `plan` asks for as the CA does, from every host, and notes what would fail;
    /// whether anything would.
    pub(super) fn foretell(&mut self, plan: &Sequence, surveyed: &mut [Surveyed]) -> bool {
        let ours = shared::ours(surveyed, self.hosts.own.as_ref());
        let bounds = Bounds { names: ours, ..Bounds::default() };
        let (names, beyond) = bounds.looked_at(names(plan, surveyed));
        if names.is_empty() || self.stopped.is_some() {
            return false;
        }
        if beyond > 0 {
            let text = format!(
                "{beyond} more names that other hosts alone renew are not looked at before they are asked to"
            );
            (self.say)(Notice::Warning(&text));
        }
        (self.say)(Notice::Progress("asking for each name as the CA does, from every host"));
        let signals = self.signals;
        let going_on = &mut || {
            let signalled = clock::ready(&[signals.as_fd()], Some(Duration::ZERO));
            !signalled.is_ok_and(|ready| ready == [true])
        };
        let Some(gathered) = gathered(self.hosts.clone(), names, going_on) else {
            self.call_off();
            return false;
        };
        if gathered.is_none() {
            let text = "what the CA would see could not be looked at in time; each host proves its names by itself";
            (self.say)(Notice::Warning(text));
        }
        let failures = gathered.as_ref().map(failures).unwrap_or_default();
        note(surveyed, &failures);
        !failures.is_empty()
    }
}

/// What all hosts see, on a thread that is given up as soon as `going_on` says so, which is
/// `None`; an agent removes what it planted when nobody listens any more.
#[expect(clippy::option_option, reason = "called off, or nobody to do it")]
fn gathered(
    hosts: Hosts,
    names: Vec<Hostname>,
    going_on: &mut dyn FnMut() -> bool,
) -> Option<Option<Gathered>> {
    let (tell, seen) = mpsc::channel();
    // Who called it off does not listen.
    let look = move || drop(tell.send(gather(&hosts, &names, &|_| {})));
    if let Err(error) = threads::start("foretell", look) {
        tracing::warn!("what the CA would see was not looked at: no thread to do it: {error}");
        return Some(None);
    }
    let deadline = Deadline::after(ALL);
    loop {
        match seen.recv_timeout(GOING_ON) {
            _ if deadline.remaining().is_none() => return Some(None),
            Ok(gathered) => return Some(Some(gathered)),
            Err(RecvTimeoutError::Timeout) if going_on() => {}
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(None),
        }
    }
}

/// The names that a plan asks the CA for by a webroot.
fn names(plan: &Sequence, hosts: &[Surveyed]) -> BTreeSet<Hostname> {
    let mut names = BTreeSet::new();
    for host in &plan.hosts {
        let report = hosts.iter().find(|known| known.name == host.name);
        let Some(Ok(report)) = report.map(|known| &known.report) else { continue };
        let asked = host.lineages.iter().filter(|(_, decision)| {
            matches!(decision, Decision::Renew | Decision::Ask) && host.renewal.is_some()
        });
        for (name, _) in asked {
            let lineage = report.lineages.iter().find(|lineage| lineage.name == *name);
            let lineage = lineage.filter(|lineage| lineage.survey.authenticator == "webroot");
            names.extend(lineage.into_iter().flat_map(|lineage| lineage.survey.hostnames.clone()));
        }
    }
    names
}

/// Why the renewal of a name on a host would fail; one that nobody can tell of is none of them.
fn failures(gathered: &Gathered) -> BTreeMap<(HostLabel, Hostname), String> {
    let (renewals, findings) = verdict(&Matrix::of(gathered));
    let failing = renewals.into_iter().filter_map(|renewal| {
        let Fate::Fails(reasons) = renewal.now else { return None };
        let host = gathered.hosts.get(renewal.host)?.label.clone();
        // What is wrong with the records is said of the name, not of a host's renewal.
        let of_name = || {
            findings.iter().find(|finding| {
                finding.severity == Severity::Problem && finding.names.contains(&renewal.name)
            })
        };
        let why = reasons.first().or_else(of_name);
        let why = why.map_or_else(|| "the CA cannot validate it".to_owned(), ToString::to_string);
        Some(((host, renewal.name), why))
    });
    failing.collect()
}

/// Notes them as what keeps their lineages from being renewed.
fn note(hosts: &mut [Surveyed], failures: &BTreeMap<(HostLabel, Hostname), String>) {
    for host in hosts {
        let Ok(report) = &mut host.report else { continue };
        for lineage in report.lineages.iter_mut().filter(|l| l.survey.authenticator == "webroot") {
            let why = lineage.survey.hostnames.iter().find_map(|name| {
                let why = failures.get(&(host.name.clone(), name.clone()))?;
                // The report names the lineage before it.
                let is_named = lineage.name == name.as_str();
                let name = if is_named { String::new() } else { format!("{name} ") };
                Some(format!("{name}FAILS: {why}"))
            });
            lineage.obstacle = lineage.obstacle.take().or(why);
        }
    }
}

/// For all hosts to look at all names.
const ALL: Duration = Duration::from_mins(10);

/// Between two looks at whether it was called off.
const GOING_ON: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::coordinate::decision::tests::{lineage, report};
    use crate::coordinate::decision::{Wish, plan};
    use crate::fleet::protocol::LineageName;

    fn surveyed() -> Vec<Surveyed> {
        let mut early = lineage("c", "CC");
        early.renews_from = Some(Timestamp::from_second(31 * 86_400).unwrap());
        let mut dns = lineage("d", "DD");
        dns.survey.authenticator = "dns-ovh".into();
        let lineages = vec![lineage("a", "AA"), lineage("b", "BB"), early, dns];
        let name = HostLabel::parse("home").unwrap();
        vec![Surveyed { name, report: Ok(report(lineages)), skew: SignedDuration::ZERO }]
    }

    #[test]
    fn what_fails_is_left_out_in_the_words_of_a_check_and_the_rest_is_asked() {
        let mut hosts = surveyed();
        let decide = |hosts: &[Surveyed]| {
            plan(hosts, &Wish::default(), None, Timestamp::from_second(30 * 86_400).unwrap())
        };
        let asked = decide(&hosts);
        let asked: Vec<_> = names(&asked, &hosts).iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["a.example", "b.example"], "neither what is not due nor by DNS");
        let host = HostLabel::parse("home").unwrap();
        let failing = ["b.example", "c.example", "d.example"]
            .map(|name| ((host.clone(), Hostname::parse(name).unwrap()), "no".to_owned()));
        note(&mut hosts, &BTreeMap::from(failing));
        let plan = decide(&hosts);
        let decided: Vec<&Decision> = plan.hosts[0].lineages.iter().map(|(_, d)| d).collect();
        assert!(matches!(
            decided[..],
            [Decision::Renew, Decision::Refused(_), Decision::NotDue(_), Decision::Renew]
        ));
        assert_eq!(*decided[1], Decision::Refused("b.example FAILS: no".into()));
        let renewal = plan.hosts[0].renewal.as_ref().unwrap();
        let names: Vec<&str> = renewal.cert_names.iter().map(LineageName::as_str).collect();
        assert_eq!(names, ["a", "d"]);
    }
}
