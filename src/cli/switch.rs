//! system: the command line of `certbaton switch`, and what a person sees of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;

use super::output::width;
use super::{Error, person, print, print_done};
use crate::base::columns::Width;
use crate::base::lock::Lock;
use crate::base::names::near::nearest;
use crate::base::names::{Hostname, Route, Webroot};
use crate::certbot::lineages::lineages;
use crate::certbot::scope::{self, Known, NameSource, scope};
use crate::config::Settings;
use crate::history::file::{Recorder, Start};
use crate::history::record::Kind;
use crate::renewal::keep;
use crate::renewal::recover;
use crate::renewal::right::{self, Right};
use crate::switch::commit;
use crate::switch::give_back;
use crate::switch::order::{Options, Order, Reload, Return, SwitchReport};
use crate::switch::plan::PlannedVhost;

#[derive(Debug, Args)]
pub(super) struct Switch {
    /// Who answers.
    #[arg(value_enum)]
    to: Side,
    /// Names [default: all that certbot renews by webroot, or all that are local].
    #[arg(value_name = "NAME")]
    names: Vec<Hostname>,
    /// Webroot of the names, if certbot's files do not tell.
    #[arg(long, value_name = "DIRECTORY")]
    webroot: Option<Webroot>,
    /// Print what would change as a unified diff, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also change files that a control panel or configuration manager writes.
    #[arg(long)]
    force_generated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Side {
    /// This host, from certbot's webroot.
    Local,
    /// The host that your own configuration names.
    Peer,
}

impl Switch {
    pub(super) fn perform(&self, settings: &Settings) -> Result<(), Error> {
        if let Some(server) = &settings.web_server
            && (self.to == Side::Local || self.dry_run)
        {
            return Err(Error::Unswitchable(server.to_string()));
        }
        let options = &Options { force_generated: self.force_generated, ..Options::default() };
        let wish = match self.to {
            Side::Local => Wish::Local(Order::Add(self.routes(settings)?)),
            Side::Peer if self.names.is_empty() => Wish::Peer(Return::All),
            Side::Peer => Wish::Peer(Return::Names(self.names.iter().cloned().collect())),
        };
        if self.dry_run {
            let (diff, report) = match &wish {
                Wish::Local(order) => commit::dry_run(settings, order, options)?,
                Wish::Peer(which) => give_back::dry_run(settings, which)?,
            };
            notes(&report);
            print(&diff)?;
        } else {
            let _exclusive = match &wish {
                Wish::Local(_) => right::lease(settings)?.map(Exclusive::Lease),
                Wish::Peer(_) => recover::right(settings, Duration::ZERO)?.map(Exclusive::Right),
            }
            .ok_or(Error::UnderWay)?;
            let start = Start { by: person(), ..Start::default() };
            let record = Recorder::begin(settings, Kind::Switch, start);
            let outcome = match &wish {
                Wish::Local(order) => commit::switch(settings, order, options),
                Wish::Peer(which) => give_back::give_back(settings, which, &Reload::Never),
            };
            record.record(keep::recorder::switched(&outcome));
            record.end_as(&outcome);
            let report = outcome?;
            notes(&report);
            print_done(&summary(&report, &self.names, width()))?;
        }
        Ok(())
    }

    fn routes(&self, settings: &Settings) -> Result<Vec<Route>, Error> {
        let found = lineages(&settings.certbot_directory)?;
        let known = Known {
            names: &self.names,
            webroot: self.webroot.as_ref(),
            invocation: None,
            lineages: &found.usable,
            refused: &found.refused,
            needs: &BTreeMap::new(),
        };
        let names: Vec<&Hostname> = found.usable.iter().flat_map(|l| &l.names).collect();
        let explained = |why: scope::Error| match why {
            // It is no command line of certbot's that lacks it.
            scope::Error::NoWebroot(name) => {
                no_such_name(&name, &names).unwrap_or(Error::NoWebroot(name))
            }
            why => why.into(),
        };
        let scope = scope(&known).map_err(explained)?;
        // A person who orders all of it is told of what is none of it.
        if let Some(left) = scope.left_out.first() {
            return Err(explained(left.why.clone()));
        }
        let routes: Vec<Route> = scope.lineages.into_iter().flat_map(|l| l.routes).collect();
        if routes.is_empty() && scope.origin == NameSource::Unknown {
            return Err(Error::NoNames);
        }
        Ok(routes)
    }
}

/// That `name` is none of `known`.
fn no_such_name(name: &str, known: &[&Hostname]) -> Option<Error> {
    let typed = Hostname::parse(name).ok().filter(|typed| !known.contains(&typed))?;
    let mut names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
    names.dedup();
    let near = nearest(&typed, known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!(" (is {near} meant?)"));
    (!names.is_empty()).then(|| Error::NoSuchName {
        name: name.to_owned(),
        near,
        names: names.join(" "),
    })
}

/// What goes on in the next line is indented so.
const HANG: usize = 4;

/// What keeps a run of certbot away meanwhile.
#[expect(dead_code, reason = "it is held, and nobody asks it anything")]
enum Exclusive {
    Lease(Lock),
    Right(Right),
}

/// What the command line asks for.
enum Wish {
    Local(Order),
    Peer(Return),
}

fn notes(report: &SwitchReport) {
    let mut out = io::stderr().lock();
    for note in &report.notes {
        writeln!(out, "certbaton: note: {note}").ok();
    }
    for name in &report.still {
        let why = "is answered from its webroot on this host without certbaton's lines, too";
        writeln!(out, "certbaton: note: {name} {why}").ok();
    }
}

/// What was done, and what became of the `typed` names.
fn summary(report: &SwitchReport, typed: &[Hostname], width: Width) -> String {
    let files = report.replaced.iter().map(|f| format!("changed {}\n", f.display()));
    let mut text: String = files.collect();
    for PlannedVhost { origin, routes, names, obstacles } in &report.vhosts {
        let already = if obstacles.is_empty() { " (by its own configuration)" } else { "" };
        let wanted: Vec<&Hostname> = routes.iter().map(|route| &route.name).collect();
        let (named, strange): (Vec<&Hostname>, Vec<&Hostname>) =
            wanted.iter().copied().partition(|name| names.contains(name));
        // Lines of ours are for every name of the vhost.
        let others = names.iter().filter(|name| !obstacles.is_empty() && !wanted.contains(name));
        let local: Vec<&str> = named.into_iter().chain(others).map(Hostname::as_str).collect();
        if !local.is_empty() {
            text +=
                &width.wrapped("", HANG, &format!("local: {}{already}, {origin}", local.join(" ")));
        }
        for name in strange {
            let near = nearest(name, names).map(|near| format!(" (is {near} meant?)"));
            let near = near.unwrap_or_default();
            let told = format!(
                "local: {name}{already}, although no vhost has that name{near}: {origin} answers what no other does"
            );
            text += &width.wrapped("", HANG, &told);
        }
    }
    let mut others: Vec<&str> = report.local.iter().map(|route| route.name.as_str()).collect();
    others.retain(|name| {
        !report.vhosts.iter().any(|v| v.routes.iter().any(|route| route.name.as_str() == *name))
    });
    if !others.is_empty() {
        text += &width.wrapped("", HANG, &format!("still local: {}", others.join(" ")));
        // An alias of a vhost is as local as the name that was switched there.
        let is_unknown = |name: &&Hostname| {
            !report.returned.contains(name) && report.local.iter().all(|r| r.name != **name)
        };
        for name in typed.iter().filter(is_unknown) {
            let told = format!(
                "{name}: nothing was switched for this name itself; if it is an alias of one that is still local, name that one"
            );
            text += &width.wrapped("", HANG, &told);
        }
    }
    if report.local.is_empty() && report.replaced.is_empty() {
        text += "peer: nothing was local\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::dump::Origin as Line;
    use crate::apache::obstacles::Obstacles;

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn a_name_that_nobody_has_is_told_with_the_near_one_and_a_first_one_with_its_command() {
        let known = name("cloud.example.org");
        let error = no_such_name("cloud.exmple.org", &[&known]).unwrap().to_string();
        assert!(
            error.contains("is cloud.example.org meant?") && !error.contains("command"),
            "{error}"
        );
        assert!(no_such_name("cloud.example.org", &[]).is_none());
        let error = Error::NoWebroot("a.example".into()).to_string();
        assert!(error.contains("certbaton switch local a.example --webroot"), "{error}");
    }

    #[test]
    fn what_is_said_of_a_switch_is_true_of_every_name() {
        let webroot = Webroot::parse("/srv/www").unwrap();
        let route = |text| Route { name: name(text), webroot: webroot.clone() };
        let vhost = |routes: Vec<Route>, obstacles| PlannedVhost {
            origin: Line { file: "/etc/a.conf".into(), line: 3 },
            names: vec![name("cloud.example.org"), name("www.cloud.example.org")],
            routes,
            obstacles,
        };
        let of = |vhost: PlannedVhost| {
            let report = SwitchReport { vhosts: vec![vhost], ..SwitchReport::default() };
            summary(&report, &[], Width::default()).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let own = of(vhost(vec![route("cloud.example.org")], Obstacles::default()));
        assert!(own.starts_with("local: cloud.example.org (by its own configuration)"), "{own}");
        let strange = of(vhost(vec![route("cloud.exmple.org")], Obstacles::default()));
        assert!(
            strange.contains("no vhost has that name (is cloud.example.org meant?)"),
            "{strange}"
        );
        let report =
            SwitchReport { local: vec![route("cloud.example.org")], ..SwitchReport::default() };
        let peer = summary(&report, &[name("www.cloud.example.org")], Width::default());
        assert!(peer.contains("www.cloud.example.org: nothing was switched"), "{peer}");
    }
}
