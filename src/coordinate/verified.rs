//! flow: whether each address of each name serves the certificate that its host has on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::files;
use crate::base::finding::{Finding, Severity};
use crate::base::names::{HTTPS_PORT, HostLabel, Hostname};
use crate::base::threads;
use crate::ca::disk;
use crate::ca::handshake;
use crate::ca::resolve::{Resolve, System, UNRESOLVED};
use crate::ca::served::{ExpectedCertificate, Identity, judge};
use crate::ca::validation::Failure;
use crate::certbot::lineages::lineages;
use crate::check::bounds::{Bounds, MOST_ADDRESSES, STRANGE};
use crate::config::Settings;
use crate::coordinate::final_report::{Served, ServedVerdict};
use crate::fleet::host_report::{HostReport, LineageReport};
use crate::fleet::mismatch::{Comparison, mismatch, not_served, unserved};
use crate::fleet::whose;

/// The hosts as they are now.
#[derive(Debug)]
pub struct KnownHosts {
    /// Those that could be asked.
    pub hosts: Vec<(HostLabel, HostReport)>,
    /// This host, which a loopback address means.
    pub own: Option<HostLabel>,
    /// What lies on its disk, by the lineage's name.
    pub disks: BTreeMap<String, ExpectedCertificate>,
    /// All hosts could be asked, so that an address of none of them is behind a NAT.
    pub complete: bool,
}

/// What lies on this host's disk; what cannot be read is told by its survey.
pub fn disks(settings: &Settings) -> BTreeMap<String, ExpectedCertificate> {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let read = known.usable.into_iter().filter_map(|lineage| {
        let leaf = files::read_trusted(&lineage.cert).ok()?;
        let disk = disk::read(&lineage.cert, &leaf).ok()?;
        Some((lineage.name, disk))
    });
    read.collect()
}

/// What was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What each address serves.
    pub served: Vec<Served>,
    /// It went on to its end, or to a bound.
    pub is_whole: bool,
    /// The bound that it came to, in words.
    pub bound: Option<String>,
}

/// What each of `names` is served with as far as `bounds` go, on a thread that is given up
/// as soon as `going_on` says so: a dial can take ten seconds. It is told each name as it is
/// looked at.
pub fn all(
    known: KnownHosts,
    names: BTreeSet<Hostname>,
    bounds: Bounds,
    going_on: &mut dyn FnMut(Option<&Hostname>) -> bool,
) -> Look {
    enum Seen {
        Looking(Hostname),
        Served(Vec<Served>),
    }
    let (tell, seen) = mpsc::channel();
    let (names, beyond) = bounds.looked_at(names);
    let mut left = names.len();
    let look = move || {
        let deadline = Deadline::after(ALL);
        for name in names {
            if deadline.remaining().is_none() {
                return;
            }
            let served = || known.check(&name, &bounds, &System, &deadline);
            // Nobody listens any more: called off.
            if tell.send(Seen::Looking(name.clone())).is_err()
                || tell.send(Seen::Served(served())).is_err()
            {
                return;
            }
        }
    };
    let mut all = Look::default();
    if let Err(error) = threads::start("served", look) {
        tracing::warn!("what is served was not looked at: no thread to do it: {error}");
        return Look { is_whole: true, ..all };
    }
    loop {
        let told = match seen.recv_timeout(GOING_ON) {
            Ok(Seen::Looking(name)) => going_on(Some(&name)),
            Ok(Seen::Served(served)) => {
                all.served.extend(served);
                left = left.saturating_sub(1);
                true
            }
            Err(RecvTimeoutError::Timeout) => going_on(None),
            Err(RecvTimeoutError::Disconnected) => {
                return Look { is_whole: true, bound: bound(left, beyond), ..all };
            }
        };
        if !told {
            return all;
        }
    }
}

/// What was not looked at: names that time did not suffice for, and names of others beyond their count.
fn bound(left: usize, beyond: usize) -> Option<String> {
    let late = (left > 0).then(|| {
        format!("{left} more names would have taken longer than {} min", ALL.as_secs() / 60)
    });
    let many = (beyond > 0).then(|| {
        format!("{beyond} of the names that other hosts alone say they have are too many")
    });
    let both: Vec<String> = late.into_iter().chain(many).collect();
    (!both.is_empty())
        .then(|| format!("what is served was not looked at everywhere: {}", both.join("; ")))
}

/// Between two looks whether it is called off.
const GOING_ON: Duration = Duration::from_millis(100);

impl KnownHosts {
    /// Who has `address`, where `served` is presented; an error if it may be a host that could
    /// not be asked.
    fn owner(
        &self,
        address: IpAddr,
        served: Option<&Identity>,
    ) -> Result<Option<&(HostLabel, HostReport)>, Unasked> {
        let mut reports: Vec<_> = self.hosts.iter().map(|(_, report)| Some(report)).collect();
        if !self.complete {
            reports.push(None);
        }
        let own = self.hosts.iter().position(|(label, _)| self.own.as_ref() == Some(label));
        let presented = served.iter().map(|identity| identity.serial.as_str()).collect();
        match whose::owner(address, own, &reports, &presented) {
            Some(place) => self.hosts.get(place).map(Some).ok_or(Unasked),
            None => Ok(None),
        }
    }

    /// What has to be served for `name`, one of these: by its owner, or by anybody behind a NAT.
    fn expected(
        &self,
        name: &Hostname,
        owner: Option<&(HostLabel, HostReport)>,
    ) -> Vec<(&HostLabel, &LineageReport)> {
        let hosts = self.hosts.iter().filter(|host| owner.is_none_or(|owner| owner.0 == host.0));
        let lineages = hosts.flat_map(|(label, report)| {
            report.lineages.iter().map(move |lineage| (label, lineage))
        });
        lineages.filter(|(_, lineage)| lineage.is_for(name)).collect()
    }

    fn on_disk(&self, host: &HostLabel, lineage: &LineageReport) -> ExpectedCertificate {
        let own = self.disks.get(&lineage.name).filter(|_| self.own.as_ref() == Some(host));
        own.cloned().unwrap_or_else(|| ExpectedCertificate::told(lineage.identity()))
    }

    /// Asks every address of `name` that may be asked.
    fn check(
        &self,
        name: &Hostname,
        bounds: &Bounds,
        resolve: &impl Resolve,
        deadline: &Deadline,
    ) -> Vec<Served> {
        let unknown = |address: Option<IpAddr>, why: String| {
            let (host, name, why) = (None, name.clone(), Some(why));
            Served { host, name, address, verdict: ServedVerdict::Unknown, why }
        };
        let mut addresses = match resolve.addresses(name, &step(deadline)) {
            Ok(addresses) => addresses,
            Err(error) => return vec![unknown(None, format!("{UNRESOLVED}: {error}"))],
        };
        addresses.truncate(MOST_ADDRESSES);
        if !addresses.is_empty() && !bounds.has(name, &addresses) {
            return vec![unknown(None, STRANGE.to_owned())];
        }
        let look = |address| {
            if bounds.permits_own(name, address) {
                self.check_at(name, address, deadline)
            } else {
                unknown(Some(address), Failure::Forbidden(address).to_string())
            }
        };
        addresses.into_iter().map(look).collect()
    }

    fn check_at(&self, name: &Hostname, address: IpAddr, deadline: &Deadline) -> Served {
        let at = SocketAddr::new(address, HTTPS_PORT);
        let looked = handshake::look(name, at, &step(deadline));
        let identity = looked.as_ref().ok().map(|served| &served.identity);
        let owner = self.owner(address, identity);
        let host = owner.ok().flatten().map(|(label, _)| label.to_string());
        let expected = self.expected(name, owner.ok().flatten());
        let lineages: Vec<&LineageReport> = expected.iter().map(|(_, lineage)| *lineage).collect();
        let unserved = unserved(&lineages);
        // A host that has no such lineage may pass on what another one serves.
        let may_be = if expected.is_empty() { self.expected(name, None) } else { expected };
        let any: Vec<ExpectedCertificate> =
            may_be.into_iter().map(|(at, l)| self.on_disk(at, l)).collect();
        let (verdict, why) = match (looked, owner) {
            (Err(Failure::Dial { source, .. }), _) if is_our_own_lack(&source) => {
                (ServedVerdict::Unknown, Some(format!("cannot be asked from here: {source}")))
            }
            (Err(_), _) if unserved.is_some() => passed_over(unserved, host.as_deref()),
            (Err(failure), Ok(None)) => {
                let nobodys = whose::nobodys(address);
                let why = format!("{nobodys}: {}; {}", chain(&failure), whose::RECORD);
                (ServedVerdict::Wrong, Some(why))
            }
            (Err(failure), _) => (ServedVerdict::Wrong, Some(chain(&failure))),
            (Ok(served), owner) => {
                let found = &served.identity;
                match any.iter().find(|disk| disk.identity.is(found)) {
                    Some(disk) => verdict(&judge(&served, disk, name, clock::now())),
                    None if unserved.is_some() => passed_over(unserved, host.as_deref()),
                    None if owner.is_err() => (
                        ServedVerdict::Unknown,
                        Some(format!(
                            "serves the certificate {found}, which may be that of a host that could not be asked"
                        )),
                    ),
                    None => {
                        let covers = served.covers(name);
                        let (owner, lineages) = (host.as_deref(), &lineages[..]);
                        let seen =
                            Comparison { name, address, served: found, covers, owner, lineages };
                        wrong(&mismatch(&seen))
                    }
                }
            }
        };
        Served { host, name: name.clone(), address: Some(address), verdict, why }
    }
}

/// A mail server's, mostly: its own hooks serve it.
fn passed_over(
    lineage: Option<&LineageReport>,
    owner: Option<&str>,
) -> (ServedVerdict, Option<String>) {
    let lineage = lineage.map_or("", |lineage| lineage.name.as_str());
    (ServedVerdict::NotServed, Some(not_served(lineage, owner)))
}

/// None of the certificates on disk.
fn wrong(found: &Finding) -> (ServedVerdict, Option<String>) {
    let verdict = match found.severity {
        Severity::Problem => ServedVerdict::Wrong,
        Severity::Warning => ServedVerdict::Unknown,
    };
    (verdict, Some(found.to_string()))
}

/// What is said of a lineage that no web server names is said once, not of each name and address.
pub fn once(served: &mut [Served]) {
    let mut said = BTreeSet::new();
    for one in served.iter_mut().filter(|one| one.verdict == ServedVerdict::NotServed) {
        one.why = one.why.take().filter(|why| said.insert(why.clone()));
    }
}

/// It may be the address of a host that could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unasked;

/// The certificate is the right one: whether anybody can use it, and what else is wrong.
fn verdict(faults: &[Finding]) -> (ServedVerdict, Option<String>) {
    let is_wrong = faults.iter().any(|fault| fault.severity == Severity::Problem);
    let verdict = if is_wrong { ServedVerdict::Wrong } else { ServedVerdict::Current };
    let why: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (verdict, Some(why.join(", ")).filter(|why| !why.is_empty()))
}

/// This host has no way to such addresses at all (no IPv6, mostly).
fn is_our_own_lack(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
}

/// The time of one address within that of all.
fn step(deadline: &Deadline) -> Deadline {
    Deadline::after(deadline.remaining().unwrap_or_default().min(TIME))
}

/// For one address.
const TIME: Duration = Duration::from_secs(10);

/// For all of them.
const ALL: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::decision::tests::{lineage, report};

    fn known(hosts: &[(HostLabel, HostReport)]) -> KnownHosts {
        KnownHosts {
            hosts: hosts.to_vec(),
            own: hosts.first().map(|(label, _)| label.clone()),
            disks: BTreeMap::new(),
            complete: true,
        }
    }

    fn host(label: &str, serial: &str, address: &str) -> (HostLabel, HostReport) {
        let mut report = report(vec![lineage("a", serial)]);
        report.survey.addresses = [address, "127.0.0.1"].map(|a| a.parse().unwrap()).into();
        (HostLabel::parse(label).unwrap(), report)
    }

    #[test]
    fn an_address_has_to_serve_what_its_owner_has() {
        let hosts = [host("vps", "AA", "192.0.2.1"), host("home", "BB", "2001:db8::1")];
        let name = Hostname::parse("a.example").unwrap();
        let known = known(&hosts);
        let expected = |address: &str| {
            let owner = known.owner(address.parse().unwrap(), None).unwrap();
            let expected = known.expected(&name, owner).into_iter();
            let serials: BTreeSet<String> = expected.map(|(_, l)| l.serial.clone()).collect();
            (
                owner.map(|(label, _)| label.as_str().to_owned()),
                serials.into_iter().collect::<Vec<_>>(),
            )
        };
        assert_eq!(expected("192.0.2.1"), (Some("vps".into()), vec!["AA".into()]));
        assert_eq!(expected("2001:db8::1"), (Some("home".into()), vec!["BB".into()]));
        assert_eq!(expected("127.0.0.1"), (Some("vps".into()), vec!["AA".into()]), "this host");
        assert_eq!(expected("198.51.100.7"), (None, vec!["AA".into(), "BB".into()]), "NAT");
    }

    #[test]
    fn no_name_of_a_peer_leads_to_what_this_host_alone_can_reach() {
        struct Says(IpAddr);
        impl Resolve for Says {
            fn addresses(&self, _: &Hostname, _: &Deadline) -> io::Result<Vec<IpAddr>> {
                Ok(vec![self.0; 100])
            }
        }
        let hosts = [host("home", "AA", "192.0.2.1"), host("vps", "BB", "192.0.2.2")];
        let (known, own) = (known(&hosts), Hostname::parse("a.example").unwrap());
        let bounds = Bounds { names: BTreeSet::from([own.clone()]), ..Bounds::default() };
        let deadline = Deadline::after(Duration::from_mins(1));
        let look = |name: &Hostname, address: &str| {
            let served = known.check(name, &bounds, &Says(address.parse().unwrap()), &deadline);
            assert!(served.len() <= MOST_ADDRESSES, "{}", served.len());
            (served[0].verdict, served[0].why.clone().unwrap())
        };
        // Nobody listens there: whoever dials is refused, which is wrong.
        let strange = Hostname::parse("strange.example").unwrap();
        assert_eq!(look(&strange, "127.0.0.9"), (ServedVerdict::Unknown, STRANGE.to_owned()));
        assert_eq!(look(&strange, "192.0.2.77"), (ServedVerdict::Unknown, STRANGE.to_owned()));
        let (verdict, why) = look(&own, "169.254.169.254");
        assert!(verdict == ServedVerdict::Unknown && why.contains("169.254.169.254"), "{why}");
        assert_eq!(look(&own, "127.0.0.9").0, ServedVerdict::Wrong, "this host itself is asked");
    }

    #[test]
    fn what_was_not_looked_at_is_said() {
        assert_eq!(bound(0, 0), None);
        let said = bound(3, 7).unwrap();
        assert!(said.contains("3 more names") && said.contains("7 of the names"), "{said}");
    }

    #[test]
    fn a_lineage_that_no_web_server_names_is_no_failure_and_said_once() {
        let of = |served_here: Option<bool>| {
            let mut report = report(vec![lineage("a", "AA")]);
            report.lineages[0].survey.served_here = served_here;
            let hosts = [(HostLabel::parse("vps").unwrap(), report)];
            let name = Hostname::parse("a.example").unwrap();
            let known = known(&hosts);
            let expected = known.expected(&name, None);
            let all: Vec<&LineageReport> =
                expected.into_iter().map(|(_, lineage)| lineage).collect();
            unserved(&all).cloned()
        };
        assert_eq!((of(None), of(Some(true))), (None, None));
        let (verdict, why) = passed_over(of(Some(false)).as_ref(), None);
        let name = Hostname::parse("a.example").unwrap();
        let one = Served { host: None, name, address: None, verdict, why };
        let mut twice = [one.clone(), one];
        once(&mut twice);
        assert!(twice[0].why.as_ref().is_some_and(|why| why.contains("the certificate of a")));
        assert_eq!((twice[1].why.as_ref(), twice[1].verdict), (None, ServedVerdict::NotServed));
    }

    #[test]
    fn an_address_of_nobody_is_told_so_as_a_check_tells_it() {
        let hosts = [host("vps", "AA", "192.0.2.1"), host("home", "BB", "2001:db8::1")];
        let address: IpAddr = "2001:db8::99".parse().unwrap();
        let strange = Identity {
            serial: "CC".into(),
            not_after: jiff::Timestamp::UNIX_EPOCH,
            fingerprint: None,
        };
        assert_eq!(known(&hosts).owner(address, Some(&strange)), Ok(None));
        let name = Hostname::parse("a.example").unwrap();
        let told = |owner: Option<&str>, covers: bool| {
            let (served, lineages) = (&strange, &[][..]);
            let seen = Comparison { name: &name, address, served, covers, owner, lineages };
            let (verdict, why) = wrong(&mismatch(&seen));
            (verdict, why.unwrap())
        };
        let (verdict, why) = told(None, false);
        assert!(why.starts_with("no host that is known has 2001:db8::99"), "{why}");
        assert!(!why.contains("reload") && verdict == ServedVerdict::Wrong, "{why}");
        // Nor is a certificate without the name right where another host has one with it.
        assert_eq!(told(Some("vps"), false).0, ServedVerdict::Wrong);
        assert_eq!(told(Some("vps"), true).0, ServedVerdict::Unknown);
        let known = KnownHosts { complete: false, ..known(&hosts) };
        assert_eq!(known.owner(address, Some(&strange)), Err(Unasked));
    }

    #[test]
    fn a_chain_that_lacks_something_is_told_and_no_failure_but_an_old_certificate_is() {
        let incomplete = crate::ca::served::incomplete("CN=E5");
        let expired = crate::ca::served::expired("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(verdict(&[]), (ServedVerdict::Current, None));
        let (found, why) = verdict(std::slice::from_ref(&incomplete));
        assert_eq!(found, ServedVerdict::Current);
        assert!(why.unwrap().contains("fullchain.pem"));
        assert_eq!(verdict(&[expired, incomplete]).0, ServedVerdict::Wrong);
    }
}
