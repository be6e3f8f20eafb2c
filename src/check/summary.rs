//! pure: a check in words: a table, what would happen, what is wrong; or one JSON document.
//!
//! The document's fields are those of [`Summary`]; `version` counts up when one
//! changes its meaning or goes away.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::check::finding::{Finding, Severity};
use crate::check::matrix::{Cell, Gathered, HostSeen, Told};
use crate::check::sight::Answer;
use crate::check::verdict::{Fate, Renewal, verdict};
use crate::exit::Exit;
use crate::names::{HostLabel, Hostname};

/// The whole of a check (`--json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// 1.
    pub version: u32,
    /// When it ended.
    pub checked: Timestamp,
    /// The exit code: 1 if anything is a problem, else 0.
    pub exit: u8,
    /// Each host.
    pub hosts: Vec<HostSummary>,
    /// Each name.
    pub names: Vec<NameSummary>,
    /// What is wrong, problems first.
    pub findings: Vec<Finding>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostSummary {
    /// What it is called.
    pub name: HostLabel,
    /// It is the one that checked.
    pub own: bool,
    /// Why it could not be asked; `null` if it could.
    pub failure: Option<String>,
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NameSummary {
    /// The name.
    pub name: Hostname,
    /// Its addresses, IPv6 first.
    pub addresses: Vec<AddressSummary>,
    /// What each address says to the nonce of each host.
    pub cells: Vec<CellSummary>,
    /// What the CA would say to the nonce of each host, as each host sees it.
    pub validations: Vec<ValidationSummary>,
    /// What would happen if a host renewed.
    pub renewals: Vec<RenewalSummary>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AddressSummary {
    /// The address.
    pub address: IpAddr,
    /// Whose it is, as far as that is known.
    pub host: Option<HostLabel>,
    /// The serial number of the certificate that it presents.
    pub serial: Option<String>,
    /// Until when that is valid.
    pub not_after: Option<Timestamp>,
    /// Whether it is the one that its host has on disk; `null` if that is not known.
    pub current: Option<bool>,
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellSummary {
    /// Whose nonce.
    pub nonce: HostLabel,
    /// Where it was asked for.
    pub address: IpAddr,
    /// Whether it came back.
    pub answer: Verdict,
    /// Why not.
    pub why: Option<String>,
    /// The hosts that asked, as far as their word counts.
    pub witnesses: Vec<HostLabel>,
    /// Nobody but the host itself could ask.
    pub own_word: bool,
    /// The host itself does not get the answer that others get.
    pub hairpin: bool,
}

/// Whether a nonce came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It did.
    Same,
    /// It did not.
    Missed,
    /// Nobody can tell.
    Unknown,
}

/// One validation by the CA's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ValidationSummary {
    /// Whose nonce.
    pub nonce: HostLabel,
    /// Who asked.
    pub from: HostLabel,
    /// The address that decided.
    pub address: Option<IpAddr>,
    /// Whether it came back.
    pub answer: Verdict,
    /// Why not.
    pub why: Option<String>,
}

/// What would happen to a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RenewalSummary {
    /// The host that renews.
    pub host: HostLabel,
    /// The host that is down meanwhile, so that the CA comes to IPv4; `null`: none.
    pub without: Option<HostLabel>,
    /// `works`, `works-switched`, `fails` or `unknown`.
    pub fate: &'static str,
    /// Why that is not known.
    pub why: Option<String>,
}

/// Judges, and keeps what people and programs are told.
pub fn summary(gathered: &Gathered, checked: Timestamp) -> Summary {
    let (renewals, findings) = verdict(gathered);
    let failed = findings.iter().any(|finding| finding.severity == Severity::Problem);
    let exit = if failed { Exit::Failed } else { Exit::Done };
    let hosts = gathered.hosts.iter().map(|host| HostSummary {
        name: host.label.clone(),
        own: host.is_own,
        failure: host.report.as_ref().err().cloned(),
    });
    Summary {
        version: 1,
        checked,
        exit: exit.code(),
        hosts: hosts.collect(),
        names: gathered.names.iter().map(|name| of_name(gathered, name, &renewals)).collect(),
        findings,
    }
}

fn of_name(gathered: &Gathered, name: &Hostname, renewals: &[Renewal]) -> NameSummary {
    let addresses = gathered.addresses(name);
    let mut cells = Vec::new();
    for host in gathered.hosts.iter().filter(|host| host.has_nonce(name)) {
        for address in &addresses {
            cells.push(of_cell(host, *address, gathered.cell(name, &host.label, *address)));
        }
    }
    let label = |place: usize| gathered.hosts[place].label.clone();
    let fates = renewals.iter().filter(|renewal| renewal.name == *name).flat_map(|renewal| {
        let now = [(None, &renewal.now)].into_iter();
        let without = renewal.without.iter().map(|(down, fate)| (Some(label(*down)), fate));
        now.chain(without).map(|(without, fate)| {
            let why = match fate {
                Fate::Unknown(why) => Some(why.clone()),
                _ => None,
            };
            RenewalSummary { host: label(renewal.host), without, fate: word(fate), why }
        })
    });
    let validations = gathered.sights(name).flat_map(|(from, sight)| {
        sight.validated.iter().map(|asked| {
            let (answer, why) = match &asked.answer {
                Answer::Same => (Verdict::Same, None),
                Answer::Missed(miss) => (Verdict::Missed, Some(miss.why.clone())),
            };
            let (nonce, from, address) = (asked.nonce.clone(), from.label.clone(), asked.address);
            ValidationSummary { nonce, from, address, answer, why }
        })
    });
    NameSummary {
        name: name.clone(),
        addresses: addresses.iter().map(|a| of_address(gathered, name, *a)).collect(),
        cells,
        validations: validations.collect(),
        renewals: fates.collect(),
    }
}

fn of_cell(host: &HostSeen, address: IpAddr, cell: Cell) -> CellSummary {
    let (answer, why) = match cell.told {
        Told::Same => (Verdict::Same, None),
        Told::Missed(miss) => (Verdict::Missed, Some(miss.why)),
        Told::Unknown(why) => (Verdict::Unknown, Some(why)),
    };
    CellSummary {
        nonce: host.label.clone(),
        address,
        answer,
        why,
        witnesses: cell.witnesses,
        own_word: cell.is_own_word,
        hairpin: cell.is_hairpin,
    }
}

fn of_address(gathered: &Gathered, name: &Hostname, address: IpAddr) -> AddressSummary {
    let owner = gathered.owner(address);
    let leaf = gathered.presented(name, address).and_then(|(_, found)| found.ok());
    let expected: Vec<&str> = match owner {
        Some(host) => host.lineages(name).map(|l| l.serial.as_str()).collect(),
        None => Vec::new(),
    };
    AddressSummary {
        address,
        host: owner.map(|host| host.label.clone()),
        serial: leaf.map(|leaf| leaf.serial.clone()),
        not_after: leaf.map(|leaf| leaf.not_after),
        current: leaf
            .filter(|_| !expected.is_empty())
            .map(|leaf| expected.contains(&leaf.serial.as_str())),
    }
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Works => "works",
        Fate::WorksSwitched => "works-switched",
        Fate::Fails(_) => "fails",
        Fate::Unknown(_) => "unknown",
    }
}

impl Summary {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::from_code(self.exit)
    }

    /// The report for people.
    pub fn table(&self) -> String {
        let mut text = self.matrix();
        for line in self.what_would_happen().iter().chain(&self.notes()) {
            // Writing to a string cannot fail.
            writeln!(text, "{line}").ok();
        }
        text.push('\n');
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Problem => "problem",
                Severity::Warning => "warning",
            };
            let host = finding.host.as_ref().map_or_else(String::new, |host| format!(" {host}:"));
            let place = finding.place.as_ref().map_or_else(String::new, |at| format!(" {at}:"));
            let names = self.listed(&finding.names);
            writeln!(text, "{severity}:{host}{place} {}{names}", finding.what).ok();
            writeln!(text, "    {}", finding.remedy).ok();
        }
        if self.findings.is_empty() {
            text.push_str("nothing wrong\n");
        }
        text
    }

    fn matrix(&self) -> String {
        let mut header: Vec<String> = ["NAME", "A", "AAAA"].map(str::to_owned).into();
        for host in &self.hosts {
            header.extend([format!("{} BY A", host.name), format!("{} BY AAAA", host.name)]);
        }
        header.extend(["TLS A", "TLS AAAA"].map(str::to_owned));
        let mut rows = vec![header];
        for name in &self.names {
            let mut row = vec![name.name.to_string()];
            row.extend(KINDS.map(|kind| name.whose(kind)));
            for host in &self.hosts {
                row.extend(KINDS.map(|kind| name.cell(&host.name, kind)));
            }
            row.extend(KINDS.map(|kind| name.certificate(kind)));
            rows.push(row);
        }
        aligned(&rows)
    }

    fn what_would_happen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let downs = [None].into_iter().chain(self.hosts.iter().map(|host| Some(&host.name)));
        for without in downs {
            for host in &self.hosts {
                let of = |name: &NameSummary, fate: &str| {
                    name.renewals.iter().any(|renewal| {
                        renewal.host == host.name
                            && renewal.without.as_ref() == without
                            && renewal.fate == fate
                    })
                };
                let of_fate = |fate: &str| -> Vec<Hostname> {
                    let names = self.names.iter().filter(|name| of(name, fate));
                    names.map(|name| name.name.clone()).collect()
                };
                let told: Vec<String> = FATES
                    .iter()
                    .filter_map(|(fate, words)| {
                        let names = of_fate(fate);
                        (!names.is_empty()).then(|| format!("{words}{}", self.listed(&names)))
                    })
                    .collect();
                let down =
                    without.map_or_else(String::new, |down| format!("{down} were down and "));
                if !told.is_empty() {
                    lines.push(format!("if {down}{} renewed now: {}", host.name, told.join("; ")));
                }
            }
        }
        lines
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for host in self.hosts.iter().filter(|host| host.failure.is_some()) {
            notes.push(format!(
                "{} could not be asked: what it would answer and see is unknown",
                host.name
            ));
        }
        for (kind, other) in [("A", "AAAA"), ("AAAA", "A")] {
            let lacks = self.names.iter().filter(|name| {
                !name.addresses.is_empty() && name.addresses.iter().all(|a| is(kind, a.address))
            });
            let names: Vec<Hostname> = lacks.map(|name| name.name.clone()).collect();
            if !names.is_empty() {
                notes.push(format!("only {kind}, no {other}{}", self.listed(&names)));
            }
        }
        let cells = || self.names.iter().flat_map(|name| &name.cells);
        for host in &self.hosts {
            let own = |cell: &&CellSummary| cell.hairpin;
            if cells().any(|cell| own(&cell) && self.owner(cell) == Some(&host.name)) {
                notes.push(format!(
                    "{} cannot reach itself by its public address, as others can (hairpin): that is no fault",
                    host.name
                ));
            }
            if self.hosts.len() > 1
                && cells().any(|cell| cell.own_word && self.owner(cell) == Some(&host.name))
            {
                notes.push(format!(
                    "* only {} could ask itself, which need not be what the CA sees",
                    host.name
                ));
            }
        }
        notes
    }

    fn owner(&self, cell: &CellSummary) -> Option<&HostLabel> {
        let addresses = self.names.iter().flat_map(|name| &name.addresses);
        addresses.filter(|a| a.address == cell.address).find_map(|a| a.host.as_ref())
    }
}

impl Summary {
    /// Names behind a text, the first few of many.
    fn listed(&self, names: &[Hostname]) -> String {
        if names.is_empty() {
            return String::new();
        }
        if names.len() > 1 && names.len() == self.names.len() {
            return format!(" (all {} names)", names.len());
        }
        let some: Vec<&str> = names.iter().take(SHOWN).map(Hostname::as_str).collect();
        let more = names.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(" ({}{rest})", some.join(" "))
    }
}

impl NameSummary {
    /// Where the addresses of one kind lead.
    fn whose(&self, kind: &str) -> String {
        let of_kind = self.addresses.iter().filter(|a| is(kind, a.address));
        let owners: Vec<String> = of_kind
            .map(|a| a.host.as_ref().map_or_else(|| a.address.to_string(), ToString::to_string))
            .collect();
        if owners.is_empty() { "none".to_owned() } else { owners.join(" ") }
    }

    fn cell(&self, host: &HostLabel, kind: &str) -> String {
        let mut of_kind =
            self.cells.iter().filter(|cell| cell.nonce == *host && is(kind, cell.address));
        let Some(worst) = of_kind.clone().max_by_key(|cell| match cell.answer {
            Verdict::Same => 0,
            Verdict::Unknown => 1,
            Verdict::Missed => 2,
        }) else {
            return "-".to_owned();
        };
        let fate = self.renewals.iter().find(|r| r.host == *host && r.without.is_none());
        let is_own = |cell: &CellSummary| {
            let its = self.addresses.iter().find(|a| a.address == cell.address);
            its.is_some_and(|a| a.host.as_ref() == Some(host))
        };
        let word = match (worst.answer, fate.map(|fate| fate.fate)) {
            (Verdict::Same, _) => "ok",
            (Verdict::Unknown, _) => "?",
            (Verdict::Missed, Some("works-switched")) if is_own(worst) => "by switch",
            (Verdict::Missed, Some("works" | "works-switched")) => "no",
            (Verdict::Missed, _) => "NO",
        };
        let own = if of_kind.any(|cell| cell.own_word) { "*" } else { "" };
        format!("{word}{own}")
    }

    fn certificate(&self, kind: &str) -> String {
        let of_kind: Vec<_> = self.addresses.iter().filter(|a| is(kind, a.address)).collect();
        if of_kind.is_empty() {
            return "-".to_owned();
        }
        let told = of_kind.iter().map(|a| match (a.current, a.not_after) {
            (Some(false), _) => "OLD".to_owned(),
            (_, Some(at)) => at.strftime("%Y-%m-%d").to_string(),
            (_, None) => "?".to_owned(),
        });
        told.collect::<Vec<_>>().join(" ")
    }
}

fn is(kind: &str, address: IpAddr) -> bool {
    address.is_ipv6() == (kind == "AAAA")
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

const KINDS: [&str; 2] = ["A", "AAAA"];

const FATES: [(&str, &str); 4] = [
    ("works", "succeeds"),
    ("works-switched", "succeeds after a switch"),
    ("fails", "FAILS"),
    ("unknown", "cannot be told"),
];

/// Names on a line.
const SHOWN: usize = 8;
