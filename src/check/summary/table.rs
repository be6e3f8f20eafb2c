//! pure: a check for people: a table, what would happen, what is wrong and what to do.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::columns::Width;
use crate::base::finding::Severity;
use crate::base::harmless;
use crate::base::names::{HostLabel, Hostname};
use crate::base::text::{Table, few};
use crate::check::summary::{
    CellSummary, FateSummary, NameSummary, RenewalSummary, Summary, Verdict,
};

impl Summary {
    /// The report for people.
    pub fn table(&self, width: Width) -> String {
        let (mut text, marks) = self.matrix(width);
        let legend = LEGEND.iter().filter(|(mark, _)| marks.contains(mark));
        let legend = legend.map(|(mark, meaning)| format!("{mark}: {meaning}"));
        for line in legend.chain(self.what_would_happen()).chain(self.notes()) {
            text += &width.wrapped("", 4, &harmless::text(&line));
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
            let what = format!("{severity}:{host}{place} {}{names}", finding.what);
            text += &width.wrapped("", 4, &harmless::text(&what));
            text += &width.wrapped("    ", 8, &harmless::text(&finding.remedy));
        }
        if self.findings.is_empty() {
            text.push_str("nothing wrong\n");
        }
        text
    }

    /// Each name has a row for each kind of record; the marks that stand in it come back as well.
    fn matrix(&self, width: Width) -> (String, BTreeSet<&'static str>) {
        let mut marks = BTreeSet::new();
        let hosts = self.hosts.iter().map(|host| format!("FOR {}", host.name));
        let head = ["NAME", "RECORD", "LEADS TO"].map(str::to_owned).into_iter();
        let mut table = Table::new(head.chain(hosts).chain(["CERTIFICATE".to_owned()]));
        for name in &self.names {
            for (number, kind) in KINDS.into_iter().enumerate() {
                let called = if number == 0 { name.name.to_string() } else { String::new() };
                let mut row = vec![called, kind.to_owned(), name.whose(kind)];
                row.extend(self.hosts.iter().map(|host| name.cell(&host.name, kind, &mut marks)));
                row.push(name.certificate(kind, &mut marks));
                table.row(row);
            }
        }
        (table.text(width), marks)
    }

    fn what_would_happen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let downs = [None].into_iter().chain(self.hosts.iter().map(|host| Some(&host.name)));
        for without in downs {
            for host in &self.hosts {
                let of_fate = |fate: FateSummary| -> Vec<Hostname> {
                    let is_it = |renewal: &RenewalSummary| {
                        renewal.host == host.name
                            && renewal.without.as_ref() == without
                            && renewal.fate == fate
                    };
                    let names = self.names.iter().filter(|name| name.renewals.iter().any(is_it));
                    names.map(|name| name.name.clone()).collect()
                };
                let told: Vec<String> = FATES
                    .into_iter()
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
        format!(" ({})", few(names))
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

    fn cell(&self, host: &HostLabel, kind: &str, marks: &mut BTreeSet<&'static str>) -> String {
        let mut of_kind =
            self.cells.iter().filter(|cell| cell.nonce == *host && is(kind, cell.address));
        let Some(worst) = of_kind.clone().max_by_key(|cell| match cell.answer {
            Verdict::Same => 0,
            Verdict::Unknown => 1,
            Verdict::Missed => 2,
        }) else {
            marks.insert(NOTHING);
            return NOTHING.to_owned();
        };
        let fate = self.renewals.iter().find(|r| r.host == *host && r.without.is_none());
        let is_own = |cell: &CellSummary| {
            let its = self.addresses.iter().find(|a| a.address == cell.address);
            its.is_some_and(|a| a.host.as_ref() == Some(host))
        };
        let word = match (worst.answer, fate.map(|fate| fate.fate)) {
            (Verdict::Same, _) => "ok",
            (Verdict::Unknown, _) => "?",
            (Verdict::Missed, Some(FateSummary::WorksSwitched)) if is_own(worst) => "by switch",
            (Verdict::Missed, Some(FateSummary::Works | FateSummary::WorksSwitched)) => "no",
            (Verdict::Missed, _) => "NO",
        };
        marks.insert(word);
        let own = if of_kind.any(|cell| cell.own_word) { OWN_WORD } else { "" };
        marks.insert(own);
        format!("{word}{own}")
    }

    fn certificate(&self, kind: &str, marks: &mut BTreeSet<&'static str>) -> String {
        let mut marked = |mark: &'static str| {
            marks.insert(mark);
            mark.to_owned()
        };
        let of_kind: Vec<_> = self.addresses.iter().filter(|a| is(kind, a.address)).collect();
        if of_kind.is_empty() {
            return marked(NOTHING);
        }
        let told = of_kind.iter().map(|a| match (a.current, a.not_after) {
            _ if a.covered == Some(false) => marked(FOREIGN),
            (Some(false), _) => marked(OLD),
            (_, Some(at)) => at.strftime("%Y-%m-%d").to_string(),
            (_, None) => "?".to_owned(),
        });
        told.collect::<Vec<_>>().join(" ")
    }
}

fn is(kind: &str, address: IpAddr) -> bool {
    address.is_ipv6() == (kind == "AAAA")
}

const KINDS: [&str; 2] = ["A", "AAAA"];

/// A certificate that is not the one on its host's disk.
const OLD: &str = "OLD";

/// A certificate that is not for the name.
const FOREIGN: &str = "WRONG";

/// Only the host whose the address is says so.
const OWN_WORD: &str = "*";

/// No record, or nothing that could be asked for.
const NOTHING: &str = "-";

/// Each mark of the table; "ok" is a word.
const LEGEND: [(&str, &str); 8] = [
    ("by switch", "a challenge is answered there once its renewal has switched the route"),
    ("no", "not answered there, where the CA does not ask while the other address works"),
    ("NO", "not answered there, so the renewal fails"),
    ("?", "nobody that could be asked can tell"),
    (
        OWN_WORD,
        "only the host that has the address could ask it, which need not be what the CA sees",
    ),
    (OLD, "another certificate than the one on that host's disk"),
    (FOREIGN, "a certificate that is not for the name"),
    (
        NOTHING,
        "nothing to ask: there is no such record, or that host renews no such name by webroot",
    ),
];

const FATES: [(FateSummary, &str); 4] = [
    (FateSummary::Works, "succeeds"),
    (FateSummary::WorksSwitched, "succeeds after a switch"),
    (FateSummary::Fails, "FAILS"),
    (FateSummary::Unknown, "cannot be told"),
];

#[cfg(test)]
mod tests;
