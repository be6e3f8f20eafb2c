//! system: from a name to its addresses, by this host's resolver.
//!
//! What the CA's resolver says can differ: this one reads `/etc/hosts`, asks
//! the configured server and sorts by RFC 6724. It follows `nsswitch.conf`.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};

use crate::base::clock::{self, Deadline};
use crate::base::names::Hostname;

/// Where addresses come from.
pub trait Resolve {
    /// All addresses of `host`, in the order of preference. An error if the
    /// resolver fails or takes longer than the deadline; it may also report
    /// "no such name" so.
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>>;

    /// Whether a connection to `address` may be made, be it a redirect's.
    fn permits(&self, address: IpAddr) -> bool {
        let _ = address;
        true
    }
}

/// How it is told that a name has no address to be had, with why behind: so that it is told once.
pub const UNRESOLVED: &str = "cannot be resolved";

/// This host's resolver (getaddrinfo(3)).
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Resolve for System {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        // getaddrinfo has no timeout of its own short of resolv.conf's.
        // No final dot against search domains: `/etc/hosts` would not match.
        let host = host.to_string();
        let found = clock::within(deadline, move || (host.as_str(), 0).to_socket_addrs());
        let found = found.map_err(io::Error::from)??;
        let mut addresses = Vec::new();
        for address in found.map(|a| a.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

/// Some names at one address, all others elsewhere: a local proof sends the
/// redirects that lead back to the names under test to the address under test.
#[derive(Debug, Clone)]
pub struct Pinned<R = System> {
    /// The address of `names`.
    pub address: IpAddr,
    /// The names at `address`.
    pub names: BTreeSet<Hostname>,
    /// Who knows the others.
    pub otherwise: R,
}

impl<R: Resolve> Resolve for Pinned<R> {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        if self.names.contains(host) {
            Ok(vec![self.address])
        } else {
            self.otherwise.addresses(host, deadline)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_pinned_name_never_reaches_the_resolver_and_others_do() {
        struct Broken;
        impl Resolve for Broken {
            fn addresses(&self, _: &Hostname, _: &Deadline) -> io::Result<Vec<IpAddr>> {
                Err(io::Error::other("asked"))
            }
        }
        let name = |n| Hostname::parse(n).unwrap();
        let address = IpAddr::from([192, 0, 2, 1]);
        let pinned =
            Pinned { address, names: BTreeSet::from([name("a.example")]), otherwise: Broken };
        let deadline = Deadline::after(Duration::from_secs(5));
        assert_eq!(pinned.addresses(&name("a.example"), &deadline).unwrap(), [address]);
        assert!(pinned.addresses(&name("b.example"), &deadline).is_err());
    }

    #[test]
    fn the_system_knows_localhost() {
        let deadline = Deadline::after(Duration::from_secs(5));
        let found = System.addresses(&Hostname::parse("localhost").unwrap(), &deadline).unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}
