//! flow: a validation, request by request, as the CA makes it.
//!
//! Boulder's `processHTTPValidation`. The rules are in `validation` and
//! `redirect`, the requests in `exchange`, the addresses in `resolve`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::base::clock::{Deadline, Stopwatch};
use crate::base::names::Hostname;
use crate::ca::exchange::{HttpResponse, exchange};
use crate::ca::redirect::{Ports, Target, Trail, UrlHost, is_redirect};
use crate::ca::resolve::Resolve;
use crate::ca::validation::{self, AddressPair, At, Failure, Nonce};

pub use crate::ca::exchange::prepare;

/// One request of a validation.
#[derive(Debug, Clone)]
pub struct Hop {
    /// What was asked, and where it was sent.
    pub at: At,
    /// The status, or why there is no (complete) answer.
    pub outcome: Result<u16, Failure>,
    /// From dialling to the end of the answer.
    pub elapsed: Duration,
}

/// The result of one validation.
#[derive(Debug, Clone)]
pub struct Validation {
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
) -> Validation {
    let mut walk = Walk::new(name, nonce, ports, resolve, deadline);
    let verdict = walk.attempt(address);
    walk.report(Some(address), verdict)
}

/// Does what the CA would do for `name`: its first IPv6 address, its first
/// IPv4 address only if a dial fails (also a dial to a redirect's target), all
/// within `deadline` (20 s at Let's Encrypt).
pub fn validate(
    name: &Hostname,
    nonce: &Nonce,
    ports: Ports,
    resolve: &dyn Resolve,
    deadline: &Deadline,
) -> Validation {
    let mut walk = Walk::new(name, nonce, ports, resolve, deadline);
    let choice = match walk.choose(name) {
        Ok(choice) => choice,
        Err(failure) => return walk.report(None, Err(failure)),
    };
    match (walk.attempt(choice.first), choice.fallback) {
        (Err(failure), Some(second)) if failure.falls_back() => {
            let verdict = walk.attempt(second);
            walk.report(Some(second), verdict)
        }
        (verdict, _) => walk.report(Some(choice.first), verdict),
    }
}

/// Asks for `nonce` at a bare `address`, which answers by itself: no redirect is followed.
pub fn bare(
    address: IpAddr,
    nonce: &Nonce,
    ports: Ports,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let at = validation::at_address(address, nonce, ports)?;
    let answer = exchange(&at, None, deadline)?;
    validation::judge_status(&at, answer.status)?;
    validation::judge_body(&at, &answer.body, nonce)
}

/// A validation under way; a second attempt shares the first one's trail.
struct Walk<'a> {
    name: &'a Hostname,
    nonce: &'a Nonce,
    ports: Ports,
    resolve: &'a dyn Resolve,
    deadline: &'a Deadline,
    trail: Trail,
    hops: Vec<Hop>,
}

impl<'a> Walk<'a> {
    fn new(
        name: &'a Hostname,
        nonce: &'a Nonce,
        ports: Ports,
        resolve: &'a dyn Resolve,
        deadline: &'a Deadline,
    ) -> Self {
        Self { name, nonce, ports, resolve, deadline, trail: Trail::default(), hops: Vec::new() }
    }

    fn report(self, address: Option<IpAddr>, verdict: Result<(), Failure>) -> Validation {
        Validation { address, hops: self.hops, verdict }
    }

    fn attempt(&mut self, first: IpAddr) -> Result<(), Failure> {
        let mut target = validation::first_target(self.name, self.nonce, self.ports)?;
        let mut address = first;
        let mut referer = None;
        self.trail.begin(&target.url);
        loop {
            if !self.resolve.permits(address) {
                return Err(Failure::Forbidden(address));
            }
            let at =
                At { url: Arc::new(target.url), address: SocketAddr::new(address, target.port) };
            let answer = self.hop(&at, referer.as_ref())?;
            let location = answer.location.as_deref().filter(|_| is_redirect(answer.status));
            let Some(location) = location else {
                validation::judge_status(&at, answer.status)?;
                return validation::judge_body(&at, &answer.body, self.nonce);
            };
            target = self.follow(&at, answer.status, location)?;
            address = match &target.host {
                UrlHost::Name(name) => self.choose(name)?.first,
                UrlHost::Address(address) => *address,
            };
            referer = Some(at.url);
        }
    }

    fn hop(&mut self, at: &At, referer: Option<&Arc<Url>>) -> Result<HttpResponse, Failure> {
        let watch = Stopwatch::start();
        let answer = exchange(at, referer, self.deadline);
        if matches!(answer, Err(Failure::NoTime(_))) {
            return answer; // nothing was asked
        }
        let outcome = answer.as_ref().map(|a| a.status).map_err(Clone::clone);
        self.hops.push(Hop { at: at.clone(), outcome, elapsed: watch.elapsed() });
        answer
    }

    fn follow(&mut self, at: &At, status: u16, location: &str) -> Result<Target, Failure> {
        let next = self.trail.process_redirect(status, &at.url, location, self.ports);
        next.map_err(|source| Failure::Redirect { at: at.clone(), status, source })
    }

    fn choose(&self, host: &Hostname) -> Result<AddressPair, Failure> {
        let found = self.resolve.addresses(host, self.deadline);
        let found = found
            .map_err(|source| Failure::Resolve { host: host.clone(), source: Arc::new(source) })?;
        validation::choose(&found).ok_or_else(|| Failure::NoAddress(host.clone()))
    }
}
