//! flow: asks all hosts for everything that a verdict needs, all at once; what it plants is removed again.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::names::{HostLabel, Hostname};
use crate::base::threads;
use crate::ca::sight::{Planting, Question, Sight};
use crate::check::matrix::{Gathered, HostSeen};
use crate::fleet::host_report::HostReport;
use crate::fleet::inspection::Inspection;
use crate::fleet::link::{HeldOrder, Way};
use crate::fleet::protocol::{AgentOrder, InspectOrder, LookOrder, PlantOrder};
use crate::fleet::questions::{fits, questions};
use crate::fleet::skew::apart;

type Told<T> = Result<T, String>;

/// Asks all hosts about `wanted`, or about every name that any of them renews; `say` gets what a
/// person may follow. A signal ends this process at once: every agent then removes what it planted.
pub fn gather(
    ways: &[Way],
    own: Option<&HostLabel>,
    wanted: &[Hostname],
    say: &(dyn Fn(&str) + Sync),
) -> Gathered {
    Asking { ways, say }.gather(own, wanted)
}

struct Asking<'a> {
    ways: &'a [Way],
    say: &'a (dyn Fn(&str) + Sync),
}

impl Asking<'_> {
    fn gather(&self, own: Option<&HostLabel>, wanted: &[Hostname]) -> Gathered {
        (self.say)("looking at every host");
        let reports = self.each(survey);
        let names = if wanted.is_empty() {
            let known = reports.iter().filter_map(|(report, _)| report.as_ref().ok());
            let names: BTreeSet<_> = known
                .flat_map(|report| report.lineages.iter().flat_map(|l| &l.survey.hostnames))
                .collect();
            names.into_iter().cloned().collect()
        } else {
            wanted.to_vec()
        };
        (self.say)("planting a file in every webroot");
        // Until the end of this function.
        let planted = self.each(|way| match reports_of(self.ways, &reports, way) {
            Ok(_) => plant(way, wanted),
            Err(why) => Err(why.clone()),
        });
        let plantings: Vec<Told<Vec<Planting>>> = planted
            .iter()
            .map(|planted| planted.as_ref().map(|(all, _)| all.clone()).map_err(Clone::clone))
            .collect();
        let planted_there = self.ways.iter().zip(&plantings);
        let planted_there: Vec<(&HostLabel, &[Planting])> = planted_there
            .filter_map(|(way, plantings)| Some((&way.name, plantings.as_ref().ok()?.as_slice())))
            .collect();
        let questions = questions(&names, &planted_there);
        (self.say)("asking for each of them, as the CA does, from every host");
        let seen = self.each(|way| match reports_of(self.ways, &reports, way) {
            Ok(_) => {
                let inspect = || inspect(way, &names);
                threads::both("inspect", inspect, || look(way, &questions))
            }
            Err(why) => (Err(why.clone()), Err(why.clone())),
        });
        drop(planted);
        let hosts = self.ways.iter().zip(reports).zip(plantings).zip(seen);
        let hosts = hosts.map(|(((way, (report, skew)), plantings), (inspection, sights))| {
            let (is_own, is_asked) = (own == Some(&way.name), way.is_there());
            let label = way.name.clone();
            HostSeen { label, is_own, is_asked, report, skew, inspection, plantings, sights }
        });
        Gathered { hosts: hosts.collect(), duplicates_per_week: None, names }
    }

    /// All hosts at once, in their order.
    fn each<T: Send>(&self, ask: impl Fn(&Way) -> T + Sync) -> Vec<T> {
        threads::each("host", self.ways, ask)
    }
}

fn survey(way: &Way) -> (Told<HostReport>, SignedDuration) {
    let asked = clock::now();
    let answer = way.ask(LookOrder::Survey);
    let answered = clock::now();
    match answer {
        Ok(report) => {
            let skew = apart(report.at, asked, answered);
            (Ok(report), skew)
        }
        Err(error) => (Err(chain(&error)), SignedDuration::ZERO),
    }
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

fn reports_of<'a>(
    ways: &[Way],
    reports: &'a [(Told<HostReport>, SignedDuration)],
    way: &Way,
) -> Result<&'a HostReport, &'a String> {
    let place = ways.iter().position(|other| other.name == way.name).unwrap_or_default();
    reports[place].0.as_ref()
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
