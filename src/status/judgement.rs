//! pure: what is wrong with a status, and the exit code for monitoring.
//!
//! Notifications and metrics hang on the same list: a key names a condition as
//! long as it lasts.

use jiff::{SignedDuration, Timestamp};

use crate::history::run::Outcome;
use crate::status::overview::{
    Found, HostStatus, LineageResult, LineageStatus, Overview, Severity, Wrong,
};

/// From when on a certificate is too old; what is not said follows from its lifetime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// `[status] warning-days`.
    pub warning_days: Option<u32>,
    /// `[status] critical-days`.
    pub critical_days: Option<u32>,
}

/// Everything that is wrong, worst first.
pub fn wrong(status: &Overview, thresholds: Thresholds) -> Vec<Wrong> {
    let mut found = Vec::new();
    for host in &status.hosts {
        found.extend(of_host(host, status.at, thresholds));
    }
    if let Some(why) = &status.lease.failure {
        let arbiter = status.lease.arbiter.as_deref().unwrap_or("?");
        let text = format!("the lease: {arbiter} cannot be asked, so nobody renews: {why}");
        found.push(Wrong { key: "lease".into(), severity: Severity::Warning, text });
    }
    found.sort_by_key(|wrong| std::cmp::Reverse(wrong.severity));
    found
}

/// The exit code, as Nagios reads it.
pub fn exit(status: &Overview) -> u8 {
    if status.hosts.iter().all(|host| host.found.is_none()) {
        return 3;
    }
    match status.wrong.iter().map(|wrong| wrong.severity).max() {
        None => 0,
        Some(Severity::Warning) => 1,
        Some(Severity::Critical) => 2,
    }
}

/// How long before its end a certificate is a warning, and when critical.
///
/// Where nothing is said, in thirds of the time from when certbot renews it to
/// its end: one third of that may pass until a person hears of it. That is
/// 20 and 10 days for 90 days, 10 and 5 for 45, about two days and one for 6.
pub fn limits(lineage: &LineageStatus, thresholds: Thresholds) -> (SignedDuration, SignedDuration) {
    let lifetime = lineage.not_after.duration_since(lineage.not_before);
    let window = match lineage.renews_from {
        Some(from) => lineage.not_after.duration_since(from),
        None => lifetime / 3,
    };
    // An old certbot renews what lives for 6 days from its first day on.
    let window = window.min(lifetime / 2).max(SignedDuration::ZERO);
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    let warning = thresholds.warning_days.map_or(window / 3 * 2, days);
    let critical = thresholds.critical_days.map_or(window / 3, days);
    (warning.max(critical), critical)
}

/// How bad the age of a certificate is.
pub fn age(lineage: &LineageStatus, now: Timestamp, thresholds: Thresholds) -> Option<Severity> {
    let left = lineage.not_after.duration_since(now);
    let (warning, critical) = limits(lineage, thresholds);
    if left <= critical.max(SignedDuration::ZERO) {
        Some(Severity::Critical)
    } else {
        (left <= warning).then_some(Severity::Warning)
    }
}

fn of_host(host: &HostStatus, now: Timestamp, thresholds: Thresholds) -> Vec<Wrong> {
    let name = &host.name;
    let mut list = Vec::new();
    let mut add = |key: String, severity, text: String| {
        list.push(Wrong { key, severity, text: format!("{name}: {text}") });
    };
    if let Some(why) = &host.unreachable {
        let text = match host.seen {
            Some(seen) => format!("cannot be reached, last seen {}: {why}", minute(seen)),
            None => format!("cannot be reached, and was never seen: {why}"),
        };
        add(format!("unreachable/{name}"), Severity::Warning, text);
    }
    let Some(found) = &host.found else { return list };
    for lineage in &found.lineages {
        let Some(severity) = age(lineage, now, thresholds) else { continue };
        let key = format!("expiry/{name}/{}", lineage.name);
        let when = if lineage.not_after <= now { "expired" } else { "expires" };
        let text = format!("{} {when} {}", lineage.name, minute(lineage.not_after));
        if host.is_fresh() {
            add(key, severity, text);
        } else {
            // It may have been renewed since.
            add(key, Severity::Warning, format!("{text}, as far as is known"));
        }
    }
    if host.is_fresh() {
        of_fresh(name, found, &mut add);
    }
    list
}

/// What is only wrong if it is so now.
fn of_fresh(name: &str, found: &Found, add: &mut dyn FnMut(String, Severity, String)) {
    if !found.local.is_empty() && !found.under_way {
        let names: Vec<&str> = found.local.iter().map(|route| route.name.as_str()).collect();
        let text = format!(
            "nobody renews, and the challenge path is still local, so no other host can renew: {}; run certbaton recover there",
            names.join(" ")
        );
        add(format!("route/{name}"), Severity::Critical, text);
    } else if found.pending && !found.under_way {
        let text = "apache may still answer a challenge path that was given back; run certbaton recover there";
        add(format!("route/{name}"), Severity::Critical, text.to_owned());
    }
    if let Some(damage) = found.damaged.first() {
        add(format!("damaged/{name}"), Severity::Warning, damage.clone());
    }
    if let Some(why) = &found.apache {
        let text = match &found.versions.web_server {
            Some(server) => format!("the configuration of {server} is not in order: {why}"),
            None => format!("apache cannot be asked: {why}"),
        };
        add(format!("apache/{name}"), Severity::Warning, text);
    }
    if let Some(run) = &found.last_run {
        let how = match run.outcome {
            Outcome::Failed => Some("failed"),
            Outcome::Died => Some("died"),
            Outcome::Done | Outcome::UnderWay => None,
        };
        if let Some(how) = how {
            let kind = run.kind.map_or("run", |kind| kind.text());
            let text = format!("the last {kind}, {}, {how}: {}", run.id, run.words());
            add(format!("last-run/{name}"), Severity::Warning, text);
        }
    }
    for lineage in &found.lineages {
        let key = || format!("lineage/{name}/{}", lineage.name);
        let failed = lineage.last.as_ref().filter(|last| last.result == LineageResult::Failed);
        let of_last_run = |run| {
            found.last_run.as_ref().is_some_and(|last| last.id == run && !last.text.is_empty())
        };
        if let Some(obstacle) = &lineage.obstacle {
            let text = format!("{} cannot be renewed: {obstacle}", lineage.name);
            add(key(), Severity::Warning, text);
        } else if let Some(last) = failed.filter(|last| !of_last_run(last.run.clone())) {
            let why = last.why.as_deref().unwrap_or("see certbot's log");
            let text = format!("{} was not renewed in run {}: {why}", lineage.name, last.run);
            add(key(), Severity::Warning, text);
        }
    }
}

/// A time for people.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
