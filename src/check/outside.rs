//! pure: what is wrong outside of Apache's configuration: hosts, records, certificates, clocks, limits.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::SignedDuration;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::Hostname;
use crate::base::names::near::nearest;
use crate::base::text::span;
use crate::ca::caa::{Issuance, issuer, judge};
use crate::ca::resolve::UNRESOLVED;
use crate::ca::served;
use crate::certbot::accounts::PRODUCTION;
use crate::check::bounds::STRANGE;
use crate::check::culprit::record;
use crate::check::matrix::{AddressSeen, Gathered, HostSeen, Matrix, NameRow};
use crate::check::schedule;
use crate::check::unreachable;
use crate::fleet::duplicates::Budget;
use crate::fleet::host_report::LineageReport;
use crate::fleet::judged;
use crate::fleet::mismatch::{Comparison, mismatch};

/// All of it.
pub fn findings(matrix: &Matrix<'_>) -> Vec<Finding> {
    let gathered = matrix.gathered;
    let mut found: Vec<Finding> = gathered.hosts.iter().flat_map(|h| host(matrix, h)).collect();
    for row in &matrix.rows {
        let of_name = records(matrix, row).into_iter().chain(presented(matrix, row));
        found.extend(of_name.map(|finding| finding.about(vec![row.name.clone()])));
    }
    found.extend(limits(gathered));
    let renewing = gathered
        .hosts
        .iter()
        .filter(|h| h.report.as_ref().map_or(true, |r| !r.lineages.is_empty()));
    let starts = renewing.map(|host| host.inspection.as_ref().ok()?.starts.as_deref());
    found.extend(schedule::nobody_renews(starts));
    found
}

fn host(matrix: &Matrix<'_>, host: &HostSeen) -> Vec<Finding> {
    let mut found = Vec::new();
    let Ok(report) = &host.report else {
        return unreachable::down(matrix, host).into_iter().collect();
    };
    if let Some(why) = &report.apache
        && !host.findings().iter().any(|found| found.code.is_of_the_web_server())
    {
        let remedy = "correct it until it passes its own test, and see that it runs";
        found.push(Finding::new(Code::Apache, None, why.clone(), remedy).on(&host.label));
    }
    found.extend(judged::finding(&report.odd).map(|finding| finding.on(&host.label)));
    if host.skew.abs() > SKEW {
        let away = if host.skew.is_negative() { "behind" } else { "ahead of" };
        let what = format!("its clock is {} {away} that of the host that checks", span(host.skew));
        let remedy = "let both keep time by NTP: a certificate may seem not yet valid, or due at the wrong time";
        let skew = Finding::new(Code::ClockSkew, None, what, remedy);
        found.push(skew.severity(Severity::Warning).on(&host.label));
    }
    let parts =
        [host.inspection.as_ref().err(), host.plantings.as_ref().err(), host.sights.as_ref().err()];
    if let Some(why) = parts.into_iter().flatten().next() {
        let what = format!("did not answer every question of the check: {why}");
        let remedy = "see that the same certbaton is installed on all hosts";
        found.push(Finding::new(Code::Unanswered, None, what, remedy).on(&host.label));
    }
    found
}

/// What to do where a name has no address: one that nobody here renews may be mistyped.
fn missing(gathered: &Gathered, name: &Hostname) -> String {
    let publish = "publish A and AAAA records".to_owned();
    if gathered.hosts.iter().any(|host| host.lineages(name).next().is_some()) {
        return publish;
    }
    let known = gathered.hosts.iter().flat_map(|host| &host.inspection).flat_map(|i| &i.names);
    let known: Vec<_> = known.filter(|known| !known.lineages.is_empty()).collect();
    let mut names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return publish;
    }
    let there = format!("the names that there are: {}", names.join(" "));
    match nearest(name, known.iter().map(|known| &known.name)) {
        Some(near) => {
            let place = known.iter().find(|known| known.name == *near);
            let place = place.and_then(|known| known.vhost.as_deref());
            let place = place.map_or_else(String::new, |place| format!(" ({place})"));
            format!("ask for {near}{place} if that is meant; {there}")
        }
        None => format!("{publish} if it is to be one of these hosts'; {there}"),
    }
}

/// A challenge by DNS needs no address, and a name may have none.
fn is_proven_by_dns(gathered: &Gathered, name: &Hostname) -> bool {
    let mut lineages = gathered.hosts.iter().flat_map(|host| host.lineages(name)).peekable();
    lineages.peek().is_some()
        && lineages.all(|lineage| lineage.survey.authenticator.starts_with("dns"))
}

fn records(matrix: &Matrix<'_>, row: &NameRow<'_>) -> Vec<Finding> {
    let (gathered, name, sights) = (matrix.gathered, row.name, &row.sights);
    let mut found = Vec::new();
    if sights.is_empty() {
        return found;
    }
    // What a bound of the host that asks kept from being asked is no fault of the records.
    let unresolved = || {
        let told = sights.iter().filter_map(|(_, sight)| sight.unresolved.as_ref());
        told.filter(|why| *why != STRANGE)
    };
    if row.addresses.is_empty() && !is_proven_by_dns(gathered, name) {
        let strange = || sights.iter().find_map(|(_, sight)| sight.unresolved.clone());
        let remedy = missing(gathered, name);
        let (what, remedy) = match unresolved().next().cloned().or_else(strange) {
            Some(why) => {
                let (what, remedy) = parted(&why, &remedy);
                (format!("it {UNRESOLVED}: {what}"), remedy.to_owned())
            }
            None => ("there is neither an A nor an AAAA record".to_owned(), remedy),
        };
        found.push(Finding::new(Code::NoAddress, Some("DNS".into()), what, remedy));
    }
    if let Some(why) = unresolved().next().filter(|_| !row.addresses.is_empty()) {
        let (what, remedy) = parted(why, "see that the zone's name servers answer");
        found.push(Finding::new(Code::DnsFailure, Some("DNS".into()), what, remedy));
    }
    // A zone that does not answer for any address does not for CAA, which is one failure.
    let is_told = unresolved().next().is_some() && found.iter().any(|f| f.code == Code::NoAddress);
    found.extend(caa(matrix, row).filter(|caa| !(is_told && caa.code == Code::CaaFailure)));
    let all_reached = gathered.hosts.iter().all(|host| host.report.is_ok());
    if all_reached && gathered.hosts.iter().all(|host| host.lineages(name).next().is_none()) {
        let what =
            "no lineage of any host holds the name, so nothing was planted for it".to_owned();
        found.push(Finding::new(
            Code::NoLineage,
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
        found.push(Finding::new(Code::SplitDns, Some("DNS".into()), what, remedy));
    }
    found
}

/// `WHAT; REMEDY`, as errors are written here.
pub(super) fn parted<'a>(text: &'a str, otherwise: &'a str) -> (&'a str, &'a str) {
    text.split_once("; ").unwrap_or((text, otherwise))
}

/// Whether the CA of a lineage may issue for the name.
pub fn caa(matrix: &Matrix<'_>, row: &NameRow<'_>) -> Option<Finding> {
    let remedy = "see that the zone's name servers answer for CAA";
    let place = |at: &Hostname| Some(format!("CAA of {at}"));
    let why = row.sights.iter().find_map(|(_, sight)| sight.caa_unknown.as_ref());
    if let Some(why) = why {
        let (what, remedy) = parted(why, remedy);
        return Some(Finding::new(Code::CaaFailure, place(row.name), what, remedy));
    }
    let relevant = row.sights.iter().find_map(|(_, sight)| sight.caa.as_ref())?;
    let mut issue = relevant.records.iter().filter(|r| r.tag.eq_ignore_ascii_case("issue"));
    let for_nobody =
        issue.clone().next().is_some() && issue.all(|r| r.value.trim_start().starts_with(';'));
    let lineages = matrix.gathered.hosts.iter().flat_map(|host| host.lineages(row.name));
    // What a CA calls itself in CAA is known of some; none may issue where nobody may.
    let issuers: BTreeSet<&str> = lineages
        .filter_map(|lineage| {
            let directory = server(lineage);
            let host = || directory.strip_prefix("https://")?.split(['/', ':']).next();
            issuer(directory).or_else(|| host().filter(|_| for_nobody))
        })
        .collect();
    issuers.into_iter().find_map(|issuer| {
        let request = Issuance { issuer, wildcard: false, method: "http-01", account: None };
        let objection = judge(Some(relevant), &request).err()?;
        let (what, remedy) = (objection.to_string(), objection.remedy());
        Some(Finding::new(Code::CaaForbids, place(&relevant.at), what, remedy))
    })
}

fn server(lineage: &LineageReport) -> &str {
    lineage.survey.server.as_deref().unwrap_or(PRODUCTION)
}

/// What the addresses present, against what their hosts have on disk.
fn presented(matrix: &Matrix<'_>, row: &NameRow<'_>) -> Vec<Finding> {
    let name = row.name;
    let all: Vec<&LineageReport> =
        matrix.gathered.hosts.iter().flat_map(|host| host.serving(name)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let of_address = |at: &AddressSeen<'_>| -> Vec<Finding> {
        let expected = at.owner.map_or_else(|| all.clone(), |host| host.serving(name).collect());
        let place = Some(format!("{} port 443", record(at.address)));
        let leaf = match at.presented {
            None => return Vec::new(),
            // Where port 80 is as dead, the verdict on renewals says so.
            Some((_, Err(miss))) if miss.falls_back() && at.dead().is_some() => return Vec::new(),
            // What is not its name need not be on its port 443.
            Some((_, Err(_))) if expected.is_empty() => return Vec::new(),
            Some((witness, Err(miss))) => {
                let what = format!("no certificate is presented ({}): {}", witness.label, miss.why);
                let remedy =
                    "let Apache listen there: Listen 443, SSLEngine on, SSLCertificateFile";
                return vec![Finding::new(Code::NoTls, place, what, remedy)];
            }
            // Somebody else's, as the verdict on renewals says.
            Some(_) if at.owner.is_none() && !at.gives_back() => return Vec::new(),
            Some((_, Ok(leaf))) => leaf,
        };
        // A host that has no such lineage may pass on what another one serves.
        let any = if expected.is_empty() { &all } else { &expected };
        if any.iter().any(|lineage| lineage.serial == leaf.serial) {
            // As another host tells it, whose words do not make anything less bad.
            let told = leaf.faults.iter().cloned().map(|told| {
                let severity = told.severity;
                Finding { place: place.clone(), ..told }.severity(severity)
            });
            return told.collect();
        }
        if at.owner.is_some_and(|host| host.report.is_err()) {
            // What it has on disk is not known; the name is.
            if leaf.covers() {
                return Vec::new();
            }
            return vec![Finding { place, ..served::not_covered(name) }];
        }
        let (served, covers) = (leaf.identity(), leaf.covers());
        let owner = at.owner.map(|host| host.label.as_str());
        let (address, served, lineages) = (at.address, &served, &expected[..]);
        let seen = Comparison { name, address, served, covers, owner, lineages };
        vec![Finding { place, ..mismatch(&seen) }]
    };
    let by_owner = |at: &AddressSeen<'_>| {
        let host = at.owner.map(|host| host.label.clone());
        let found = of_address(at).into_iter();
        found.map(|finding| Finding { host: host.clone(), ..finding }).collect::<Vec<_>>()
    };
    row.addresses.iter().flat_map(by_owner).collect()
}

/// Certificates of one set of names on several hosts count against one limit of the CA.
fn limits(gathered: &Gathered) -> Vec<Finding> {
    let Some(now) = gathered.hosts.iter().find_map(|host| Some(host.report.as_ref().ok()?.at))
    else {
        return Vec::new();
    };
    let reports = gathered.hosts.iter().filter_map(|host| Some((host, host.report.as_ref().ok()?)));
    let lineages = reports.flat_map(|(host, report)| {
        report.lineages.iter().map(|lineage| (host.label.as_str(), lineage))
    });
    let budget = Budget::new(lineages, gathered.duplicates_per_week, now);
    let mut told: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    let mut found = Vec::new();
    for lineage in
        gathered.hosts.iter().flat_map(|host| host.report.iter().flat_map(|r| &r.lineages))
    {
        let (used, Some(limit)) = budget.used(lineage) else { continue };
        if used + 1 >= limit && told.insert(lineage.name_set()) {
            let what = format!(
                "{used} of the {limit} certificates of exactly these names in 7 days are used, on all hosts together"
            );
            let remedy = "renew nothing by force; let one host have one name more than the other";
            found.push(
                Finding::new(Code::DuplicateLimit, None, what, remedy)
                    .about(lineage.survey.hostnames.clone()),
            );
        }
    }
    found
}

/// Clocks that differ by no more do not matter.
const SKEW: SignedDuration = SignedDuration::from_secs(120);
