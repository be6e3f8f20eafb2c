//! pure: fixtures and rules of the plan.

use super::*;
use crate::base::names::Hostname;
use crate::fleet::host_report::{
    CertbotReport, DiskRoom, HostSurvey, Issued, LineageSurvey, LocalRoute, Versions,
};

/// A due lineage `name` for `name.example`.
pub(crate) fn lineage(name: &str, serial: &str) -> LineageReport {
    LineageReport {
        name: name.into(),
        names: vec![format!("{name}.example")],
        issuer: "CN=E5".into(),
        serial: serial.into(),
        not_before: day(10),
        not_after: day(40),
        days_left: 10,
        renews_from: Some(day(20)),
        automatic: true,
        obstacle: None,
        last: None,
        survey: LineageSurvey {
            hostnames: vec![Hostname::parse(&format!("{name}.example")).unwrap()],
            authenticator: "webroot".into(),
            ..LineageSurvey::default()
        },
    }
}

/// A healthy host.
pub(crate) fn report(lineages: Vec<LineageReport>) -> HostReport {
    HostReport {
        at: day(30),
        versions: Versions::default(),
        apache: None,
        last_reload: None,
        under_way: false,
        hold: None,
        starts: None,
        findings: Vec::new(),
        local: Vec::new(),
        damaged: Vec::new(),
        pending: false,
        lineages,
        last_run: None,
        notes: Vec::new(),
        survey: HostSurvey {
            addresses: BTreeSet::new(),
            certbot: Some(CertbotReport {
                asks_ca: false,
                traps: Vec::new(),
                hooks: HOOKS.map(str::to_owned).into(),
            }),
            disks: vec![DiskRoom { path: "/etc".into(), free: 1 << 30 }],
        },
        odd: Vec::new(),
    }
}

/// The route of `name`, which is local.
pub(crate) fn local(name: Hostname) -> LocalRoute {
    LocalRoute { name, since: None, run: None, by: None }
}

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(n * 86_400).unwrap()
}

fn label(name: &str) -> HostLabel {
    HostLabel::parse(name).unwrap()
}

fn host(name: &str, report: Result<HostReport, String>) -> Surveyed {
    Surveyed { name: label(name), report, skew: SignedDuration::ZERO }
}

/// `lineage`, which got certificates on `days` with serials that begin with `prefix`.
fn issued(mut lineage: LineageReport, prefix: &str, days: &[i64]) -> LineageReport {
    let name_set = lineage.name_set();
    let issued = |(n, at): (usize, &i64)| Issued {
        serial: format!("{prefix}{n}"),
        not_before: day(*at),
        name_set: name_set.clone(),
    };
    lineage.survey.issued = days.iter().enumerate().map(issued).collect();
    lineage
}

fn planned(hosts: &[Surveyed], wish: &Wish) -> Sequence {
    plan(hosts, wish, None, day(30))
}

fn asked(plan: &Sequence) -> Vec<(&str, Vec<&str>)> {
    let asked = plan.hosts.iter().filter_map(|host| {
        let names = host.renewal.as_ref()?.cert_names.iter().map(LineageName::as_str).collect();
        Some((host.name.as_str(), names))
    });
    asked.collect()
}

#[test]
fn all_that_is_due_is_one_run_a_host_in_configured_order() {
    let hosts = [
        host("vps", Ok(report(vec![lineage("a", "1"), lineage("b", "2")]))),
        host("home", Ok(report(vec![lineage("a", "3")]))),
    ];
    assert_eq!(asked(&planned(&hosts, &Wish::default())), [("vps", vec![]), ("home", vec![])]);
    let one = Wish { cert_names: vec!["b".parse().unwrap()], ..Wish::default() };
    assert_eq!(asked(&planned(&hosts, &one)), [("vps", vec!["b"])]);
    let rehearsal = Wish { dry_run: true, hosts: vec![label("vps")], ..Wish::default() };
    assert_eq!(asked(&planned(&hosts, &rehearsal)), [("vps", vec!["a", "b"])]);
}

#[test]
fn what_is_not_due_is_left_unless_forced_or_the_ca_may_want_it() {
    let later = LineageReport { renews_from: Some(day(60)), ..lineage("a", "1") };
    let mut asks = report(vec![later.clone()]);
    let hosts = [host("vps", Ok(report(vec![later])))];
    let plan = planned(&hosts, &Wish::default());
    assert_eq!(asked(&plan), []);
    assert_eq!(plan.hosts[0].lineages[0].1, Decision::NotDue(day(60)));
    let force = Wish { force: true, ..Wish::default() };
    assert_eq!(asked(&planned(&hosts, &force)), [("vps", vec![])]);
    asks.survey.certbot.as_mut().unwrap().asks_ca = true;
    let plan = planned(&[host("vps", Ok(asks))], &Wish::default());
    assert_eq!(plan.hosts[0].lineages[0].1, Decision::Ask);
}

#[test]
fn a_host_that_cannot_renew_is_passed_over_and_the_next_goes_on() {
    let broken =
        HostReport { apache: Some("syntax error".into()), ..report(vec![lineage("a", "1")]) };
    let gone = host("vps", Err("no route to host".into()));
    for first in [gone, host("vps", Ok(broken))] {
        let hosts = [first, host("home", Ok(report(vec![lineage("a", "2")])))];
        let plan = planned(&hosts, &Wish::default());
        assert!(plan.hosts[0].obstacle.is_some());
        assert_eq!(asked(&plan), [("home", vec![])]);
    }
}

#[test]
fn the_sixth_certificate_of_both_hosts_is_refused_and_the_fifth_is_not() {
    let hosts = |vps: &[i64], home: &[i64]| {
        [
            host("vps", Ok(report(vec![issued(lineage("a", "1"), "V", vps)]))),
            host("home", Ok(report(vec![issued(lineage("a", "2"), "H", home)]))),
        ]
    };
    let three = hosts(&[24, 25, 1], &[26]);
    let plan = planned(&three, &Wish::default());
    assert_eq!(
        asked(&plan),
        [("vps", vec![]), ("home", vec![])],
        "4 and 5; the old one counts no more"
    );
    assert_eq!(plan.costs.len(), 1, "the last of them is worth a word");
    let four = hosts(&[24, 25], &[26, 27]);
    let plan = planned(&four, &Wish::default());
    assert_eq!(asked(&plan), [("vps", vec![])]);
    assert!(matches!(plan.hosts[1].lineages[0].1, Decision::Refused(_)));
    assert_eq!(plan.refused, None);
    let force = Wish { force: true, ..Wish::default() };
    assert_eq!(asked(&planned(&four, &force)), [("vps", vec![])], "by force too");
    let rehearsal = Wish { dry_run: true, ..force };
    assert_eq!(asked(&planned(&four, &rehearsal)).len(), 2, "a rehearsal costs nothing");
}

#[test]
fn what_another_host_says_keeps_nobody_from_renewing_in_the_last_week() {
    let liar = issued(lineage("a", "1"), "V", &[26, 27, 28, 29, 30, 30]);
    let of = |days: i64, own: &[i64]| {
        let own =
            issued(LineageReport { not_after: day(30 + days), ..lineage("a", "2") }, "H", own);
        let liar = LineageReport { renews_from: Some(day(60)), ..liar.clone() };
        let hosts = [host("vps", Ok(report(vec![liar]))), host("home", Ok(report(vec![own])))];
        planned(&hosts, &Wish::default())
    };
    let early = of(8, &[24]);
    let Decision::Refused(why) = &early.hosts[1].lineages[0].1 else { panic!("{early:?}") };
    assert!(why.contains("7 are used up") && why.contains("6 of them by the word of vps alone"));
    assert_eq!(asked(&of(6, &[24])), [("home", vec![])]);
    // What it has got itself is known.
    let own = of(6, &[24, 25, 26, 27, 28]);
    let Decision::Refused(why) = &own.hosts[1].lineages[0].1 else { panic!("{own:?}") };
    assert!(!why.contains("by the word"), "{why}");
}

#[test]
fn a_copied_certificate_counts_once_and_another_ca_not_at_all() {
    let copied = |name| host(name, Ok(report(vec![issued(lineage("a", "1"), "S", &[24, 25, 26])])));
    let plan = planned(&[copied("vps"), copied("home")], &Wish::default());
    assert_eq!(asked(&plan).len(), 2);
    let mut other = lineage("a", "1");
    other.survey.server = Some("https://ca.example/dir".into());
    let hosts = [host("vps", Ok(report(vec![issued(other, "S", &[24, 25, 26, 27, 28])])))];
    assert_eq!(asked(&planned(&hosts, &Wish::default())).len(), 1);
    let limited = super::plan(&hosts, &Wish::default(), Some(5), day(30));
    assert_eq!(asked(&limited), [], "unless the configuration knows its limit");
}

#[test]
fn nothing_is_asked_where_no_hook_would_switch_the_route() {
    let mut bare = report(vec![lineage("a", "1")]);
    bare.survey.certbot.as_mut().unwrap().hooks.remove("post");
    let plan = planned(&[host("home", Ok(bare.clone()))], &Wish::default());
    assert!(matches!(plan.hosts[0].lineages[0].1, Decision::Refused(_)));
    bare.lineages[0].survey.authenticator = "dns-rfc2136".into();
    assert_eq!(asked(&planned(&[host("home", Ok(bare))], &Wish::default())).len(), 1);
}

#[test]
fn one_unusable_lineage_does_not_keep_the_others() {
    let gone = LineageReport { obstacle: Some("no webroot".into()), ..lineage("a", "1") };
    let fine = host("home", Ok(report(vec![lineage("a", "3")])));
    let hosts = [host("vps", Ok(report(vec![gone, lineage("b", "2")]))), fine];
    let named: Vec<LineageName> = ["a", "b"].map(|name| name.parse().unwrap()).into();
    for (force, dry_run, cert_names) in [
        (false, false, vec![]),
        (true, false, vec![]),
        (true, false, named.clone()),
        (false, true, vec![]),
        (true, true, named),
    ] {
        let wish = Wish { cert_names, force, dry_run, ..Wish::default() };
        let plan = planned(&hosts, &wish);
        assert_eq!(plan.refused, None, "{wish:?}");
        let names = asked(&plan);
        assert_eq!((names[0].clone(), names[1].0), (("vps", vec!["b"]), "home"), "{wish:?}");
        assert_eq!(plan.hosts[0].lineages[0].1, Decision::Refused("no webroot".into()));
    }
}

#[test]
fn a_lineage_that_nobody_has_is_a_mistake() {
    let hosts = [host("vps", Ok(report(vec![lineage("a", "1")])))];
    let wish = Wish { cert_names: vec!["z".parse().unwrap()], ..Wish::default() };
    assert!(planned(&hosts, &wish).refused.is_some());
    let wish = Wish { cert_names: ["z", "a"].map(|n| n.parse().unwrap()).into(), ..wish };
    let plan = planned(&hosts, &wish);
    assert_eq!((plan.refused.clone(), asked(&plan)), (None, vec![("vps", vec!["a"])]));
    assert!(plan.unknown[0].ends_with("lineage z"), "the other one is told: {plan:?}");
}

#[test]
fn what_a_person_should_look_at_is_said_with_its_host() {
    let mut seen = report(vec![]);
    seen.pending = true;
    seen.survey.disks[0].free = 20 << 20;
    let mut odd = host("home", Ok(seen.clone()));
    odd.skew = SignedDuration::from_secs(-90);
    let plan = planned(&[odd], &Wish::default());
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    assert!(plan.warnings.iter().all(|warning| warning.starts_with("home: ")));
    seen.survey.disks[0].free = 1 << 20;
    assert!(obstacle(&seen).unwrap().contains("/etc"));
}

#[test]
fn what_is_served_is_told_of_what_is_asked_for_and_of_nothing_else() {
    let hosts = [
        host("vps", Ok(report(vec![lineage("a", "1"), lineage("b", "2")]))),
        host("home", Ok(report(vec![lineage("b", "3"), lineage("c", "4")]))),
        host("gone", Err("no answer".into())),
    ];
    let names = |labels: &[&str], cert_names: &[&str]| {
        let cert_names = cert_names.iter().map(|name| LineageName::parse(name).unwrap()).collect();
        let hosts_wished = labels.iter().map(|name| label(name)).collect();
        let wish = Wish { hosts: hosts_wished, cert_names, ..Wish::default() };
        wish.names(&hosts).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&[], &[]), ["a.example", "b.example", "c.example"]);
    assert_eq!(names(&[], &["b"]), ["b.example"]);
    assert_eq!(names(&["vps"], &[]), ["a.example", "b.example"]);
    assert!(names(&["vps"], &["c"]).is_empty());
}
