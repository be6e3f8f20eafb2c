//! pure: a status as metrics for node_exporter's textfile collector.
//!
//! Names by Prometheus' conventions (docs: practices/naming). Each is used in
//! `doc/monitoring` or said there to be for people; a test holds them together.

use jiff::Timestamp;

use crate::fleet::host_report::{HostReport, LineageReport};
use crate::history::runs::Outcome;
use crate::monitor::exposition::Exposition;
use crate::status::overview::{HostStatus, Overview, Urgency};

/// The whole file.
pub fn metrics(status: &Overview, version: &str) -> String {
    let mut text = Exposition::default();
    let out = &mut text;
    out.gauge("certbaton_build_info", "The certbaton that wrote these metrics; always 1.")
        .sample(&[("version", version)], 1);
    out.gauge(
        "certbaton_status_timestamp_seconds",
        "When these metrics were written; old if nothing looks any more.",
    )
    .sample(&[], status.at.as_second());

    let mut problems = out.gauge(
        "certbaton_status_problems",
        "What certbaton status finds wrong, by severity, over all hosts.",
    );
    for severity in [Urgency::Warning, Urgency::Critical] {
        let count = status.wrong.iter().filter(|wrong| wrong.severity == severity).count();
        problems.sample(&[("severity", severity.word())], i64::try_from(count).unwrap_or(i64::MAX));
    }
    let mut problem = out.gauge(
        "certbaton_status_problem",
        "One problem that certbaton status finds: 1 for a warning, 2 if it is critical.",
    );
    for wrong in &status.wrong {
        let value = if wrong.severity == Urgency::Critical { 2 } else { 1 };
        problem.sample(&[("key", &wrong.key)], value);
    }
    hosts(out, status);
    certificates(out, status);
    runs(out, status);
    lease(out, status);
    text.into_text()
}

fn hosts(out: &mut Exposition, status: &Overview) {
    // A host without a way to it is not asked, which says nothing of it.
    let asked = status.hosts.iter().filter(|host| host.unreachable.is_some() || host.is_fresh());
    per_host(
        out,
        "certbaton_host_up",
        "Whether the host could be asked just now; if not, what is said of its certificates and runs is as old as certbaton_host_seen_timestamp_seconds.",
        asked.map(|host| (host, host.is_fresh().into())),
    );
    per_host(
        out,
        "certbaton_host_seen_timestamp_seconds",
        "When the host was asked successfully for the last time.",
        status.hosts.iter().filter_map(|host| Some((host, host.seen?.as_second()))),
    );
    let mut info =
        out.gauge("certbaton_host_info", "The programs of the host; empty if not found out.");
    for (host, found) in found(status) {
        let versions = &found.versions;
        let labels = [
            ("host", host.name.as_str()),
            ("certbaton", &versions.certbaton),
            ("certbot", versions.certbot.as_deref().unwrap_or_default()),
            ("apache", versions.apache.as_deref().unwrap_or_default()),
        ];
        info.sample(&labels, 1);
    }
    per_host(
        out,
        "certbaton_apache_config_ok",
        "Whether the Apache configuration of the host passes its own test.",
        fresh(status).map(|(host, found)| (host, found.apache.is_none().into())),
    );
    per_host(
        out,
        "certbaton_apache_last_reload_timestamp_seconds",
        "When the Apache of the host last loaded its configuration, by whomever.",
        found(status).filter_map(|(host, found)| Some((host, found.last_reload?.as_second()))),
    );
    let mut local = out.gauge(
        "certbaton_route_local",
        "Names whose challenge path is switched to the host now; absent for all others.",
    );
    for (host, found) in fresh(status) {
        for route in &found.local {
            local.sample(&[("host", &host.name), ("name", route.name.as_str())], 1);
        }
    }
    per_host(
        out,
        "certbaton_route_stuck",
        "Whether challenge paths are switched to the host, or may be, although nobody renews there.",
        fresh(status).map(|(host, found)| {
            let is_stuck = !found.under_way && (found.pending || !found.local.is_empty());
            (host, is_stuck.into())
        }),
    );
}

type Moment = fn(&LineageReport) -> Option<Timestamp>;

fn certificates(out: &mut Exposition, status: &Overview) {
    let families: [(&'static str, &str, Moment); 3] = [
        (
            "certbaton_certificate_expiry_timestamp_seconds",
            "End of validity of the certificate on disk.",
            |lineage| Some(lineage.not_after),
        ),
        (
            "certbaton_certificate_not_before_timestamp_seconds",
            "Start of validity of the certificate on disk.",
            |lineage| Some(lineage.not_before),
        ),
        (
            "certbaton_certificate_due_timestamp_seconds",
            "From when on certbot renews the lineage; absent where that cannot be told, or where it never does by itself.",
            |lineage| lineage.renews_from.filter(|_| lineage.automatic),
        ),
    ];
    for (name, help, moment) in families {
        let mut family = out.gauge(name, help);
        for (host, found) in found(status) {
            for lineage in &found.lineages {
                if let Some(at) = moment(lineage) {
                    family.sample(
                        &[("host", &host.name), ("lineage", &lineage.name)],
                        at.as_second(),
                    );
                }
            }
        }
    }
}

fn runs(out: &mut Exposition, status: &Overview) {
    let last = || found(status).filter_map(|(host, found)| Some((host, found.last_run.as_ref()?)));
    per_host(
        out,
        "certbaton_last_run_timestamp_seconds",
        "When the last run of the host ended, or was last heard of.",
        last().map(|(host, run)| (host, run.last.as_second())),
    );
    let ended = last().filter(|(_, run)| run.outcome != Outcome::UnderWay);
    per_host(
        out,
        "certbaton_last_run_success",
        "Whether the last run of the host went well; absent while it goes on.",
        ended.map(|(host, run)| (host, (run.outcome == Outcome::Done).into())),
    );
    per_host(
        out,
        "certbaton_renewal_under_way",
        "Whether a renewal holds the lock of the host.",
        fresh(status).map(|(host, found)| (host, found.under_way.into())),
    );
}

fn lease(out: &mut Exposition, status: &Overview) {
    let lease = &status.lease;
    if lease.arbiter.is_none() {
        return;
    }
    out.gauge("certbaton_arbiter_up", "Whether the arbiter of the lease could be asked just now.")
        .sample(&[], lease.now.is_some().into());
    let Some(now) = &lease.now else { return };
    let holder = now.holder.as_ref().map(|holder| holder.name.as_str());
    per_host(
        out,
        "certbaton_lease_held",
        "Whether the host holds the lease, the right to renew.",
        status.hosts.iter().map(|host| (host, (holder == Some(host.name.as_str())).into())),
    );
    let waiting = i64::try_from(now.queue.len()).unwrap_or(i64::MAX);
    out.gauge("certbaton_lease_waiting", "How many wait for the lease.").sample(&[], waiting);
    let token = i64::try_from(now.token.0).unwrap_or(i64::MAX);
    out.gauge("certbaton_lease_token", "The fencing token granted last; it must never go down.")
        .sample(&[], token);
}

/// A family with one sample for each host of `values`.
fn per_host<'a>(
    out: &mut Exposition,
    name: &'static str,
    help: &str,
    values: impl Iterator<Item = (&'a HostStatus, i64)>,
) {
    let mut family = out.gauge(name, help);
    for (host, value) in values {
        family.sample(&[("host", &host.name)], value);
    }
}

/// Hosts that could be asked just now.
fn fresh(status: &Overview) -> impl Iterator<Item = (&HostStatus, &HostReport)> {
    found(status).filter(|(host, _)| host.is_fresh())
}

/// Hosts of which something is known, be it old.
fn found(status: &Overview) -> impl Iterator<Item = (&HostStatus, &HostReport)> {
    status.hosts.iter().filter_map(|host| Some((host, host.found.as_ref()?)))
}

#[cfg(test)]
mod tests;
