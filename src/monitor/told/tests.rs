//! pure: once per change, and never a recovery that nobody saw.

use proptest::prelude::*;

use super::*;
use crate::config::Thresholds;
use crate::status::judgement;
use crate::status::sample::{healthy, local};

fn problem(key: &str, severity: Urgency) -> Wrong {
    let (host, text) = (Some("home".to_owned()), format!("{key} is wrong"));
    Wrong { code: Code::Expiry, key: key.into(), severity, text, host }
}

fn seen(wrong: &[Wrong]) -> Situation {
    Situation { wrong: wrong.to_vec(), blind: BTreeSet::new() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What `ledger` says of `seen`, delivered.
fn said(
    ledger: &mut AlarmLedger,
    seen: &Situation,
    now: i64,
) -> Vec<(ProblemEvent, String, Urgency)> {
    ledger.see(seen, at(now));
    let said = ledger.waiting().iter().map(|c| (c.event, c.key.clone(), c.severity)).collect();
    ledger.delivered();
    said
}

#[test]
fn a_failure_and_its_recovery_are_said_once_each() {
    let mut ledger = AlarmLedger::default();
    let wrong = seen(&[problem("expiring", Urgency::Warning)]);
    let once = vec![(ProblemEvent::Failure, "expiring".to_owned(), Urgency::Warning)];
    assert_eq!(said(&mut ledger, &seen(&[]), 0), []);
    assert_eq!(said(&mut ledger, &wrong, 1), once);
    assert_eq!(said(&mut ledger, &wrong, 2), []);
    let over = vec![(ProblemEvent::Recovery, "expiring".to_owned(), Urgency::Warning)];
    assert_eq!(said(&mut ledger, &seen(&[]), 3), over);
    assert_eq!(said(&mut ledger, &seen(&[]), 4), []);
    assert_eq!(said(&mut ledger, &wrong, 5), once, "a new one is news again");
}

#[test]
fn worse_is_said_and_better_is_not() {
    let mut ledger = AlarmLedger::default();
    let of = |severity| seen(&[problem("expiring", severity)]);
    assert_eq!(said(&mut ledger, &of(Urgency::Warning), 1).len(), 1);
    let worse = vec![(ProblemEvent::Failure, "expiring".to_owned(), Urgency::Critical)];
    assert_eq!(said(&mut ledger, &of(Urgency::Critical), 2), worse);
    assert_eq!(said(&mut ledger, &of(Urgency::Warning), 3), []);
    assert_eq!(said(&mut ledger, &of(Urgency::Critical), 4), worse);
}

#[test]
fn a_host_that_cannot_be_seen_has_not_recovered() {
    let mut ledger = AlarmLedger::default();
    said(&mut ledger, &seen(&[problem("stuck", Urgency::Critical)]), 1);
    let blind = Situation { blind: BTreeSet::from(["home".to_owned()]), ..seen(&[]) };
    assert_eq!(said(&mut ledger, &blind, 2), []);
    assert_eq!(said(&mut ledger, &seen(&[]), 3).len(), 1);
}

#[test]
fn what_passes_quickly_is_not_said_and_what_lasts_is() {
    let mut ledger = AlarmLedger::default();
    let code = Code::HostUnreachable;
    let down = seen(&[Wrong { code, ..problem("unreachable", Urgency::Warning) }]);
    assert_eq!(said(&mut ledger, &down, 0), []);
    assert_eq!(said(&mut ledger, &down, 300), []);
    assert_eq!(said(&mut ledger, &seen(&[]), 310), [], "nor is its recovery");
    assert_eq!(said(&mut ledger, &down, 600), [], "its time begins anew");
    assert_eq!(said(&mut ledger, &down, 1499), []);
    ledger.see(&down, at(1500));
    assert_eq!(ledger.waiting()[0].since, at(600));
    assert_eq!(ledger.waiting()[0].at, at(1500));
}

#[test]
fn what_was_not_delivered_is_kept_with_its_times() {
    let mut ledger = AlarmLedger::default();
    ledger.see(&seen(&[problem("failed", Urgency::Critical)]), at(1));
    ledger.see(&seen(&[problem("failed", Urgency::Critical)]), at(2));
    ledger.see(&seen(&[]), at(3));
    let text = serde_json::to_string(&ledger).unwrap();
    let ledger: AlarmLedger = serde_json::from_str(&text).unwrap();
    let kept: Vec<_> = ledger.waiting().iter().map(|c| (c.event, c.at, c.since)).collect();
    assert_eq!(
        kept,
        [(ProblemEvent::Failure, at(1), at(1)), (ProblemEvent::Recovery, at(3), at(1))]
    );
}

#[test]
fn a_ledger_that_nobody_takes_does_not_grow() {
    let mut ledger = AlarmLedger::default();
    for second in 0..200 {
        let now = if second % 2 == 0 { vec![problem("x", Urgency::Warning)] } else { vec![] };
        ledger.see(&seen(&now), at(second));
    }
    assert_eq!(ledger.waiting().len(), MAX_WAITING);
    assert_eq!(ledger.omitted(), 150);
    assert_eq!(ledger.waiting().last().unwrap().at, at(199));
}

#[test]
fn a_text_is_one_line() {
    let mut ledger = AlarmLedger::default();
    let text = format!("a\nb\u{1b}[31m{}", "x".repeat(5000));
    ledger.see(&seen(&[Wrong { text, ..problem("x", Urgency::Warning) }]), at(1));
    let said = &ledger.waiting()[0].text;
    assert!(said.starts_with("a b [31mx") && said.chars().count() == MAX_TEXT, "{said}");
}

/// What is seen of two hosts that are well but for `change`.
fn judged(change: impl FnOnce(&mut Overview)) -> Situation {
    let mut status = healthy();
    change(&mut status);
    status.wrong = judgement::wrong(&status, Thresholds::default());
    Situation::of(&status)
}

#[test]
fn a_stuck_route_is_said_at_once_and_is_not_over_because_its_host_is_down() {
    let mut ledger = AlarmLedger::default();
    assert_eq!(said(&mut ledger, &judged(|_| {}), 0), []);
    let stuck = judged(|s| s.hosts[0].found.as_mut().unwrap().local.push(local()));
    let route = |event| vec![(event, "route/vps".to_owned(), Urgency::Critical)];
    assert_eq!(said(&mut ledger, &stuck, 1), route(ProblemEvent::Failure));
    let down = judged(|s| s.hosts[0].unreachable = Some("no route to host".into()));
    assert_eq!(said(&mut ledger, &down, 2), [], "gone for a moment");
    let unreachable = vec![(ProblemEvent::Failure, "unreachable/vps".to_owned(), Urgency::Warning)];
    assert_eq!(said(&mut ledger, &down, 2 + 900), unreachable);
    let over = said(&mut ledger, &judged(|_| {}), 1000);
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(over.contains(&route(ProblemEvent::Recovery)[0]), "{over:?}");
}

proptest! {
    /// Whatever comes and goes: who adds up all that was said knows what is wrong and how badly at worst.
    #[test]
    fn all_that_was_said_adds_up_to_what_is(steps in prop::collection::vec(
        (prop::collection::btree_map(0..4u8, any::<bool>(), 0..4), any::<bool>()), 0..20)
    ) {
        let mut ledger = AlarmLedger::default();
        let mut known: BTreeMap<String, Urgency> = BTreeMap::new();
        for (second, (wrong, delivered)) in steps.iter().enumerate() {
            let severity = |bad: &bool| if *bad { Urgency::Critical } else { Urgency::Warning };
            let now: Vec<Wrong> =
                wrong.iter().map(|(key, bad)| problem(&key.to_string(), severity(bad))).collect();
            ledger.see(&seen(&now), at(i64::try_from(second).unwrap()));
            if !*delivered {
                continue;
            }
            for change in ledger.waiting() {
                match change.event {
                    ProblemEvent::Failure => {
                        let before = known.insert(change.key.clone(), change.severity);
                        prop_assert!(before.is_none_or(|b| b <= change.severity), "{change:?}");
                    }
                    ProblemEvent::Recovery => prop_assert!(known.remove(&change.key).is_some()),
                }
            }
            ledger.delivered();
            let keys: Vec<&String> = known.keys().collect();
            let expected: Vec<String> = wrong.keys().map(ToString::to_string).collect();
            prop_assert_eq!(keys, expected.iter().collect::<Vec<_>>());
            for problem in &now {
                prop_assert!(known[&problem.key] >= problem.severity);
            }
        }
    }
}
