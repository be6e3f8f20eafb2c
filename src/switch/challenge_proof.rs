//! flow: proves, by asking as the CA would, who answers the challenges of each name.
//!
//! One nonce per webroot, one fresh connection per name and address. What a
//! CA sees through DNS, NAT or a CDN is not proven here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::apache::dump::Dump;
use crate::apache::vhosts::Vhost;
use crate::base::certificate;
use crate::base::clock::Deadline;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::names::{Hostname, Route, Webroot};
use crate::base::sockets;
use crate::ca::probe;
use crate::ca::redirect::Ports;
use crate::ca::resolve::{Pinned, System};
use crate::ca::validation::{Failure, Reach};
use crate::ca::webroot::{self, PlantedFile};
use crate::switch::plan::{Door, HTTP_PORT, answering_vhosts};

/// Why the proof failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token file could not be planted or removed.
    #[error(transparent)]
    Webroot(#[from] webroot::Error),
    /// The interfaces could not be listed.
    #[error("cannot list the addresses of this host")]
    Addresses(#[source] io::Error),
    /// The CA has nowhere to ask.
    #[error("{0} has no address in DNS: the CA cannot reach it; publish A or AAAA records")]
    NotInDns(Hostname),
    /// No address to ask.
    #[error(
        "Apache does not listen on port 80 of any address that serves {0}; the CA asks there first"
    )]
    NoListener(Hostname),
    /// The nonce did not come back.
    #[error("{name} on {address} does not answer from {webroot}: {failure}")]
    NotLocal {
        /// The name.
        name: Hostname,
        /// The address asked.
        address: IpAddr,
        /// Where the file was.
        webroot: Webroot,
        /// What came instead.
        failure: Box<Failure>,
    },
    /// The nonce did not come back by the public way.
    #[error("{name} does not answer from {webroot} for the CA: {failure}")]
    NotPublic {
        /// The name.
        name: Hostname,
        /// Where the file was.
        webroot: Webroot,
        /// What came instead, and from which address.
        failure: Box<Failure>,
    },
    /// The nonce did not come back from an address that is to have a certificate.
    #[error(
        "{address} does not answer from {webroot}: {failure}; certbaton switches names only, so let the vhost that answers a request for the bare address answer the challenge path from there"
    )]
    NoAddress {
        /// The address.
        address: IpAddr,
        /// Where the file was.
        webroot: Webroot,
        /// What came instead.
        failure: Box<Failure>,
    },
    /// No TLS.
    #[error("the served certificate cannot be seen: {0}")]
    NoHandshake(Box<Failure>),
    /// Renewed on disk, the old one served.
    #[error("{name} on {address} {fault}")]
    OldCertificate {
        /// The name.
        name: Hostname,
        /// The address asked.
        address: SocketAddr,
        /// What is served, and what is on disk.
        fault: Box<Finding>,
    },
    /// The same of a web server that is not Apache, some time after its reload.
    #[error("{name} on {address} still {} after {} s of reloading; see that its configuration names the lineage's fullchain.pem", fault.what, waited.as_secs())]
    NotReloaded {
        /// The name.
        name: Hostname,
        /// The address asked.
        address: SocketAddr,
        /// What is served, and what is on disk.
        fault: Box<Finding>,
        /// How long was waited.
        waited: Duration,
    },
    /// A certificate on disk that cannot be read.
    #[error("{}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        source: certificate::Error,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Webroot(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Addresses(_)
            | Self::NotInDns(_)
            | Self::NoListener(_)
            | Self::NotLocal { .. }
            | Self::NotPublic { .. }
            | Self::NoAddress { .. }
            | Self::NoHandshake(_)
            | Self::OldCertificate { .. }
            | Self::Certificate { .. }
            | Self::NotReloaded { .. } => Exit::Failed,
        }
    }
}

/// A route that is not proven, and why.
pub type Unproven = (Route, Error);

/// Asks whether every door answers from its webroot on this host; the routes that do not, and why.
///
/// Each is asked in its own time, so that one that hangs costs itself alone.
pub fn local(
    doors: &[Door],
    listeners: &[SocketAddr],
    time: Duration,
) -> Result<Vec<Unproven>, Error> {
    let mut patience = time;
    each(doors, listeners, |door, address, planted| {
        let deadline = Deadline::after(patience);
        let report = ask(door, doors, address, planted, &deadline);
        match report.verdict {
            Ok(()) => Ok(true),
            Err(failure) if may_be_absent((address, HTTP_PORT).into(), listeners, &failure) => {
                Ok(false)
            }
            Err(failure) => {
                if deadline.remaining().is_none() {
                    patience = patience.min(AFTER_A_HANG);
                }
                Err(Error::NotLocal {
                    name: door.route.name.clone(),
                    address,
                    webroot: door.route.webroot.clone(),
                    failure: Box::new(failure),
                })
            }
        }
    })
}

/// The routes that no proof can be made of, whatever Apache's configuration says: nothing can be put
/// into the webroot, or nobody listens where it is asked.
pub fn unprovable(doors: &[Door], listeners: &[SocketAddr]) -> Result<Vec<Unproven>, Error> {
    each(doors, listeners, |_, _, _| Ok(true))
}

/// Where those who ask for `routes` arrive.
pub fn doors<'a>(dump: &Dump, routes: impl Iterator<Item = &'a Route>) -> Vec<Door> {
    let of = |route: &Route| {
        let door = |(address, vhost): (_, Vhost<'_>)| Door {
            route: route.clone(),
            address,
            vhost: vhost.origin().cloned(),
        };
        answering_vhosts(dump, &route.name).into_iter().map(door).collect::<Vec<_>>()
    };
    routes.flat_map(of).collect()
}

/// The names of `doors` that are answered from their webroot on this host.
///
/// Whoever answers instead, or does not in time, is the peer's business.
pub fn still_local(doors: &[Door], listeners: &[SocketAddr]) -> Result<Vec<Hostname>, Error> {
    let there = |door: &&Door| files::exists(door.route.webroot.as_path());
    let doors: Vec<Door> = doors.iter().filter(there).cloned().collect();
    let mut names = BTreeSet::new();
    each(&doors, listeners, |door, address, planted| {
        let deadline = Deadline::after(PEER_TIME);
        if ask(door, &doors, address, planted, &deadline).verdict.is_ok() {
            names.insert(door.route.name.clone());
        }
        Ok(true)
    })?;
    Ok(names.into_iter().collect())
}

/// Plants one nonce per webroot and asks every address of every door; the routes where that
/// fails, each with its first failure.
fn each(
    doors: &[Door],
    listeners: &[SocketAddr],
    mut check: impl FnMut(&Door, IpAddr, &PlantedFile) -> Result<bool, Error>,
) -> Result<Vec<Unproven>, Error> {
    let interfaces = sockets::interface_addresses().map_err(Error::Addresses)?;
    let named: BTreeSet<IpAddr> = doors.iter().filter_map(|door| door.address).collect();
    let mut planted: BTreeMap<&Webroot, PlantedFile> = BTreeMap::new();
    let mut answered: BTreeMap<&Route, bool> = BTreeMap::new();
    let mut failed: BTreeMap<&Route, Error> = BTreeMap::new();
    for door in doors {
        let (route, webroot) = (&door.route, &door.route.webroot);
        answered.entry(route).or_default();
        for address in addresses(door.address, HTTP_PORT, listeners, &interfaces, &named) {
            if failed.contains_key(route) {
                break;
            }
            // Where nothing can be planted, each name is told so.
            let seen = match planted.get(webroot) {
                Some(there) => check(door, address, there),
                None => webroot::plant(webroot)
                    .map_err(Error::from)
                    .and_then(|new| check(door, address, planted.entry(webroot).or_insert(new))),
            };
            match seen {
                Ok(seen) => *answered.entry(route).or_default() |= seen,
                Err(error) => drop(failed.insert(route, error)),
            }
        }
    }
    for (webroot, planted) in planted {
        if let Err(error) = planted.remove() {
            // Said of one name, since it is one directory.
            let mut in_it = answered.keys().filter(|route| route.webroot == *webroot);
            if let Some(route) = in_it.find(|route| !failed.contains_key(*route)) {
                failed.insert(route, error.into());
            }
        }
    }
    for (route, _) in answered.into_iter().filter(|(_, seen)| !seen) {
        failed.entry(route).or_insert_with(|| Error::NoListener(route.name.clone()));
    }
    Ok(failed.into_iter().map(|(route, error)| (route.clone(), error)).collect())
}

/// The addresses of this host behind `wanted`; `None` is any that no vhost names.
pub(crate) fn addresses(
    wanted: Option<IpAddr>,
    port: u16,
    listeners: &[SocketAddr],
    interfaces: &BTreeSet<IpAddr>,
    named: &BTreeSet<IpAddr>,
) -> Vec<IpAddr> {
    let listeners = listeners.iter().filter(|l| l.port() == port).map(SocketAddr::ip);
    if let Some(address) = wanted {
        let covers = |ip: IpAddr| ip == address || ip.is_unspecified();
        let here = interfaces.contains(&address) && listeners.into_iter().any(covers);
        return here.then_some(address).into_iter().collect();
    }
    let mut found = Vec::new();
    for ip in listeners {
        if !ip.is_unspecified() {
            found.extend(Some(ip).filter(|ip| !named.contains(ip)));
            continue;
        }
        // An IPv6 wildcard usually takes IPv4 too; whether it does, the dial tells.
        found.extend(any_of(interfaces, named, true).filter(|_| ip.is_ipv6()));
        found.extend(any_of(interfaces, named, false));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// One address of a family that no vhost names: loopback if possible.
fn any_of(interfaces: &BTreeSet<IpAddr>, named: &BTreeSet<IpAddr>, v6: bool) -> Option<IpAddr> {
    let loopback: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let family = interfaces.iter().copied().filter(|ip| ip.is_ipv6() == v6);
    let present = Some(loopback).filter(|ip| interfaces.contains(ip));
    present.into_iter().chain(family).find(|ip| !named.contains(ip))
}

/// IPv4 on an IPv6 wildcard socket: refused if the socket is IPv6 only.
pub(crate) fn may_be_absent(
    address: SocketAddr,
    listeners: &[SocketAddr],
    failure: &Failure,
) -> bool {
    let own = |l: &SocketAddr| l.port() == address.port() && l.is_ipv4();
    address.is_ipv4() && !listeners.iter().any(own) && failure.reach() == Reach::Nothing
}

fn ask(
    door: &Door,
    doors: &[Door],
    address: IpAddr,
    planted: &PlantedFile,
    deadline: &Deadline,
) -> probe::Validation {
    let names = doors.iter().map(|door| door.route.name.clone()).collect();
    let resolve = Pinned { address, names, otherwise: System };
    probe::fetch(&door.route.name, planted.nonce(), address, Ports::PUBLIC, &resolve, deadline)
}

/// For each answer after one that did not come in time: an own vhost that is healthy takes less.
const AFTER_A_HANG: Duration = Duration::from_secs(5);

/// For one answer of the peer: long enough for a tunnel, short enough for a dead one.
const PEER_TIME: Duration = Duration::from_secs(3);
