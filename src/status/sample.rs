//! pure: a status for tests.

use jiff::{SignedDuration, Timestamp};

use crate::base::names::Hostname;
use crate::fleet::host_report::{
    HostReport, HostSurvey, LastResult, LineageReport, LineageResult, LineageSurvey, LocalRoute,
    Versions,
};
use crate::history::record::{By, Kind, RunId};
use crate::history::runs::{Outcome, Run};
use crate::status::overview::{HostStatus, LeaseStatus, Overview};

/// The time of the status.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

/// A certificate of `lifetime` days that certbot renews in its last third, `left` days before its end.
pub(crate) fn lineage(name: &str, lifetime: i64, left: i64) -> LineageReport {
    let not_after = ago(-24 * left);
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let mut lineage = LineageReport {
        name: name.into(),
        names: vec![name.into(), format!("www.{name}")],
        issuer: "C=US, O=Let's Encrypt, CN=E5".into(),
        serial: "0A".into(),
        not_before: not_after - days(lifetime),
        not_after,
        days_left: 0,
        renews_from: Some(not_after - days(lifetime) / 3),
        automatic: true,
        obstacle: None,
        last: Some(LastResult {
            run: RunId::new(ago(2), 42),
            at: ago(1),
            result: LineageResult::Renewed,
            why: None,
        }),
        survey: LineageSurvey::default(),
    };
    lineage.at(now());
    lineage
}

/// A run that went well.
pub(crate) fn run() -> Run {
    Run {
        id: RunId::new(ago(2), 42),
        kind: Some(Kind::Renewal),
        host: Some("home".into()),
        by: By { user: None, pid: Some(41), command: "certbot -q renew".into() },
        dry_run: false,
        forced: false,
        lineages: vec!["a.example".into()],
        token: Some(7),
        began: ago(2),
        asked: Some(ago(2)),
        granted: Some(ago(2)),
        released: Some(ago(1)),
        last: ago(1),
        outcome: Outcome::Done,
        exit: Some(0),
        text: String::new(),
        switched: vec!["a.example".into()],
        files: vec!["/etc/apache2/sites-available/a.conf".into()],
        deployed: Vec::new(),
        left_out: Vec::new(),
        hosts: Vec::new(),
        not_renewed: Vec::new(),
        place: 0,
    }
}

/// A route that is local since an hour.
pub(crate) fn local() -> LocalRoute {
    LocalRoute {
        name: Hostname::parse("a.example").unwrap(),
        since: Some(ago(1)),
        run: Some(RunId::new(ago(1), 42)),
        by: Some("certbot -q renew".into()),
    }
}

/// A host that is well.
pub(crate) fn host(name: &str, own: bool) -> HostStatus {
    let found = HostReport {
        at: now(),
        versions: Versions {
            certbaton: "0.1.0".into(),
            certbot: Some("2.1.0".into()),
            apache: Some("2.4.62".into()),
            web_server: None,
        },
        apache: None,
        last_reload: Some(ago(1)),
        under_way: false,
        hold: None,
        starts: Some(vec!["certbot.timer".into()]),
        findings: Vec::new(),
        local: Vec::new(),
        damaged: Vec::new(),
        pending: false,
        lineages: vec![lineage("a.example", 90, 60)],
        last_run: Some(run()),
        notes: Vec::new(),
        survey: HostSurvey::default(),
        odd: Vec::new(),
    };
    let (seen, found) = (Some(now()), Some(found));
    HostStatus { name: name.into(), own, unreachable: None, seen, found, clock_ahead: 0 }
}

/// Two hosts that are well.
pub(crate) fn healthy() -> Overview {
    Overview {
        version: 1,
        at: now(),
        exit: 0,
        wrong: Vec::new(),
        lease: LeaseStatus {
            arbiter: Some("vps".into()),
            now: Some(crate::lease::wire::LeaseState::default()),
            failure: None,
        },
        hosts: vec![host("vps", false), host("home", true)],
    }
}
