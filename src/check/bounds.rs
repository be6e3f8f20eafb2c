//! flow: what is asked for another host: a peer may have its own names looked at, not what else this host can reach.
//!
//! The order comes over a peer's key, or the names from its report, and who has taken that peer over would like to see what
//! listens on this host's loopback, in its network, or at the address of a cloud's metadata. So
//! names are this host's own or those of the hosts, and addresses are public ones or the hosts'.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::clock::Deadline;
use crate::base::names::Hostname;
use crate::ca::resolve::Resolve;
use crate::ca::sight::Question;
use crate::check::resolver::{Records, Resolver};

/// What may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The names of this host's lineages and vhosts.
    pub names: BTreeSet<Hostname>,
    /// The addresses of the hosts: of their `[[host]]`, of this host's interfaces.
    pub hosts: BTreeSet<IpAddr>,
    /// The addresses that the names above have: the hosts' doors, wherever they are public.
    pub doors: BTreeSet<IpAddr>,
}

impl Bounds {
    /// Whether `name`, which has `addresses`, may be asked for at all.
    pub fn has(&self, name: &Hostname, addresses: &[IpAddr]) -> bool {
        let is_a_hosts = |address| self.hosts.contains(address) || self.doors.contains(address);
        self.names.contains(name) || !addresses.is_empty() && addresses.iter().all(is_a_hosts)
    }

    /// Whether a connection to `address` may be made.
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.hosts.contains(&address)
    }

    /// The same for this host's own look at `name`: `/etc/hosts` may lead its own names to itself.
    pub fn permits_own(&self, name: &Hostname, address: IpAddr) -> bool {
        self.permits(address) || address.is_loopback() && self.names.contains(name)
    }

    /// Of `names`, which hosts say that they have, those to be looked at, this host's own first,
    /// and how many of the others are too many.
    pub fn looked_at(&self, names: BTreeSet<Hostname>) -> (Vec<Hostname>, usize) {
        let is_own = |name: &Hostname| self.names.contains(name);
        let (mut all, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_own);
        let more = others.len().saturating_sub(MOST_NAMES);
        all.extend(others.into_iter().take(MOST_NAMES));
        (all, more)
    }
}

/// Names as DNS has them, and no way to where nothing may be asked.
#[derive(Debug, Clone)]
pub struct Fenced {
    /// Who knows them.
    pub resolver: Resolver,
    /// What may be asked.
    pub bounds: Bounds,
}

impl Fenced {
    /// All records of `name`; where it may not be asked for, no address and why.
    pub fn records(&self, name: &Hostname, deadline: &Deadline) -> Records {
        let mut records = self.resolver.records(name, deadline);
        if !records.addresses.is_empty() && !self.bounds.has(name, &records.addresses) {
            return Records { unresolved: Some(STRANGE.to_owned()), ..Records::default() };
        }
        records.addresses.truncate(MOST_ADDRESSES);
        records
    }
}

impl Resolve for Fenced {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        let mut found = self.resolver.addresses(host, deadline)?;
        found.truncate(MOST_ADDRESSES);
        Ok(found)
    }

    fn permits(&self, address: IpAddr) -> bool {
        self.bounds.permits(address)
    }
}

/// The question with each name once, each nonce of it once, and no more of either than there are hosts.
#[must_use]
pub fn bounded(question: Question) -> Question {
    let Question { nonces, names } = question;
    let mut seen = BTreeSet::new();
    let names = names.into_iter().filter(|(name, _)| seen.insert(name.clone()));
    let names = names.take(MOST_NAMES).map(|(name, wanted)| {
        let wanted: BTreeSet<usize> = wanted.into_iter().filter(|n| *n < nonces.len()).collect();
        (name, wanted.into_iter().take(MOST_NONCES).collect())
    });
    Question { names: names.collect(), nonces }
}

/// Whether an address is one of the internet (or of a documentation's, RFC 5737 and 3849, which
/// is nobody's): not of this host, its networks, or a special purpose (RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            if let Some(inner) = inner(address) {
                return is_public_v4(inner);
            }
            let special = address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address.is_unique_local()
                // Site-local (RFC 3879), discard-only (RFC 6666).
                || address.segments()[0] & 0xffc0 == 0xfec0
                || address.segments()[..4] == [0x100, 0, 0, 0];
            !special
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        // Shared by the customers of a provider (RFC 6598), protocol assignments, benchmarks.
        || first == 100 && second & 0xc0 == 64
        || [first, second, third] == [192, 0, 0]
        || first == 198 && second & 0xfe == 18;
    !special
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] if high != 0 => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// As many as a line has room for with nonces of their own.
const MOST_NAMES: usize = 100;

/// One of each host.
const MOST_NONCES: usize = 8;

/// Why a name is not asked for.
pub const STRANGE: &str = "it is no name of this host's lineages or vhosts, and its addresses are no host's of ours: not asked for";

/// Of one name; a CA tries two.
pub const MOST_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn what_this_host_alone_can_reach_is_not_asked() {
        let bounds = Bounds::default();
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.1",
            "240.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
        ] {
            assert!(!bounds.permits(ip(inside)), "{inside}");
        }
        for outside in ["192.0.2.10", "1.1.1.1", "2001:db8::20", "2606:4700::1", "64:ff9b::101:101"]
        {
            assert!(bounds.permits(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_private_network_is_the_hosts_own_where_the_configuration_says_so() {
        let hosts = BTreeSet::from([ip("10.0.0.2"), ip("127.0.0.1")]);
        let bounds = Bounds { hosts, ..Bounds::default() };
        assert!(bounds.permits(ip("10.0.0.2")) && bounds.permits(ip("127.0.0.1")));
        assert!(!bounds.permits(ip("10.0.0.3")));
    }

    #[test]
    fn a_name_is_ours_or_leads_to_nobody_else() {
        let bounds = Bounds {
            names: BTreeSet::from([name("own.example")]),
            hosts: BTreeSet::from([ip("192.0.2.1")]),
            doors: BTreeSet::from([ip("2001:db8::1")]),
        };
        assert!(bounds.has(&name("own.example"), &[ip("198.51.100.9")]));
        assert!(bounds.has(&name("peers.example"), &[ip("192.0.2.1"), ip("2001:db8::1")]));
        assert!(!bounds.has(&name("bank.example"), &[ip("192.0.2.1"), ip("198.51.100.9")]));
        assert!(!bounds.has(&name("bank.example"), &[]));
    }

    #[test]
    fn an_own_name_may_lead_to_this_host_itself_and_nobodys_to_its_networks() {
        let bounds = Bounds { names: BTreeSet::from([name("own.example")]), ..Bounds::default() };
        assert!(bounds.permits_own(&name("own.example"), ip("127.0.1.1")));
        assert!(!bounds.permits_own(&name("own.example"), ip("169.254.169.254")));
        assert!(!bounds.permits_own(&name("peers.example"), ip("127.0.0.9")));
    }

    #[test]
    fn a_peers_many_names_do_not_crowd_out_this_hosts_own() {
        let own = BTreeSet::from([name("zz.example")]);
        let bounds = Bounds { names: own.clone(), ..Bounds::default() };
        let many = (0..50_000).map(|n| name(&format!("n{n}.example")));
        let (looked_at, more) = bounds.looked_at(many.chain(own).collect());
        assert_eq!((looked_at.len(), more), (MOST_NAMES + 1, 50_000 - MOST_NAMES));
        assert_eq!(looked_at[0], name("zz.example"));
    }

    #[test]
    fn an_order_asks_for_no_more_than_there_is() {
        let names = vec![(name("a.example"), vec![0; 2000]), (name("a.example"), vec![0])];
        let many = (0..500).map(|n| (name(&format!("n{n}.example")), vec![1, 0, 1]));
        let nonces = Vec::new();
        let asked = bounded(Question { nonces, names: names.into_iter().chain(many).collect() });
        assert_eq!(asked.names.len(), MOST_NAMES);
        assert!(asked.names.iter().all(|(_, nonces)| nonces.is_empty()), "there are none");
    }
}
