//! pure: what is wrong with a status, and the exit code for monitoring.
//!
//! Notifications and metrics hang on the same list: a key names a condition as
//! long as it lasts.

use jiff::{SignedDuration, Timestamp};

use crate::base::codes::Code;
use crate::base::finding::{self, Finding};
use crate::base::text::span;
use crate::check::health::is_of_arbiter;
use crate::check::schedule;
use crate::config::Thresholds;
use crate::fleet::host_report::{HostReport, LastResult, LineageResult};
use crate::history::record::Kind;
use crate::history::runs::{Outcome, Run};
use crate::status::overview::{HostStatus, Overview, Urgency, Wrong};
use crate::status::thresholds::age;

/// Everything that is wrong, worst first.
pub fn wrong(status: &Overview, thresholds: Thresholds) -> Vec<Wrong> {
    let mut found = Vec::new();
    // A coordination tells what became of each host, in the words of that host's own run.
    let told = status.hosts.iter().filter_map(coordination);
    // That of the lease is told below, and is why runs fail meanwhile.
    let told: Vec<String> = told.chain(status.lease.failure.clone()).collect();
    for host in &status.hosts {
        found.extend(of_host(status, host, &told, thresholds));
    }
    if let Some(why) = &status.lease.failure {
        let arbiter = status.lease.arbiter.as_deref().unwrap_or("?");
        // A host that cannot be reached at all is told of here, too.
        let away = status.hosts.iter().find(|host| is_arbiter(status, host));
        let seen = match away.map(|host| host.seen) {
            Some(Some(seen)) => format!(", last seen {}", minute(seen)),
            Some(None) => ", and was never seen".to_owned(),
            None => String::new(),
        };
        let text = format!("the lease: {arbiter} cannot be asked{seen}, so nobody renews: {why}");
        // As bad as the host that asked finds it, whose finding is left out for this.
        let own = status.hosts.iter().filter(|host| host.own).filter_map(|h| h.found.as_ref());
        let mut own = own.flat_map(|found| &found.findings);
        let severity = own
            .find(|finding| finding.code == Code::ArbiterUnreachable)
            .map_or(Urgency::Critical, |finding| finding.severity.into());
        let code = Code::ArbiterUnreachable;
        found.push(Wrong { code, key: "lease".into(), severity, text, host: None });
    }
    found.extend(nobody_renews(&status.hosts).map(|finding| Wrong {
        key: finding.code.to_string(),
        severity: finding.severity.into(),
        text: finding.to_string(),
        code: finding.code,
        host: None,
    }));
    found.sort_by_key(|wrong| std::cmp::Reverse(wrong.severity));
    found
}

/// Whether `host`, which cannot be reached, is the arbiter that this host's question did not
/// reach, either.
fn is_arbiter(status: &Overview, host: &HostStatus) -> bool {
    let is_it = status.lease.arbiter.as_ref() == Some(&host.name);
    is_it && host.unreachable.is_some() && status.lease.failure.is_some()
}

/// Why the last run of a host failed, if it is said and if it was a coordination.
fn coordination(host: &HostStatus) -> Option<String> {
    let run = host.found.as_ref().filter(|_| host.is_fresh())?.last_run.as_ref()?;
    let is_told = run.kind == Some(Kind::Coordination) && run.outcome == Outcome::Failed;
    run.why().filter(|_| is_told)
}

/// Of all hosts that renew something, or may.
fn nobody_renews(hosts: &[HostStatus]) -> Option<Finding> {
    let fresh = |host: &HostStatus| host.found.clone().filter(|_| host.is_fresh());
    let renewing: Vec<Option<Vec<String>>> = hosts
        .iter()
        .filter(|host| fresh(host).is_none_or(|found| !found.lineages.is_empty()))
        .map(|host| fresh(host)?.starts)
        .collect();
    schedule::nobody_renews(renewing.iter().map(Option::as_deref))
}

/// The exit code, as Nagios reads it.
pub fn exit(status: &Overview) -> u8 {
    if status.hosts.iter().all(|host| host.found.is_none()) {
        return 3;
    }
    match status.wrong.iter().map(|wrong| wrong.severity).max() {
        None => 0,
        Some(Urgency::Warning) => 1,
        Some(Urgency::Critical) => 2,
    }
}

fn of_host(
    status: &Overview,
    host: &HostStatus,
    told: &[String],
    thresholds: Thresholds,
) -> Vec<Wrong> {
    let (name, now) = (&host.name, status.at);
    let mut list = Vec::new();
    let mut add = |code: Code, key: String, severity: Urgency, text: String| {
        // That another version found it less bad does not make it so.
        let severity = code.severity().map_or(severity, |fixed| severity.max(fixed.into()));
        let (text, host) = (format!("{name}: {text}"), Some(name.clone()));
        list.push(Wrong { code, key, severity, text, host });
    };
    if let Some(why) = host.unreachable.as_ref().filter(|_| !is_arbiter(status, host)) {
        let text = match host.seen {
            Some(seen) => format!("cannot be reached, last seen {}: {why}", minute(seen)),
            None => format!("cannot be reached, and was never seen: {why}"),
        };
        add(Code::HostUnreachable, format!("unreachable/{name}"), Urgency::Warning, text);
    }
    let Some(found) = &host.found else { return list };
    for lineage in &found.lineages {
        let Some(severity) = age(lineage, now, thresholds) else { continue };
        let key = format!("expiry/{name}/{}", lineage.name);
        let when = if lineage.not_after <= now { "expired" } else { "expires" };
        let text = format!("{} {when} {}", lineage.name, minute(lineage.not_after));
        if host.is_fresh() {
            add(Code::Expiry, key, severity, text);
        } else {
            // It may have been renewed since.
            add(Code::Expiry, key, Urgency::Warning, format!("{text}, as far as is known"));
        }
    }
    if host.is_fresh() {
        of_fresh(name, found, told, &mut add);
        // The arbiter that this very host asks is told of by the lease, whoever else asks it.
        let arbiter = status.lease.arbiter.as_deref().unwrap_or_default();
        let is_told = |finding: &Finding| {
            let is_own = host.own && finding.code == Code::ArbiterUnreachable;
            status.lease.failure.is_some() && (is_own || is_of_arbiter(finding, arbiter))
        };
        for finding in found.findings.iter().filter(|finding| !is_told(finding)) {
            let place = finding.place.as_deref().and_then(|place| place.strip_prefix('/'));
            let key = match place {
                _ if finding.code.is_of_the_web_server() => format!("apache/{name}"),
                Some(place) => format!("{}/{name}/{place}", finding.code),
                None => format!("{}/{name}", finding.code),
            };
            let text = Finding { host: None, ..finding.clone() }.to_string();
            add(finding.code.clone(), key, finding.severity.into(), text);
        }
        clock(status, host, &mut add);
    }
    list
}

/// A clock that differs from that of the host that asks, unless the other one is known to be wrong.
fn clock(status: &Overview, host: &HostStatus, add: &mut Add<'_>) {
    let is_behind = |host: &HostStatus| {
        let findings = host.found.iter().flat_map(|found| &found.findings);
        findings.into_iter().any(|finding| finding.code == Code::ClockBehind)
    };
    let ahead = SignedDuration::from_secs(host.clock_ahead);
    let is_told = is_behind(host) || status.hosts.iter().any(|host| host.own && is_behind(host));
    if ahead.abs() <= SKEW || is_told {
        return;
    }
    let away = if ahead.is_negative() { "behind" } else { "ahead of" };
    let text = format!(
        "its clock is {} {away} that of the host that asks; let both keep time by NTP",
        span(ahead)
    );
    let day = SignedDuration::from_hours(24);
    let severity = if ahead.abs() > day { Urgency::Critical } else { Urgency::Warning };
    add(Code::ClockSkew, format!("clock-skew/{}", host.name), severity, text);
}

type Add<'a> = dyn FnMut(Code, String, Urgency, String) + 'a;

/// What is only wrong if it is so now.
fn of_fresh(name: &str, found: &HostReport, told: &[String], add: &mut Add<'_>) {
    let is_told = |why: &str| !why.is_empty() && told.iter().any(|told| told.contains(why));
    if !found.local.is_empty() && !found.under_way {
        let names: Vec<&str> = found.local.iter().map(|route| route.name.as_str()).collect();
        let text = format!(
            "nobody renews, and the challenge path is still local, so no other host can renew: {}; run certbaton recover there",
            names.join(" ")
        );
        add(Code::AbandonedRoute, format!("route/{name}"), Urgency::Critical, text);
    } else if found.pending && !found.under_way {
        let text = "Apache may still answer a challenge path that was given back; run certbaton recover there";
        add(Code::AbandonedRoute, format!("route/{name}"), Urgency::Critical, text.to_owned());
    }
    if !found.damaged.is_empty() {
        let text = found.damaged.join("; ");
        add(Code::DamagedBlock, format!("damaged/{name}"), Urgency::Critical, text);
    }
    // An older certbaton there says no more than this.
    let is_told_better = |f: &Finding| f.code.is_of_the_web_server();
    let web_server = found.apache.as_ref().filter(|_| !found.findings.iter().any(is_told_better));
    if let Some(why) = web_server {
        let text = match &found.versions.web_server {
            Some(server) => format!("the configuration of {server} is not in order: {why}"),
            None => format!("Apache cannot be asked: {why}"),
        };
        add(Code::Apache, format!("apache/{name}"), Urgency::Critical, text);
    }
    if let Some(run) = &found.last_run {
        let how = match run.outcome {
            Outcome::Failed => Some("failed"),
            Outcome::Died => Some("died"),
            Outcome::Done | Outcome::UnderWay => None,
        };
        let is_told =
            run.kind != Some(Kind::Coordination) && run.why().is_some_and(|w| is_told(&w));
        if let Some(how) = how.filter(|_| !is_told) {
            let kind = run.kind.map_or("run", |kind| kind.text());
            let text = format!("the last {kind}, {}, {how}: {}", run.id, run.words());
            add(Code::LastRun, format!("last-run/{name}"), Urgency::Warning, text);
        }
    }
    for lineage in &found.lineages {
        let key = || format!("lineage/{name}/{}", lineage.name);
        let failed = lineage.last.as_ref().filter(|last| last.result == LineageResult::Failed);
        let of_last_run = |last: &LastResult| {
            let why = last.why.as_deref().unwrap_or_default();
            let by_run = found.last_run.as_ref().and_then(Run::why);
            let is_same = found.last_run.as_ref().is_some_and(|run| run.id == last.run);
            by_run.is_some_and(|told| is_same || (!why.is_empty() && told.contains(why)))
                || is_told(why)
        };
        if let Some(obstacle) = &lineage.obstacle {
            let text = format!("{} cannot be renewed: {obstacle}", lineage.name);
            add(Code::Lineage, key(), Urgency::Warning, text);
        } else if let Some(last) = failed.filter(|last| !of_last_run(last)) {
            let why = last.why.as_deref().unwrap_or("see certbot's log");
            let text = format!("{} was not renewed in run {}: {why}", lineage.name, last.run);
            add(Code::Lineage, key(), Urgency::Warning, text);
        }
    }
}

impl From<finding::Severity> for Urgency {
    fn from(severity: finding::Severity) -> Self {
        match severity {
            finding::Severity::Warning => Self::Warning,
            finding::Severity::Problem => Self::Critical,
        }
    }
}

/// Clocks that differ by no more do not matter.
const SKEW: SignedDuration = SignedDuration::from_mins(2);

/// A time for people.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
