//! pure: what would happen to one renewal, by what the CA would find at each address.
//!
//! The CA takes one IPv6 address, whichever its resolver names first, and one
//! IPv4 address only where no connection comes about. So all of a kind must do.

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::Hostname;
use crate::ca::sight::Miss;
use crate::check::matrix::{AddressSeen, HostSeen, Matrix, NameRow, Told};
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

/// What would happen on the host at `place`.
pub(super) fn renewal(matrix: &Matrix<'_>, row: &NameRow<'_>, place: usize) -> Renewal {
    let hosts = &matrix.gathered.hosts;
    let (v6, v4): (Vec<&AddressSeen<'_>>, Vec<&AddressSeen<'_>>) =
        row.addresses.iter().partition(|at| at.address.is_ipv6());
    let case = Case { matrix, row, host: &hosts[place], place };
    let barred = case.barred();
    let now = barred.clone().unwrap_or_else(|| case.now(&v6, &v4));
    // What the CA falls back to is only asked for where there is a choice.
    let mut without = Vec::new();
    for (other, down) in hosts.iter().enumerate() {
        if other != place && !v6.is_empty() && !v4.is_empty() && v6.iter().all(|at| at.is_of(down))
        {
            let fate = barred.clone().unwrap_or_else(|| case.without(down, &v4));
            without.push((other, fate));
        }
    }
    Renewal { name: row.name.clone(), host: place, now, without }
}

/// A name, and the host that would renew it.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// All names.
    pub matrix: &'a Matrix<'a>,
    /// The name.
    pub row: &'a NameRow<'a>,
    /// The host.
    pub host: &'a HostSeen,
    /// Its place among the hosts.
    pub place: usize,
}

/// What one address does to a renewal.
enum At {
    Fate(Fate),
    /// No connection comes about.
    Dead(Finding),
}

impl Case<'_> {
    /// What keeps it from being asked for at all, now and with a host down.
    fn barred(&self) -> Option<Fate> {
        if self.host.has_nonce(self.row.name) {
            return self.stopped().map(Fate::Fails);
        }
        Some(match (self.host.planting(self.row.name), &self.host.plantings) {
            (Some(planting), _) => Fate::Fails(hindrance::unplanted(self.host, planting)),
            (None, Err(why)) => Fate::Unknown(why.clone()),
            (None, Ok(_)) => Fate::Unknown("certbot's webroot for it is not known".to_owned()),
        })
    }

    fn now(&self, v6: &[&AddressSeen<'_>], v4: &[&AddressSeen<'_>]) -> Fate {
        let (first, second) = if v6.is_empty() { (v4, v6) } else { (v6, v4) };
        if first.is_empty() {
            // `outside` says what is wrong with the records.
            return Fate::Fails(Vec::new());
        }
        let fates = first.iter().map(|at| match self.at(at) {
            At::Fate(fate) => fate,
            At::Dead(finding) if second.is_empty() => Fate::Fails(vec![finding]),
            At::Dead(finding) => self.fall_back(second, finding),
        });
        fates.reduce(worse).unwrap_or(Fate::Works)
    }

    /// The second kind of address is asked, since the first was dead by `finding`.
    fn fall_back(&self, second: &[&AddressSeen<'_>], finding: Finding) -> Fate {
        let fates = second.iter().map(|at| match self.at(at) {
            At::Fate(Fate::Fails(reasons)) if at.is_of(self.host) => Fate::Fails(reasons),
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

    /// If `down` were down, so that the CA goes to IPv4.
    fn without(&self, down: &HostSeen, v4: &[&AddressSeen<'_>]) -> Fate {
        let fates = v4.iter().map(|at| match self.at(at) {
            At::Fate(fate) => fate,
            At::Dead(finding) => Fate::Fails(vec![finding]),
        });
        match fates.reduce(worse).unwrap_or(Fate::Works) {
            Fate::Fails(mut reasons) => {
                for reason in &mut reasons {
                    reason.severity = Severity::Warning;
                    reason.what = format!(
                        "were {} down, the CA would come to IPv4, and {}",
                        down.label, reason.what
                    );
                }
                Fate::Fails(reasons)
            }
            fate => fate,
        }
    }

    fn at(&self, at: &AddressSeen<'_>) -> At {
        let miss = match &at.cells[self.place].told {
            Told::Same => return At::Fate(Fate::Works),
            Told::Unknown(why) => return At::Fate(Fate::Unknown(why.clone())),
            Told::Missed(miss) => miss,
        };
        if miss.falls_back() {
            return At::Dead(unreachable::dead(self.matrix, at, miss));
        }
        At::Fate(match at.owner {
            Some(owner) if owner.label == self.host.label => self.switched(at, miss),
            Some(owner)
                if owner.report.as_ref().is_ok_and(|report| report.under_way)
                    && culprit::is_local(owner, self.row.name) =>
            {
                Fate::Unknown(format!("{} renews it right now", owner.label))
            }
            // It is passed on rightly, as far as can be told, and not answered there.
            Some(owner) if self.is_passed_on(owner) && culprit::is_own_fault(self) => {
                self.switched(at, miss)
            }
            _ => Fate::Fails(vec![culprit::culprit(self, at, miss)]),
        })
    }

    fn is_passed_on(&self, owner: &HostSeen) -> bool {
        let inspected = owner.inspected(self.row.name);
        inspected.is_some_and(|known| matches!(known.for_others(), Answerer::Passed(_)))
    }

    /// The nonce of this host does not come back at its own address: would it after a switch?
    fn switched(&self, at: &AddressSeen<'_>, miss: &Miss) -> Fate {
        let inspected = match (&self.host.inspection, self.host.inspected(self.row.name)) {
            (_, Some(inspected)) => inspected,
            (Err(why), None) => return Fate::Unknown(why.clone()),
            (Ok(_), None) => return Fate::Unknown("its Apache was not looked at".to_owned()),
        };
        if !hindrance::is_switchable(inspected) {
            let culprit = || vec![culprit::culprit(self, at, miss)];
            let obstacles = hindrance::obstacles(self.host, inspected);
            return Fate::Fails(obstacles.unwrap_or_else(culprit));
        }
        if self.is_hooked() {
            Fate::WorksSwitched
        } else if !at.gives_back() && !culprit::is_for_a_peer(&inspected.answerer) {
            // No host gets a challenge answered by this address: a directive is to blame, more
            // than that nothing switches it.
            Fate::Fails(vec![culprit::culprit(self, at, miss)])
        } else {
            Fate::Fails(vec![hindrance::no_hooks(self.host)])
        }
    }

    /// What certbaton's own pre-hook stops at, or certbot, or the CA, wherever that comes to.
    fn stopped(&self) -> Option<Vec<Finding>> {
        if outside::caa(self.matrix, self.row).is_some_and(|told| told.code == Code::CaaForbids) {
            // `outside` says what is wrong with the records.
            return Some(Vec::new());
        }
        let stops = |finding: &&Finding| match finding.code {
            Code::Configtest | Code::DamagedBlock => self.is_hooked(),
            Code::WebrootUnreadable => finding.names.contains(self.row.name),
            // Nobody can renew meanwhile; the lease is certbaton's.
            Code::DiskFull
            | Code::ClockBehind
            | Code::CertbotMissing
            | Code::CertbotStopped
            | Code::KeeperStopped => true,
            Code::ArbiterUnreachable => self.is_hooked() && finding.severity == Severity::Problem,
            _ => false,
        };
        self.host.findings().iter().find(stops).map(|finding| vec![finding.clone()])
    }

    /// Whether a renewal switches.
    fn is_hooked(&self) -> bool {
        let certbot =
            self.host.report.as_ref().ok().and_then(|report| report.survey.certbot.as_ref());
        // Without a certbot that tells its version nobody can tell; that is said by itself.
        certbot.is_none_or(|certbot| HOOKS.iter().all(|hook| certbot.hooks.contains(*hook)))
            || self.host.lineages(self.row.name).all(|lineage| lineage.survey.own_hook)
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
