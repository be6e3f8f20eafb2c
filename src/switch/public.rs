//! flow: proves that the CA's own way, through public DNS and other hosts, ends in our webroot.
//!
//! A local proof says nothing where another host hands the challenge path on.
//! This asks by Boulder's rules; it cannot know what the CA's resolver says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::clock::{Deadline, pause};
use crate::base::names::{Hostname, Route, Thumbprint, Webroot};
use crate::ca::probe;
use crate::ca::redirect::Ports;
use crate::ca::resolve::System;
use crate::ca::webroot::{self, PlantedFile};
use crate::switch::challenge_proof::{Error, Unproven};
use crate::switch::order::SwitchReport;

/// The routes of `report` that no switched vhost answers: whoever hands them to us is elsewhere.
pub fn unswitched(report: &SwitchReport) -> Vec<Route> {
    let switched = |route: &&Route| {
        let by_switch = report.vhosts.iter().filter(|vhost| !vhost.obstacles.is_empty());
        by_switch.flat_map(|vhost| &vhost.routes).any(|other| other == *route)
    };
    report.local.iter().filter(|route| !switched(route)).cloned().collect()
}

/// Asks whether a nonce of each route's webroot comes back under its name, each within `time`; or
/// whether its `account` is answered for, which is all that the CA asks. The routes that do not,
/// and why.
pub fn prove<'a>(
    routes: &[Route],
    account: &dyn Fn(&Hostname) -> Option<&'a Thumbprint>,
    time: Duration,
) -> Vec<Unproven> {
    let mut planted: BTreeMap<&Webroot, PlantedFile> = BTreeMap::new();
    let (mut unproven, mut patience): (Vec<Unproven>, _) = (Vec::new(), time);
    for route in routes {
        let asked = match planted.get(&route.webroot) {
            Some(there) => one(route, there, account(&route.name), patience),
            None => webroot::plant(&route.webroot).map_err(Error::from).and_then(|new| {
                let there = planted.entry(&route.webroot).or_insert(new);
                one(route, there, account(&route.name), patience)
            }),
        };
        if let Err(error) = asked {
            // Who was about to pass the path on has had its time by now.
            patience = patience.min(AFTER_A_FAILURE);
            unproven.push((route.clone(), error));
        }
    }
    for (webroot, planted) in planted {
        if let Err(error) = planted.remove() {
            let is_new = |route: &&Route| {
                route.webroot == *webroot && unproven.iter().all(|(other, _)| other != *route)
            };
            // Said of one name, since it is one directory.
            if let Some(route) = routes.iter().find(is_new) {
                unproven.push((route.clone(), error.into()));
            }
        }
    }
    unproven
}

/// Proves that a nonce of `webroot` comes back under a bare address, as for a certificate of it
/// (RFC 8738 §4): asked there, since no name leads anywhere else.
pub fn address(address: IpAddr, webroot: &Webroot, time: Duration) -> Result<(), Error> {
    let planted = webroot::plant(webroot)?;
    let asked = probe::bare(address, planted.nonce(), Ports::PUBLIC, &Deadline::after(time));
    planted.remove()?;
    asked.map_err(|failure| Error::NoAddress {
        address,
        webroot: webroot.clone(),
        failure: Box::new(failure),
    })
}

/// Another host may still be about to pass the path on, so a wrong answer is asked for again.
fn one(
    route: &Route,
    planted: &PlantedFile,
    account: Option<&Thumbprint>,
    time: Duration,
) -> Result<(), Error> {
    let deadline = Deadline::after(time);
    loop {
        let nonce = planted.nonce();
        let report = probe::validate(&route.name, nonce, Ports::PUBLIC, &System, &deadline);
        let Err(failure) = report.verdict else { return Ok(()) };
        if failure.authorizes(nonce, account) {
            return Ok(());
        }
        if deadline.remaining().is_none_or(|left| left < AGAIN) || pause(AGAIN, &deadline).is_err()
        {
            return Err(Error::NotPublic {
                name: route.name.clone(),
                webroot: route.webroot.clone(),
                failure: Box::new(failure),
            });
        }
    }
}

/// For each name after one that failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(8);

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);
