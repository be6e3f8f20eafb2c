//! pure: whether DNS has this host in the role that it is given: the `A` records lead to the vps, the `AAAA` records home.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::base::names::Hostname;
use crate::config::Settings;

/// Which of the two a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Public, on IPv4: it grants the lease.
    Vps,
    /// Where every challenge arrives: it calls.
    Home,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vps => "vps",
            Self::Home => "home",
        })
    }
}

impl Role {
    /// What the configuration says that this host is.
    pub fn of(settings: &Settings) -> Option<Self> {
        let (name, arbiter) = (settings.name.as_ref()?, settings.arbiter.as_ref()?);
        Some(if name == arbiter { Self::Vps } else { Self::Home })
    }

    /// What DNS says of `name`, if that can only be meant so: addresses of one kind are this host's, and those of
    /// the other are not. A vps behind a translation has none of its own, and says nothing.
    pub fn seen(addresses: &[IpAddr], own: &BTreeSet<IpAddr>) -> Option<Self> {
        let of = |is_kind: fn(&IpAddr) -> bool| {
            let mut kind = addresses.iter().filter(|address| is_kind(address)).peekable();
            kind.peek().is_some().then(|| kind.any(|address| own.contains(address)))
        };
        match (of(IpAddr::is_ipv4), of(IpAddr::is_ipv6)) {
            (Some(true), Some(false)) => Some(Self::Vps),
            (Some(false), Some(true)) => Some(Self::Home),
            _ => None,
        }
    }
}

/// What DNS says against a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// By this name.
    pub name: Hostname,
    /// It is rather this.
    pub rather: Role,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rather } = self;
        let (own, other) = match rather {
            Role::Vps => ("A", "AAAA"),
            Role::Home => ("AAAA", "A"),
        };
        write!(
            f,
            "DNS says that this host is {rather}: the {own} record of {name} leads here, and its {other} record elsewhere"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_tells_the_two_hosts_apart_where_it_can() {
        let all = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>();
        let seen = |records: &[&str], own: &[&str]| {
            Role::seen(&all(records), &all(own).into_iter().collect())
        };
        let records = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(seen(&records, &["2001:db8::1", "10.0.0.2"]), Some(Role::Home));
        assert_eq!(seen(&records, &["192.0.2.1", "2001:db8::9"]), Some(Role::Vps));
        assert_eq!(seen(&records, &["10.0.0.2"]), None, "translated");
        assert_eq!(seen(&records, &["192.0.2.1", "2001:db8::1"]), None, "both are here");
        assert_eq!(seen(&records[..1], &["192.0.2.1"]), None, "no AAAA record");
        assert_eq!(seen(&[], &["192.0.2.1"]), None);
    }
}
