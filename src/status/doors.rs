//! flow: whether every address of a name that not all hosts have a certificate for serves one with it.
//!
//! A host that has the name in a lineage proves what it serves when it renews; one that has not
//! does not know better, and nothing on its disk tells.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::codes::Code;
use crate::base::names::Hostname;
use crate::ca::resolve::System;
use crate::ca::served::not_covered;
use crate::check::presented;
use crate::config::Settings;
use crate::status::overview::{HostStatus, Urgency, Wrong};

/// Names with an address that serves a certificate without them, as far as no host tells it of itself.
pub fn uncovered(settings: &Settings, hosts: &[HostStatus]) -> Vec<Wrong> {
    let found = presented::uncovered(settings, missing_somewhere(hosts), &System);
    found.into_iter().map(|(name, address)| wrong(&name, address)).collect()
}

/// The names that a host has a certificate for, and another one has not.
fn missing_somewhere(hosts: &[HostStatus]) -> BTreeSet<Hostname> {
    let fresh = || hosts.iter().filter(|host| host.is_fresh()).filter_map(|h| h.found.as_ref());
    let names = fresh().flat_map(|found| &found.lineages).flat_map(|lineage| &lineage.names);
    let names: BTreeSet<Hostname> = names.filter_map(|name| Hostname::parse(name).ok()).collect();
    let lacks = |name: &Hostname| {
        fresh().any(|found| {
            let mut all = found.lineages.iter().flat_map(|lineage| &lineage.names);
            !all.any(|known| name.is_covered_by(known))
        })
    };
    // The host that serves it names the line.
    let is_told = |name: &Hostname| {
        let mut findings = fresh().flat_map(|found| &found.findings);
        findings.any(|told| told.code == Code::ServedNotCovered && told.names.contains(name))
    };
    names.into_iter().filter(|name| lacks(name) && !is_told(name)).collect()
}

fn wrong(name: &Hostname, address: IpAddr) -> Wrong {
    let fault = not_covered(name);
    Wrong {
        key: format!("{}/{name}/{address}", fault.code),
        severity: Urgency::from(fault.severity),
        text: format!("{name} at {address}: {fault}"),
        code: fault.code,
        host: None,
    }
}

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

    #[test]
    fn what_a_host_tells_of_its_own_lines_is_not_asked_for_again() {
        let mut hosts = healthy().hosts;
        let mut home = lineage("a.example", 90, 60);
        home.names.push("third.example".into());
        hosts[0].found.as_mut().unwrap().lineages = vec![lineage("a.example", 90, 60)];
        hosts[1].found.as_mut().unwrap().lineages = vec![home];
        assert_eq!(missing_somewhere(&hosts).len(), 1);
        let third = Hostname::parse("third.example").unwrap();
        let told = not_covered(&third).about(vec![third]);
        hosts[0].found.as_mut().unwrap().findings.push(told);
        assert!(missing_somewhere(&hosts).is_empty());
    }
}
