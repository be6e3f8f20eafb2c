//! pure: what the history says of a host now: its last run, each lineage's last result.

use jiff::Timestamp;

use crate::fleet::host_report::{LastResult, LineageResult};
use crate::history::record::Kind;
use crate::history::runs::{Outcome, Run};

/// The last run that was to renew something: `recover`, which comes after a death, does not hide it.
pub fn last_run(runs: &[Run]) -> Option<&Run> {
    let renewing = |run: &&Run| matches!(run.kind, Some(Kind::Renewal | Kind::Coordination));
    runs.iter().filter(renewing).max_by_key(|run| run.place)
}

/// What the last run that was about `lineage` made of it. `renews_from`: of its certificate now.
pub fn of_lineage(
    runs: &[Run],
    lineage: &str,
    renews_from: Option<Timestamp>,
) -> Option<LastResult> {
    let was_not_due = |run: &Run| renews_from.is_some_and(|from| from > run.began);
    let (at, last) = runs
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, run)| Some((at, of_run(run, lineage, renews_from)?)))?;
    // What was only asked for by force is over with the next run that went well: it was not due.
    let is_over = last.result == LineageResult::Failed
        && runs[at].forced
        && was_not_due(&runs[at])
        && runs[at + 1..].iter().any(|run| {
            matches!(run.kind, Some(Kind::Renewal | Kind::Coordination))
                && run.outcome == Outcome::Done
        });
    Some(if is_over {
        LastResult { result: LineageResult::NotDue, why: None, ..last }
    } else {
        last
    })
}

/// What `run` made of `lineage`, if it was about it.
fn of_run(run: &Run, lineage: &str, renews_from: Option<Timestamp>) -> Option<LastResult> {
    let told = |result, why| LastResult { run: run.id.clone(), at: run.last, result, why };
    if let Some(deployed) = run.deployed.iter().rev().find(|d| d.lineage == lineage) {
        let result = match &deployed.failure {
            None => LineageResult::Renewed,
            Some(_) => LineageResult::Failed,
        };
        return Some(told(result, deployed.failure.clone()));
    }
    if let Some(left) = run.left_out.iter().find(|left| left.lineage == lineage) {
        let result = if left.due { LineageResult::Failed } else { LineageResult::NotDue };
        return Some(told(result, Some(left.why.clone()).filter(|_| left.due)));
    }
    if let Some(not) = run.not_renewed.iter().rev().find(|not| not.lineage == lineage) {
        return Some(told(LineageResult::Failed, Some(not.why.clone())));
    }
    if run.kind != Some(Kind::Renewal) || !run.lineages.iter().any(|name| name == lineage) {
        return None;
    }
    let due = run.forced || renews_from.is_none_or(|from| from <= run.began);
    match run.outcome {
        Outcome::UnderWay => Some(told(LineageResult::UnderWay, None)),
        Outcome::Done if run.dry_run => None,
        _ if !due => Some(told(LineageResult::NotDue, None)),
        // Another run has renewed it meanwhile.
        Outcome::Done if !run.text.is_empty() => None,
        Outcome::Done => {
            let why = "certbot got no certificate, and did not log why";
            let told = told(LineageResult::Failed, Some(why.to_owned()));
            renews_from.is_some().then_some(told)
        }
        // Others failed.
        Outcome::Failed if !run.not_renewed.is_empty() => None,
        Outcome::Failed | Outcome::Died => Some(told(LineageResult::Failed, Some(run.words()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::{Deployed, RunId};
    use crate::history::runs::NotRenewed;
    use crate::status::sample;
    use jiff::SignedDuration;

    fn result(change: impl FnOnce(&mut Run)) -> Option<LineageResult> {
        let mut run = sample::run();
        change(&mut run);
        let due = run.began - SignedDuration::from_hours(1);
        of_lineage(&[run], "a.example", Some(due)).map(|last| last.result)
    }

    fn deployed(failure: Option<&str>) -> Deployed {
        Deployed {
            lineage: "a.example".into(),
            names: Vec::new(),
            before: None,
            serial: None,
            not_after: None,
            failure: failure.map(str::to_owned),
            millis: 0,
        }
    }

    #[test]
    fn a_new_certificate_counts_if_it_is_served() {
        let renewed = result(|run| run.deployed.push(deployed(None)));
        assert_eq!(renewed, Some(LineageResult::Renewed));
        let stale = result(|run| run.deployed.push(deployed(Some("the old one is served"))));
        assert_eq!(stale, Some(LineageResult::Failed));
    }

    #[test]
    fn what_was_due_and_got_nothing_failed() {
        assert_eq!(result(|_| {}), Some(LineageResult::Failed));
        assert_eq!(result(|run| run.outcome = Outcome::Died), Some(LineageResult::Failed));
        assert_eq!(result(|run| run.dry_run = true), None);
        assert_eq!(result(|run| run.outcome = Outcome::UnderWay), Some(LineageResult::UnderWay));
        assert_eq!(result(|run| run.lineages.clear()), None);
    }

    #[test]
    fn the_cas_sentence_is_of_its_lineage_alone() {
        let mut run = sample::run();
        run.outcome = Outcome::Failed;
        run.lineages.push("b.example".into());
        let why = "203.0.113.5: Invalid response: 404".to_owned();
        run.not_renewed.push(NotRenewed { lineage: "a.example".into(), why: why.clone() });
        let due = Some(run.began - SignedDuration::from_hours(1));
        let of = |lineage: &str| of_lineage(std::slice::from_ref(&run), lineage, due);
        let told = of("a.example").unwrap();
        assert_eq!((told.result, told.why), (LineageResult::Failed, Some(why)));
        assert_eq!(of("b.example"), None);
    }

    #[test]
    fn what_was_not_due_is_not_judged_by_the_runs_failure() {
        let mut run = sample::run();
        run.outcome = Outcome::Failed;
        let later = Some(run.last);
        let told = |run: &Run| of_lineage(std::slice::from_ref(run), "a.example", later);
        assert_eq!(told(&run).unwrap().result, LineageResult::NotDue);
        run.forced = true;
        assert_eq!(told(&run).unwrap().result, LineageResult::Failed);
    }

    #[test]
    fn what_only_force_asked_for_is_over_with_the_next_run_that_goes_well() {
        let forced = Run { outcome: Outcome::Died, forced: true, ..sample::run() };
        let well = |dry_run| Run { dry_run, outcome: Outcome::Done, ..sample::run() };
        let coordination = Run { kind: Some(Kind::Coordination), lineages: vec![], ..well(false) };
        let of = |next: Option<Run>, from| {
            let runs: Vec<Run> = [forced.clone()].into_iter().chain(next).collect();
            of_lineage(&runs, "a.example", Some(from)).map(|last| last.result)
        };
        let later = forced.last + SignedDuration::from_hours(1);
        assert_eq!(of(None, later), Some(LineageResult::Failed));
        assert_eq!(of(Some(well(true)), later), Some(LineageResult::NotDue));
        assert_eq!(of(Some(coordination.clone()), later), Some(LineageResult::NotDue));
        let due = forced.began - SignedDuration::from_hours(1);
        assert_eq!(of(Some(well(true)), due), Some(LineageResult::Failed), "it is due");
    }

    #[test]
    fn a_recovery_does_not_hide_the_death_before_it() {
        let dead = Run { outcome: Outcome::Died, ..sample::run() };
        let recovery = Run {
            id: RunId::new(sample::now(), 1),
            kind: Some(Kind::Recovery),
            last: sample::now(),
            place: 1,
            ..sample::run()
        };
        assert_eq!(last_run(&[dead.clone(), recovery]), Some(&dead));
    }

    #[test]
    fn the_last_run_is_the_last_of_the_record_whatever_the_clock_said() {
        let ahead = Run { last: Timestamp::MAX, place: 3, ..sample::run() };
        let failed = Run { outcome: Outcome::Failed, place: 7, ..sample::run() };
        assert_eq!(last_run(&[ahead, failed.clone()]), Some(&failed));
    }
}
