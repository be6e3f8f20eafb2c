//! pure: the example of `doc/monitoring` is what the renderer writes.

use jiff::SignedDuration;

use super::*;
use crate::config::Thresholds;
use crate::lease::wire::{HolderStatus, LeaseState, Purpose, Token};
use crate::status::judgement;
use crate::status::overview::LeaseStatus;
use crate::status::sample::{healthy, lineage, local};

/// A status in which every metric has something to say.
fn eventful() -> Overview {
    let mut status = healthy();
    let home = status.hosts[1].found.as_mut().unwrap();
    home.lineages.push(lineage("b.example", 45, 9));
    home.lineages[1].automatic = false;
    home.local.push(local());
    home.last_run.as_mut().unwrap().outcome = Outcome::Failed;
    home.versions.certbot = None;
    status.hosts[0].unreachable = Some("no route to host".into());
    status.hosts[0].seen = Some(status.at - SignedDuration::from_hours(2));
    let purpose = Purpose { host: "home.example".into(), pid: 42, why: "certbot renew".to_owned() };
    let holder = HolderStatus {
        name: "home".into(),
        token: Token(7),
        purpose,
        held_millis: 1000,
        silent_millis: 10,
        connected: true,
    };
    status.lease.now =
        Some(LeaseState { holder: Some(holder), queue: Vec::new(), token: Token(7) });
    status.wrong = judgement::wrong(&status, Thresholds::default());
    status
}

#[test]
fn the_example_is_what_is_written() {
    let written = metrics(&eventful(), "0.1.0");
    let example = include_str!("../../../doc/monitoring/example.prom");
    assert!(written == example, "doc/monitoring/example.prom should be:\n{written}");
}

#[test]
fn a_host_that_was_never_seen_has_no_metrics_but_that_it_is_down() {
    let mut status = healthy();
    status.lease = LeaseStatus::default();
    let vps = &mut status.hosts[0];
    (vps.unreachable, vps.seen, vps.found) = (Some("down".into()), None, None);
    let text = metrics(&status, "0.1.0");
    let of_vps: Vec<&str> = text.lines().filter(|line| line.contains("\"vps\"")).collect();
    assert_eq!(of_vps, ["certbaton_host_up{host=\"vps\"} 0"]);
    status.hosts[0].unreachable = None;
    assert!(!metrics(&status, "0.1.0").contains("\"vps\""), "not asked, not down");
    assert!(!text.contains("lease") && !text.contains("arbiter"), "{text}");
}

#[test]
fn a_renewal_under_way_has_no_result_and_no_stuck_route() {
    let mut status = healthy();
    let home = status.hosts[1].found.as_mut().unwrap();
    home.under_way = true;
    home.local.push(local());
    home.last_run.as_mut().unwrap().outcome = Outcome::UnderWay;
    let text = metrics(&status, "0.1.0");
    assert!(text.contains("certbaton_route_local{host=\"home\",name=\"a.example\"} 1\n"), "{text}");
    assert!(text.contains("certbaton_route_stuck{host=\"home\"} 0\n"), "{text}");
    assert!(!text.contains("certbaton_last_run_success{host=\"home\"}"), "{text}");
}
