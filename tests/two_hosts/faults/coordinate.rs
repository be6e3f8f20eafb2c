//! flow: `renew-coordinate` has both hosts renew in turn, and leaves nothing undone however it ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clean::{LINEAGES, NAMES};
use crate::host::{Host, Output};
use crate::lab::{Lab, until, until_within};
use crate::lease::{ONE, expect_within};
use crate::scenario::Certbots::{Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("the_coordinator_renews_both_hosts_and_each_serves_its_own", Sampled, both_hosts),
    Scenario::new("two_coordinators_on_one_host_are_one_too_many", Debians, two_on_one_host),
    Scenario::new("two_coordinators_on_two_hosts_take_turns", Debians, one_on_each_host),
    Scenario::new("a_host_that_is_away_is_passed_over_by_the_coordinator", Debians, one_away),
    Scenario::new(
        "a_coordinator_interrupted_leaves_routes_back_and_the_lease_free",
        Debians,
        interrupted,
    ),
    Scenario::new(
        "what_only_the_pre_hook_finds_out_stops_the_certbot_of_a_coordination",
        Debians,
        refused_by_the_hook,
    ),
    Scenario::new(
        "what_would_lock_the_names_out_is_refused_by_the_coordinator",
        Debians,
        locked_out,
    ),
    Scenario::new("the_coordinators_unit_renews_in_its_sandbox", Debians, by_unit),
    Scenario::new(
        "who_logs_in_to_order_a_renewal_has_no_power_over_its_processes",
        Sampled,
        out_of_the_session,
    ),
];

/// From a signal to the coordinator's end: two seconds, and as much again for a busy host.
const ENDING: Duration = Duration::from_secs(4);

/// From certbot's end until no route is local any more.
const GIVING_BACK: Duration = Duration::from_secs(10);

fn hooks(lab: &Lab) {
    for host in [&lab.home, &lab.vps] {
        host.directory_hooks();
    }
}

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["renew-coordinate", "--force-renewal"], more].concat()
}

fn coordinate(host: &Host, more: &[&str]) -> Output {
    host.run(&words(more))
}

fn both_hosts(lab: &Lab) {
    hooks(lab);
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let done = coordinate(&lab.vps, &["--json"]);
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 2 * LINEAGES.len());
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    support::schema::expect("coordinate", &report);
    let text = report.to_string();
    assert_eq!(text.matches("\"renewed\"").count(), 2 * LINEAGES.len(), "{text}");
    // The vps has both address families: it sees both doors.
    let is_certain = |served: &serde_json::Value| served["verdict"] == "current";
    assert!(report["served"].as_array().unwrap().iter().all(is_certain), "{text}");
    assert_eq!(report["unknown"].as_array().unwrap().len(), 0, "{text}");
    lab.expect_served(&LINEAGES);
    crate::faults::deaths::expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn two_on_one_host(lab: &Lab) {
    hooks(lab);
    let since = lab.ca.mark();
    let first = lab.home.start(&words(&ONE));
    until("the first one's run", || {
        !lab.home.running("certbot").is_empty() || has_keeper(&lab.home)
    });
    let second = coordinate(&lab.home, &ONE);
    assert_eq!(second.code(), 75, "{second:?}");
    let done = first.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 2);
    lab.expect_free();
}

fn one_on_each_host(lab: &Lab) {
    hooks(lab);
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let both = [&lab.home, &lab.vps].map(|host| host.start(&words(&ONE)));
    for done in both.map(crate::host::Started::ended) {
        assert_eq!(done.code(), 0, "{done:?}");
    }
    // Who comes while the other's certbot runs may find the certificate renewed already.
    let work = lab.ca.work(since);
    assert!((2..=4).contains(&work.issued) && work.invalid == 0, "{work:?}");
    crate::faults::deaths::expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn one_away(lab: &Lab) {
    hooks(lab);
    let since = lab.ca.mark();
    lab.home.sh("systemctl stop ssh");
    let done = coordinate(&lab.vps, &ONE);
    lab.home.sh("systemctl start ssh");
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.out.contains("home"), "{done:?}");
    lab.expect_issued(since, 1);
    lab.expect_free();
}

fn interrupted(lab: &Lab) {
    hooks(lab);
    let serials = || LINEAGES.map(|lineage| lab.home.serial(lineage));
    let before = serials();
    let run = lab.home.start(&words(&["--host", "home"]));
    until("the keeper of the run", || has_keeper(&lab.home));
    let began = Instant::now();
    run.signal(Signal::SIGINT);
    let done = run.ended();
    expect_within("the coordinator's end", began.elapsed(), Duration::ZERO, ENDING);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.out.contains("called off by a signal"), "{done:?}");
    // It does not wait for the keeper, which gives back first.
    until_within("the keeper's end", GIVING_BACK, || !has_keeper(&lab.home));
    assert_eq!(lab.ca.answers(&NAMES), ["vps"; 4], "{done:?}");
    // What it says of the lineages, once for all of them, is what is on the disk.
    let all = format!("home: {}: how certbot ended", LINEAGES.join(", "));
    assert!(done.out.contains(&all) && done.out.contains("still the old one"), "{done:?}");
    assert_eq!(serials(), before, "{done:?}");
    lab.expect_free();
}

/// The key to the arbiter is gone after the coordinator's look, and before certbaton's own hook.
fn refused_by_the_hook(lab: &Lab) {
    hooks(lab);
    let key = "/etc/certbaton/id_ed25519";
    let loses = format!("#!/bin/sh\nmv {key} /root/lost\n");
    lab.home.script("/etc/letsencrypt/renewal-hooks/pre/a-loses-the-key", &loses);
    let serials = || LINEAGES.map(|lineage| lab.home.serial(lineage));
    let (before, since, cursor) = (serials(), lab.ca.mark(), lab.home.cursor());
    let done = coordinate(&lab.home, &["--host", "home", "--json"]);
    lab.home.sh(&format!("mv /root/lost {key}; rm /etc/letsencrypt/renewal-hooks/pre/a-*"));
    assert_eq!(done.code(), 1, "{done:?}");
    lab.expect_not_asked(since);
    assert_eq!(lab.home.running("certbot"), [], "{done:?}");
    let told = lab.home.journal(&cursor);
    assert!(told.contains("certbot was stopped before it asked the CA"), "{told}");
    // What it says is what is on the disk.
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let home = report["hosts"].as_array().unwrap().iter().find(|host| host["name"] == "home");
    let lineages = home.unwrap()["lineages"].as_array().unwrap();
    assert_eq!(lineages.len(), LINEAGES.len(), "{report:#}");
    for lineage in lineages {
        let why = lineage["why"].as_str().unwrap_or_default();
        let is_told =
            lineage["result"] == "failed" && why.contains("certbot was ended by a signal");
        assert!(is_told, "{report:#}");
    }
    assert_eq!(serials(), before, "{done:?}");
    lab.expect_free();
}

fn locked_out(lab: &Lab) {
    hooks(lab);
    let since = lab.ca.mark();
    for host in [&lab.home, &lab.vps] {
        host.sh("printf '\n[certbot]\nduplicates-per-week = 1\n' >> /etc/certbaton/config.toml");
    }
    let done = coordinate(&lab.home, &[]);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.err.contains("per week") || done.out.contains("7 days"), "{done:?}");
    lab.expect_issued(since, 0);
}

fn by_unit(lab: &Lab) {
    hooks(lab);
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    lab.vps.sh("mkdir -p /run/systemd/system/certbaton-renew.service.d");
    lab.vps.write(
        "/run/systemd/system/certbaton-renew.service.d/force.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/renew-coordinate --force-renewal\n",
    );
    lab.vps.sh("systemctl daemon-reload");
    let done = lab.vps.run(&["systemctl", "start", "certbaton-renew.service"]);
    lab.vps.sh("rm -r /run/systemd/system/certbaton-renew.service.d; systemctl daemon-reload");
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 2 * LINEAGES.len());
    // Once each, and to be found by its field.
    let told =
        lab.vps.logged(&cursor, "CERTBATON_LINEAGE", |lineage| lineage == "wiki.example.org");
    for host in ["home", "vps"] {
        let line = format!("{host}: wiki.example.org: renewed");
        let count = told.iter().filter(|(_, said)| said.contains(&line)).count();
        assert_eq!(count, 1, "{told:?}");
    }
    for unit in ["certbaton-renew.service", "certbaton-recover.service"] {
        let said = lab.vps.sh(&format!("systemd-analyze security --threshold=39 {unit}"));
        assert!(said.contains("OK"), "{said}");
    }
}

fn out_of_the_session(lab: &Lab) {
    hooks(lab);
    let since = lab.ca.mark();
    let held = lab.ca.hold();
    let run = lab.vps.start(&words(&["--host", "home", ONE[0], ONE[1]]));
    lab.await_challenge(since);
    // logind does this for every user's own sessions, and for root's processes in them.
    let have_signalled = |signal: &str| {
        let words = ["loginctl", "--signal", signal, "kill-user", "certbaton"];
        let user = ["setpriv", "--reuid=certbaton", "--regid=certbaton", "--clear-groups"];
        lab.home.run(&[&user[..], &words].concat())
    };
    let stopped = have_signalled("STOP");
    let states = lab.home.sh("ps -eo stat=,user=,args= | grep -e certbaton -e certbot");
    let places = lab.home.sh("systemd-cgls --no-pager /system.slice");
    let woken = have_signalled("CONT");
    assert!(stopped.status.success() && woken.status.success(), "{stopped:?} {woken:?}");
    let of_the_run = ["certbaton agent", "certbaton keep", "bin/certbot renew"];
    for program in of_the_run {
        let is_it = |line: &&str| line.contains(program) && !line.contains("sudo");
        let all: Vec<&str> = states.lines().filter(is_it).collect();
        assert!(!all.is_empty() && all.iter().all(|l| !l.starts_with('T')), "{program}: {states}");
        assert!(places.contains(program), "{program}: {places}");
    }
    // Without its session nobody hears the agent: it calls off, and all goes back.
    let killed = have_signalled("KILL");
    assert!(killed.status.success(), "{killed:?}");
    until_within("the keeper's end", GIVING_BACK, || !has_keeper(&lab.home));
    drop(held);
    let done = run.ended();
    assert_eq!(done.code(), 1, "{done:?}");
    until("the end of all", || {
        lab.home.running("certbot").is_empty() && lab.home.processes("certbaton agent").is_empty()
    });
    assert_eq!(lab.ca.answers(&NAMES), ["vps"; 4], "{done:?}");
    lab.expect_free();
}

/// Whether a keeper is at work.
fn has_keeper(host: &Host) -> bool {
    !host.processes("certbaton keep").is_empty()
}
