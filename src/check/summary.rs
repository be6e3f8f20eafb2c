//! pure: a check as one document: a matrix, what would happen, what is wrong.
//!
//! The document's fields are those of [`Summary`]; `version` counts up when one
//! changes its meaning or goes away.

mod table;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::base::exit::Exit;
use crate::base::finding::{Finding, Severity};
use crate::base::names::{HostLabel, Hostname};
use crate::ca::sight::{Answer, Leaf};
use crate::check::matrix::{AddressSeen, Cell, Gathered, HostSeen, Matrix, NameRow, Told};
use crate::check::verdict::{Fate, Renewal, verdict};

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
    /// Whether it is for the name; `null` if none is presented.
    pub covered: Option<bool>,
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
    /// Whether it succeeds.
    pub fate: FateSummary,
    /// Why that is not known.
    pub why: Option<String>,
}

/// What becomes of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FateSummary {
    /// It succeeds as everything stands.
    Works,
    /// It succeeds after a switch.
    WorksSwitched,
    /// It fails.
    Fails,
    /// Nobody can tell.
    Unknown,
}

/// Judges, and keeps what people and programs are told.
pub fn summary(gathered: &Gathered, checked: Timestamp) -> Summary {
    let matrix = Matrix::of(gathered);
    let (renewals, findings) = verdict(&matrix);
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
        names: matrix.rows.iter().map(|row| of_name(gathered, row, &renewals)).collect(),
        findings,
    }
}

fn of_name(gathered: &Gathered, row: &NameRow<'_>, renewals: &[Renewal]) -> NameSummary {
    let name = row.name;
    let planted = gathered.hosts.iter().enumerate().filter(|(_, host)| host.has_nonce(name));
    let cells = planted.flat_map(|(place, host)| {
        row.addresses.iter().map(move |at| of_cell(host, at.address, &at.cells[place]))
    });
    let label = |place: usize| gathered.hosts[place].label.clone();
    let fates = renewals.iter().filter(|renewal| renewal.name == *name).flat_map(|renewal| {
        let now = [(None, &renewal.now)].into_iter();
        let without = renewal.without.iter().map(|(down, fate)| (Some(label(*down)), fate));
        now.chain(without).map(|(without, fate)| {
            let (fate, why) = match fate {
                Fate::Works => (FateSummary::Works, None),
                Fate::WorksSwitched => (FateSummary::WorksSwitched, None),
                Fate::Fails(_) => (FateSummary::Fails, None),
                Fate::Unknown(why) => (FateSummary::Unknown, Some(why.clone())),
            };
            RenewalSummary { host: label(renewal.host), without, fate, why }
        })
    });
    let validations = row.sights.iter().flat_map(|(from, sight)| {
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
        addresses: row.addresses.iter().map(|at| of_address(name, at)).collect(),
        cells: cells.collect(),
        validations: validations.collect(),
        renewals: fates.collect(),
    }
}

fn of_cell(host: &HostSeen, address: IpAddr, cell: &Cell) -> CellSummary {
    let (answer, why) = match &cell.told {
        Told::Same => (Verdict::Same, None),
        Told::Missed(miss) => (Verdict::Missed, Some(miss.why.clone())),
        Told::Unknown(why) => (Verdict::Unknown, Some(why.clone())),
    };
    CellSummary {
        nonce: host.label.clone(),
        address,
        answer,
        why,
        witnesses: cell.witnesses.clone(),
        own_word: cell.is_own_word,
        hairpin: cell.is_hairpin,
    }
}

fn of_address(name: &Hostname, at: &AddressSeen<'_>) -> AddressSummary {
    let leaf = at.presented.and_then(|(_, found)| found.ok());
    let serving = at.owner.iter().flat_map(|host| host.serving(name));
    let expected: Vec<&str> = serving.map(|lineage| lineage.serial.as_str()).collect();
    AddressSummary {
        address: at.address,
        host: at.owner.map(|host| host.label.clone()),
        serial: leaf.map(|leaf| leaf.serial.clone()),
        not_after: leaf.map(|leaf| leaf.not_after),
        current: leaf
            .filter(|_| !expected.is_empty())
            .map(|leaf| expected.contains(&leaf.serial.as_str())),
        covered: leaf.map(Leaf::covers),
    }
}

impl Summary {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::from_code(self.exit)
    }
}
