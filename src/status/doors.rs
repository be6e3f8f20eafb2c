//! flow: whether every address of a name that not all hosts have a certificate for serves one with it.
//!
//! A host that has the name in a lineage proves what it serves when it renews; one that has not
//! does not know better, and nothing on its disk tells.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::names::Hostname;
use crate::base::threads;
use crate::ca::handshake;
use crate::ca::resolve::{Resolve, System};
use crate::ca::served::Fault;
use crate::check::bounds::{Bounds, MOST_ADDRESSES};
use crate::check::own;
use crate::config::Settings;
use crate::status::overview::{HostStatus, Severity, Wrong};

/// Names with an address that serves a certificate without them.
pub fn uncovered(settings: &Settings, hosts: &[HostStatus]) -> Vec<Wrong> {
    let names = missing_somewhere(hosts);
    if names.is_empty() {
        return Vec::new();
    }
    let bounds = own::bounds_for(settings, names.iter());
    let deadline = Deadline::after(TIME);
    let names: Vec<Hostname> = names.into_iter().take(MOST).collect();
    let found = threads::each("door", &names, |name| {
        let bare = addresses(name, &bounds, &deadline)
            .into_iter()
            .filter(|address| is_uncovered(name, *address, &deadline));
        bare.map(|address| wrong(name, address)).collect::<Vec<_>>()
    });
    found.concat()
}

/// The names that a host has a certificate for, and another one has not.
fn missing_somewhere(hosts: &[HostStatus]) -> BTreeSet<Hostname> {
    let fresh = || hosts.iter().filter(|host| host.is_fresh()).filter_map(|h| h.found.as_ref());
    let names = fresh().flat_map(|found| &found.lineages).flat_map(|lineage| &lineage.names);
    let names: BTreeSet<Hostname> = names.filter_map(|name| Hostname::parse(name).ok()).collect();
    let lacks = |name: &Hostname| {
        let parent = name.as_str().split_once('.').map_or("", |(_, parent)| parent);
        let wildcard = format!("*.{parent}");
        fresh().any(|found| {
            let mut all = found.lineages.iter().flat_map(|lineage| &lineage.names);
            !all.any(|known| known == name.as_str() || *known == wildcard)
        })
    };
    names.into_iter().filter(lacks).collect()
}

fn addresses(name: &Hostname, bounds: &Bounds, deadline: &Deadline) -> Vec<IpAddr> {
    let mut found = System.addresses(name, deadline).unwrap_or_default();
    found.truncate(MOST_ADDRESSES);
    if !bounds.has(name, &found) {
        return Vec::new();
    }
    found.retain(|address| bounds.permits_own(name, *address));
    found
}

/// Where no certificate is presented at all, nobody is misled.
fn is_uncovered(name: &Hostname, address: IpAddr, deadline: &Deadline) -> bool {
    let served = handshake::look(name, SocketAddr::new(address, HTTPS), deadline);
    served.is_ok_and(|served| !served.covers(name))
}

fn wrong(name: &Hostname, address: IpAddr) -> Wrong {
    let fault = Fault::NotCovered(name.clone());
    Wrong {
        code: fault.code().to_owned(),
        key: format!("{}/{name}/{address}", fault.code()),
        severity: Severity::from(fault.severity()),
        text: format!("{name} at {address}: {fault}"),
    }
}

/// For all of it.
const TIME: Duration = Duration::from_secs(10);

/// Names that are looked at; `check` looks at all.
const MOST: usize = 20;

const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample::{healthy, lineage};

    #[test]
    fn only_what_a_host_lacks_is_asked_for_and_a_wildcard_is_enough() {
        let names = |change: &dyn Fn(&mut Vec<String>, &mut Vec<String>)| {
            let mut hosts = healthy().hosts;
            let (mut vps, mut home) = (lineage("a.example", 90, 60), lineage("a.example", 90, 60));
            change(&mut vps.names, &mut home.names);
            hosts[0].found.as_mut().unwrap().lineages = vec![vps];
            hosts[1].found.as_mut().unwrap().lineages = vec![home];
            let told: Vec<String> =
                missing_somewhere(&hosts).iter().map(ToString::to_string).collect();
            hosts[0].unreachable = Some("down".into());
            assert!(missing_somewhere(&hosts).is_empty(), "what it has now is not known");
            told
        };
        assert!(names(&|_, _| {}).is_empty());
        assert_eq!(names(&|_, home| home.push("third.example".into())), ["third.example"]);
        let both = |vps: &mut Vec<String>, home: &mut Vec<String>| {
            vps.push("*.example".into());
            home.push("third.example".into());
        };
        assert!(names(&both).is_empty());
    }
}
