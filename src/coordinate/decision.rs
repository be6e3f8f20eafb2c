//! pure: what a coordinator asks of which host, in which order, and what it refuses to ask.
//!
//! Decided for all hosts before the first certbot starts: certificates of both
//! hosts count against one limit of the CA.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::base::names::{HostLabel, Hostname};
use crate::base::text::span;
use crate::fleet::duplicates::Budget;
use crate::fleet::host_report::{Due, HOOKS, HostReport, LineageReport};
use crate::fleet::protocol::{LineageName, RenewalOrder};

/// What a person or timer wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// These hosts; all if empty.
    pub hosts: Vec<HostLabel>,
    /// These lineages; all if empty.
    pub cert_names: Vec<LineageName>,
    /// Also what is not due.
    pub force: bool,
    /// Rehearse only.
    pub dry_run: bool,
}

impl Wish {
    /// Whether it is for `lineage`, wherever that is.
    fn is_for(&self, lineage: &LineageReport) -> bool {
        self.cert_names.is_empty() || self.cert_names.iter().any(|n| n.as_str() == lineage.name)
    }

    /// Whether it is for the host.
    fn is_at(&self, host: &HostLabel) -> bool {
        self.hosts.is_empty() || self.hosts.contains(host)
    }

    /// The names of what it is for: of these alone a run tells what is served, wherever that is.
    pub fn names(&self, hosts: &[Surveyed]) -> BTreeSet<Hostname> {
        let reports = hosts.iter().filter(|host| self.is_at(&host.name));
        let lineages =
            reports.filter_map(|host| host.report.as_ref().ok()).flat_map(|r| &r.lineages);
        let wanted = lineages.filter(|lineage| self.is_for(lineage));
        wanted.flat_map(|lineage| lineage.survey.hostnames.iter().cloned()).collect()
    }
}

/// A host, and what its survey found or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// What it is called.
    pub name: HostLabel,
    /// What was found.
    pub report: Result<HostReport, String>,
    /// How far its clock is from the coordinator's.
    pub skew: SignedDuration,
}

/// All that is decided before anything is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The hosts of the wish, in configured order.
    pub hosts: Vec<HostPlan>,
    /// What a person should know, each with its host.
    pub warnings: Vec<String>,
    /// What `--force-renewal` costs, or what a limit leaves.
    pub costs: Vec<String>,
    /// Lineages of the wish that no host has, or could say that it has.
    pub unknown: Vec<String>,
    /// Why nothing at all is asked.
    pub refused: Option<String>,
}

/// What is decided for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// The host.
    pub name: HostLabel,
    /// Why it is passed over.
    pub obstacle: Option<String>,
    /// For each lineage.
    pub lineages: Vec<(String, Decision)>,
    /// What its agent is asked; `None`: nothing.
    pub renewal: Option<RenewalOrder>,
}

/// What is decided for one lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// certbot is run for it, and is to renew it.
    Renew,
    /// certbot is run, and asks the CA whether it is due.
    Ask,
    /// It is not due before this.
    NotDue(Timestamp),
    /// certbot never renews it by itself.
    Never,
    /// It is due, but must not be asked for now.
    Refused(String),
}

impl HostPlan {
    /// How many lineages certbot is asked for.
    pub fn asked(&self) -> usize {
        let asked = |(_, decision): &&(String, Decision)| {
            matches!(decision, Decision::Renew | Decision::Ask)
        };
        self.lineages.iter().filter(asked).count()
    }

    /// Leaves out what holds one of `names`, which `by` may still answer by itself.
    pub fn leave_out(&mut self, all: &[Surveyed], names: &BTreeSet<Hostname>, by: &HostLabel) {
        let report = all.iter().find(|known| known.name == self.name);
        let Some(Ok(report)) = report.map(|known| &known.report) else { return };
        let mut is_less = false;
        for (name, decision) in &mut self.lineages {
            let lineage = report.lineages.iter().find(|known| known.name == *name);
            let lineage = lineage.filter(|lineage| needs_route(lineage));
            let held =
                lineage.and_then(|l| l.survey.hostnames.iter().find(|name| names.contains(*name)));
            if let (Some(name), Decision::Renew | Decision::Ask) = (held, &decision) {
                *decision = Decision::Refused(format!(
                    "{by} still answers {name} by itself, so the CA would ask the wrong host: run certbaton recover there"
                ));
                is_less = true;
            }
        }
        if is_less {
            let cert_names = asked_for(&self.lineages);
            let some = self.renewal.take().filter(|_| !cert_names.is_empty());
            self.renewal = some.map(|renewal| RenewalOrder { cert_names, ..renewal });
        }
    }
}

fn asked_for(lineages: &[(String, Decision)]) -> Vec<LineageName> {
    let asked = |decision: &Decision| matches!(decision, Decision::Renew | Decision::Ask);
    let names = lineages.iter().filter(|(_, decision)| asked(decision));
    names.filter_map(|(name, _)| LineageName::parse(name)).collect()
}

/// The hosts whose clock, disk or version a person should look at, and those that cannot renew.
pub fn obstacle(report: &HostReport) -> Option<String> {
    if let Some(apache) = &report.apache {
        return Some(apache.clone());
    }
    if report.survey.certbot.is_none() {
        return Some(
            "certbot is not there; install it, or name it in [certbot] program of the configuration".into(),
        );
    }
    if let Some(damage) = report.damaged.first() {
        return Some(format!("{damage}; compare them with certbaton recover first"));
    }
    let full = report.survey.disks.iter().find(|disk| disk.free < ROOM)?;
    Some(format!(
        "only {} KiB free on the file system of {}: a certificate that cannot be stored is lost",
        full.free / 1024,
        full.path.display()
    ))
}

fn warnings(host: &Surveyed, report: &HostReport, dry_run: bool) -> Vec<String> {
    let mut found: Vec<String> = report.odd.iter().chain(&report.notes).cloned().collect();
    if host.skew.abs() > SKEW {
        found.push(format!(
            "its clock is {} {} this host's: certificates may seem not yet valid",
            span(host.skew),
            if host.skew.is_negative() { "behind" } else { "ahead of" }
        ));
    }
    if !report.under_way && (report.pending || !report.local.is_empty()) {
        found.push("a route is local although no renewal is under way; its next renewal, or certbaton recover, gives it back".into());
    }
    if report.under_way {
        found.push("a renewal is under way there; this one waits for its end".into());
    }
    if !dry_run {
        let low = report.survey.disks.iter().filter(|disk| (ROOM..ROOM * 16).contains(&disk.free));
        found.extend(low.map(|disk| {
            format!(
                "{} MiB free on the file system of {}",
                disk.free / (1 << 20),
                disk.path.display()
            )
        }));
    }
    found.extend(report.survey.certbot.iter().flat_map(|certbot| certbot.traps.iter().cloned()));
    found.into_iter().map(|text| format!("{}: {text}", host.name)).collect()
}

/// Decides. `limit` is what the configuration says of a CA whose limit is not known.
pub fn plan(hosts: &[Surveyed], wish: &Wish, limit: Option<u32>, now: Timestamp) -> Sequence {
    let mut budget = Budget::new(known(hosts), limit, now);
    let mut plan = Sequence::default();
    let mut unknown: BTreeSet<&LineageName> = wish.cert_names.iter().collect();
    for host in hosts {
        let wanted = wish.is_at(&host.name);
        let report = match &host.report {
            Ok(report) => report,
            Err(why) => {
                if wanted {
                    plan.hosts.push(HostPlan::passed_over(host, why.clone()));
                } else {
                    plan.warnings.push(format!(
                        "{}: {why}; what it got of the CA lately is not counted",
                        host.name
                    ));
                }
                continue;
            }
        };
        plan.warnings.extend(warnings(host, report, wish.dry_run));
        if !wanted {
            continue;
        }
        unknown.retain(|name| report.lineages.iter().all(|l| l.name != name.as_str()));
        if let Some(obstacle) = obstacle(report) {
            plan.hosts.push(HostPlan::passed_over(host, obstacle));
            continue;
        }
        plan.hosts.push(host_plan(host, report, wish, &mut budget));
    }
    let is_any = wish.cert_names.iter().any(|name| !unknown.contains(name));
    let told = |name: &&LineageName| {
        format!("no host that could be asked has a lineage {}", name.as_str())
    };
    plan.unknown = unknown.iter().map(told).collect();
    if !plan.unknown.is_empty() && !is_any {
        plan.refused = Some(std::mem::take(&mut plan.unknown).join("; "));
    }
    plan.costs = budget.costs(wish.force);
    plan
}

/// All lineages of the hosts that could be asked, each with the name of its host.
pub fn known(hosts: &[Surveyed]) -> impl Iterator<Item = (&str, &LineageReport)> {
    let reports = hosts.iter().filter_map(|host| Some((host, host.report.as_ref().ok()?)));
    reports.flat_map(|(host, report)| {
        report.lineages.iter().map(|lineage| (host.name.as_str(), lineage))
    })
}

fn host_plan(host: &Surveyed, report: &HostReport, wish: &Wish, budget: &mut Budget) -> HostPlan {
    let asks_ca = report.survey.certbot.as_ref().is_some_and(|certbot| certbot.asks_ca);
    let hooks = report.survey.certbot.as_ref().map(|certbot| &certbot.hooks);
    let hooked = hooks.is_some_and(|hooks| HOOKS.iter().all(|hook| hooks.contains(*hook)));
    let mut lineages = Vec::new();
    for lineage in report.lineages.iter().filter(|lineage| wish.is_for(lineage)) {
        let decision = match lineage.due(report.at) {
            _ if wish.force || wish.dry_run => Decision::Renew,
            Due::Now => Decision::Renew,
            Due::Never => Decision::Never,
            Due::From(_) | Due::Unknown if asks_ca => Decision::Ask,
            Due::From(at) => Decision::NotDue(at),
            Due::Unknown => Decision::Ask,
        };
        let decision = match decision {
            Decision::Renew | Decision::Ask => {
                let mut refusal = lineage.obstacle.clone();
                if refusal.is_none() && LineageName::parse(&lineage.name).is_none() {
                    refusal = Some("no order can name it: rename it".into());
                }
                if refusal.is_none() && !hooked && !lineage.survey.own_hook && needs_route(lineage)
                {
                    refusal = Some("certbaton's hooks are not all in certbot's renewal-hooks, so nothing would switch the route; certbaton install puts them there".into());
                }
                if refusal.is_none() && !wish.dry_run {
                    refusal = budget.take(host.name.as_str(), lineage).err();
                }
                match (refusal, decision, lineage.due(report.at)) {
                    (None, decision, _) => decision,
                    // Not due by its age: nothing is missed.
                    (Some(_), Decision::Ask, Due::From(at)) => Decision::NotDue(at),
                    (Some(why), ..) => Decision::Refused(why),
                }
            }
            other => other,
        };
        lineages.push((lineage.name.clone(), decision));
    }
    let all = wish.cert_names.is_empty()
        && !wish.dry_run
        && lineages.iter().all(|(_, decision)| !matches!(decision, Decision::Refused(_)))
        && !(wish.force && report.lineages.iter().any(|l| !l.automatic));
    let names = asked_for(&lineages);
    let renewal = (!names.is_empty()).then(|| RenewalOrder {
        // One run, one switch; but a rehearsal tells by its exit code alone, so each has its own.
        cert_names: if all { Vec::new() } else { names },
        force: wish.force,
        dry_run: wish.dry_run,
    });
    HostPlan { name: host.name.clone(), obstacle: None, lineages, renewal }
}

/// What is proven by DNS needs none.
fn needs_route(lineage: &LineageReport) -> bool {
    lineage.survey.authenticator == "webroot"
}

impl HostPlan {
    fn passed_over(host: &Surveyed, obstacle: String) -> Self {
        let lineages = Vec::new();
        Self { name: host.name.clone(), obstacle: Some(obstacle), lineages, renewal: None }
    }
}

/// Clocks that differ by no more do not matter.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Bytes that a renewal needs at most: key, chain, log, journal.
const ROOM: u64 = 4 << 20;
#[cfg(test)]
pub(crate) mod tests;
