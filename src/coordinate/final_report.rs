//! pure: what became of everything: one table, one JSON document, one exit code.
//!
//! The document's fields are those of [`Coordination`]; `version` counts up when one
//! changes its meaning or goes away.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::base::columns::Width;
use crate::base::exit::Exit;
use crate::base::harmless;
use crate::base::names::Hostname;
use crate::base::text::Table;
use crate::ca::resolve::UNRESOLVED;
use crate::coordinate::outcome::LineageOutcome;

/// The whole of a run (`--json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Coordination {
    /// 1.
    pub version: u32,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// A rehearsal.
    pub dry_run: bool,
    /// The exit code.
    pub exit: u8,
    /// Lineages that were asked for and that no host has, or could say that it has.
    pub unknown: Vec<String>,
    /// Why nothing was asked.
    pub refused: Option<String>,
    /// Why it stopped before its end.
    pub stopped: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What is left of the CA's limits.
    pub costs: Vec<String>,
    /// Each host of the run, in its order.
    pub hosts: Vec<CoordinatedHost>,
    /// What each address serves.
    pub served: Vec<Served>,
    /// A signal ended it.
    #[serde(skip)]
    pub called_off: bool,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CoordinatedHost {
    /// What it is called.
    pub name: String,
    /// Why it was passed over, or failed as a whole.
    pub failure: Option<String>,
    /// Somebody else renewed there all the time.
    pub busy: bool,
    /// Whether all routes are back; `null` where nothing was asked, or nobody can tell.
    pub routes_back: Option<bool>,
    /// Each lineage of the run.
    pub lineages: Vec<CoordinatedLineage>,
}

/// One lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CoordinatedLineage {
    /// What it is called.
    pub name: String,
    /// What became of it.
    pub result: LineageOutcome,
    /// Why.
    pub why: Option<String>,
    /// Serial number of the certificate on disk.
    pub serial: Option<String>,
    /// Its end.
    pub not_after: Option<Timestamp>,
    /// Its host names.
    pub names: Vec<Hostname>,
    /// Certificates of exactly its names that all hosts got in the last 7 days.
    pub issued_in_7_days: u32,
    /// How many the CA gives in 7 days, if that is known.
    pub limit: Option<u32>,
}

/// What one address serves for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Served {
    /// The host that has the address, if one says so.
    pub host: Option<String>,
    /// The name.
    pub name: Hostname,
    /// The address; none if the name could not be resolved.
    pub address: Option<IpAddr>,
    /// Whether it serves the certificate that is on disk there.
    pub verdict: ServedVerdict,
    /// Why not.
    pub why: Option<String>,
}

/// Whether an address serves what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServedVerdict {
    /// The certificate on disk.
    Current,
    /// Another one, or none.
    Wrong,
    /// Another one, or none, and no web server of its host names the one on disk.
    NotServed,
    /// It cannot be told from here.
    Unknown,
}

impl Coordination {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        let is_failed = |host: &CoordinatedHost| {
            host.failure.is_some()
                || host.lineages.iter().any(|lineage| lineage.result.is_failure())
        };
        let failed: Vec<&CoordinatedHost> =
            self.hosts.iter().filter(|host| is_failed(host)).collect();
        let is_wrong = self.served.iter().any(|served| served.verdict == ServedVerdict::Wrong);
        if self.hosts.iter().any(|host| host.routes_back == Some(false)) {
            Exit::NotUndone
        } else if self.refused.is_some()
            || self.stopped.is_some()
            || !self.unknown.is_empty()
            || is_wrong
        {
            Exit::Failed
        } else if failed.is_empty() {
            Exit::Done
        } else if failed.iter().all(|host| host.busy) {
            Exit::Busy
        } else {
            Exit::Failed
        }
    }

    /// What went wrong, in short.
    pub fn failures(&self) -> Vec<String> {
        let ends = self.refused.iter().chain(&self.stopped).chain(&self.unknown);
        let mut list: Vec<String> = ends.cloned().collect();
        let reasons = self.reasons();
        for (place, host) in self.hosts.iter().enumerate() {
            list.extend(host.failure.iter().map(|why| format!("{}: {why}", host.name)));
            list.extend(reasons.iter().filter(|reason| reason.is_first(place)).map(Reason::text));
        }
        let wrong = self.served.iter().filter(|served| served.verdict == ServedVerdict::Wrong);
        list.extend(
            wrong.filter_map(|served| Some(format!("{}: {}", served.name, served.why.as_ref()?))),
        );
        list
    }

    /// Why lineages are not as they should be, each reason of a host once, and none that is said
    /// of the host or of the whole run.
    fn reasons(&self) -> Vec<Reason<'_>> {
        let mut all: Vec<Reason<'_>> = Vec::new();
        for (place, host) in self.hosts.iter().enumerate() {
            let mut own: Vec<Reason<'_>> = Vec::new();
            for lineage in host.lineages.iter().filter(|lineage| lineage.result.is_failure()) {
                let why = lineage.why.as_deref().unwrap_or("failed");
                let is_said = [&host.failure, &self.stopped, &self.refused]
                    .iter()
                    .any(|said| said.as_deref() == Some(why));
                match own.iter_mut().find(|reason| reason.why == why) {
                    _ if is_said => {}
                    Some(known) => known.lineages.push(&lineage.name),
                    None => {
                        let (hosts, lineages) = (vec![host.name.as_str()], vec![&*lineage.name]);
                        own.push(Reason { why, place, hosts, lineages });
                    }
                }
            }
            for reason in own {
                // A name without address is one failure, whoever would renew it.
                let is_same = |known: &&mut Reason<'_>| {
                    reason.why.contains(UNRESOLVED)
                        && (known.why, &known.lineages) == (reason.why, &reason.lineages)
                };
                match all.iter_mut().find(is_same) {
                    Some(known) => known.hosts.extend(reason.hosts),
                    None => all.push(reason),
                }
            }
        }
        all
    }

    /// What is to be said of the addresses, once for all names of which it is the same; nothing of
    /// a name that is not resolved where a renewal failed by that.
    fn of_addresses(&self) -> Vec<String> {
        let is_told = |served: &Served| {
            let lineages = self.hosts.iter().flat_map(|host| &host.lineages);
            let mut failed = lineages.filter(|lineage| lineage.result.is_failure());
            served.address.is_none()
                && failed.any(|lineage| {
                    lineage.names.contains(&served.name)
                        && lineage.why.as_ref().is_some_and(|why| why.contains(UNRESOLVED))
                })
        };
        let mut lines: Vec<(Option<IpAddr>, &str, Vec<String>)> = Vec::new();
        for served in self.served.iter().filter(|served| !is_told(served)) {
            let Some(why) = served.why.as_deref() else { continue };
            let name = served.name.to_string();
            match lines.iter_mut().find(|(at, told, _)| (*at, *told) == (served.address, why)) {
                Some((.., names)) => names.push(name),
                None => lines.push((served.address, why, vec![name])),
            }
        }
        let line = |(address, why, names): (Option<IpAddr>, &str, Vec<String>)| {
            let at = address.map_or_else(String::new, |address| format!(" at {address}"));
            format!("{}{at}: {why}", names.join(", "))
        };
        lines.into_iter().map(line).collect()
    }

    /// The report for people.
    pub fn table(&self, width: Width) -> String {
        let mut table = Table::new(["HOST", "LINEAGE", "RESULT", "EXPIRES", "A", "AAAA"]);
        let (mut below, reasons) = (Vec::new(), self.reasons());
        for (place, host) in self.hosts.iter().enumerate() {
            let name = host.name.as_str();
            if let Some(failure) = &host.failure {
                below.push(format!("{name}: {failure}"));
            }
            if host.routes_back == Some(false) {
                below.push(format!("{name}: a route is not back: run certbaton recover there"));
            }
            if host.lineages.is_empty() {
                let result = if host.failure.is_some() { "passed over" } else { "nothing to do" };
                table.row([name, "-", result, "-", "-", "-"]);
            }
            for lineage in &host.lineages {
                let expires = lineage
                    .not_after
                    .map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
                table.row([
                    name,
                    &lineage.name,
                    lineage.result.text(),
                    &expires,
                    self.cell(host, lineage, IpAddr::is_ipv4),
                    self.cell(host, lineage, IpAddr::is_ipv6),
                ]);
            }
            below.extend(reasons.iter().filter(|reason| reason.is_first(place)).map(Reason::text));
        }
        below.extend(self.of_addresses());
        below.extend(self.unknown.iter().cloned());
        below.extend(self.refused.iter().map(|why| format!("nothing was asked: {why}")));
        below.extend(self.stopped.iter().map(|why| format!("stopped: {why}")));
        below.extend(self.costs.iter().cloned());
        let below = below.iter().map(|line| width.wrapped("", 4, &harmless::text(line)));
        table.text(width) + &below.collect::<String>()
    }

    /// What the addresses of one kind serve for a lineage, as far as they are, or may be, this host's.
    fn cell(
        &self,
        host: &CoordinatedHost,
        lineage: &CoordinatedLineage,
        kind: fn(&IpAddr) -> bool,
    ) -> &'static str {
        let of_names = self.served.iter().filter(|s| lineage.names.contains(&s.name));
        let of_kind: Vec<&Served> =
            of_names.filter(|s| s.address.as_ref().is_some_and(kind)).collect();
        let here = |s: &&&Served| s.host.as_ref().is_none_or(|name| *name == host.name);
        let verdicts: Vec<ServedVerdict> = of_kind.iter().filter(here).map(|s| s.verdict).collect();
        let is_asked = |name: &Hostname| self.served.iter().any(|s| s.name == *name);
        let is_unresolved = |s: &Served| s.address.is_none() && lineage.names.contains(&s.name);
        if of_kind.is_empty() && !lineage.names.iter().all(is_asked) {
            "not asked"
        } else if of_kind.is_empty() && self.served.iter().any(is_unresolved) {
            "unknown"
        } else if of_kind.is_empty() {
            "none"
        } else if verdicts.is_empty() {
            "elsewhere"
        } else if verdicts.contains(&ServedVerdict::Wrong) {
            "WRONG"
        } else if verdicts.contains(&ServedVerdict::Unknown) {
            "unknown"
        } else if verdicts.iter().all(|verdict| *verdict == ServedVerdict::NotServed) {
            "not here"
        } else {
            "served"
        }
    }
}

/// Why lineages are not as they should be.
struct Reason<'a> {
    why: &'a str,
    /// Of the first of `hosts`.
    place: usize,
    hosts: Vec<&'a str>,
    lineages: Vec<&'a str>,
}

impl Reason<'_> {
    fn is_first(&self, place: usize) -> bool {
        self.place == place
    }

    fn text(&self) -> String {
        format!("{}: {}: {}", self.hosts.join(", "), self.lineages.join(", "), self.why)
    }
}

#[cfg(test)]
mod tests;
