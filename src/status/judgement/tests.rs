use super::*;
use crate::check::health::{self, Vitals};
use crate::history::runs::Outcome;
use crate::status::sample::{healthy, lineage, local};

fn judged(change: impl FnOnce(&mut Overview)) -> (u8, Vec<(String, Urgency)>) {
    let mut status = healthy();
    change(&mut status);
    status.wrong = wrong(&status, Thresholds::default());
    let told = status.wrong.iter().map(|wrong| (wrong.key.clone(), wrong.severity)).collect();
    (exit(&status), told)
}

fn found(status: &mut Overview) -> &mut HostReport {
    status.hosts[1].found.as_mut().unwrap()
}

fn only(key: &str, severity: Urgency) -> (u8, Vec<(String, Urgency)>) {
    let exit = if severity == Urgency::Warning { 1 } else { 2 };
    (exit, vec![(key.to_owned(), severity)])
}

#[test]
fn two_healthy_hosts_are_well() {
    assert_eq!(judged(|_| {}), (0, vec![]));
}

#[test]
fn an_old_certificate_has_a_key_of_its_own() {
    let old = judged(|status| found(status).lineages.push(lineage("b.example", 90, 3)));
    assert_eq!(old, only("expiry/home/b.example", Urgency::Critical));
}

#[test]
fn a_local_route_is_critical_unless_somebody_renews() {
    let abandoned = judged(|status| found(status).local.push(local()));
    assert_eq!(abandoned, only("route/home", Urgency::Critical));
    let renewing = judged(|status| {
        found(status).local.push(local());
        found(status).under_way = true;
    });
    assert_eq!(renewing, (0, vec![]));
}

#[test]
fn a_failed_or_dead_run_is_a_warning() {
    for outcome in [Outcome::Failed, Outcome::Died] {
        let told = judged(|status| found(status).last_run.as_mut().unwrap().outcome = outcome);
        assert_eq!(told, only("last-run/home", Urgency::Warning));
    }
}

#[test]
fn a_lineage_that_failed_is_told_once() {
    let failed = |text: &str| {
        let text = text.to_owned();
        judged(move |status| {
            let found = found(status);
            let last = found.lineages[0].last.as_mut().unwrap();
            last.result = LineageResult::Failed;
            last.why = Some("no".into());
            let run = found.last_run.as_mut().unwrap();
            run.outcome = if text.is_empty() { Outcome::Done } else { Outcome::Failed };
            run.text = text;
        })
    };
    assert_eq!(failed(""), only("lineage/home/a.example", Urgency::Warning));
    assert_eq!(failed("no proof"), only("last-run/home", Urgency::Warning));
}

#[test]
fn an_unreachable_peer_is_a_warning_and_what_it_said_last_is_no_more() {
    let told = judged(|status| {
        let vps = &mut status.hosts[0];
        vps.unreachable = Some("no route to host".into());
        let said = vps.found.as_mut().unwrap();
        said.local.push(local());
        said.lineages[0] = lineage("a.example", 90, 1);
    });
    let warning = |key: &str| (key.to_owned(), Urgency::Warning);
    assert_eq!(told, (1, vec![warning("unreachable/vps"), warning("expiry/vps/a.example")]));
}

#[test]
fn nothing_to_look_at_is_unknown() {
    let (exit, _) = judged(|status| {
        for host in &mut status.hosts {
            host.found = None;
            host.unreachable = Some("down".into());
        }
    });
    assert_eq!(exit, 3);
}

#[test]
fn the_worst_comes_first() {
    let (exit, told) = judged(|status| {
        status.hosts[0].unreachable = Some("down".into());
        found(status).local.push(local());
        status.lease.arbiter = Some("third".into());
        status.lease.failure = Some("no answer".into());
    });
    assert_eq!((exit, told[0].0.as_str(), told.len()), (2, "route/home", 3));
}

fn problem(code: Code, place: Option<&str>) -> Finding {
    Finding::new(code, place.map(str::to_owned), "it is so", "do this")
}

#[test]
fn what_keeps_a_host_from_renewing_is_critical_and_has_its_code() {
    for code in [Code::DiskFull, Code::ClockBehind, Code::CertbotStopped, Code::KeeperStopped] {
        let told = judged(|status| found(status).findings.push(problem(code.clone(), None)));
        assert_eq!(told, only(&format!("{code}/home"), Urgency::Critical));
    }
    let mut status = healthy();
    found(&mut status).findings.push(problem(Code::DiskFull, Some("/var/log/letsencrypt")));
    let told = wrong(&status, Thresholds::default()).remove(0);
    assert_eq!((&told.code, &*told.key), (&Code::DiskFull, "disk-full/home/var/log/letsencrypt"));
    assert_eq!(told.text, "home: /var/log/letsencrypt: it is so; do this");
}

#[test]
fn what_check_calls_a_problem_is_critical_and_a_web_server_that_cannot_be_used_is_told_once() {
    let old = judged(|status| found(status).apache = Some("it is not running".into()));
    assert_eq!(old, only("apache/home", Urgency::Critical));
    let told = |status: &mut Overview| {
        found(status).apache = Some("it is not running".into());
        let told = problem(Code::ApacheNotRunning, None);
        let severity = finding::Severity::Warning;
        found(status).findings.push(Finding { severity, ..told });
    };
    assert_eq!(judged(told), only("apache/home", Urgency::Critical), "whatever its host finds");
    let mut status = healthy();
    told(&mut status);
    assert_eq!(wrong(&status, Thresholds::default())[0].code, Code::ApacheNotRunning);
}

#[test]
fn a_code_of_another_version_is_told_as_it_came() {
    let code: Code = serde_json::from_str("\"later\"").unwrap();
    let severity = finding::Severity::Warning;
    let told = problem(Code::DiskFull, None);
    let told = Finding { severity, code, ..told };
    let told = judged(|status| found(status).findings.push(told.clone()));
    assert_eq!(told, only("later/home", Urgency::Warning));
}

#[test]
fn an_arbiter_that_does_not_answer_is_told_once() {
    let (exit, told) = judged(|status| {
        found(status).findings.push(problem(Code::ArbiterUnreachable, None));
        status.lease.failure = Some("Permission denied".into());
    });
    assert_eq!((exit, told), only("lease", Urgency::Critical));
    let breaking_glass = judged(|status| {
        let mut warning = problem(Code::ArbiterUnreachable, None);
        warning.severity = finding::Severity::Warning;
        found(status).findings.push(warning);
        status.lease.failure = Some("Permission denied".into());
    });
    assert_eq!(breaking_glass, only("lease", Urgency::Warning));
    let of_a_peer = judged(|status| {
        let peer = status.hosts[0].found.as_mut().unwrap();
        peer.findings.push(problem(Code::ArbiterUnreachable, None));
    });
    assert_eq!(of_a_peer, only("arbiter-unreachable/vps", Urgency::Critical));
}

#[test]
fn an_arbiter_that_is_away_is_told_once_whoever_asks_it() {
    let why = "ssh: Could not resolve hostname vps.example: Name or service not known";
    let told = |change: &dyn Fn(&mut Overview)| {
        judged(|status| {
            status.lease.arbiter = Some("vps".into());
            status.lease.failure = Some(why.into());
            status.hosts[0].unreachable = Some(format!("no answer: {why}"));
            found(status).findings.push(problem(Code::ArbiterUnreachable, None));
            change(status);
        })
    };
    assert_eq!(told(&|_| {}), only("lease", Urgency::Critical));
    let failed = |status: &mut Overview| {
        let run = found(status).last_run.as_mut().unwrap();
        (run.outcome, run.text) = (Outcome::Failed, why.into());
    };
    assert_eq!(told(&failed), only("lease", Urgency::Critical));
    // Another host asks the same one.
    let third = |status: &mut Overview| {
        let (mut third, vitals) = (
            status.hosts[1].clone(),
            Vitals { arbiter: Some(("vps".into(), why.into())), ..Vitals::default() },
        );
        (third.name, third.own) = ("third".into(), false);
        let finding = health::findings(&vitals, status.at).remove(0);
        third.found.as_mut().unwrap().findings = vec![finding];
        status.hosts.push(third);
    };
    assert_eq!(told(&third), only("lease", Urgency::Critical));
}

#[test]
fn that_nothing_starts_renewals_is_critical_unless_a_host_does_or_is_not_known() {
    let none = |status: &mut Overview| {
        for host in &mut status.hosts {
            host.found.as_mut().unwrap().starts = Some(Vec::new());
        }
    };
    assert_eq!(judged(none), only("nobody-renews", Urgency::Critical));
    assert_eq!(judged(|status| found(status).starts = Some(Vec::new())), (0, vec![]));
    let not_asked = judged(|status| {
        none(status);
        status.hosts[0].found = None;
        status.hosts[0].seen = None;
    });
    assert_eq!(not_asked, (0, vec![]));
}

#[test]
fn a_clock_that_differs_is_told_once_and_of_the_one_that_is_wrong() {
    let days = |days: i64| days * 86_400;
    let behind = judged(|status| status.hosts[0].clock_ahead = days(-400));
    assert_eq!(behind, only("clock-skew/vps", Urgency::Critical));
    let mut status = healthy();
    status.hosts[0].clock_ahead = days(-400);
    let told = &wrong(&status, Thresholds::default())[0].text;
    assert!(told.contains("its clock is 400 days behind"), "{told}");
    let known = judged(|status| {
        status.hosts[0].clock_ahead = days(400);
        found(status).findings.push(problem(Code::ClockBehind, None));
    });
    assert_eq!(known, only("clock-behind/home", Urgency::Critical));
    assert_eq!(judged(|status| status.hosts[0].clock_ahead = 60), (0, vec![]));
}

#[test]
fn marked_lines_that_somebody_changed_are_told_with_their_place() {
    let place = "/etc/apache2/sites-enabled/a.conf, lines 3 to 9";
    let told = judged(|status| found(status).damaged.push(place.into()));
    assert_eq!(told, only("damaged/home", Urgency::Critical));
}

#[test]
fn what_failed_in_a_coordination_is_told_once_whichever_run_says_it() {
    let why = "git.example.org: 203.0.113.5: Invalid response: 404";
    let told = judged(|status| {
        for host in &mut status.hosts {
            let run = host.found.as_mut().unwrap().last_run.as_mut().unwrap();
            run.outcome = Outcome::Failed;
            run.text = format!("git: {why}");
        }
        let run = status.hosts[0].found.as_mut().unwrap().last_run.as_mut().unwrap();
        run.kind = Some(Kind::Coordination);
        run.text = format!("home: git: {why}");
        let last = found(status).lineages[0].last.as_mut().unwrap();
        (last.result, last.why) = (LineageResult::Failed, Some(why.into()));
    });
    assert_eq!(told, only("last-run/vps", Urgency::Warning));
}
