//! pure: what is wrong outside of Apache's configuration: hosts, records, certificates, clocks, limits.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::check::finding::{Finding, Severity};
use crate::check::inspection::Inspection;
use crate::check::matrix::{Gathered, HostSeen};
use crate::check::sight::Leaf;
use crate::coordinate::plan::{Budget, Surveyed};
use crate::names::Hostname;

/// All of it. Certificates that `now` is not within are expired, or not yet valid.
pub fn findings(gathered: &Gathered) -> Vec<Finding> {
    let mut found: Vec<Finding> = gathered.hosts.iter().flat_map(host).collect();
    for name in &gathered.names {
        found.extend(
            records(gathered, name).into_iter().map(|f| Finding { names: vec![name.clone()], ..f }),
        );
        found.extend(
            presented(gathered, name)
                .into_iter()
                .map(|f| Finding { names: vec![name.clone()], ..f }),
        );
    }
    found.extend(limits(gathered));
    found
}

fn finding(
    severity: Severity,
    code: &str,
    place: Option<String>,
    what: String,
    remedy: &str,
) -> Finding {
    Finding {
        severity,
        code: code.into(),
        host: None,
        names: Vec::new(),
        place,
        what,
        remedy: remedy.to_owned(),
    }
}

fn of(host: &HostSeen, finding: Finding) -> Finding {
    Finding { host: Some(host.label.clone()), ..finding }
}

fn host(host: &HostSeen) -> Vec<Finding> {
    let mut found = Vec::new();
    let problem = Severity::Problem;
    let report = match &host.report {
        Ok(report) => report,
        Err(why) => {
            let what = format!("cannot be asked, so its side is unknown: {why}");
            let remedy = "see that it is up and that ssh to it works, then check again";
            return vec![of(host, finding(problem, "host-unreachable", None, what, remedy))];
        }
    };
    let has_told = |inspection: &Inspection| {
        inspection.findings.iter().any(|f| f.code.contains("apache") || f.code == "configtest")
    };
    if let Some(why) = &report.apache
        && !host.inspection.as_ref().is_ok_and(has_told)
    {
        let remedy =
            "correct it until apachectl configtest says Syntax OK, and see that Apache runs";
        found.push(of(host, finding(problem, "apache", None, why.clone(), remedy)));
    }
    if host.skew.abs() > SKEW {
        let what = format!(
            "its clock is {:.0} s away from the clock of the host that checks",
            host.skew.as_secs_f64()
        );
        let remedy = "let both keep time by NTP: a certificate may seem not yet valid, or due at the wrong time";
        found.push(of(host, finding(Severity::Warning, "clock-skew", None, what, remedy)));
    }
    let parts =
        [host.inspection.as_ref().err(), host.plantings.as_ref().err(), host.sights.as_ref().err()];
    if let Some(why) = parts.into_iter().flatten().next() {
        let what = format!("did not answer every question of the check: {why}");
        let remedy = "see that the same certbaton is installed on all hosts";
        found.push(of(host, finding(problem, "unanswered", None, what, remedy)));
    }
    found
}

fn records(gathered: &Gathered, name: &Hostname) -> Vec<Finding> {
    let mut found = Vec::new();
    let problem = Severity::Problem;
    let sights: Vec<_> = gathered.sights(name).collect();
    if sights.is_empty() {
        return found;
    }
    if gathered.addresses(name).is_empty() {
        let why = sights.iter().find_map(|(_, sight)| sight.unresolved.clone());
        let what = why.map_or_else(
            || "there is neither an A nor an AAAA record".to_owned(),
            |why| format!("it cannot be resolved: {why}"),
        );
        found.push(finding(
            problem,
            "no-address",
            Some("DNS".into()),
            what,
            "publish A and AAAA records",
        ));
    }
    let all_reached = gathered.hosts.iter().all(|host| host.report.is_ok());
    if all_reached && gathered.hosts.iter().all(|host| host.lineages(name).next().is_none()) {
        let what =
            "no lineage of any host holds the name, so nothing was planted for it".to_owned();
        found.push(finding(
            problem,
            "no-lineage",
            None,
            what,
            "get a certificate with certbot first, or correct the name",
        ));
    }
    let of_host = |addresses: &[IpAddr]| addresses.iter().copied().collect::<BTreeSet<IpAddr>>();
    let views: Vec<_> = sights.iter().filter(|(_, s)| !s.addresses.is_empty()).collect();
    if let [(first, one), rest @ ..] = &views[..]
        && let Some((second, other)) =
            rest.iter().find(|(_, s)| of_host(&s.addresses) != of_host(&one.addresses))
    {
        let list = |addresses: &[IpAddr]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        let what = format!(
            "{} resolves it to {}, {} to {}",
            first.label,
            list(&one.addresses),
            second.label,
            list(&other.addresses)
        );
        let remedy = "one of them is not what the CA sees: look at its resolver";
        found.push(finding(Severity::Warning, "split-dns", Some("DNS".into()), what, remedy));
    }
    found
}

/// What the addresses present, against what their hosts have on disk.
fn presented(gathered: &Gathered, name: &Hostname) -> Vec<Finding> {
    let mut found = Vec::new();
    for address in gathered.addresses(name) {
        let owner = gathered.owner(address);
        let expected: Vec<_> = match owner {
            Some(host) => host.lineages(name).collect(),
            None => gathered.hosts.iter().flat_map(|host| host.lineages(name)).collect(),
        };
        if expected.is_empty() {
            continue;
        }
        let family = if address.is_ipv6() { "AAAA" } else { "A" };
        let place = Some(format!("{family} {address} port 443"));
        let by = |finding: Finding| match owner {
            Some(host) => of(host, finding),
            None => finding,
        };
        match gathered.presented(name, address) {
            None => {}
            // Where port 80 is as dead, the verdict on renewals says so.
            Some((_, Err(miss)))
                if miss.falls_back() && owner.is_none_or(|o| o.report.is_err()) => {}
            Some((witness, Err(miss))) => {
                let what = format!("no certificate is presented ({}): {}", witness.label, miss.why);
                let remedy =
                    "let Apache listen there: Listen 443, SSLEngine on, SSLCertificateFile";
                found.push(by(finding(Severity::Warning, "no-tls", place, what, remedy)));
            }
            Some((witness, Ok(leaf))) => {
                let now = witness.report.as_ref().map(|report| report.clock).ok();
                let serials: Vec<&str> = expected.iter().map(|l| l.serial.as_str()).collect();
                found.extend(certificate(leaf, &serials, now, place.as_ref()).map(by));
            }
        }
    }
    found
}

fn certificate(
    leaf: &Leaf,
    on_disk: &[&str],
    now: Option<Timestamp>,
    place: Option<&String>,
) -> Option<Finding> {
    let problem = |code: &str, what: String, remedy: &str| {
        Some(finding(Severity::Problem, code, place.cloned(), what, remedy))
    };
    if !leaf.covers {
        return problem(
            "wrong-certificate",
            format!(
                "presents the certificate {} of {}, which is not for the name",
                leaf.serial, leaf.issuer
            ),
            "add the name to a <VirtualHost *:443> whose SSLCertificateFile is that of its lineage",
        );
    }
    if !on_disk.contains(&leaf.serial.as_str()) {
        return problem(
            "old-certificate",
            format!(
                "presents the certificate {} (until {}), on disk is {}",
                leaf.serial,
                leaf.not_after.strftime("%Y-%m-%d"),
                on_disk.join(" or ")
            ),
            "reload Apache: systemctl reload apache2; if that does not help, SSLCertificateFile names another file",
        );
    }
    if let Some(now) = now {
        if leaf.not_after < now {
            return problem(
                "expired",
                format!("the certificate has expired on {}", leaf.not_after.strftime("%Y-%m-%d")),
                "renew it: renew-coordinate, or certbot renew",
            );
        }
        if leaf.not_before > now {
            return problem(
                "not-yet-valid",
                format!("the certificate is valid only from {} on", leaf.not_before),
                "set the clocks",
            );
        }
    }
    if let Some(why) = &leaf.chain {
        return problem(
            "incomplete-chain",
            why.clone(),
            "let SSLCertificateFile name fullchain.pem of the lineage, and not cert.pem",
        );
    }
    None
}

/// Certificates of one set of names on several hosts count against one limit of the CA.
fn limits(gathered: &Gathered) -> Vec<Finding> {
    let surveyed: Vec<Surveyed> = gathered
        .hosts
        .iter()
        .map(|host| Surveyed {
            name: host.label.clone(),
            report: host.report.clone(),
            skew: host.skew,
        })
        .collect();
    let Some(now) = gathered.hosts.iter().find_map(|host| Some(host.report.as_ref().ok()?.clock))
    else {
        return Vec::new();
    };
    let budget = Budget::new(&surveyed, gathered.duplicates_per_week, now);
    let mut told: BTreeSet<&BTreeSet<String>> = BTreeSet::new();
    let mut found = Vec::new();
    for lineage in
        gathered.hosts.iter().flat_map(|host| host.report.iter().flat_map(|r| &r.lineages))
    {
        let (used, Some(limit)) = budget.used(lineage) else { continue };
        if used + 1 >= limit && told.insert(&lineage.name_set) {
            let what = format!(
                "{used} of the {limit} certificates of exactly these names in 7 days are used, on all hosts together"
            );
            let remedy = "renew nothing by force; let one host have one name more than the other";
            let names = lineage.names.clone();
            found.push(Finding {
                names,
                ..finding(Severity::Warning, "duplicate-limit", None, what, remedy)
            });
        }
    }
    found
}

/// Clocks that differ by no more do not matter.
const SKEW: SignedDuration = SignedDuration::from_secs(120);
