//! pure: what would happen to one renewal, by what the CA would find at each address.
//!
//! The CA takes one IPv6 address, whichever its resolver names first, and one
//! IPv4 address only where no connection comes about. So all of a kind must do.

use std::net::IpAddr;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::Hostname;
use crate::ca::sight::Miss;
use crate::check::matrix::{Gathered, HostSeen, Told};
use crate::check::{culprit, hindrance, outside, unreachable};
use crate::fleet::host_report::HOOKS;
use crate::fleet::inspection::Answerer;

/// What would happen to one renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It succeeds as everything stands.
    Works,
    /// It succeeds, once certbaton has switched the route.
    WorksSwitched,
    /// It fails.
    Fails(Vec<Finding>),
    /// Nobody can tell.
    Unknown(String),
}

impl Fate {
    /// Why it fails, if it does.
    pub(super) fn reasons(&self) -> &[Finding] {
        match self {
            Self::Fails(reasons) => reasons,
            _ => &[],
        }
    }

    pub(super) fn has(&self, reason: &Finding) -> bool {
        self.reasons().iter().any(|known| {
            (&known.code, &known.host, &known.place) == (&reason.code, &reason.host, &reason.place)
        })
    }
}

/// What would happen to the renewals of one name on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The name.
    pub name: Hostname,
    /// Which of the hosts, by its place in `Gathered`.
    pub host: usize,
    /// If it renewed now.
    pub now: Fate,
    /// If another host, by its place, were down.
    pub without: Vec<(usize, Fate)>,
}

pub(super) fn renewal(
    gathered: &Gathered,
    name: &Hostname,
    place: usize,
    host: &HostSeen,
) -> Renewal {
    let addresses = gathered.addresses(name);
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let case = Case { gathered, name, host };
    let now = case.now(&v6, &v4);
    // What the CA falls back to is only asked for where there is a choice.
    let mut without = Vec::new();
    for (other, down) in gathered.hosts.iter().enumerate() {
        let is_its = |address: &&IpAddr| {
            gathered.owner(**address).is_some_and(|owner| owner.label == down.label)
        };
        if other != place && !v6.is_empty() && !v4.is_empty() && v6.iter().all(|a| is_its(&a)) {
            without.push((other, case.without(down, &v4)));
        }
    }
    Renewal { name: name.clone(), host: place, now, without }
}

struct Case<'a> {
    gathered: &'a Gathered,
    name: &'a Hostname,
    host: &'a HostSeen,
}

/// What one address does to a renewal.
enum At {
    Fate(Fate),
    /// No connection comes about.
    Dead(Finding),
}

impl Case<'_> {
    fn now(&self, v6: &[IpAddr], v4: &[IpAddr]) -> Fate {
        if !self.host.has_nonce(self.name) {
            return self.no_nonce();
        }
        if let Some(reasons) = self.stopped() {
            return Fate::Fails(reasons);
        }
        let (first, second) = if v6.is_empty() { (v4, v6) } else { (v6, v4) };
        if first.is_empty() {
            // `outside` says what is wrong with the records.
            return Fate::Fails(Vec::new());
        }
        let fates = first.iter().map(|address| match self.at(*address) {
            At::Fate(fate) => fate,
            At::Dead(finding) if second.is_empty() => Fate::Fails(vec![finding]),
            At::Dead(finding) => self.fall_back(second, finding),
        });
        fates.reduce(worse).unwrap_or(Fate::Works)
    }

    /// The second kind of address is asked, since the first was dead by `finding`.
    fn fall_back(&self, second: &[IpAddr], finding: Finding) -> Fate {
        let fates = second.iter().map(|address| match self.at(*address) {
            At::Fate(Fate::Fails(reasons)) if self.is_ours(*address) => Fate::Fails(reasons),
            // What passes only by the first need not pass by the second.
            At::Fate(Fate::Fails(_)) => Fate::Fails(vec![finding.clone()]),
            At::Fate(fate) => fate,
            At::Dead(other) => Fate::Fails(vec![finding.clone(), other]),
        });
        match fates.reduce(worse).unwrap_or(Fate::Works) {
            Fate::Fails(mut reasons) => {
                if !reasons.contains(&finding) {
                    reasons.push(finding);
                }
                Fate::Fails(reasons)
            }
            fate => fate,
        }
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.gathered.owner(address).is_some_and(|owner| owner.label == self.host.label)
    }

    /// If `down` were down, so that the CA goes to IPv4.
    fn without(&self, down: &HostSeen, v4: &[IpAddr]) -> Fate {
        if !self.host.has_nonce(self.name) {
            return self.no_nonce();
        }
        if let Some(reasons) = self.stopped() {
            return Fate::Fails(reasons);
        }
        let fates = v4.iter().map(|address| match self.at(*address) {
            At::Fate(fate) => fate,
            At::Dead(finding) => Fate::Fails(vec![finding]),
        });
        let fate = fates.reduce(worse).unwrap_or(Fate::Works);
        match fate {
            Fate::Fails(reasons) => {
                let soften = |mut reason: Finding| {
                    reason.severity = Severity::Warning;
                    reason.what = format!(
                        "were {} down, the CA would come to IPv4, and {}",
                        down.label, reason.what
                    );
                    reason
                };
                Fate::Fails(reasons.into_iter().map(soften).collect())
            }
            fate => fate,
        }
    }

    fn no_nonce(&self) -> Fate {
        match (self.host.planting(self.name), &self.host.plantings) {
            (Some(planting), _) => Fate::Fails(hindrance::unplanted(self.host, planting)),
            (None, Err(why)) => Fate::Unknown(why.clone()),
            (None, Ok(_)) => Fate::Unknown("certbot's webroot for it is not known".to_owned()),
        }
    }

    fn at(&self, address: IpAddr) -> At {
        let cell = self.gathered.cell(self.name, &self.host.label, address);
        let miss = match cell.told {
            Told::Same => return At::Fate(Fate::Works),
            Told::Unknown(why) => return At::Fate(Fate::Unknown(why)),
            Told::Missed(miss) => miss,
        };
        if miss.falls_back() && !miss.redirected {
            return At::Dead(unreachable::dead(self.gathered, address, &miss));
        }
        let owner = self.gathered.owner(address);
        At::Fate(match owner {
            Some(owner) if owner.label == self.host.label => self.switched(address, &miss),
            Some(owner)
                if owner.report.as_ref().is_ok_and(|report| report.under_way)
                    && culprit::is_local(owner, self.name) =>
            {
                Fate::Unknown(format!("{} renews it right now", owner.label))
            }
            // It is passed on rightly, as far as can be told, and not answered there.
            Some(owner)
                if self.is_passed_on(owner)
                    && culprit::is_own_fault(self.gathered, self.name, self.host) =>
            {
                self.switched(address, &miss)
            }
            _ => Fate::Fails(vec![self.culprit(address, &miss)]),
        })
    }

    fn culprit(&self, address: IpAddr, miss: &Miss) -> Finding {
        culprit::culprit(self.gathered, self.name, self.host, address, miss)
    }

    fn is_passed_on(&self, owner: &HostSeen) -> bool {
        let inspected = owner.inspected(self.name);
        inspected.is_some_and(|known| matches!(known.for_others(), Answerer::Passed(_)))
    }

    /// The nonce of this host does not come back at its own address: would it after a switch?
    fn switched(&self, address: IpAddr, miss: &Miss) -> Fate {
        let inspected = match (&self.host.inspection, self.host.inspected(self.name)) {
            (_, Some(inspected)) => inspected,
            (Err(why), None) => return Fate::Unknown(why.clone()),
            (Ok(_), None) => return Fate::Unknown("its Apache was not looked at".to_owned()),
        };
        if !hindrance::is_switchable(inspected) {
            let found = culprit::culprit(self.gathered, self.name, self.host, address, miss);
            return Fate::Fails(hindrance::obstacles(self.host, inspected).unwrap_or(vec![found]));
        }
        if self.is_hooked() {
            Fate::WorksSwitched
        } else if self.leads_nowhere(address) && !culprit::is_for_a_peer(&inspected.answerer) {
            Fate::Fails(vec![self.culprit(address, miss)])
        } else {
            Fate::Fails(vec![hindrance::no_hooks(self.host)])
        }
    }

    /// What certbaton's own pre-hook stops at, or certbot, or the CA, wherever that comes to.
    fn stopped(&self) -> Option<Vec<Finding>> {
        if outside::caa(self.gathered, self.name).is_some_and(|told| told.code == Code::CaaForbids)
        {
            // `outside` says what is wrong with the records.
            return Some(Vec::new());
        }
        let findings = &self.host.inspection.as_ref().ok()?.findings;
        let stops = |finding: &&Finding| match finding.code {
            Code::Configtest | Code::DamagedBlock => self.is_hooked(),
            Code::WebrootUnreadable => finding.names.contains(self.name),
            // Nobody can renew meanwhile; the lease is certbaton's.
            Code::DiskFull
            | Code::ClockBehind
            | Code::CertbotMissing
            | Code::CertbotStopped
            | Code::KeeperStopped => true,
            Code::ArbiterUnreachable => self.is_hooked() && finding.severity == Severity::Problem,
            _ => false,
        };
        findings.iter().find(stops).map(|finding| vec![finding.clone()])
    }

    /// Whether a renewal switches.
    fn is_hooked(&self) -> bool {
        let certbot = self.host.report.as_ref().ok().and_then(|report| report.certbot.as_ref());
        // Without a certbot that tells its version nobody can tell; that is said by itself.
        certbot.is_none_or(|certbot| HOOKS.iter().all(|hook| certbot.hooks.contains(*hook)))
            || self.host.lineages(self.name).all(|lineage| lineage.own_hook)
    }

    /// No host gets a challenge answered by this address: a directive is to blame, more than that nothing switches it.
    fn leads_nowhere(&self, address: IpAddr) -> bool {
        let told = |host: &HostSeen| self.gathered.cell(self.name, &host.label, address).told;
        self.gathered.hosts.iter().all(|host| told(host) != Told::Same)
    }
}

/// Of two addresses that the CA may take, the one that it had better not.
fn worse(one: Fate, other: Fate) -> Fate {
    match (one, other) {
        (Fate::Fails(mut one), Fate::Fails(other)) => {
            one.extend(other);
            Fate::Fails(one)
        }
        (fails @ Fate::Fails(_), _) | (_, fails @ Fate::Fails(_)) => fails,
        (unknown @ Fate::Unknown(_), _) | (_, unknown @ Fate::Unknown(_)) => unknown,
        (Fate::WorksSwitched, _) | (_, Fate::WorksSwitched) => Fate::WorksSwitched,
        (Fate::Works, Fate::Works) => Fate::Works,
    }
}
