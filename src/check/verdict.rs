//! pure: what would happen to a renewal of each name on each host, now and with a host down.
//!
//! What is wrong is told once for each cause, however many see it.

mod fate;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::{HostLabel, Hostname};
use crate::check::health::is_of_arbiter;
use crate::check::matrix::Matrix;
use crate::check::tls::OF_CERTIFICATES;
use crate::check::{outside, unreachable};
use fate::renewal;
pub use fate::{Case, Fate, Renewal};

/// The renewals of all names, and everything that is wrong, the worst first.
pub fn verdict(matrix: &Matrix<'_>) -> (Vec<Renewal>, Vec<Finding>) {
    let hosts = &matrix.gathered.hosts;
    let mut renewals = Vec::new();
    for row in &matrix.rows {
        for (place, host) in hosts.iter().enumerate() {
            // What is proven by DNS needs no route.
            if host.lineages(row.name).any(|lineage| lineage.authenticator == "webroot") {
                renewals.push(renewal(matrix, row, place));
            }
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    for renewal in &renewals {
        // What fails anyhow need not be said again of a host that is down.
        let without = renewal.without.iter().flat_map(|(_, fate)| fate.reasons());
        let anew = without.filter(|reason| !renewal.now.has(reason));
        findings.extend(renewal.now.reasons().iter().chain(anew).cloned().map(|mut reason| {
            reason.names = vec![renewal.name.clone()];
            reason
        }));
    }
    findings.extend(dead_ends(matrix));
    let inspected = hosts.iter().filter_map(|host| host.inspection.as_ref().ok());
    let inspected = inspected.flat_map(|inspection| inspection.findings.iter().cloned());
    let mut all = known_by_its_line(inspected.collect(), findings);
    let outside = outside::findings(matrix);
    let by_line = |seen: &Finding| {
        let same = |known: &&Finding| {
            known.host == seen.host && known.names.iter().any(|name| seen.names.contains(name))
        };
        seen.code.is_of_a_handshake()
            && all.iter().filter(same).any(|known| OF_CERTIFICATES.contains(&known.code))
    };
    let outside: Vec<Finding> = outside.into_iter().filter(|seen| !by_line(seen)).collect();
    all.extend(outside);
    (renewals, merged(with_its_lease(all)))
}

/// Addresses where no connection comes about, also where the CA finds another.
fn dead_ends(matrix: &Matrix<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for row in &matrix.rows {
        for at in &row.addresses {
            found.extend(at.dead().map(|miss| {
                let finding = unreachable::dead(matrix, at, miss);
                let severity = match finding.code {
                    Code::HostDown | Code::ApacheNotRunning => finding.severity,
                    _ => Severity::Warning,
                };
                Finding { severity, names: vec![row.name.clone()], ..finding }
            }));
        }
    }
    found
}

/// Of a cause that a host found in its own files and that is seen from outside too, only the former,
/// which says more; but that it does harm is seen from outside.
fn known_by_its_line(mut inspected: Vec<Finding>, seen: Vec<Finding>) -> Vec<Finding> {
    let mut rest = Vec::new();
    for seen in seen {
        let same = |known: &&mut Finding| {
            let is_same = if seen.code == Code::Webroot {
                OF_A_WEBROOT.contains(&known.code)
            } else if seen.place.is_some() {
                known.place == seen.place
            } else {
                known.code == seen.code
            };
            let concerns = |name: &Hostname| known.names.is_empty() || known.names.contains(name);
            is_same && known.host == seen.host && seen.names.iter().all(concerns)
        };
        // One switch concerns all names of a vhost; its host tells only the one that it was made for.
        let is_abandoned = |known: &&mut Finding| {
            seen.code == Code::AbandonedRoute && known.code == seen.code && known.host == seen.host
        };
        if let Some(known) = inspected.iter_mut().find(is_abandoned) {
            known.names.extend(seen.names);
            known.names.sort();
            known.names.dedup();
        } else if let Some(known) = inspected.iter_mut().find(same) {
            known.severity = known.severity.max(seen.severity);
        } else {
            rest.push(seen);
        }
    }
    rest.extend(inspected);
    rest
}

/// That a host which grants the lease cannot be asked is one thing, told of that host, and not of
/// each that would have the lease of it.
fn with_its_lease(mut findings: Vec<Finding>) -> Vec<Finding> {
    let is_away =
        |finding: &Finding| matches!(finding.code, Code::HostUnreachable | Code::HostDown);
    let away: Vec<Finding> = findings.iter().filter(|finding| is_away(finding)).cloned().collect();
    for arbiter in away.iter().filter_map(|finding| finding.host.as_ref()) {
        let is_its = |finding: &Finding| is_of_arbiter(finding, arbiter.as_str());
        let asking: Vec<Finding> = findings.extract_if(.., |finding| is_its(finding)).collect();
        let Some(severity) = asking.iter().map(|finding| finding.severity).max() else { continue };
        let mut hosts: Vec<&str> =
            asking.iter().flat_map(|finding| &finding.host).map(HostLabel::as_str).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let told = findings.iter_mut().filter(|f| is_away(f) && f.host.as_ref() == Some(arbiter));
        for finding in told {
            finding.severity = finding.severity.max(severity);
            let asking = hosts.join(", ");
            finding.what = format!(
                "{}; it grants the lease, so nothing is renewed on {asking} either",
                finding.what
            );
            // Without the lease nothing is renewed, whatever else the host's absence costs.
            if finding.code != Code::HostDown {
                finding.code = Code::ArbiterUnreachable;
            }
        }
    }
    findings
}

/// One finding per cause, with all its names; a cause that is a problem for one name is one.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for finding in findings {
        // A directory is one cause, in however many lines certbot names it.
        let is_anywhere = OF_A_WEBROOT.contains(&finding.code);
        let same = |other: &&mut Finding| {
            (&other.code, &other.host, &other.what, &other.remedy)
                == (&finding.code, &finding.host, &finding.what, &finding.remedy)
                && (is_anywhere || other.place == finding.place)
        };
        match all.iter_mut().find(same) {
            Some(known) => {
                known.severity = known.severity.max(finding.severity);
                if known.names.is_empty() || finding.names.is_empty() {
                    known.names.clear();
                } else {
                    known.names.extend(finding.names);
                    known.names.sort();
                    known.names.dedup();
                }
            }
            None => all.push(finding),
        }
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// What a host finds of a directory in which nothing can be planted, so.
const OF_A_WEBROOT: [Code; 2] = [Code::WebrootMissing, Code::WebrootReadOnly];

#[cfg(test)]
pub(crate) mod tests;
