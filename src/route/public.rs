//! flow: proves that the CA's own way, through public DNS and other hosts, ends in our webroot.
//!
//! A local proof says nothing where another host hands the challenge path on.
//! This asks by Boulder's rules; it cannot know what the CA's resolver says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ca::probe;
use crate::ca::redirect::Ports;
use crate::ca::resolve::System;
use crate::ca::webroot::{self, Planted};
use crate::clock::{Deadline, pause};
use crate::names::{Hostname, Route, Thumbprint, Webroot};
use crate::route::order::Report;
use crate::route::proof::Error;

/// The routes of `report` that no switched vhost answers: whoever hands them to us is elsewhere.
pub fn unswitched(report: &Report) -> Vec<Route> {
    let switched = |route: &&Route| {
        let by_switch = report.vhosts.iter().filter(|vhost| !vhost.obstacles.is_empty());
        by_switch.flat_map(|vhost| &vhost.routes).any(|other| other == *route)
    };
    report.local.iter().filter(|route| !switched(route)).cloned().collect()
}

/// Proves that a nonce of each route's webroot comes back under its name, each within `time`; or
/// that its `account` is answered for, which is all that the CA asks.
pub fn prove<'a>(
    routes: &[Route],
    account: &dyn Fn(&Hostname) -> Option<&'a Thumbprint>,
    time: Duration,
) -> Result<(), Error> {
    let mut planted: BTreeMap<&Webroot, Planted> = BTreeMap::new();
    for route in routes {
        if !planted.contains_key(&route.webroot) {
            planted.insert(&route.webroot, webroot::plant(&route.webroot)?);
        }
        if let Some(planted) = planted.get(&route.webroot) {
            one(route, planted, account(&route.name), time)?;
        }
    }
    for planted in planted.into_values() {
        planted.remove()?;
    }
    Ok(())
}

/// Another host may still be about to pass the path on, so a wrong answer is asked for again.
fn one(
    route: &Route,
    planted: &Planted,
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

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);
