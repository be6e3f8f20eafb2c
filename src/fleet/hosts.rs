//! flow: the hosts of the configuration, which of them this is, and how all are asked to look at themselves at once.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::base::clock;
use crate::base::host;
use crate::base::names::HostLabel;
use crate::base::threads;
use crate::config::Host;
use crate::config::context::Context;
use crate::fleet::host_report::HostReport;
use crate::fleet::link::{Error, Way};
use crate::fleet::protocol::LookOrder;

/// The hosts, in their order; without any in the configuration, this host alone.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// How each is reached.
    pub ways: Vec<Way>,
    /// Which of them this is; none: it is none of them.
    pub own: Option<HostLabel>,
}

/// What a host said when it was asked to look at itself.
#[derive(Debug)]
pub struct HostAnswer {
    /// What it found, or why there is no answer.
    pub report: Result<HostReport, Error>,
    /// How far its clock is from that of this host.
    pub skew: SignedDuration,
    /// When it answered, by the clock of this host.
    pub answered: Timestamp,
}

impl Hosts {
    /// Those of the configuration.
    pub fn of(context: &Context) -> Self {
        let settings = &context.settings;
        let (mut hosts, mut own) = (settings.hosts.clone(), settings.name.clone());
        if hosts.is_empty() {
            own = HostLabel::parse(&host::machine()).or_else(|| HostLabel::parse("localhost"));
            let alone =
                |name: &HostLabel| Host { name: name.clone(), ssh: None, addresses: vec![] };
            hosts.extend(own.as_ref().map(alone));
        }
        let way = |host: &Host| {
            let is_own = own.as_ref() == Some(&host.name);
            if is_own { Way::here(context, host) } else { Way::abroad(settings, host) }
        };
        Self { ways: hosts.iter().map(way).collect(), own }
    }

    /// Whether `name` is this host's.
    pub fn is_own(&self, name: &HostLabel) -> bool {
        self.own.as_ref() == Some(name)
    }

    /// Gives a host up that takes longer than `patience` to look at itself.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        let ways = self.ways.into_iter().map(|way| way.patient(patience));
        Self { ways: ways.collect(), ..self }
    }

    /// Asks all at once, called off by whatever makes `stop` readable; the answers are in the order
    /// of the hosts.
    pub fn look(&self, order: LookOrder, stop: Option<BorrowedFd<'_>>) -> Vec<HostAnswer> {
        threads::each("host", &self.ways, |way| way.look_at_itself(order, stop))
    }

    /// The same, but this host is looked at by `here`, without an agent.
    pub fn look_from(
        &self,
        order: LookOrder,
        here: impl Fn() -> HostReport + Sync,
    ) -> Vec<HostAnswer> {
        threads::each("host", &self.ways, |way| {
            if self.is_own(&way.name) {
                HostAnswer::timed(|| Ok(here()))
            } else {
                way.look_at_itself(order, None)
            }
        })
    }
}

impl Way {
    /// Orders the host to look at itself.
    pub fn look_at_itself(&self, order: LookOrder, stop: Option<BorrowedFd<'_>>) -> HostAnswer {
        HostAnswer::timed(|| self.ask_until(order, stop))
    }
}

impl HostAnswer {
    fn timed(ask: impl FnOnce() -> Result<HostReport, Error>) -> Self {
        let asked = clock::now();
        let report = ask();
        let answered = clock::now();
        let skew = report.as_ref().map_or(SignedDuration::ZERO, |r| skew(r.at, asked, answered));
        Self { report, skew, answered }
    }
}

/// How far `clock` is from the time between question and answer.
fn skew(clock: Timestamp, asked: Timestamp, answered: Timestamp) -> SignedDuration {
    if clock < asked {
        clock.duration_since(asked)
    } else if clock > answered {
        clock.duration_since(answered)
    } else {
        SignedDuration::ZERO
    }
}
