//! flow: asks all hosts for everything that a verdict needs, all at once; what it plants is removed again.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::base::cause::chain;
use crate::base::names::{HostLabel, Hostname};
use crate::base::threads;
use crate::ca::sight::{Planting, Question, Sight};
use crate::check::matrix::{Gathered, HostSeen};
use crate::fleet::host_report::HostReport;
use crate::fleet::hosts::Hosts;
use crate::fleet::inspection::Inspection;
use crate::fleet::link::{HeldOrder, Way};
use crate::fleet::protocol::{AgentOrder, InspectOrder, LookOrder, PlantOrder};
use crate::fleet::questions::{fits, questions};

type Told<T> = Result<T, String>;

/// Asks all hosts about `wanted`, or about every name that any of them renews; `say` gets what a
/// person may follow. A signal ends this process at once: every agent then removes what it planted.
pub fn gather(hosts: &Hosts, wanted: &[Hostname], say: &(dyn Fn(&str) + Sync)) -> Gathered {
    say("looking at every host");
    let answers = hosts.look(LookOrder::Survey, None).into_iter();
    let reports: Vec<(Told<HostReport>, SignedDuration)> =
        answers.map(|answer| (answer.report.map_err(|error| chain(&error)), answer.skew)).collect();
    let names = if wanted.is_empty() {
        let known = reports.iter().filter_map(|(report, _)| report.as_ref().ok());
        let names: BTreeSet<_> = known
            .flat_map(|report| report.lineages.iter().flat_map(|l| &l.survey.hostnames))
            .collect();
        names.into_iter().cloned().collect()
    } else {
        wanted.to_vec()
    };
    say("planting a file in every webroot");
    let asked: Vec<(&Way, &Told<HostReport>)> =
        hosts.ways.iter().zip(&reports).map(|(way, (report, _))| (way, report)).collect();
    // Until the end of this function.
    let planted = threads::each("host", &asked, |(way, report)| match report {
        Ok(_) => plant(way, wanted),
        Err(why) => Err(why.clone()),
    });
    let plantings: Vec<Told<Vec<Planting>>> = planted
        .iter()
        .map(|planted| planted.as_ref().map(|(all, _)| all.clone()).map_err(Clone::clone))
        .collect();
    let planted_there = hosts.ways.iter().zip(&plantings);
    let planted_there: Vec<(&HostLabel, &[Planting])> = planted_there
        .filter_map(|(way, plantings)| Some((&way.name, plantings.as_ref().ok()?.as_slice())))
        .collect();
    let questions = questions(&names, &planted_there);
    say("asking for each of them, as the CA does, from every host");
    let seen = threads::each("host", &asked, |(way, report)| match report {
        Ok(_) => {
            let inspect = || inspect(way, &names);
            threads::both("inspect", inspect, || look(way, &questions))
        }
        Err(why) => (Err(why.clone()), Err(why.clone())),
    });
    drop(planted);
    let seen = hosts.ways.iter().zip(reports).zip(plantings).zip(seen);
    let seen = seen.map(|(((way, (report, skew)), plantings), (inspection, sights))| {
        let (is_own, is_asked) = (hosts.is_own(&way.name), way.is_there());
        let label = way.name.clone();
        HostSeen { label, is_own, is_asked, report, skew, inspection, plantings, sights }
    });
    Gathered { hosts: seen.collect(), duplicates_per_week: None, names }
}

fn plant(way: &Way, names: &[Hostname]) -> Told<(Vec<Planting>, Vec<HeldOrder>)> {
    let (mut all, mut held) = (Vec::new(), Vec::new());
    for names in chunks(names, |names| PlantOrder { names }) {
        let (plantings, hold) = way.hold(PlantOrder { names }).map_err(|error| chain(&error))?;
        all.extend(plantings);
        held.push(hold);
    }
    Ok((all, held))
}

fn inspect(way: &Way, names: &[Hostname]) -> Told<Inspection> {
    let mut all = Inspection::default();
    for names in chunks(names, |names| InspectOrder { names }) {
        let part = way.ask(InspectOrder { names }).map_err(|error| chain(&error))?;
        add_part(&mut all, part, &way.name);
    }
    Ok(all)
}

/// One answer more of `host`, which repeats what is not about a name.
fn add_part(all: &mut Inspection, part: Inspection, host: &HostLabel) {
    let Inspection { names, findings, starts } = part;
    for name in names {
        if all.names.iter().all(|known| known.name != name.name) {
            all.names.push(name);
        }
    }
    for mut finding in findings {
        finding.host = Some(host.clone());
        if !all.findings.contains(&finding) {
            all.findings.push(finding);
        }
    }
    all.starts = all.starts.take().or(starts);
}

fn look(way: &Way, questions: &[Question]) -> Told<Vec<Sight>> {
    let mut all = Vec::new();
    for question in questions {
        all.extend(way.ask(question.clone()).map_err(|error| chain(&error))?);
    }
    Ok(all)
}

/// As many names an order as it can hold; one order without names if there are none.
fn chunks<O: Into<AgentOrder>>(
    names: &[Hostname],
    order: impl Fn(Vec<Hostname>) -> O,
) -> Vec<Vec<Hostname>> {
    let mut parts = vec![Vec::new()];
    for name in names {
        let last = parts.len() - 1;
        parts[last].push(name.clone());
        if !fits(order(parts[last].clone())) && parts[last].len() > 1 {
            parts[last].pop();
            parts.push(vec![name.clone()]);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codes::Code;
    use crate::base::finding::Finding;

    #[test]
    fn of_an_answer_in_parts_nothing_is_lost() {
        let finding = Finding::new(Code::Webroot, None, "what", "remedy");
        let part = || Inspection {
            starts: Some(Vec::new()),
            findings: vec![finding.clone()],
            names: vec![],
        };
        let (mut all, host) = (Inspection::default(), HostLabel::parse("home").unwrap());
        add_part(&mut all, part(), &host);
        add_part(&mut all, part(), &host);
        assert_eq!(all.starts, Some(Vec::new()), "nothing starts renewals, and that is known");
        assert_eq!(all.findings, [finding.clone().on(&host)]);
    }

    #[test]
    fn no_order_is_longer_than_its_agent_reads() {
        let names: Vec<Hostname> = (0..300)
            .map(|n| Hostname::parse(&format!("name-{n}.of-some-length.example.org")).unwrap())
            .collect();
        let parts = chunks(&names, |names| InspectOrder { names });
        assert!(parts.len() > 1 && parts.iter().all(|p| fits(InspectOrder { names: p.clone() })));
        assert_eq!(parts.concat(), names);
        assert_eq!(chunks(&[], |names| PlantOrder { names }), [Vec::new()]);
    }
}
