//! flow: `certbaton status` of two hosts: both of them, the lease between them, and one that is away.

use serde_json::Value;

use crate::host::Host;
use crate::lab::{Lab, until};
use crate::lease::ONE;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;
use support::schema;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("a_status_after_a_renewal_on_both_hosts_has_both", Debians, both),
    Scenario::new("a_status_during_a_renewal_has_its_holder_and_its_route", Debians, during),
    Scenario::new("a_run_of_the_vps_that_the_ca_refuses_has_failed_everywhere", Debians, refused),
    Scenario::new("a_status_has_what_an_unreachable_peer_said_last", Debians, unreachable),
];

fn status(host: &Host) -> (i32, Value) {
    let done = host.run(&["certbaton", "status", "--json"]);
    let told = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    schema::expect("status", &told);
    (done.code(), told)
}

/// The keys of what is wrong.
fn wrong(told: &Value) -> Vec<&str> {
    let list = told["wrong"].as_array().unwrap();
    list.iter().map(|wrong| wrong["key"].as_str().unwrap()).collect()
}

/// Of the configuration: the vps first.
const VPS: usize = 0;
const HOME: usize = 1;

fn both(lab: &Lab) {
    for host in [&lab.home, &lab.vps] {
        lab.renew_on(host).with(&ONE).succeed();
    }
    lab.expect_free();
    for (host, own) in [(&lab.home, HOME), (&lab.vps, VPS)] {
        let (code, told) = status(host);
        assert_eq!((code, wrong(&told)), (0, vec![]), "{told}");
        assert_eq!(told["hosts"][own]["own"], true);
        assert_eq!(told["lease"]["arbiter"], "vps");
        assert_eq!(told["lease"]["now"]["holder"], Value::Null);
        for (asked, place) in [(&lab.vps, VPS), (&lab.home, HOME)] {
            let found = &told["hosts"][place]["found"];
            let lineages = found["lineages"].as_array().unwrap();
            assert_eq!(lineages.len(), 3, "{told}");
            let wiki = lineages.iter().find(|l| l["name"] == "wiki.example.org").unwrap();
            let serial = wiki["serial"].as_str().unwrap();
            assert_eq!(asked.serial("wiki.example.org"), format!("serial={serial}"));
            assert_eq!(wiki["last"]["result"], "renewed");
            assert!(found["last-run"]["token"].as_u64().unwrap() > 0, "{told}");
        }
    }
}

fn during(lab: &Lab) {
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_for_lease(&lab.vps);
    let (code, told) = status(&lab.vps);
    assert_eq!((code, wrong(&told)), (0, vec![]), "{told}");
    let lease = &told["lease"]["now"];
    assert_eq!(lease["holder"]["name"], "home");
    assert_eq!(lease["holder"]["token"], holding.token);
    assert_eq!(lease["queue"][0]["name"], "vps");
    let shown = lab.home.run(&["certbaton", "lease", "show", "--json"]);
    schema::expect("lease", &serde_json::from_str(&shown.out).unwrap());
    let home = &told["hosts"][HOME]["found"];
    assert_eq!(home["under-way"], true);
    let route = &home["local"][0];
    assert_eq!(route["name"], "wiki.example.org");
    assert!(route["by"].as_str().unwrap().contains("certbot renew"), "{route}");
    let since: &str = route["since"].as_str().unwrap();
    let age = lab.home.sh(&format!("echo $(( $(date +%s) - $(date +%s -d {since}) ))"));
    assert!((0..60).contains(&age.parse::<i64>().unwrap()), "{since}");
    assert_eq!(home["last-run"]["outcome"], "under-way");
    lab.home.go_on();
    assert_eq!(holding.certbot.ended().code(), 0);
    assert_eq!(waiting.ended().code(), 0);
    lab.expect_free();
}

/// Home refuses the CA's questions: each challenge fails.
const REFUSED: &str = "nft add table inet held
    nft 'add chain inet held out { type filter hook output priority 0; }'
    nft add rule inet held out ip6 daddr 2001:db8::20 tcp dport 80 reject with tcp reset";

fn refused(lab: &Lab) {
    lab.vps.sh("printf '\\n[metrics]\\ntextfile = \"/run/certbaton.prom\"\\n' >> /etc/certbaton/config.toml");
    let pre = format!("certbaton-pre-hook && {}", lab.vps.pausing());
    let certbot = lab.renew_on(&lab.vps).pre(&pre).start();
    lab.vps.await_pause();
    let ruled = lab.ca.start(&["sh", "-euc", REFUSED]).ended();
    assert!(ruled.status.success(), "{ruled:?}");
    lab.vps.go_on();
    let done = certbot.ended();
    // As what is held.
    lab.ca.release();
    assert_eq!(done.code(), 1, "{done:?}");
    lab.expect_free();
    let (code, told) = status(&lab.vps);
    assert_eq!((code, wrong(&told)), (1, vec!["last-run/vps"]), "{told}");
    let found = &told["hosts"][VPS]["found"];
    assert_eq!(found["last-run"]["outcome"], "failed", "{told}");
    for lineage in found["lineages"].as_array().unwrap() {
        assert_eq!(lineage["last"]["result"], "failed", "{told}");
        let name = lineage["name"].as_str().unwrap();
        assert!(found["last-run"]["text"].as_str().unwrap().contains(name), "{told}");
    }
    // Nothing is switched on the vps, and nobody says so.
    let list = lab.vps.run(&["certbaton", "status", "--history", "1"]).out;
    assert!(list.contains("FAILED") && !list.contains("switched"), "{list}");
    let mut metrics = String::new();
    until("the metrics of the run", || {
        metrics = lab.vps.run(&["cat", "/run/certbaton.prom"]).out;
        metrics.contains("certbaton_last_run_success{host=\"vps\"}")
    });
    assert!(metrics.contains("certbaton_last_run_success{host=\"vps\"} 0"), "{metrics}");
    lab.vps.sh("rm /run/certbaton.prom");
}

fn unreachable(lab: &Lab) {
    let (_, before) = status(&lab.home);
    lab.vps.sh("systemctl stop ssh");
    let (code, told) = status(&lab.home);
    let text = lab.home.run(&["certbaton", "status"]).out;
    lab.vps.sh("systemctl start ssh");
    assert_eq!((code, wrong(&told)), (2, vec!["lease"]), "{told}");
    let (vps, seen) = (&told["hosts"][VPS], &before["hosts"][VPS]);
    assert_eq!((&vps["found"], &vps["seen"]), (&seen["found"], &seen["seen"]));
    assert!(text.contains("vps: not reached, this is what it said 20"), "{text}");
    assert!(text.contains("wiki.example.org"), "{text}");
    until("the vps to be reached again", || status(&lab.home).0 == 0);
}
