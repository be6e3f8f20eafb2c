//! pure: whose an address is, of the hosts that could be asked and of those that could not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::fleet::host_report::HostReport;

/// The place of the host that has `address`: on an interface; else the only one whose certificate
/// is presented there (behind a NAT); else the only one that could not be asked (`None`).
///
/// `own` is where this program runs, which a loopback address means.
pub fn owner(
    address: IpAddr,
    own: Option<usize>,
    hosts: &[Option<&HostReport>],
    presented: &BTreeSet<&str>,
) -> Option<usize> {
    if address.is_loopback() && own.is_some() {
        return own;
    }
    let has =
        |report: &HostReport| !address.is_loopback() && report.survey.addresses.contains(&address);
    let on_interface = hosts.iter().position(|host| host.is_some_and(has));
    let serves = |report: &HostReport| {
        report.lineages.iter().any(|lineage| presented.contains(lineage.serial.as_str()))
    };
    on_interface
        .or_else(|| only(hosts, |host| host.is_some_and(serves)))
        .or_else(|| only(hosts, |host| host.is_none()))
}

fn only<'a>(
    hosts: &[Option<&'a HostReport>],
    is: impl Fn(Option<&'a HostReport>) -> bool,
) -> Option<usize> {
    let mut found = hosts.iter().enumerate().filter(|(_, host)| is(**host)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

/// What is wrong about an address that no host has.
pub fn nobodys(address: IpAddr) -> String {
    format!("no host that is known has {address}")
}

/// What to do about it.
pub const RECORD: &str = "let the record name an address that a host has now; where it changes by itself, let the host update it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::decision::tests::{lineage, report};

    #[test]
    fn an_address_is_an_interfaces_else_the_certificates_else_the_silent_hosts() {
        let host = |serial: &str, address: &str| {
            let mut report = report(vec![lineage("a", serial)]);
            report.survey.addresses = [address, "127.0.0.1"].map(|a| a.parse().unwrap()).into();
            report
        };
        let (vps, home) = (host("AA", "192.0.2.1"), host("BB", "2001:db8::1"));
        let both = [Some(&vps), Some(&home)];
        let ask = |hosts: &[Option<&HostReport>], address: &str, serial: &str| {
            owner(address.parse().unwrap(), Some(0), hosts, &BTreeSet::from([serial]))
        };
        assert_eq!(ask(&both, "192.0.2.1", ""), Some(0));
        assert_eq!(ask(&both, "2001:db8::1", "AA"), Some(1), "the interface counts first");
        assert_eq!(ask(&both, "127.0.0.1", ""), Some(0), "this host");
        assert_eq!(ask(&both, "198.51.100.7", "BB"), Some(1), "behind a NAT");
        assert_eq!(ask(&both, "198.51.100.7", "CC"), None, "nobody's");
        assert_eq!(ask(&[Some(&vps), None], "198.51.100.7", "CC"), Some(1), "who is silent");
    }
}
