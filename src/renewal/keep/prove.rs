//! flow: which lineages of a run can succeed: what is switched, what is proven, what is left out.
//!
//! One bad name costs itself alone: certbot goes on if it can renew anything,
//! and what it will fail with is named before.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;

use super::unnamed::unnamed;
use super::{Keeper, recorder};
use crate::base::cause::chain;
use crate::base::clock::Stopwatch;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::{Hostname, Route, Webroot};
use crate::history::record::{Event, Omission as LeftOutRecord};
use crate::renewal::Error;
use crate::renewal::messages::{Extent, LeftOut, Names, Needed, Reply};
use crate::switch::commit;
use crate::switch::order::{self, Options, Order, SwitchReport};
use crate::switch::public;
use crate::switch::report;

/// What the switch and the proofs came to.
pub(super) struct Begun {
    /// Routes that are not proven.
    routes: Vec<order::LeftOutRoute>,
    /// The same of addresses that no route is for.
    addresses: Vec<(IpAddr, String)>,
    /// Anything is local.
    is_any: bool,
    /// The names that are.
    pub(super) local: Vec<Hostname>,
}

impl Keeper<'_> {
    /// Switches what can be switched, and proves it. `all`: also what others do not pass on.
    pub(super) fn begin(
        &mut self,
        hook: BorrowedFd<'_>,
        bell: Option<BorrowedFd<'_>>,
        listener: &UnixListener,
        all: bool,
    ) -> Result<Result<Begun, report::Error>, Error> {
        let order = match &self.task.names {
            Names::Lineages(_) => Order::Only(self.run.routes()),
            Names::Proxied(webroot) => Order::Proxied(webroot.clone()),
        };
        let options = Options { partly: self.task.extent == Extent::Part, ..Options::default() };
        let switched = self.switch(order, options.clone(), hook, bell, listener)?;
        self.watching(Some(hook), bell, || self.begun(switched, &options, all))
    }

    fn begun(
        &self,
        switched: Result<SwitchReport, report::Error>,
        options: &Options,
        all: bool,
    ) -> Result<Begun, report::Error> {
        let switched = match switched {
            called_off @ Err(report::Error::CalledOff(_)) => called_off,
            // Not one route; but what needs none can be renewed all the same.
            Err(error)
                if options.partly && self.needs_no_route() && error.exit() != Exit::NotUndone =>
            {
                self.record.record(Event::NotSwitched { why: chain(&error) });
                let routes = self.run.routes().into_iter();
                let routes = routes.map(|route| order::LeftOutRoute::by(route, &error)).collect();
                let (addresses, local) = (self.bare(), Vec::new());
                return Ok(Begun { routes, addresses, is_any: true, local });
            }
            switched => switched,
        };
        self.record.record(recorder::switched(&switched));
        let report = switched?;
        commit::log(self.settings, &report);
        let mut routes = report.left_out.clone();
        // What leads nowhere is not asked for where it would have to lead.
        routes.extend(unnamed(&report.local, self.settings.proof_time));
        routes.extend(self.prove_publicly(&report, &routes, all));
        routes.extend((self.witnesses)(self.settings, &rest(&report.local, &routes)));
        let is_local = |left: &order::LeftOutRoute| report.local.contains(&left.route);
        let is_any = report.local.len() > routes.iter().filter(|left| is_local(left)).count();
        let local = report.local.into_iter().map(|route| route.name).collect();
        Ok(Begun { routes, addresses: self.bare(), is_any, local })
    }

    /// A lineage of the run is proven without any route.
    fn needs_no_route(&self) -> bool {
        matches!(&self.task.names, Names::Lineages(needed) if needed.iter().any(|n| n.routes.is_empty()))
    }

    /// Where others hand the challenge path on to this host, a local proof is not enough.
    fn prove_publicly(
        &self,
        report: &SwitchReport,
        left: &[order::LeftOutRoute],
        all: bool,
    ) -> Vec<order::LeftOutRoute> {
        let routes = if all {
            report.local.clone()
        } else if self.settings.arbiter.is_some() || self.settings.web_server.is_some() {
            public::unswitched(report)
        } else {
            Vec::new()
        };
        let routes = rest(&routes, left);
        let watch = Stopwatch::start();
        let unproven =
            public::prove(&routes, &|name| self.run.account(name), self.settings.proof_time);
        let is_proven = |route: &&_| unproven.iter().all(|(other, _)| other != *route);
        let names = routes.iter().filter(is_proven).map(|route| &route.name).collect();
        let why: Vec<String> = unproven.iter().map(|(_, error)| chain(error)).collect();
        self.proven(names, (!why.is_empty()).then(|| why.join("; ")), watch);
        unproven.into_iter().map(|(route, error)| order::LeftOutRoute::by(route, &error)).collect()
    }

    /// The addresses whose challenges are not answered from their webroot as everything stands.
    fn bare(&self) -> Vec<(IpAddr, String)> {
        let time = self.settings.proof_time;
        let asked = |(address, webroot): (IpAddr, Webroot)| {
            let error = public::address(address, &webroot, time).err()?;
            Some((address, chain(&error)))
        };
        self.run.addresses().into_iter().filter_map(asked).collect()
    }

    /// What certbot is to be told: to go on, with what it will fail with named, or to stop.
    pub(super) fn judged(&mut self, begun: &Begun, without: Option<&Error>) -> Reply {
        let had_any = !self.run.is_empty();
        let why = |needed: &Needed| {
            let of_route = |left: &&order::LeftOutRoute| needed.routes.contains(&left.route);
            let by_route = begun.routes.iter().find(of_route).map(|left| left.why.clone());
            let of_address = |(address, _): &&(IpAddr, String)| {
                needed.addresses.iter().any(|(other, _)| other == address)
            };
            let by_address = || begun.addresses.iter().find(of_address).map(|(_, why)| why.clone());
            by_route.or_else(by_address)
        };
        let new = self.run.leave_out(&why);
        self.task.left_out.extend(new);
        let is_left = match &self.task.names {
            Names::Lineages(_) => !self.run.is_empty() || !had_any,
            Names::Proxied(_) => begun.is_any || begun.routes.is_empty(),
        };
        let is_all = begun.routes.is_empty() && begun.addresses.is_empty();
        if is_left && (is_all || self.task.extent == Extent::Part) {
            return self.told_of_the_rest();
        }
        let mut text: Vec<String> = match (&self.task.left_out[..], &self.task.names) {
            ([one], _) => vec![one.why.clone()],
            ([], _) => begun.routes.iter().map(|left| left.why.clone()).collect(),
            (several, _) => several.iter().map(LeftOut::line).collect(),
        };
        text.dedup();
        let exit = match without {
            Some(_) => Exit::Busy,
            None => begun.routes.first().map_or(Exit::Failed, |left| left.exit),
        };
        let text = text.join("\n");
        let text = match without {
            Some(unreachable) => format!("{}; {text}", chain(unreachable)),
            None => text,
        };
        Reply { exit: exit.code(), text }
    }

    /// In the log and the history, before certbot reports it.
    fn told_of_the_rest(&self) -> Reply {
        let mut lines = Vec::new();
        for left in &self.task.left_out {
            let (lineage, why, due) = (left.lineage.clone(), left.why.clone(), left.is_due());
            self.record.record(Event::LeftOut(LeftOutRecord { lineage, why, due }));
            if due {
                let line = format!("left out, certbot will fail with it: {}", left.line());
                tracing::warn!("{line}");
                lines.push(line);
            } else {
                tracing::info!("left out, should the CA want it: {}", left.line());
            }
        }
        Reply { exit: Exit::Done.code(), text: lines.join("\n") }
    }
}

/// Those of `routes` that are not left out.
fn rest(routes: &[Route], left: &[order::LeftOutRoute]) -> Vec<Route> {
    let is_left = |route: &&Route| left.iter().any(|left| left.route == **route);
    routes.iter().filter(|route| !is_left(route)).cloned().collect()
}
