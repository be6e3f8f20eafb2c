//! pure: who answers whose nonce at which address, as far as the hosts that were asked can tell.
//!
//! A host often cannot reach its own public address, or reaches it by another
//! way than the world (hairpin). So another host's word counts before its own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::SignedDuration;

use crate::base::names::{HostLabel, Hostname};
use crate::ca::sight::{Answer, Leaf, Miss, MissKind, Planted, Planting, Presented, Sight};
use crate::fleet::host_report::{HostReport, LineageReport};
use crate::fleet::inspection::{InspectedName, Inspection};
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
        all.iter().filter(move |lineage| lineage.names.contains(name))
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
        let all = self.report.iter().flat_map(|report| report.addresses.iter().copied());
        all.filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unique_local(),
        })
    }

    /// Whether it can reach addresses of that kind at all.
    fn has_way_to(&self, address: IpAddr) -> bool {
        self.public_addresses().any(|own| own.is_ipv6() == address.is_ipv6())
    }
}

impl Gathered {
    /// The host called `label`.
    pub fn host(&self, label: &HostLabel) -> Option<&HostSeen> {
        self.hosts.iter().find(|host| host.label == *label)
    }

    /// All that any host sees of `name`.
    pub fn sights<'a>(
        &'a self,
        name: &'a Hostname,
    ) -> impl Iterator<Item = (&'a HostSeen, &'a Sight)> {
        self.hosts.iter().filter_map(move |host| Some((host, host.sight(name)?)))
    }

    /// All addresses of `name`, IPv6 first.
    pub fn addresses(&self, name: &Hostname) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = Vec::new();
        for (_, sight) in self.sights(name) {
            for address in &sight.addresses {
                if !all.contains(address) {
                    all.push(*address);
                }
            }
        }
        all.sort_by_key(IpAddr::is_ipv4);
        all
    }

    /// Whose `address` is: a host that has it on an interface, else the only one whose
    /// certificate it presents (behind a NAT), else the only one that cannot be asked.
    pub fn owner(&self, address: IpAddr) -> Option<&HostSeen> {
        let reports: Vec<Option<&HostReport>> =
            self.hosts.iter().map(|host| host.report.as_ref().ok()).collect();
        let place = whose::owner(address, None, &reports, &self.serials_at(address))?;
        self.hosts.get(place)
    }

    fn serials_at(&self, address: IpAddr) -> BTreeSet<&str> {
        let sights = self.hosts.iter().flat_map(|host| host.sights.iter().flatten());
        let presented = sights.flat_map(|sight| &sight.presented);
        let here = presented.filter(|presented| presented.address == address);
        here.filter_map(|presented| Some(presented.leaf.as_ref()?.serial.as_str())).collect()
    }

    /// What `address` says for `name` to the nonce of the host `nonce`.
    pub fn cell(&self, name: &Hostname, nonce: &HostLabel, address: IpAddr) -> Cell {
        let owner = self.owner(address).map(|host| &host.label);
        let (mut others, mut own) = (Vec::new(), Vec::new());
        let mut unknown = "no host that could be asked has a way there".to_owned();
        for (host, sight) in self.sights(name) {
            match sight.answer(nonce, address) {
                None => {}
                Some(Answer::Missed(miss)) if miss.kind == MissKind::NotAsked => {
                    unknown.clone_from(&miss.why);
                }
                Some(Answer::Missed(miss)) if !Self::can_tell(host, address, miss) => {}
                Some(answer) if owner == Some(&host.label) => own.push((host, answer)),
                Some(answer) => others.push((host, answer)),
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
        Cell { told, witnesses, is_own_word, is_hairpin }
    }

    /// Whether what `host` did not get says something of `address`, and not of `host`.
    fn can_tell(host: &HostSeen, address: IpAddr, miss: &Miss) -> bool {
        match miss.kind {
            MissKind::NotAsked => false,
            MissKind::Unreachable => host.has_way_to(address),
            _ => true,
        }
    }

    /// What `address` presents for `name`, by the best witness.
    pub fn presented<'a>(
        &'a self,
        name: &'a Hostname,
        address: IpAddr,
    ) -> Option<(&'a HostSeen, Result<&'a Leaf, &'a Miss>)> {
        let owner = self.owner(address).map(|host| &host.label);
        let mut seen: Vec<_> = self
            .sights(name)
            .filter_map(|(host, sight)| {
                let here = |presented: &&Presented| presented.address == address;
                let presented = sight.presented.iter().find(here)?;
                match (&presented.leaf, &presented.miss) {
                    (Some(leaf), _) => Some((host, Ok(leaf))),
                    (None, Some(miss)) if Self::can_tell(host, address, miss) => {
                        Some((host, Err(miss)))
                    }
                    _ => None,
                }
            })
            .collect();
        seen.sort_by_key(|(host, found)| (owner == Some(&host.label), found.is_err()));
        seen.into_iter().next()
    }
}
