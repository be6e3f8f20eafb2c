//! pure: invented hosts, what they would see, and what has to be said of it.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::base::names::{HostLabel, Hostname, Webroot};
use crate::ca::caa::{CaaRecord, Relevant};
use crate::ca::served::{incomplete, not_covered};
use crate::ca::sight::{
    Answer, Leaf, Miss, MissKind, NonceAnswer, Planted, Planting, Presented, Sight,
};
use crate::check::health::{self, Vitals};
use crate::check::matrix::{Gathered, HostSeen, Told};
use crate::coordinate::decision::tests::{lineage, local, report};
use crate::fleet::host_report::Issued;
use crate::fleet::inspection::{Answerer, Directive, InspectedName, Inspection};

const VPS: usize = 0;
const HOME: usize = 1;
const V4: &str = "192.0.2.10";
const V6: &str = "2001:db8::20";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn label(host: usize) -> HostLabel {
    HostLabel::parse(["vps", "home"][host]).unwrap()
}

fn directive(text: &str) -> Directive {
    let target = text.split(' ').next_back().map(str::to_owned);
    Directive { place: Some("/etc/apache2/x.conf:7".into()), text: text.into(), target }
}

fn obstacle(what: &str) -> Finding {
    let place = Some("/etc/apache2/y.conf:3".into());
    Finding::new(Code::CannotSwitch, place, what, "write it out")
}

fn missed(kind: MissKind) -> Answer {
    Answer::Missed(Miss { kind, url: None, redirected: false, why: format!("{kind:?}") })
}

fn leaf(serial: &str) -> Leaf {
    Leaf { serial: serial.into(), not_after: Timestamp::MAX, faults: Vec::new() }
}

/// A on the vps, AAAA at home, which passes challenges on, as the lab has it.
pub(crate) fn healthy() -> Gathered {
    let name = lineage("a", "AA").survey.hostnames[0].clone();
    let asked = |nonce: usize, at: &str, answer: Answer| NonceAnswer {
        nonce: label(nonce),
        address: Some(address(at)),
        answer,
    };
    let presented = |at: &str, serial: &str| Presented {
        address: address(at),
        leaf: Some(leaf(serial)),
        miss: None,
    };
    let host = |host: usize| {
        let mut report = report(vec![lineage("a", ["AA", "BB"][host])]);
        report.survey.addresses =
            [[V4, "2001:db8::10"], [V6, "::1"]][host].map(|text| text.parse().unwrap()).into();
        let webroot = Webroot::parse("/var/www/html").unwrap();
        let content = serde_json::from_value(format!("t{host}.x").into()).unwrap();
        let answerer = match host {
            VPS => Answerer::Webroot,
            _ => Answerer::Passed(directive("ProxyPass /x http://vps/")),
        };
        let is_passed = host == HOME;
        let inspected = InspectedName {
            name: name.clone(),
            lineages: vec!["a".into()],
            webroot: Some(webroot.clone()),
            vhost: Some("/etc/apache2/x.conf:1".into()),
            answerer,
            otherwise: None,
            obstacles: Vec::new(),
        };
        let lacks = missed(MissKind::Unreachable);
        let fetched = vec![
            asked(VPS, V6, Answer::Same),
            asked(HOME, V6, missed(MissKind::Status(404))),
            asked(VPS, V4, if is_passed { lacks.clone() } else { Answer::Same }),
            asked(HOME, V4, if is_passed { lacks } else { missed(MissKind::Status(404)) }),
        ];
        let sight = Sight {
            name: name.clone(),
            addresses: vec![address(V6), address(V4)],
            unresolved: None,
            caa: None,
            caa_unknown: None,
            validated: Vec::new(),
            fetched,
            presented: vec![presented(V6, "BB"), presented(V4, "AA")],
        };
        HostSeen {
            label: label(host),
            is_own: host == HOME,
            is_asked: true,
            report: Ok(report),
            skew: SignedDuration::ZERO,
            inspection: Ok(Inspection { names: vec![inspected], ..Inspection::default() }),
            plantings: Ok(vec![Planting {
                webroot,
                names: vec![name.clone()],
                account: None,
                planted: Planted::Content(content),
            }]),
            sights: Ok(vec![sight]),
        }
    };
    Gathered {
        hosts: vec![host(VPS), host(HOME)],
        names: vec![name.clone()],
        ..Gathered::default()
    }
}

#[test]
fn a_mistyped_name_is_told_the_one_that_is_meant_with_its_line_and_those_that_there_are() {
    let told = |typed: &str, known: &str| {
        let mut g = healthy();
        let (typed, known) = (Hostname::parse(typed).unwrap(), Hostname::parse(known).unwrap());
        g.names = vec![typed.clone()];
        for host in &mut g.hosts {
            host.inspection
                .iter_mut()
                .flat_map(|i| &mut i.names)
                .for_each(|n| n.name = known.clone());
            for sight in host.sights.iter_mut().flatten() {
                sight.name = typed.clone();
                sight.addresses.clear();
                sight.fetched.clear();
                sight.presented.clear();
            }
        }
        let found = outside::findings(&Matrix::of(&g));
        found.into_iter().find(|found| found.code == Code::NoAddress).unwrap().remedy
    };
    assert_eq!(
        told("wikki.example.org", "wiki.example.org"),
        "ask for wiki.example.org (/etc/apache2/x.conf:1) if that is meant; the names that there are: wiki.example.org"
    );
    assert_eq!(
        told("shop.example.org", "wiki.example.org"),
        "publish A and AAAA records if it is to be one of these hosts'; the names that there are: wiki.example.org"
    );
}

/// All hosts see `answer` for the nonce of `nonce` at `at`.
fn all_see(g: &mut Gathered, nonce: usize, at: &str, answer: &Answer) {
    for host in &mut g.hosts {
        for sight in host.sights.iter_mut().flatten() {
            for asked in &mut sight.fetched {
                if asked.nonce == label(nonce) && asked.address == Some(address(at)) {
                    asked.answer = answer.clone();
                }
            }
        }
    }
}

fn sights(g: &mut Gathered) -> impl Iterator<Item = &mut Sight> {
    g.hosts.iter_mut().flat_map(|host| host.sights.iter_mut().flatten())
}

fn answerer(g: &mut Gathered, host: usize, answerer: Answerer) {
    g.hosts[host].inspection.as_mut().unwrap().names[0].answerer = answerer;
}

fn now(g: &Gathered, host: usize) -> Fate {
    let (renewals, _) = verdict(&Matrix::of(g));
    renewals.into_iter().find(|renewal| renewal.host == host).unwrap().now
}

/// `CODE HOST PLACE` of each finding.
fn found(g: &Gathered) -> Vec<String> {
    let words = |finding: Finding| {
        let host = finding.host.map_or_else(|| "-".to_owned(), |host| host.to_string());
        let place = finding.place.unwrap_or_default();
        assert!(!finding.remedy.is_empty(), "{}", finding.code);
        format!("{} {host} {place}", finding.code).trim_end().to_owned()
    };
    verdict(&Matrix::of(g)).1.into_iter().map(words).collect()
}

fn severities(g: &Gathered) -> Vec<Severity> {
    verdict(&Matrix::of(g)).1.into_iter().map(|finding| finding.severity).collect()
}

#[test]
fn a_healthy_pair_is_not_talked_about() {
    let g = healthy();
    assert_eq!(found(&g), [""; 0]);
    assert_eq!((now(&g, VPS), now(&g, HOME)), (Fate::Works, Fate::WorksSwitched));
    let (renewals, _) = verdict(&Matrix::of(&g));
    assert_eq!(renewals[0].without, [(HOME, Fate::Works)]);
}

#[test]
fn another_hosts_word_counts_before_ones_own() {
    let mut g = healthy();
    // Home cannot reach itself from inside; the vps can.
    let own = g.hosts[HOME].sights.as_mut().unwrap();
    own[0].fetched[0].answer = missed(MissKind::BlackHole);
    let matrix = Matrix::of(&g);
    let cell = &matrix.rows[0].addresses[0].cells[VPS];
    assert!(cell.is_hairpin && cell.told == Told::Same, "{cell:?}");
    assert_eq!(found(&g), [""; 0]);
    // The other way round it is the world that cannot.
    let mut g = healthy();
    g.hosts[VPS].sights.as_mut().unwrap()[0].fetched[0].answer = missed(MissKind::BlackHole);
    assert_eq!(found(&g), ["ipv6-black-hole home AAAA 2001:db8::20"]);
    assert_eq!(severities(&g), [Severity::Warning], "IPv4 does");
}

#[test]
fn a_host_without_ipv4_says_nothing_about_ipv4() {
    let g = healthy();
    let matrix = Matrix::of(&g);
    let cell = &matrix.rows[0].addresses[1].cells[VPS];
    assert!(cell.is_own_word && cell.witnesses == [label(VPS)], "{cell:?}");
}

#[test]
fn the_line_that_keeps_the_vps_from_its_challenges_is_named() {
    let place = "/etc/apache2/x.conf:7";
    for (by, code) in [
        (Answerer::Redirected(directive("Redirect / https://x/")), "redirected"),
        (Answerer::Elsewhere(directive("Alias / /srv")), "wrong-directory"),
        (Answerer::Denied(directive("Require all denied")), "denied"),
        (Answerer::Taken(directive("MDomain a.example")), "taken"),
        (Answerer::Passed(directive("ProxyPass / http://x/")), "wrong-target"),
    ] {
        let mut g = healthy();
        all_see(&mut g, VPS, V6, &missed(MissKind::Status(404)));
        answerer(&mut g, HOME, by);
        assert_eq!(found(&g), [format!("{code} home {place}")]);
        assert_eq!(now(&g, HOME), Fate::WorksSwitched, "{code}");
        assert_eq!(severities(&g), [Severity::Problem]);
    }
    let mut g = healthy();
    all_see(&mut g, VPS, V6, &missed(MissKind::Status(404)));
    answerer(&mut g, HOME, Answerer::Webroot);
    assert_eq!(found(&g)[0], "not-passed-on home /etc/apache2/x.conf:1");
    answerer(&mut g, HOME, Answerer::Nobody);
    assert_eq!(found(&g)[0], "no-vhost home /etc/apache2/x.conf:1");
    answerer(&mut g, HOME, Answerer::Unknown);
    assert_eq!(found(&g)[0], "unexplained home /etc/apache2/x.conf:1");
}

#[test]
fn a_proxy_that_cannot_reach_its_target_is_told_from_one_that_has_the_wrong_one() {
    let mut g = healthy();
    all_see(&mut g, VPS, V6, &missed(MissKind::Status(503)));
    assert_eq!(found(&g), ["cannot-pass-on home /etc/apache2/x.conf:7"]);
}

#[test]
fn the_vps_is_to_blame_for_what_it_does_with_what_home_passes_on() {
    let mut g = healthy();
    for at in [V4, V6] {
        all_see(&mut g, VPS, at, &missed(MissKind::Status(404)));
    }
    let known = &mut g.hosts[VPS].inspection.as_mut().unwrap().names[0];
    known.answerer = Answerer::Elsewhere(directive("Alias / /srv"));
    known.obstacles = vec![obstacle("a macro")];
    assert!(found(&g).iter().all(|f| f == "cannot-switch vps /etc/apache2/y.conf:3"));
    assert!(matches!(now(&g, VPS), Fate::Fails(_)));
    // Its own hooks would overrule that line.
    g.hosts[VPS].inspection.as_mut().unwrap().names[0].obstacles.clear();
    assert_eq!(now(&g, VPS), Fate::WorksSwitched);
}

#[test]
fn a_route_that_was_left_switched_is_its_own_cause_unless_somebody_renews() {
    let mut g = healthy();
    all_see(&mut g, VPS, V6, &missed(MissKind::Status(404)));
    all_see(&mut g, HOME, V6, &Answer::Same);
    let name = g.names[0].clone();
    g.hosts[HOME].report.as_mut().unwrap().local = vec![local(name)];
    assert_eq!(found(&g), ["abandoned-route home"]);
    g.hosts[HOME].report.as_mut().unwrap().under_way = true;
    assert_eq!(found(&g), [""; 0]);
    assert!(matches!(now(&g, VPS), Fate::Unknown(_)));
}

#[test]
fn a_switch_needs_hooks_and_lines_that_can_be_overruled() {
    let mut g = healthy();
    g.hosts[HOME].inspection.as_mut().unwrap().names[0].obstacles = vec![obstacle("in a macro")];
    assert_eq!(found(&g), ["cannot-switch home /etc/apache2/y.conf:3"]);
    let mut g = healthy();
    let certbot = g.hosts[HOME].report.as_mut().unwrap().survey.certbot.as_mut().unwrap();
    certbot.hooks.remove("post");
    assert_eq!(found(&g), ["hooks-missing home renewal-hooks"]);
    assert!(matches!(now(&g, HOME), Fate::Fails(_)));
    g.hosts[HOME].report.as_mut().unwrap().lineages[0].survey.own_hook = true;
    assert_eq!(now(&g, HOME), Fate::WorksSwitched);
}

/// Before `init` home is asked alone, and nobody's challenge comes back; the line for the vps is not to blame.
#[test]
fn a_home_without_hooks_keeps_the_line_that_the_vps_renews_by() {
    let mut g = healthy();
    g.hosts.remove(VPS);
    let home = &mut g.hosts[0];
    home.report.as_mut().unwrap().survey.certbot.as_mut().unwrap().hooks.clear();
    let path = "/.well-known/acme-challenge/";
    let line = directive(&format!("ProxyPass {path} http://vps{path}"));
    home.inspection.as_mut().unwrap().names[0].answerer = Answerer::Passed(line);
    let (_, findings) = verdict(&Matrix::of(&g));
    assert_eq!(found_problems(&g), [Code::HooksMissing]);
    assert!(findings[0].what.contains("missing: pre deploy post"), "{findings:?}");
    assert!(findings[0].remedy.starts_with("certbaton init"), "{findings:?}");
    assert!(findings.iter().all(|f| !f.remedy.contains(" ! ")), "{findings:?}");
    // One that takes all is in the way of a host that is alone.
    let all = Answerer::Passed(directive("ProxyPass / http://localhost:8080/"));
    g.hosts[0].inspection.as_mut().unwrap().names[0].answerer = all;
    assert_eq!(found_problems(&g), [Code::PassedOn]);
}

fn found_problems(g: &Gathered) -> Vec<Code> {
    let (_, findings) = verdict(&Matrix::of(g));
    let problems = findings.into_iter().filter(|found| found.severity == Severity::Problem);
    problems.map(|found| found.code).collect()
}

#[test]
fn a_webroot_that_is_not_there_is_named() {
    let mut g = healthy();
    let planted = &mut g.hosts[VPS].plantings.as_mut().unwrap()[0].planted;
    *planted = Planted::Failed("webroot /var/www/html does not exist; create it".into());
    assert_eq!(found(&g), ["webroot vps /var/www/html"]);
}

/// certbot names it in a line for each name.
#[test]
fn a_webroot_that_is_not_there_is_one_finding_with_all_its_names() {
    let mut g = healthy();
    let why = "webroot /var/www/html does not exist; create it";
    g.hosts[VPS].plantings.as_mut().unwrap()[0].planted = Planted::Failed(why.into());
    let mut names = g.names.clone();
    names.extend(["b.example", "c.example"].map(|name| Hostname::parse(name).unwrap()));
    for (number, name) in names.iter().enumerate() {
        let place = Some(format!("/etc/letsencrypt/renewal/a.conf:{}", number + 7));
        let what = "the webroot /var/www/html is not there";
        let told = Finding::new(Code::WebrootMissing, place, what, "mkdir -p it");
        let told = told.on(&label(VPS)).about(vec![name.clone()]);
        g.hosts[VPS].inspection.as_mut().unwrap().findings.push(told);
    }
    assert_eq!(found(&g), ["webroot-missing vps /etc/letsencrypt/renewal/a.conf:7"]);
    assert_eq!(verdict(&Matrix::of(&g)).1[0].names, names);
}

#[test]
fn the_ca_falls_back_to_the_vps_where_home_is_down() {
    let mut g = healthy();
    for nonce in [VPS, HOME] {
        all_see(&mut g, nonce, V6, &missed(MissKind::Unreachable));
    }
    let home = &mut g.hosts[HOME];
    home.report = Err("no route".into());
    home.sights = Err("no route".into());
    home.plantings = Err("no route".into());
    home.inspection = Err("no route".into());
    for sight in sights(&mut g) {
        sight.presented.retain(|presented| presented.address == address(V4));
    }
    assert_eq!(now(&g, VPS), Fate::Works);
    assert_eq!(found(&g), ["host-down home"]);
    // Only its ssh.
    let mut g = healthy();
    g.hosts[HOME].report = Err("no route".into());
    g.hosts[HOME].sights = Err("no route".into());
    assert_eq!(found(&g), ["host-unreachable home"]);
    // Nothing says how to ask it, which is no fault.
    g.hosts[HOME].is_asked = false;
    assert_eq!(found(&g), ["host-not-asked home"]);
    let (_, findings) = verdict(&Matrix::of(&g));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}

#[test]
fn apache_that_does_not_run_is_one_finding() {
    let mut g = healthy();
    for nonce in [VPS, HOME] {
        all_see(&mut g, nonce, V6, &missed(MissKind::Refused));
    }
    for sight in sights(&mut g) {
        sight.presented[0].leaf = None;
        let miss = Miss { kind: MissKind::Refused, url: None, redirected: false, why: "no".into() };
        sight.presented[0].miss = Some(miss);
    }
    assert_eq!(found(&g), ["nobody-listens home AAAA 2001:db8::20"]);
    let stopped = Finding {
        severity: Severity::Problem,
        code: Code::ApacheNotRunning,
        host: Some(label(HOME)),
        names: Vec::new(),
        place: None,
        what: "it does not run".into(),
        remedy: "start it".into(),
    };
    g.hosts[HOME].inspection.as_mut().unwrap().findings.push(stopped);
    assert_eq!(found(&g), ["apache-not-running home"]);
}

#[test]
fn an_address_of_nobody_is_stale_and_one_of_somebody_else_is_wrong() {
    let mut g = healthy();
    g.hosts[HOME].report.as_mut().unwrap().survey.addresses.remove(&address(V6));
    for sight in sights(&mut g) {
        sight.presented.retain(|presented| presented.address == address(V4));
    }
    for nonce in [VPS, HOME] {
        all_see(&mut g, nonce, V6, &missed(MissKind::BlackHole));
    }
    assert_eq!(found(&g), ["stale-record - AAAA 2001:db8::20"]);
    assert_eq!(now(&g, VPS), Fate::Works, "the CA falls back");
    assert!(matches!(now(&g, HOME), Fate::Fails(_)));
    for nonce in [VPS, HOME] {
        all_see(&mut g, nonce, V6, &missed(MissKind::Status(404)));
    }
    assert_eq!(found(&g), ["wrong-address - AAAA 2001:db8::20"]);
}

#[test]
fn an_address_behind_a_nat_is_known_by_the_certificate_that_it_presents() {
    let mut g = healthy();
    g.hosts[VPS].report.as_mut().unwrap().survey.addresses.remove(&address(V4));
    assert_eq!(
        Matrix::of(&g).rows[0].addresses[1].owner.map(|host| host.label.clone()),
        Some(label(VPS))
    );
    assert_eq!(found(&g), [""; 0]);
}

#[test]
fn of_several_addresses_each_must_do() {
    let mut g = healthy();
    let other = "2001:db8::66";
    for sight in sights(&mut g) {
        sight.addresses.push(address(other));
        for nonce in [VPS, HOME] {
            sight.fetched.push(NonceAnswer {
                nonce: label(nonce),
                address: Some(address(other)),
                answer: missed(MissKind::Another),
            });
        }
    }
    assert_eq!(found(&g), ["wrong-address - AAAA 2001:db8::66"]);
    assert!(matches!(now(&g, VPS), Fate::Fails(_)));
}

#[test]
fn a_name_with_one_kind_of_address_is_no_fault_where_all_can_renew() {
    let mut g = healthy();
    for sight in sights(&mut g) {
        sight.addresses.retain(IpAddr::is_ipv6);
    }
    assert_eq!(found(&g), [""; 0]);
    // Only A: the CA never comes home.
    let mut g = healthy();
    for sight in sights(&mut g) {
        sight.addresses.retain(IpAddr::is_ipv4);
    }
    assert_eq!(found(&g), ["no-record home DNS AAAA"]);
    assert_eq!(now(&g, VPS), Fate::Works);
    for sight in sights(&mut g) {
        sight.addresses.clear();
    }
    assert_eq!(found(&g), ["no-address - DNS"]);
    for host in &mut g.hosts {
        host.report.as_mut().unwrap().lineages[0].survey.authenticator = "dns-ovh".into();
    }
    assert!(found(&g).is_empty(), "{:?}", found(&g));
    // An agent that must not ask there is no fault of the name's, either.
    let mut g = healthy();
    let sight = &mut g.hosts[VPS].sights.as_mut().unwrap()[0];
    sight.unresolved = Some(crate::check::bounds::STRANGE.into());
    assert!(!found(&g).iter().any(|found| found.contains("dns-failure")), "{:?}", found(&g));
}

#[test]
fn what_apache_has_not_loaded_yet_is_to_blame_before_what_nobody_can_see() {
    let mut g = healthy();
    all_see(&mut g, HOME, V6, &missed(MissKind::Status(404)));
    let inspection = g.hosts[HOME].inspection.as_mut().unwrap();
    inspection.names[0].answerer = Answerer::Webroot;
    let codes = |g: &Gathered| {
        verdict(&Matrix::of(g)).1.into_iter().map(|finding| finding.code).collect::<Vec<Code>>()
    };
    assert!(codes(&g).contains(&Code::Unexplained), "{:?}", codes(&g));
    let place = Some("/etc/apache2/sites-enabled".to_owned());
    let found = Finding::new(Code::UnloadedChange, place, "a site", "reload");
    let found = found.severity(Severity::Warning).on(&label(HOME));
    g.hosts[HOME].inspection.as_mut().unwrap().findings.push(found);
    let told = verdict(&Matrix::of(&g)).1;
    assert!(!codes(&g).contains(&Code::Unexplained), "{told:?}");
    assert!(told.iter().any(|f| f.code == Code::UnloadedChange && f.severity == Severity::Problem));
}

/// A name of one host's lineage alone.
#[test]
fn a_name_that_only_another_hosts_lineage_has_needs_a_certificate_at_each_of_its_addresses() {
    for (lacks, at, place) in [(VPS, 1, "A 192.0.2.10"), (HOME, 0, "AAAA 2001:db8::20")] {
        let mut g = healthy();
        g.hosts[lacks].report.as_mut().unwrap().lineages[0] = lineage("b", "CC");
        let uncovered = || Leaf {
            faults: vec![not_covered(&lineage("a", "AA").survey.hostnames[0])],
            ..leaf("CC")
        };
        for sight in sights(&mut g) {
            sight.presented[at].leaf = Some(uncovered());
        }
        let told = verdict(&Matrix::of(&g)).1;
        let told = told.iter().find(|finding| finding.code == Code::ServedNotCovered).unwrap();
        assert_eq!(told.place.as_deref(), Some(&*format!("{place} port 443")));
        assert_eq!((told.severity, &told.host), (Severity::Problem, &Some(label(lacks))));
        assert!(told.what.contains("has no lineage with that name"), "{told:?}");
        // Whoever has the vhost names its line, which says more.
        let by_line = Finding { place: Some("/f:5".into()), ..told.clone() };
        let before = g.hosts[lacks].inspection.clone();
        g.hosts[lacks].inspection.as_mut().unwrap().findings.push(by_line);
        let all =
            verdict(&Matrix::of(&g)).1.into_iter().filter(|f| f.code == Code::ServedNotCovered);
        let places: Vec<Option<String>> = all.map(|f| f.place).collect();
        assert_eq!(places, [Some("/f:5".to_owned())]);
        g.hosts[lacks].inspection = before;
        // The other host's, passed on as it is.
        for sight in sights(&mut g) {
            let other = ["BB", "AA"][at];
            sight.presented[at].leaf = Some(leaf(if other == "AA" { "BB" } else { "AA" }));
        }
        let served = |f: &Finding| f.code.is_of_a_handshake();
        assert!(!verdict(&Matrix::of(&g)).1.iter().any(served), "{:?}", verdict(&Matrix::of(&g)).1);
    }
}

#[test]
fn what_is_presented_is_what_is_on_disk_and_whole() {
    let mut g = healthy();
    for sight in sights(&mut g) {
        sight.presented[0].leaf = Some(leaf("0A"));
    }
    assert_eq!(found(&g), ["served-another home AAAA 2001:db8::20 port 443"]);
    let mut g = healthy();
    for sight in sights(&mut g) {
        sight.presented[1].leaf.as_mut().unwrap().faults.push(incomplete("CN=E5"));
    }
    assert_eq!(found(&g), ["served-chain-incomplete vps A 192.0.2.10 port 443"]);
    let mut g = healthy();
    for sight in sights(&mut g) {
        sight.presented[1].leaf = None;
        let miss = Miss { kind: MissKind::Refused, url: None, redirected: false, why: "no".into() };
        sight.presented[1].miss = Some(miss);
    }
    assert_eq!(found(&g), ["no-tls vps A 192.0.2.10 port 443"]);
    assert_eq!(severities(&g), [Severity::Warning]);
}

#[test]
fn clocks_limits_resolvers_and_unknown_names_are_told() {
    let mut g = healthy();
    g.hosts[VPS].skew = SignedDuration::from_mins(-10);
    assert_eq!(found(&g), ["clock-skew vps"]);
    let mut g = healthy();
    for (n, host) in g.hosts.iter_mut().enumerate() {
        let report = host.report.as_mut().unwrap();
        let lineage = &mut report.lineages[0];
        lineage.survey.issued = (0..2)
            .map(|m| Issued {
                serial: format!("{n}{m}"),
                not_before: report.at,
                name_set: lineage.name_set(),
            })
            .collect();
    }
    assert_eq!(found(&g), ["duplicate-limit -"]);
    let mut g = healthy();
    g.hosts[VPS].sights.as_mut().unwrap()[0].addresses = vec![address(V4)];
    assert_eq!(found(&g), ["split-dns - DNS"]);
    let mut g = healthy();
    for host in &mut g.hosts {
        host.report.as_mut().unwrap().lineages.clear();
    }
    assert_eq!(found(&g), ["no-lineage -"]);
}

#[test]
fn a_ca_that_may_not_issue_is_told_by_the_record() {
    let mut g = healthy();
    let zone = Hostname::parse("example").unwrap();
    let value = "ca.example; validationmethods=dns-01".to_owned();
    let record = CaaRecord { flags: 0, tag: "issue".into(), value };
    for sight in sights(&mut g) {
        sight.caa = Some(Relevant { at: zone.clone(), records: vec![record.clone()] });
    }
    assert_eq!(found(&g), ["caa-forbids - CAA of example"]);
    for host in &mut g.hosts {
        host.report.as_mut().unwrap().lineages[0].survey.server = Some("https://ca.lan/dir".into());
    }
    assert_eq!(found(&g), [""; 0], "nobody knows that CA's name");
    for sight in sights(&mut g) {
        sight.caa_unknown = Some("SERVFAIL; see to it".into());
        sight.unresolved = Some("SERVFAIL for AAAA".into());
    }
    assert_eq!(found(&g), ["caa-failure - CAA of a.example", "dns-failure - DNS"]);
}

#[test]
fn a_name_server_that_does_not_answer_is_one_finding_for_all_names() {
    let mut g = healthy();
    let name = Hostname::parse("b.example").unwrap();
    g.names.push(name.clone());
    for host in &mut g.hosts {
        host.report.as_mut().unwrap().lineages[0].survey.hostnames.push(name.clone());
        let sights = host.sights.as_mut().unwrap();
        sights.push(Sight { name: name.clone(), ..sights[0].clone() });
    }
    for sight in sights(&mut g) {
        sight.addresses.clear();
        let why = "no answer from 192.0.2.53:53: timed out; see that a name server runs there";
        sight.unresolved = Some(why.into());
        sight.caa_unknown = Some("SERVFAIL; see to it".into());
    }
    assert_eq!(found(&g), ["no-address - DNS"]);
    let told = &verdict(&Matrix::of(&g)).1[0];
    assert_eq!(told.names, g.names);
    assert_eq!(told.what, "it cannot be resolved: no answer from 192.0.2.53:53: timed out");
    assert_eq!(told.remedy, "see that a name server runs there");
}

#[test]
fn where_nobody_may_issue_no_ca_may() {
    let mut g = healthy();
    for host in &mut g.hosts {
        host.report.as_mut().unwrap().lineages[0].survey.server = Some("https://ca.lan/dir".into());
    }
    let at = Hostname::parse("example").unwrap();
    let record = CaaRecord { flags: 0, tag: "issue".into(), value: ";".into() };
    for sight in sights(&mut g) {
        sight.caa = Some(Relevant { at: at.clone(), records: vec![record.clone()] });
    }
    assert_eq!(found(&g), ["caa-forbids - CAA of example"]);
    assert!(matches!(now(&g, VPS), Fate::Fails(_)));
}

#[test]
fn what_the_pre_hook_stops_at_is_foretold() {
    for (code, names) in [
        (Code::DamagedBlock, vec![]),
        (Code::Configtest, vec![]),
        (Code::WebrootUnreadable, vec![Hostname::parse("a.example").unwrap()]),
    ] {
        let mut g = healthy();
        let host = Some(g.hosts[HOME].label.clone());
        g.hosts[HOME].inspection.as_mut().unwrap().findings.push(Finding {
            severity: Severity::Problem,
            code: code.clone(),
            host,
            names,
            place: Some("/etc/x:3".into()),
            what: "wrong".into(),
            remedy: "correct it".into(),
        });
        assert_eq!(found(&g), [format!("{code} home /etc/x:3")]);
        assert!(matches!(now(&g, HOME), Fate::Fails(_)), "{code}");
        assert_eq!(now(&g, VPS), Fate::Works, "{code}");
    }
}

#[test]
fn an_apache_that_cannot_be_asked_is_told_once_and_a_hook_that_stops_it_is_another_matter() {
    for (code, is_told) in [(Code::Configtest, true), (Code::HookStopsApache, false)] {
        let mut g = healthy();
        g.hosts[HOME].report.as_mut().unwrap().apache = Some("cannot be asked".to_owned());
        let finding = Finding::new(code.clone(), None, "what", "do").on(&label(HOME));
        g.hosts[HOME].inspection.as_mut().unwrap().findings.push(finding);
        let codes: Vec<Code> =
            verdict(&Matrix::of(&g)).1.into_iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&code), "{codes:?}");
        assert_eq!(!codes.contains(&Code::Apache), is_told, "{codes:?}");
    }
}

#[test]
fn a_host_that_cannot_renew_by_its_own_health_fails_whatever_is_answered() {
    for code in [
        Code::ArbiterUnreachable,
        Code::CertbotMissing,
        Code::DiskFull,
        Code::ClockBehind,
        Code::CertbotStopped,
    ] {
        let mut g = healthy();
        let finding = Finding::new(code.clone(), None, "what", "do").on(&label(HOME));
        g.hosts[HOME].inspection.as_mut().unwrap().findings.push(finding);
        assert!(matches!(now(&g, HOME), Fate::Fails(_)), "{code}");
        assert_eq!(now(&g, VPS), Fate::Works, "{code}");
        let (_, told) = verdict(&Matrix::of(&g));
        assert_eq!(told.len(), 1, "it is told once: {told:?}");
    }
}

#[test]
fn an_arbiter_that_is_away_is_told_of_itself_alone() {
    let mut g = healthy();
    let down = "ssh: Could not resolve hostname vps.example: Name or service not known";
    g.hosts[VPS].report = Err(down.into());
    g.hosts[VPS].sights = Err(down.into());
    let arbiter = Some(("vps".to_owned(), down.to_owned()));
    let vitals = Vitals { arbiter, ..Vitals::default() };
    let told = health::findings(&vitals, Timestamp::UNIX_EPOCH).remove(0).on(&label(HOME));
    g.hosts[HOME].inspection.as_mut().unwrap().findings.push(told.clone());
    assert_eq!(found(&g), ["arbiter-unreachable vps"]);
    let what = &verdict(&Matrix::of(&g)).1[0].what;
    assert!(what.matches(down).count() == 1 && what.contains("on home either"), "{what}");
    // One that can be asked from here, and not from there.
    let mut g = healthy();
    g.hosts[HOME].inspection.as_mut().unwrap().findings.push(told);
    assert_eq!(found(&g), ["arbiter-unreachable home [lease] arbiter"]);
}

#[test]
fn that_nothing_starts_renewals_on_any_host_is_told() {
    let mut g = healthy();
    for host in &mut g.hosts {
        host.inspection.as_mut().unwrap().starts = Some(Vec::new());
    }
    assert_eq!(found(&g), ["nobody-renews - certbot.timer"]);
    let inspection = g.hosts[VPS].inspection.as_mut().unwrap();
    inspection.starts = Some(vec!["certbaton-renew.timer".into()]);
    assert_eq!(found(&g), Vec::<String>::new());
}

#[test]
fn a_host_that_answers_only_in_part_is_told() {
    let mut g = healthy();
    g.hosts[HOME].inspection = Err("a line that is not understood".into());
    assert_eq!(found(&g), ["unanswered home"]);
    assert!(matches!(now(&g, HOME), Fate::Unknown(_)));
}

#[test]
fn one_cause_is_told_once_for_all_names() {
    let mut g = healthy();
    all_see(&mut g, VPS, V6, &missed(MissKind::Status(404)));
    let name = Hostname::parse("b.example").unwrap();
    for host in &mut g.hosts {
        let inspected = &mut host.inspection.as_mut().unwrap().names;
        inspected.push(InspectedName { name: name.clone(), ..inspected[0].clone() });
        host.plantings.as_mut().unwrap()[0].names.push(name.clone());
        host.report.as_mut().unwrap().lineages[0].survey.hostnames.push(name.clone());
        let sights = host.sights.as_mut().unwrap();
        sights.push(Sight { name: name.clone(), ..sights[0].clone() });
    }
    g.names.push(name);
    let (_, findings) = verdict(&Matrix::of(&g));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].names, g.names);
}

#[test]
fn what_a_host_knows_of_its_own_line_is_not_told_twice() {
    let mut g = healthy();
    all_see(&mut g, VPS, V6, &missed(MissKind::Status(404)));
    answerer(&mut g, HOME, Answerer::Denied(directive("Require all denied")));
    let known = Finding {
        severity: Severity::Warning,
        code: Code::Denied,
        host: Some(label(HOME)),
        names: g.names.clone(),
        place: Some("/etc/apache2/x.conf:7".into()),
        what: "denies".into(),
        remedy: "spare it".into(),
    };
    g.hosts[HOME].inspection.as_mut().unwrap().findings.push(known.clone());
    assert_eq!(verdict(&Matrix::of(&g)).1, [Finding { severity: Severity::Problem, ..known }]);
}

#[test]
fn a_single_host_is_judged_by_its_own_word() {
    let mut g = healthy();
    g.hosts.remove(HOME);
    for sight in sights(&mut g) {
        sight.addresses = vec![address(V4)];
        sight.fetched.retain(|asked| asked.nonce == label(VPS));
    }
    assert_eq!(found(&g), [""; 0]);
    assert_eq!(now(&g, VPS), Fate::Works);
}
