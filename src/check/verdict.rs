//! pure: what would happen to a renewal of each name on each host, now and with a host down.
//!
//! What is wrong is told once for each cause, however many see it.

mod fate;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::check::causes::{known_by_its_line, merged, with_its_lease};
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
            if host.lineages(row.name).any(|lineage| lineage.survey.authenticator == "webroot") {
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
    let inspected = hosts.iter().flat_map(|host| host.findings().iter().cloned());
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

#[cfg(test)]
pub(crate) mod tests;
