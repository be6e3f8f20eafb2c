//! flow: whether each address of each name serves the certificate that its host has on disk.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::agent::report::Report;
use crate::ca::handshake;
use crate::ca::resolve::{Resolve, System};
use crate::ca::validation::Failure;
use crate::clock::Deadline;
use crate::coordinate::outcome::{Served, Verdict};
use crate::names::{HostLabel, Hostname};
use crate::route::report::chain;

/// The hosts as they are now.
#[derive(Debug)]
pub struct Known<'a> {
    /// Those that could be asked.
    pub hosts: &'a [(HostLabel, Report)],
    /// This host, which a loopback address means.
    pub own: Option<&'a HostLabel>,
    /// All hosts could be asked, so that an address of none of them is behind a NAT.
    pub complete: bool,
}

/// What an address has to serve for a name.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    owner: Option<String>,
    serials: BTreeSet<String>,
}

impl Known<'_> {
    /// All names that any host has a certificate for.
    pub fn names(&self) -> BTreeSet<Hostname> {
        let lineages = self.hosts.iter().flat_map(|(_, report)| &report.lineages);
        lineages.flat_map(|lineage| lineage.names.iter().cloned()).collect()
    }

    fn expected(&self, name: &Hostname, address: IpAddr) -> Expected {
        let owns = |(label, report): &&(HostLabel, Report)| {
            if address.is_loopback() {
                self.own == Some(label)
            } else {
                report.addresses.contains(&address)
            }
        };
        let mut owners: Vec<_> = self.hosts.iter().filter(owns).collect();
        let owner = match owners[..] {
            [one] => Some(one.0.as_str().to_owned()),
            _ => None,
        };
        if owners.is_empty() {
            owners = self.hosts.iter().collect();
        }
        let lineages = owners.iter().flat_map(|(_, report)| &report.lineages);
        let of_name = lineages.filter(|lineage| lineage.names.contains(name));
        Expected { owner, serials: of_name.map(|lineage| lineage.serial.clone()).collect() }
    }

    /// Asks every address of `name`.
    pub fn check(&self, name: &Hostname) -> Vec<Served> {
        let addresses = match System.addresses(name, &Deadline::after(TIME)) {
            Ok(addresses) => addresses,
            Err(error) => {
                let why = Some(format!("cannot be resolved: {error}"));
                let name = name.clone();
                return vec![Served {
                    host: None,
                    name,
                    address: None,
                    verdict: Verdict::Unknown,
                    why,
                }];
            }
        };
        addresses.into_iter().map(|address| self.check_at(name, address)).collect()
    }

    fn check_at(&self, name: &Hostname, address: IpAddr) -> Served {
        let Expected { owner, serials } = self.expected(name, address);
        let served = handshake::look(name, SocketAddr::new(address, HTTPS), &Deadline::after(TIME));
        let (verdict, why) = match served {
            Err(Failure::Dial { source, .. }) if is_our_own_lack(&source) => {
                (Verdict::Unknown, Some(format!("cannot be asked from here: {source}")))
            }
            Err(failure) => (Verdict::Wrong, Some(chain(&failure))),
            Ok(chain) => match chain.leaf {
                found if serials.contains(&found.serial) => (Verdict::Current, None),
                found if owner.is_none() && !self.complete => (
                    Verdict::Unknown,
                    Some(format!(
                        "serves the certificate {}, which may be that of a host that could not be asked",
                        found.serial
                    )),
                ),
                found => (Verdict::Wrong, Some(mismatch(&found.serial, &serials, owner.as_ref()))),
            },
        };
        Served { host: owner, name: name.clone(), address: Some(address), verdict, why }
    }
}

fn mismatch(found: &str, serials: &BTreeSet<String>, owner: Option<&String>) -> String {
    let place = owner.map_or("any host".to_owned(), Clone::clone);
    let expected: Vec<&str> = serials.iter().map(String::as_str).collect();
    if expected.is_empty() {
        format!("serves the certificate {found}, but {place} has none of that name on disk")
    } else {
        format!(
            "serves the certificate {found}, not the one on disk of {place} ({}): reload apache there",
            expected.join(", ")
        )
    }
}

/// This host has no way to such addresses at all (no IPv6, mostly).
fn is_our_own_lack(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
}

/// For one address.
const TIME: Duration = Duration::from_secs(10);

const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::plan::tests::{lineage, report};

    fn known(hosts: &[(HostLabel, Report)]) -> Known<'_> {
        Known { hosts, own: hosts.first().map(|(label, _)| label), complete: true }
    }

    #[test]
    fn an_address_has_to_serve_what_its_owner_has() {
        let host = |label: &str, serial: &str, address: &str| {
            let mut report = report(vec![lineage("a", serial)]);
            report.addresses = [address, "127.0.0.1"].map(|a| a.parse().unwrap()).into();
            (HostLabel::parse(label).unwrap(), report)
        };
        let hosts = [host("vps", "AA", "192.0.2.1"), host("home", "BB", "2001:db8::1")];
        let name = Hostname::parse("a.example").unwrap();
        let expected = |address: &str| {
            let Expected { owner, serials } =
                known(&hosts).expected(&name, address.parse().unwrap());
            (owner, serials.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(expected("192.0.2.1"), (Some("vps".into()), vec!["AA".into()]));
        assert_eq!(expected("2001:db8::1"), (Some("home".into()), vec!["BB".into()]));
        assert_eq!(expected("127.0.0.1"), (Some("vps".into()), vec!["AA".into()]), "this host");
        assert_eq!(expected("198.51.100.7"), (None, vec!["AA".into(), "BB".into()]), "NAT");
    }
}
