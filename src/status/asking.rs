//! flow: this host looked at, the others asked, all at once; nothing is changed.

use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::names::HostLabel;
use crate::base::threads;
use crate::check::own_report::report;
use crate::config::Settings;
use crate::config::context::Context;
use crate::fleet::host_report::{HostReport, HostSurvey, LineageSurvey};
use crate::fleet::hosts::{HostAnswer, Hosts};
use crate::fleet::judged;
use crate::fleet::link;
use crate::fleet::protocol::LookOrder;
use crate::lease::question::question;
use crate::lease::wire::{ArbiterAnswer, Ask};
use crate::status::doors;
use crate::status::judgement;
use crate::status::overview::{HostStatus, LeaseStatus, Overview};
use crate::status::remembered::{self, Remembered};

/// Everything about all hosts.
pub fn gather(context: &Context) -> Overview {
    let settings = &context.settings;
    let hosts = Hosts::of(context).patient(PATIENCE);
    let here = || report(settings, LookOrder::Status);
    let look = || hosts.look_from(LookOrder::Status, here);
    let (lease, answers) = threads::both("lease", || lease(context), look);
    let answers = hosts.ways.iter().zip(answers);
    let hosts = answers
        .map(|(way, answer)| {
            if hosts.is_own(&way.name) {
                own(&way.name, answer)
            } else {
                peer(settings, &way.name, answer)
            }
        })
        .collect();
    let mut overview =
        Overview { version: 1, at: clock::now(), exit: 0, wrong: Vec::new(), lease, hosts };
    for host in &mut overview.hosts {
        let lineages = host.found.iter_mut().flat_map(|found| &mut found.lineages);
        lineages.for_each(|lineage| lineage.at(overview.at));
    }
    overview.wrong = judgement::wrong(&overview, settings.thresholds);
    // What is wrong of a host comes first.
    overview.wrong.extend(doors::uncovered(settings, &overview.hosts));
    overview.wrong.sort_by_key(|wrong| std::cmp::Reverse(wrong.severity));
    overview.exit = judgement::exit(&overview);
    overview
}

fn own(name: &HostLabel, answer: HostAnswer) -> HostStatus {
    let found = answer.report.ok();
    HostStatus {
        name: name.to_string(),
        own: true,
        unreachable: None,
        seen: found.as_ref().map(|found| found.at),
        found,
        clock_ahead: 0,
    }
}

fn peer(settings: &Settings, name: &HostLabel, answer: HostAnswer) -> HostStatus {
    let state = &settings.state_directory;
    let (unreachable, said) = match answer.report {
        Ok(said) => {
            let said = Remembered { seen: answer.answered, found: believed(said) };
            if let Err(error) = remembered::keep(state, name, &said) {
                tracing::warn!("what {name} says is not remembered: {}", chain(&error));
            }
            (None, Some(said))
        }
        // Its own status tells of it; that is how it is configured, and nothing is wrong with it.
        Err(link::Error::NoWay) => (None, None),
        Err(error) => (Some(chain(&error)), remembered::recall(state, name)),
    };
    let (seen, found) = said.map(|said| (said.seen, said.found)).unzip();
    let (name, clock_ahead) = (name.to_string(), answer.skew.as_secs());
    HostStatus { name, own: false, unreachable, seen, found, clock_ahead }
}

/// What a peer said of how it is, and nothing else.
fn believed(said: HostReport) -> HostReport {
    let mut found = HostReport { survey: HostSurvey::default(), ..said };
    found.findings.extend(judged::finding(&found.odd));
    found.lineages.iter_mut().for_each(|lineage| lineage.survey = LineageSurvey::default());
    found
}

fn lease(context: &Context) -> LeaseStatus {
    let Some(arbiter) = &context.settings.arbiter else { return LeaseStatus::default() };
    let arbiter = Some(arbiter.to_string());
    match question(context, &Ask::Status) {
        Ok((_, ArbiterAnswer::Status(status))) => {
            LeaseStatus { arbiter, now: Some(status), failure: None }
        }
        Ok((_, ArbiterAnswer::Refused { why })) => {
            LeaseStatus { arbiter, now: None, failure: Some(why) }
        }
        Ok((_, other)) => {
            LeaseStatus { arbiter, now: None, failure: Some(format!("it said {other:?}")) }
        }
        Err(error) => LeaseStatus { arbiter, now: None, failure: Some(chain(&error)) },
    }
}

/// For a peer to answer; monitoring does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::judged::judged;
    use crate::fleet::protocol::{AgentAnswer, Answered};
    use crate::status::sample;
    use jiff::Timestamp;

    #[test]
    fn a_status_that_cannot_be_is_a_finding_of_its_host_and_holds_no_survey() {
        let mut said = sample::host("vps", false).found.unwrap();
        said.lineages.push(sample::lineage("b.example", 90, 60));
        said.lineages[0].not_after = Timestamp::MAX;
        said.lineages[1].survey.own_hook = true;
        said.survey.addresses = ["192.0.2.1".parse().unwrap()].into();
        said.notes = vec!["x".into(); 30_000];
        let heard = judged(AgentAnswer::Report(Box::new(said)), sample::now());
        let found = believed(LookOrder::answered(heard).unwrap());
        let names: Vec<&str> = found.lineages.iter().map(|l| l.name.as_str()).collect();
        assert_eq!((names, found.notes.len()), (vec!["b.example"], 20));
        let codes: Vec<&str> = found.findings.iter().map(|f| f.code.word()).collect();
        assert_eq!(codes, ["implausible"]);
        let printed = serde_json::to_string(&found).unwrap();
        assert!(!printed.contains("survey"), "{printed}");
    }
}
