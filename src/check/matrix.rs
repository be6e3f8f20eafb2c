//! pure: who answers whose nonce at which address, as far as the hosts that were asked can tell.
//!
//! A host often cannot reach its own public address, or reaches it by another
//! way than the world (hairpin). So another host's word counts before its own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::SignedDuration;

use crate::base::finding::Finding;
use crate::base::names::{HostLabel, Hostname};
use crate::ca::sight::{Answer, Leaf, Miss, MissKind, Planted, Planting, Presented, Sight};
use crate::fleet::host_report::{HostReport, LineageReport};
use crate::fleet::inspection::{Answerer, InspectedName, Inspection};
use crate::fleet::whose;

/// Everything that was found out, of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The hosts in configured order.
    pub hosts: Vec<HostSeen>,
    /// How many certificates of the same names the CA gives in 7 days, where the configuration says so.
    pub duplicates_per_week: Option<u32>,
    /// The names that are checked.
    pub names: Vec<Hostname>,
}

/// One host; where it could not be asked, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSeen {
    /// What it is called.
    pub label: HostLabel,
    /// It is the host that this runs on.
    pub is_own: bool,
    /// There is a way to ask it from here.
    pub is_asked: bool,
    /// What it says of itself.
    pub report: Result<HostReport, String>,
    /// How far its clock is from that of the host this runs on.
    pub skew: SignedDuration,
    /// What it knows of its own Apache and certbot.
    pub inspection: Result<Inspection, String>,
    /// What was planted there.
    pub plantings: Result<Vec<Planting>, String>,
    /// What it sees of each name.
    pub sights: Result<Vec<Sight>, String>,
}

/// Every name with every address of it: each question to what was gathered, answered once.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// What is judged.
    pub gathered: &'a Gathered,
    /// The names, in their order.
    pub rows: Vec<NameRow<'a>>,
}

/// A name.
#[derive(Debug)]
pub struct NameRow<'a> {
    /// The name.
    pub name: &'a Hostname,
    /// What each host that could be asked sees of it.
    pub sights: Vec<(&'a HostSeen, &'a Sight)>,
    /// All of its addresses, IPv6 first.
    pub addresses: Vec<AddressSeen<'a>>,
}

/// An address of a name.
#[derive(Debug)]
pub struct AddressSeen<'a> {
    /// The address.
    pub address: IpAddr,
    /// Whose it is: a host that has it on an interface, else the only one whose certificate it
    /// presents (behind a NAT), else the only one that cannot be asked.
    pub owner: Option<&'a HostSeen>,
    /// What it says for the name to the nonce of each host, in the order of the hosts.
    pub cells: Vec<Cell>,
    /// What it presents for the name, by the best witness.
    pub presented: Option<(&'a HostSeen, Result<&'a Leaf, &'a Miss>)>,
}

/// What an address says to a nonce, by the best witnesses that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub told: Told,
    /// Who says so.
    pub witnesses: Vec<HostLabel>,
    /// Only the host whose address it is says so.
    pub is_own_word: bool,
    /// That host itself cannot reach it, but others can.
    pub is_hairpin: bool,
}

/// What is known of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The nonce comes back.
    Same,
    /// It does not.
    Missed(Miss),
    /// Nobody can tell.
    Unknown(String),
}

impl HostSeen {
    /// Its lineages that hold `name`.
    pub fn lineages(&self, name: &Hostname) -> impl Iterator<Item = &LineageReport> {
        let all = self.report.as_ref().map(|report| &report.lineages[..]).unwrap_or_default();
        all.iter().filter(move |lineage| lineage.survey.hostnames.contains(name))
    }

    /// Its lineages whose certificate is for `name`, those with a wildcard too.
    pub fn serving(&self, name: &Hostname) -> impl Iterator<Item = &LineageReport> {
        let all = self.report.as_ref().map(|report| &report.lineages[..]).unwrap_or_default();
        all.iter().filter(move |lineage| lineage.is_for(name))
    }

    /// What it knows of `name`.
    pub fn inspected(&self, name: &Hostname) -> Option<&InspectedName> {
        self.inspection.as_ref().ok()?.names.iter().find(|known| known.name == *name)
    }

    /// Who answers for `name` there, by its own configuration.
    pub fn answerer(&self, name: &Hostname) -> &Answerer {
        self.inspected(name).map_or(&Answerer::Unknown, |known| &known.answerer)
    }

    /// What it found wrong on itself.
    pub fn findings(&self) -> &[Finding] {
        self.inspection.as_ref().map(|inspection| &inspection.findings[..]).unwrap_or_default()
    }

    /// What was planted for `name`.
    pub fn planting(&self, name: &Hostname) -> Option<&Planting> {
        self.plantings.as_ref().ok()?.iter().find(|planting| planting.names.contains(name))
    }

    /// Whether a nonce for `name` is there.
    pub fn has_nonce(&self, name: &Hostname) -> bool {
        matches!(self.planting(name), Some(Planting { planted: Planted::Content(_), .. }))
    }

    /// What it sees of `name`.
    pub fn sight(&self, name: &Hostname) -> Option<&Sight> {
        self.sights.as_ref().ok()?.iter().find(|sight| sight.name == *name)
    }

    /// Its addresses that the world could reach.
    pub fn public_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.report.iter().flat_map(|report| report.survey.addresses.iter().copied());
        all.filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unique_local(),
        })
    }

    /// Whether what it did not get says something of `address`, and not of itself.
    fn can_tell(&self, address: IpAddr, miss: &Miss) -> bool {
        match miss.kind {
            MissKind::NotAsked => false,
            MissKind::Unreachable => {
                self.public_addresses().any(|own| own.is_ipv6() == address.is_ipv6())
            }
            _ => true,
        }
    }
}

impl<'a> Matrix<'a> {
    /// Of all names.
    pub fn of(gathered: &'a Gathered) -> Self {
        let rows = gathered.names.iter().map(|name| {
            let seen = gathered.hosts.iter().filter_map(|host| Some((host, host.sight(name)?)));
            let sights: Vec<_> = seen.collect();
            let mut all: Vec<IpAddr> = Vec::new();
            for address in sights.iter().flat_map(|(_, sight)| &sight.addresses) {
                if !all.contains(address) {
                    all.push(*address);
                }
            }
            all.sort_by_key(IpAddr::is_ipv4);
            let at = |address| AddressSeen::of(gathered, &sights, address);
            let addresses = all.into_iter().map(at).collect();
            NameRow { name, sights, addresses }
        });
        Self { gathered, rows: rows.collect() }
    }
}

impl<'a> AddressSeen<'a> {
    fn of(gathered: &'a Gathered, sights: &[(&'a HostSeen, &'a Sight)], address: IpAddr) -> Self {
        let owner = gathered.owner(address);
        let is_owner = |host: &HostSeen| owner.is_some_and(|owner| owner.label == host.label);
        let cell = |nonce: &HostSeen| {
            let answers = sights
                .iter()
                .filter_map(|(host, sight)| Some((*host, sight.answer(&nonce.label, address)?)));
            Cell::of(address, answers, is_owner)
        };
        let cells = gathered.hosts.iter().map(cell).collect();
        let presented = sights.iter().filter_map(|(host, sight)| {
            let here = |presented: &&Presented| presented.address == address;
            let presented = sight.presented.iter().find(here)?;
            match (&presented.leaf, &presented.miss) {
                (Some(leaf), _) => Some((*host, Ok(leaf))),
                (None, Some(miss)) if host.can_tell(address, miss) => Some((*host, Err(miss))),
                _ => None,
            }
        });
        let presented = presented.min_by_key(|(host, found)| (is_owner(host), found.is_err()));
        Self { address, owner, cells, presented }
    }

    /// Whether it is `host`'s.
    pub fn is_of(&self, host: &HostSeen) -> bool {
        self.owner.is_some_and(|owner| owner.label == host.label)
    }

    /// Whether any nonce comes back.
    pub fn gives_back(&self) -> bool {
        self.cells.iter().any(|cell| cell.told == Told::Same)
    }

    /// Why no connection on port 80 comes about, if none does.
    pub fn dead(&self) -> Option<&Miss> {
        self.cells.iter().find_map(|cell| match &cell.told {
            Told::Missed(miss) if miss.falls_back() => Some(miss),
            _ => None,
        })
    }
}

impl Cell {
    fn of<'a>(
        address: IpAddr,
        answers: impl Iterator<Item = (&'a HostSeen, &'a Answer)>,
        is_owner: impl Fn(&HostSeen) -> bool,
    ) -> Self {
        let (mut others, mut own) = (Vec::new(), Vec::new());
        let mut unknown = "no host that could be asked has a way there".to_owned();
        for (host, answer) in answers {
            match answer {
                Answer::Missed(miss) if miss.kind == MissKind::NotAsked => {
                    unknown.clone_from(&miss.why);
                }
                Answer::Missed(miss) if !host.can_tell(address, miss) => {}
                answer if is_owner(host) => own.push((host, answer)),
                answer => others.push((host, answer)),
            }
        }
        let is_missed = |(_, answer): &&(&HostSeen, &Answer)| matches!(answer, Answer::Missed(_));
        let is_own_word = others.is_empty() && !own.is_empty();
        let is_hairpin = !others.is_empty()
            && others.iter().all(|witness| !is_missed(&witness))
            && own.iter().any(|witness| is_missed(&witness));
        let witnesses = if is_own_word { own } else { others };
        let told = match witnesses.iter().find(is_missed) {
            Some((_, Answer::Missed(miss))) => Told::Missed(miss.clone()),
            _ if witnesses.is_empty() => Told::Unknown(unknown),
            _ => Told::Same,
        };
        let witnesses = witnesses.into_iter().map(|(host, _)| host.label.clone()).collect();
        Self { told, witnesses, is_own_word, is_hairpin }
    }
}

impl Gathered {
    fn owner(&self, address: IpAddr) -> Option<&HostSeen> {
        let reports: Vec<Option<&HostReport>> =
            self.hosts.iter().map(|host| host.report.as_ref().ok()).collect();
        let sights = self.hosts.iter().flat_map(|host| host.sights.iter().flatten());
        let here = sights.flat_map(|sight| &sight.presented).filter(|p| p.address == address);
        let serials: BTreeSet<&str> =
            here.filter_map(|presented| Some(presented.leaf.as_ref()?.serial.as_str())).collect();
        let place = whose::owner(address, None, &reports, &serials)?;
        self.hosts.get(place)
    }
}
