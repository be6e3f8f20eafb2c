//! pure: what a host says of itself is judged where it is heard: what cannot be is left out and said to be that host's.
//!
//! Behind this border a report has as many lineages, names and notes as a host can have, and
//! dates that a clock can show; whoever reads it need not look again.

use jiff::{SignedDuration, Timestamp};

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::harmless;
use crate::base::text::few;
use crate::fleet::host_report::{HostReport, HostSurvey, LineageReport, LineageSurvey};
use crate::fleet::protocol::AgentAnswer;

/// `answer`, as far as it can be believed at `now`.
pub fn judged(mut answer: AgentAnswer, now: Timestamp) -> AgentAnswer {
    match &mut answer {
        AgentAnswer::Report(report) => judge_report(report, now),
        AgentAnswer::Inspected(inspection) => {
            let more = beyond("names that it looked at", &mut inspection.names, NAMES);
            beyond("findings", &mut inspection.findings, FINDINGS);
            for name in &mut inspection.names {
                name.lineages.truncate(LINEAGES);
                name.obstacles.truncate(FEW);
            }
            inspection.findings.extend(finding(more.as_slice()));
            if let Some(starts) = &mut inspection.starts {
                starts.truncate(FEW);
            }
        }
        AgentAnswer::Renewed(renewed) => renewed.truncate(LINEAGES),
        AgentAnswer::Planted(plantings) => {
            plantings.truncate(LINEAGES);
            for planting in plantings {
                planting.names.truncate(NAMES);
            }
        }
        AgentAnswer::Seen(sights) => {
            sights.truncate(NAMES);
            for sight in sights {
                sight.addresses.truncate(FEW);
                sight.validated.truncate(FEW);
                sight.fetched.truncate(FEW);
                sight.presented.truncate(FEW);
                for leaf in sight.presented.iter_mut().filter_map(|seen| seen.leaf.as_mut()) {
                    leaf.faults.truncate(FEW);
                }
            }
        }
        AgentAnswer::Alive | AgentAnswer::Line { .. } | AgentAnswer::Failed { .. } => {}
    }
    answer
}

fn judge_report(report: &mut HostReport, now: Timestamp) {
    let mut odd = Vec::new();
    let is_strange = |lineage: &LineageReport| {
        is_beyond(lineage.not_after, now) || lineage.not_before.duration_since(now) > YEARS
    };
    odd.extend(strange(&mut report.lineages, is_strange));
    odd.extend(beyond("lineages", &mut report.lineages, LINEAGES));
    let mut early = 0;
    for LineageSurvey { issued, .. } in report.lineages.iter_mut().map(|l| &mut l.survey) {
        let before = issued.len();
        // A CA backdates; what begins later than a clock can be wrong was never issued.
        issued.retain(|issued| issued.not_before.duration_since(now) <= AHEAD);
        early += before - issued.len();
        issued.truncate(ISSUED);
    }
    if early > 0 {
        odd.push(format!("{early} certificates that it says begin in the future are not counted"));
    }
    odd.extend(crowded(&mut report.lineages));
    odd.extend(beyond("local names", &mut report.local, NAMES));
    odd.extend(beyond("changed lines", &mut report.damaged, FEW));
    let HostSurvey { addresses, certbot, disks } = &mut report.survey;
    odd.extend(beyond("file systems", disks, FINDINGS));
    if addresses.len() > FINDINGS {
        odd.push(format!("{} addresses are more than a host has", addresses.len()));
        *addresses = addresses.iter().copied().take(FINDINGS).collect();
    }
    if let Some(certbot) = certbot {
        certbot.traps.truncate(FEW);
    }
    odd.extend(beyond("notes", &mut report.notes, FEW));
    for note in &mut report.notes {
        *note = harmless::line(note, NOTE);
    }
    odd.extend(beyond("findings", &mut report.findings, FINDINGS));
    if let Some(starts) = &mut report.starts {
        starts.truncate(FEW);
    }
    report.odd = odd;
}

/// What is found of a host that says such things.
pub fn finding(odd: &[String]) -> Option<Finding> {
    let remedy = "see what runs there as certbaton, and its clock";
    let found = || Finding::new(Code::Implausible, None, odd.join(", "), remedy);
    (!odd.is_empty()).then(found)
}

/// No certificate ends there; one of a CA of one's own may last for long.
fn is_beyond(end: Timestamp, now: Timestamp) -> bool {
    end.duration_since(now).abs() > YEARS
}

/// Takes the lineages that are `strange` from `all`, and says so.
fn strange(
    all: &mut Vec<LineageReport>,
    is_strange: impl Fn(&LineageReport) -> bool,
) -> Option<String> {
    let names = all.iter().filter(|one| is_strange(one)).map(|one| one.name.clone());
    let names: Vec<String> = names.collect();
    all.retain(|one| !is_strange(one));
    (!names.is_empty())
        .then(|| format!("{} is left out: its certificate ends when none can", few(&names)))
}

/// Takes what is beyond `most` from `all`, and says how much.
fn beyond<T>(what: &str, all: &mut Vec<T>, most: usize) -> Option<String> {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    (more > 0).then(|| format!("of its {what} {most} are read, and {more} more are not"))
}

/// The same of the names of all lineages together.
fn crowded(lineages: &mut [LineageReport]) -> Option<String> {
    let (mut room, mut more) = (NAMES, 0);
    for LineageReport { names, survey: LineageSurvey { hostnames, .. }, .. } in lineages {
        let all = names.len().max(hostnames.len());
        let kept = all.min(room);
        names.truncate(kept);
        hostnames.truncate(kept);
        more += all - kept;
        room -= kept;
    }
    (more > 0)
        .then(|| format!("of the names of its lineages {NAMES} are read, and {more} more are not"))
}

/// Of one host.
const LINEAGES: usize = 2000;

/// Of all lineages of one host.
const NAMES: usize = 5000;

/// Findings, addresses, file systems of one host.
const FINDINGS: usize = 200;

/// What is for people to read.
const FEW: usize = 20;

/// Characters of a note.
const NOTE: usize = 1000;

/// Certificates that certbot got for a lineage in eight days.
const ISSUED: usize = 100;

/// A clock may be wrong by as much, or a zone.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Longer than any certificate lasts.
const YEARS: SignedDuration = SignedDuration::from_hours(40 * 366 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codes::Code;
    use crate::base::finding::Finding;
    use crate::base::names::Hostname;
    use crate::coordinate::decision::tests::{lineage, report};
    use crate::fleet::host_report::Issued;
    use crate::fleet::inspection::{Answerer, InspectedName, Inspection};
    use crate::status::sample;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    fn heard(report: HostReport) -> HostReport {
        match judged(AgentAnswer::Report(Box::new(report)), at(30)) {
            AgentAnswer::Report(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_of_a_host_as_it_can_be_stays_as_it_is() {
        let mut issued = lineage("a", "1");
        let (serial, name_set) = ("9".to_owned(), issued.name_set());
        issued.survey.issued = vec![Issued { serial, not_before: at(30), name_set }];
        let plain = report(vec![issued, lineage("b", "2")]);
        assert_eq!(heard(plain.clone()), plain);
        let found = sample::host("vps", false).found.unwrap();
        let said = AgentAnswer::Report(Box::new(found));
        assert_eq!(judged(said.clone(), sample::now()), said);
    }

    #[test]
    fn what_begins_in_the_future_is_not_counted_and_what_never_ends_is_none() {
        let mut liar = lineage("a", "1");
        let name_set = liar.name_set();
        liar.survey.issued = (29..45)
            .map(|day| Issued {
                serial: day.to_string(),
                not_before: at(day),
                name_set: name_set.clone(),
            })
            .collect();
        let mut eternal = lineage("b", "2");
        eternal.not_after = Timestamp::MAX;
        let heard = heard(report(vec![liar, eternal]));
        let [lineage] = &heard.lineages[..] else { panic!("{heard:?}") };
        assert_eq!(lineage.survey.issued.len(), 3, "yesterday's, today's, and a clock's mistake");
        assert_eq!(heard.odd.len(), 2, "{:?}", heard.odd);
        assert!(heard.odd[0].starts_with("b is left out"), "{:?}", heard.odd);
        assert!(heard.odd[1].starts_with("13 certificates"), "{:?}", heard.odd);
    }

    #[test]
    fn of_a_giant_survey_what_a_host_can_have_is_read_and_the_rest_is_said() {
        let mut giant = report((0..40_000).map(|n| lineage(&format!("l{n}"), "1")).collect());
        giant.lineages[0].survey.hostnames =
            (0..50_000).map(|n| Hostname::parse(&format!("n{n}.example")).unwrap()).collect();
        giant.notes = (0..30_000).map(|n| format!("note {n} {}", "x".repeat(4000))).collect();
        giant.damaged = vec!["x".into(); 30_000];
        let heard = heard(giant);
        assert_eq!(heard.lineages.len(), LINEAGES);
        assert_eq!(heard.lineages.iter().map(|l| l.survey.hostnames.len()).sum::<usize>(), NAMES);
        assert_eq!((heard.notes.len(), heard.damaged.len()), (FEW, FEW));
        assert!(heard.notes.iter().all(|note| note.chars().count() <= NOTE));
        let said = heard.odd.join("\n");
        for more in ["38000 more", "29980 more", "46999 more"] {
            assert!(said.contains(more), "{said}");
        }
    }

    #[test]
    fn of_a_giant_inspection_what_a_host_can_have_is_read() {
        let wrong = Finding::new(Code::CannotSwitch, None, "x", "y");
        let name = InspectedName {
            name: Hostname::parse("a.example").unwrap(),
            lineages: vec!["a".into(); 30_000],
            webroot: None,
            vhost: None,
            answerer: Answerer::Nobody,
            otherwise: None,
            obstacles: vec![wrong.clone(); 30_000],
        };
        let names = vec![name];
        let said = Inspection { names, findings: vec![wrong; 30_000], ..Inspection::default() };
        let AgentAnswer::Inspected(heard) =
            judged(AgentAnswer::Inspected(Box::new(said)), Timestamp::UNIX_EPOCH)
        else {
            panic!()
        };
        assert_eq!(
            (heard.names[0].lineages.len(), heard.names[0].obstacles.len()),
            (LINEAGES, FEW)
        );
        assert!(heard.findings.len() <= FINDINGS);
    }
}
