//! pure: what is wrong is told once for each cause, however many hosts, names and lines show it.

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::{HostLabel, Hostname};
use crate::check::health::is_of_arbiter;

/// Of a cause that a host found in its own files and that is seen from outside too, only the former,
/// which says more; but that it does harm is seen from outside.
pub fn known_by_its_line(mut inspected: Vec<Finding>, seen: Vec<Finding>) -> Vec<Finding> {
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
            add_names(known, seen.names);
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
pub fn with_its_lease(mut findings: Vec<Finding>) -> Vec<Finding> {
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
        let asking = hosts.join(", ");
        let told = findings.iter_mut().filter(|f| is_away(f) && f.host.as_ref() == Some(arbiter));
        for finding in told {
            finding.severity = finding.severity.max(severity);
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
pub fn merged(findings: Vec<Finding>) -> Vec<Finding> {
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
                // None are all.
                if known.names.is_empty() || finding.names.is_empty() {
                    known.names.clear();
                } else {
                    add_names(known, finding.names);
                }
            }
            None => all.push(finding),
        }
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

fn add_names(finding: &mut Finding, more: Vec<Hostname>) {
    finding.names.extend(more);
    finding.names.sort();
    finding.names.dedup();
}

/// What a host finds of a directory in which nothing can be planted, so.
const OF_A_WEBROOT: [Code; 2] = [Code::WebrootMissing, Code::WebrootReadOnly];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_of_several_names_is_one_finding_and_problems_come_first() {
        let of = |name: &str, code| {
            let mut found = Finding::new(code, None, "w", "r");
            found.names = vec![Hostname::parse(name).unwrap()];
            found
        };
        let all = vec![
            of("b.example", Code::OldHook),
            of("a.example", Code::OldHook),
            of("c.example", Code::Staging),
        ];
        let told = merged(all);
        let told: Vec<_> = told.into_iter().map(|f| (f.code, f.names.len())).collect();
        assert_eq!(told, [(Code::Staging, 1), (Code::OldHook, 2)]);
    }
}
