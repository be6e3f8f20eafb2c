//! flow: asks for nonces under names as the CA asks, and looks at certificates; many at a time.
//!
//! Each address is dialled once before any name is asked for there: one that
//! nobody answers eats ten seconds of each request, and a hundred names have it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::names::Hostname;
use crate::base::threads;
use crate::ca::dns::Nameservers;
use crate::ca::exchange::DIAL_TIMEOUT;
use crate::ca::handshake;
use crate::ca::probe;
use crate::ca::redirect::Ports;
use crate::ca::resolve::Resolve;
use crate::ca::sight::{
    Answer, Leaf, Miss, MissKind, NonceAnswer, Presented, Question, Sight, WantedNonce,
};
use crate::ca::validation::{Failure, choose};
use crate::check::bounds::{Bounds, Fenced, bounded};
use crate::check::resolver::{Records, Resolver};

/// Somebody no longer wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalledOff;

type Dialled = BTreeMap<SocketAddr, Option<Miss>>;

/// What is known before anything is asked; shared by all threads.
struct Known {
    nonces: Vec<WantedNonce>,
    dialled: Dialled,
    resolver: Fenced,
    deadline: Deadline,
}

/// Something to ask for, of the name at a place of the question.
struct Job {
    name: usize,
    host: Hostname,
    request: Request,
}

enum Request {
    Validate { nonce: usize, addresses: Vec<IpAddr> },
    Fetch { nonce: usize, address: IpAddr },
    Present { address: IpAddr },
}

enum Done {
    Validated(NonceAnswer),
    Fetched(NonceAnswer),
    Presented(Presented),
}

/// Answers `question` as far as `bounds` go; `going_on` is asked several times a second.
pub fn look(
    question: Question,
    bounds: Bounds,
    going_on: &mut dyn FnMut() -> Result<(), CalledOff>,
) -> Result<Vec<Sight>, CalledOff> {
    let question = bounded(question);
    let deadline = Deadline::after(TIME);
    let names: Vec<Hostname> = question.names.iter().map(|(name, _)| name.clone()).collect();
    let resolver = Fenced { resolver: Resolver::new(Nameservers::system().ok()), bounds };
    let resolve = {
        let resolver = resolver.clone();
        move |name: Hostname| {
            let records = resolver.records(&name, &deadline);
            (name, records)
        }
    };
    let mut found: BTreeMap<Hostname, Records> =
        all(names, resolve, going_on)?.into_iter().collect();

    let addresses = found.values().flat_map(|records| records.addresses.iter().copied());
    let addresses: BTreeSet<IpAddr> =
        addresses.filter(|address| resolver.permits(*address)).collect();
    let ports = [Ports::PUBLIC.http, Ports::PUBLIC.https];
    let doors = addresses.iter().flat_map(|address| ports.map(|port| (*address, port).into()));
    let dialled = all(doors.collect(), move |door| (door, dial(door, &deadline)), going_on)?;

    let known = Known {
        nonces: question.nonces,
        dialled: dialled.into_iter().collect(),
        resolver,
        deadline: Deadline::after(TIME),
    };
    let mut sights = Vec::new();
    let mut jobs = Vec::new();
    for (name, (host, nonces)) in question.names.into_iter().enumerate() {
        let Records { addresses, unresolved, caa, caa_unknown } =
            found.remove(&host).unwrap_or_default();
        let job = |request| Job { name, host: host.clone(), request };
        for nonce in nonces.into_iter().filter(|nonce| *nonce < known.nonces.len()) {
            if !addresses.is_empty() {
                let addresses = addresses.clone();
                jobs.push(job(Request::Validate { nonce, addresses }));
            }
            let fetch = |address: &IpAddr| job(Request::Fetch { nonce, address: *address });
            jobs.extend(addresses.iter().map(fetch));
        }
        jobs.extend(addresses.iter().map(|address| job(Request::Present { address: *address })));
        let (validated, fetched, presented) = (Vec::new(), Vec::new(), Vec::new());
        sights.push(Sight {
            name: host,
            addresses,
            unresolved,
            caa,
            caa_unknown,
            validated,
            fetched,
            presented,
        });
    }
    jobs.truncate(MOST_REQUESTS);
    let perform = move |Job { name, host, request }| (name, known.perform(&host, request));
    for (name, done) in all(jobs, perform, going_on)? {
        match done {
            Done::Validated(asked) => sights[name].validated.push(asked),
            Done::Fetched(asked) => sights[name].fetched.push(asked),
            Done::Presented(presented) => sights[name].presented.push(presented),
        }
    }
    Ok(sights)
}

/// Does `work` for all of `items`, some at a time; the results are in the order of the items.
fn all<T: Send + 'static, R: Send + 'static>(
    items: Vec<T>,
    work: impl Fn(T) -> R + Send + Sync + 'static,
    going_on: &mut dyn FnMut() -> Result<(), CalledOff>,
) -> Result<Vec<R>, CalledOff> {
    let (count, mut are_none) = (items.len(), false);
    let queue: Arc<Mutex<VecDeque<(usize, T)>>> =
        Arc::new(Mutex::new(items.into_iter().enumerate().collect()));
    let work = Arc::new(work);
    let (done, results) = mpsc::channel();
    // A poisoned lock means that another worker died; this one ends, too.
    let next = |queue: &Mutex<VecDeque<(usize, T)>>| queue.lock().ok()?.pop_front();
    for begun in 0..count.min(AT_A_TIME) {
        let (queue, work, done) = (Arc::clone(&queue), Arc::clone(&work), done.clone());
        let worker = move || {
            while let Some((n, item)) = next(&queue) {
                if done.send((n, work(item))).is_err() {
                    return;
                }
            }
        };
        // Fewer do the same, and without any it is done here.
        are_none = threads::start("look", worker).is_err() && begun == 0;
        if are_none {
            break;
        }
    }
    drop(done);
    let mut found = BTreeMap::new();
    while are_none && let Some((n, item)) = next(&queue) {
        going_on()?;
        found.insert(n, work(item));
    }
    loop {
        match results.recv_timeout(LOOK_AGAIN) {
            Ok((n, result)) => {
                found.insert(n, result);
            }
            Err(RecvTimeoutError::Timeout) => going_on()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(found.into_values().collect()),
        }
    }
}

/// Whether somebody takes connections there; `None`: somebody does.
fn dial(door: SocketAddr, deadline: &Deadline) -> Option<Miss> {
    let Some(left) = deadline.remaining() else { return Some(Miss::not_asked("no time left")) };
    let error = TcpStream::connect_timeout(&door, left.min(DIAL_TIMEOUT)).err()?;
    let why = format!("no connection to {door}: {error}");
    Some(Miss { kind: MissKind::of_dial(&error), url: None, redirected: false, why })
}

impl Known {
    fn perform(&self, name: &Hostname, request: Request) -> Done {
        match request {
            Request::Validate { nonce, addresses } => {
                let (address, answer) = self.validate(name, nonce, &addresses);
                Done::Validated(self.asked(nonce, address, answer))
            }
            Request::Fetch { nonce, address } => {
                let answer = self.fetch(name, nonce, address, VALIDATION_TIME);
                Done::Fetched(self.asked(nonce, Some(address), answer))
            }
            Request::Present { address } => {
                let (leaf, miss) = match self.present(name, address) {
                    Ok(leaf) => (Some(leaf), None),
                    Err(miss) => (None, Some(miss)),
                };
                Done::Presented(Presented { address, leaf, miss })
            }
        }
    }

    fn asked(&self, nonce: usize, address: Option<IpAddr>, answer: Answer) -> NonceAnswer {
        NonceAnswer { nonce: self.nonces[nonce].host.clone(), address, answer }
    }

    /// Where nobody took a connection, and with which words.
    fn dead(&self, address: IpAddr, port: u16) -> Option<&Miss> {
        self.dialled.get(&(address, port).into()).and_then(Option::as_ref)
    }

    /// The address that decides, and what it answers.
    fn validate(
        &self,
        name: &Hostname,
        nonce: usize,
        addresses: &[IpAddr],
    ) -> (Option<IpAddr>, Answer) {
        let Some(choice) = choose(addresses) else {
            return (None, Answer::Missed(Miss::not_asked("no address")));
        };
        if let Some(miss) = self.dead(choice.first, Ports::PUBLIC.http) {
            let Some(second) = choice.fallback else {
                return (Some(choice.first), Answer::Missed(miss.clone()));
            };
            // What the dial to the first has left of the time.
            let spent =
                if miss.kind == MissKind::BlackHole { DIAL_TIMEOUT } else { Duration::ZERO };
            let time = VALIDATION_TIME.saturating_sub(spent);
            return (Some(second), self.fetch(name, nonce, second, time));
        }
        if let Err(late) = self.in_time() {
            return (None, Answer::Missed(late));
        }
        let (wanted, deadline) = (&self.nonces[nonce], Deadline::after(VALIDATION_TIME));
        let file = wanted.content.nonce();
        let report = probe::validate(name, file, Ports::PUBLIC, &self.resolver, &deadline);
        (report.address, answer(&report, wanted))
    }

    fn fetch(&self, name: &Hostname, nonce: usize, address: IpAddr, time: Duration) -> Answer {
        if let Err(miss) = self.may_ask(address, Ports::PUBLIC.http) {
            return Answer::Missed(miss);
        }
        let (wanted, deadline) = (&self.nonces[nonce], Deadline::after(time));
        let file = wanted.content.nonce();
        let report = probe::fetch(name, file, address, Ports::PUBLIC, &self.resolver, &deadline);
        answer(&report, wanted)
    }

    fn present(&self, name: &Hostname, address: IpAddr) -> Result<Leaf, Miss> {
        self.may_ask(address, Ports::PUBLIC.https)?;
        let door = SocketAddr::new(address, Ports::PUBLIC.https);
        let chain = handshake::look(name, door, &Deadline::after(DIAL_TIMEOUT));
        let chain = chain.map_err(|failure| Miss::of(&failure, false))?;
        Ok(Leaf::of(&chain, name, clock::now()))
    }

    /// Whether it is worth a request: the address is allowed, somebody takes connections, and
    /// there is time left.
    fn may_ask(&self, address: IpAddr, port: u16) -> Result<(), Miss> {
        if !self.resolver.permits(address) {
            return Err(Miss::of(&Failure::Forbidden(address), false));
        }
        match self.dead(address, port) {
            Some(miss) => Err(miss.clone()),
            None => self.in_time(),
        }
    }

    fn in_time(&self) -> Result<(), Miss> {
        self.deadline.remaining().map(|_| ()).ok_or_else(|| Miss::not_asked(LATE))
    }
}

fn answer(report: &probe::Validation, wanted: &WantedNonce) -> Answer {
    match &report.verdict {
        Ok(()) => Answer::Same,
        Err(failure) if failure.authorizes(wanted.content.nonce(), wanted.account.as_ref()) => {
            Answer::Same
        }
        Err(failure) => Answer::Missed(Miss::of(failure, report.hops.len() > 1)),
    }
}

/// Boulder's own, for one validation.
const VALIDATION_TIME: Duration = Duration::from_secs(20);

/// For all requests of one order to begin.
const TIME: Duration = Duration::from_secs(90);

/// Threads; they wait for others nearly all the time.
const AT_A_TIME: usize = 24;

/// Between two looks at whether the caller is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Of one order: a hundred names of two hosts, at two addresses each.
const MOST_REQUESTS: usize = 1000;

const LATE: &str = "not asked: all that was asked before took too long";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_in_their_order_and_a_caller_that_is_gone_ends_it() {
        let doubled = all((0..100).collect(), |n| n * 2, &mut || Ok(())).unwrap();
        assert_eq!(doubled, (0..100).map(|n| n * 2).collect::<Vec<_>>());
        let (_never, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let hang = move |_: u8| wait.lock().map(|wait| wait.recv().is_ok()).is_ok();
        assert_eq!(all(vec![1], hang, &mut || Err(CalledOff)), Err(CalledOff));
    }

    #[test]
    fn an_address_that_nobody_listens_on_is_told_once_for_all() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let door = listener.local_addr().unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        assert_eq!(dial(door, &deadline), None);
        drop(listener);
        assert_eq!(dial(door, &deadline).map(|miss| miss.kind), Some(MissKind::Refused));
    }
}
