//! pure: which names a run will be challenged for, in which webroot, and for which lineage.
//!
//! certbot tells a pre-hook nothing, so this follows what certbot is about to
//! do: names given to the hook come first, then certbot's command line, then
//! `renewal/*.conf`. Wildcards never appear: HTTP-01 cannot prove them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::{Hostname, Route, Webroot};
use crate::certbot::arguments::{Invocation, Verb};
use crate::certbot::due::Need;
use crate::certbot::renewal_file::{Lineage, Refused};

/// What is known when a hook starts.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The hook's `--name`.
    pub names: &'a [Hostname],
    /// The hook's `--webroot`: for `--name` before all else, otherwise for
    /// names that certbot gives none.
    pub webroot: Option<&'a Webroot>,
    /// The certbot that runs the hook.
    pub invocation: Option<&'a Invocation>,
    /// Its lineages.
    pub lineages: &'a [Lineage],
    /// Its lineages that cannot be used.
    pub refused: &'a [Refused],
    /// What it does with each of them; one that is not in it is due.
    pub needs: &'a BTreeMap<String, Need>,
}

/// The routes of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// By lineage; empty when no name is proven by a webroot.
    pub lineages: Vec<ScopedLineage>,
    /// Lineages that certbot takes up but that cannot be proven.
    pub left_out: Vec<UnprovableLineage>,
    /// Where the names come from.
    pub origin: NameSource,
}

/// Where the names of a scope come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// The hook's `--name`.
    Names,
    /// certbot's `-d` or `--cert-name`.
    CommandLine,
    /// `renewal/*.conf`.
    Renewal,
    /// Nothing names them all: certbot asks a person, or another client runs
    /// the hook. The routes are what certbot has; the vhosts may know more.
    Unknown,
}

/// What one lineage needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedLineage {
    /// Its name; of a lineage yet to be made, the one certbot will most likely
    /// choose (it adds `-0001` when that is taken).
    pub name: String,
    /// One route for each name, in the certificate's order.
    pub routes: Vec<Route>,
    /// Its addresses, which no route is for: who answers them is only looked at.
    pub addresses: Vec<(IpAddr, Webroot)>,
    /// Whether this run renews it.
    pub need: Need,
}

/// A lineage that cannot be proven, whatever is switched: it costs itself alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnprovableLineage {
    /// Its name.
    pub name: String,
    /// Whether this run renews it.
    pub need: Need,
    /// Why.
    pub why: Error,
}

/// Why there is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that certbot will ask a webroot for, or fail.
    #[error(
        "no webroot is known for {0}; add `--webroot -w /its/webroot` to certbot's command \
         line, or `--webroot /its/webroot` to the hook"
    )]
    NoWebroot(String),
    /// One name, two places.
    #[error(
        "{name} has the webroot {first} in lineage {first_lineage} but {second} in lineage \
         {second_lineage}; give it the same in both, or renew them one by one with --cert-name"
    )]
    Conflict {
        /// The name.
        name: Hostname,
        /// One lineage.
        first_lineage: String,
        /// Its webroot.
        first: Webroot,
        /// The other lineage.
        second_lineage: String,
        /// Its webroot.
        second: Webroot,
    },
    /// `--cert-name` of nothing.
    #[error("certbot has no lineage {0}; list them with `certbot certificates`")]
    NoLineage(String),
    /// A lineage that certbot will renew but whose files are refused.
    #[error("lineage {name} takes part in this run, but cannot be used: {reason}")]
    Refused {
        /// The lineage.
        name: String,
        /// Why.
        reason: String,
        /// How a program ends because of it.
        exit: Exit,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::NoWebroot(_) | Self::Conflict { .. } | Self::NoLineage(_) => Exit::Failed,
            Self::Refused { exit, .. } => *exit,
        }
    }
}

/// Finds out the scope of a run; an error if nothing of it can be proven.
pub fn scope(known: &Known<'_>) -> Result<Scope, Error> {
    let mut scope = match known.invocation {
        _ if !known.names.is_empty() => Scope::of(known.by_name()?, NameSource::Names),
        Some(run) => match run.verb {
            Verb::Run | Verb::Certonly => known.obtained(run)?,
            Verb::Renew | Verb::Reconfigure => known.renewed(Some(run))?,
            Verb::Other(_) => Scope::of(Vec::new(), NameSource::CommandLine),
        },
        None => match known.renewed(None)? {
            found if found.lineages.is_empty() => Scope { origin: NameSource::Unknown, ..found },
            found => found,
        },
    };
    one_webroot_each(&mut scope);
    match scope.left_out.first() {
        // All of it was asked for by name.
        Some(left) if scope.origin == NameSource::Names => Err(left.why.clone()),
        Some(left) if scope.lineages.is_empty() => Err(left.why.clone()),
        _ => Ok(scope),
    }
}

impl Scope {
    fn of(lineages: Vec<ScopedLineage>, origin: NameSource) -> Self {
        Self { lineages, left_out: Vec::new(), origin }
    }
}

impl<'a> Known<'a> {
    /// `--name`: each in every lineage that has it, or on its own.
    fn by_name(&self) -> Result<Vec<ScopedLineage>, Error> {
        let mut found = Vec::new();
        for lineage in self.lineages.iter().filter(|lineage| lineage.is_webroot()) {
            let wanted = lineage.names.iter().filter(|name| self.names.contains(name));
            let routes = self.routes(wanted, |name| {
                self.webroot
                    .or_else(|| self.invocation.and_then(|run| run.webroot_of(name)))
                    .or_else(|| lineage.webroot_of(name))
            })?;
            if !routes.is_empty() {
                found.push(ScopedLineage::due(lineage.name.clone(), routes));
            }
        }
        for name in self.names {
            let has_it = |lineage: &ScopedLineage| lineage.routes.iter().any(|r| r.name == *name);
            if !found.iter().any(has_it) {
                let given = |name: &Hostname| self.invocation.and_then(|run| run.webroot_of(name));
                let routes = self.routes([name], given)?;
                found.push(ScopedLineage::due(name.to_string(), routes));
            }
        }
        Ok(found)
    }

    /// `certonly` and `run`: what `-d` says, else `--cert-name`, else a person.
    fn obtained(&self, run: &'a Invocation) -> Result<Scope, Error> {
        let nothing = Scope::of(Vec::new(), NameSource::CommandLine);
        match run.authenticator.as_deref() {
            Some("webroot") => {}
            Some(_) => return Ok(nothing),
            // Without one, `run` takes the installer for it (selection.py), and
            // webroot installs nothing.
            None if run.verb == Verb::Run => return Ok(nothing),
            None => {}
        }
        let target = self.target(run);
        let names = match (run.domains.as_slice(), &run.cert_name, target) {
            ([], Some(_), Some(lineage)) => &lineage.names,
            ([], Some(name), None) => return Err(self.missing(name)),
            ([], None, _) if !run.addresses.is_empty() => &run.domains,
            ([], None, _) if !run.skipped.is_empty() => return Ok(nothing),
            ([], None, _) => {
                return Ok(Scope { origin: NameSource::Unknown, ..self.renewed(Some(run))? });
            }
            (_, _, _) => &run.domains,
        };
        let saved = |name: &Hostname| {
            let holds = |lineage: &&Lineage| lineage.is_webroot() && lineage.names.contains(name);
            target.filter(holds).or_else(|| self.lineages.iter().find(holds))
        };
        let routes = self.routes(names, |name| {
            run.webroot_of(name).or_else(|| saved(name).and_then(|l| l.webroot_of(name)))
        })?;
        let of_lineage = target.filter(|_| run.domains.is_empty() && run.addresses.is_empty());
        let addresses = of_lineage.map_or(&run.addresses, |lineage| &lineage.addresses);
        let webroot =
            || run.webroot_paths.last().or_else(|| target.and_then(Lineage::webroot_of_addresses));
        let addresses = self.addresses(addresses, webroot())?;
        let name = match (target, &run.cert_name) {
            (Some(lineage), _) => lineage.name.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => {
                let address = || addresses.first().map(|(address, _)| address.to_string());
                names.first().map(ToString::to_string).or_else(address).unwrap_or_default()
            }
        };
        let lineage = ScopedLineage { addresses, ..ScopedLineage::due(name, routes) };
        Ok(Scope::of(vec![lineage], NameSource::CommandLine))
    }

    /// The lineage that `certonly` will replace: that of `--cert-name`, one with
    /// the same names, or one that the names extend (`cert_manager.py:find_duplicative_certs`).
    fn target(&self, run: &Invocation) -> Option<&'a Lineage> {
        if let Some(name) = &run.cert_name {
            return self.lineages.iter().find(|lineage| lineage.name == *name);
        }
        let inside = |lineage: &&Lineage| {
            !lineage.names.is_empty() && lineage.names.iter().all(|n| run.domains.contains(n))
        };
        let same = |lineage: &&Lineage| lineage.names.len() == run.domains.len();
        let mut candidates = self.lineages.iter().filter(inside);
        candidates.clone().find(same).or_else(|| candidates.next())
    }

    /// `renew`: the lineages, or that of `--cert-name`, that it takes up. What is not due is none
    /// of them, and what no webroot proves has no routes.
    fn renewed(&self, run: Option<&Invocation>) -> Result<Scope, Error> {
        let only = run.and_then(|run| run.cert_name.as_deref());
        let wanted = |name: &str| only.is_none_or(|only| only == name);
        let origin = if only.is_some() { NameSource::CommandLine } else { NameSource::Renewal };
        let mut found = Scope::of(Vec::new(), origin);
        let mut met = only.is_none();
        for refused in self.refused.iter().filter(|refused| wanted(&refused.name)) {
            if !refused.certbot_skips_it {
                let (name, why) = (refused.name.clone(), self.missing(&refused.name));
                found.left_out.push(UnprovableLineage { name, need: Need::Due, why });
                met = true;
            }
        }
        for lineage in self.lineages.iter().filter(|lineage| wanted(&lineage.name)) {
            met = true;
            let (name, need) = (lineage.name.clone(), self.need(&lineage.name));
            if need >= Need::NotDue {
                continue;
            }
            let asked = run.and_then(|run| run.authenticator.as_deref());
            if asked.unwrap_or(&lineage.authenticator) == "webroot" {
                match self.renewed_lineage(run, lineage) {
                    Ok((routes, addresses)) => {
                        found.lineages.push(ScopedLineage { name, routes, addresses, need });
                    }
                    Err(why) => found.left_out.push(UnprovableLineage { name, need, why }),
                }
            } else if run.is_some() {
                let (routes, addresses) = (Vec::new(), Vec::new());
                found.lineages.push(ScopedLineage { name, routes, addresses, need });
            }
        }
        if met { Ok(found) } else { Err(self.missing(only.unwrap_or_default())) }
    }

    #[expect(clippy::type_complexity, reason = "routes, and addresses with their webroot")]
    fn renewed_lineage(
        &self,
        run: Option<&Invocation>,
        lineage: &Lineage,
    ) -> Result<(Vec<Route>, Vec<(IpAddr, Webroot)>), Error> {
        let routes = self.routes(&lineage.names, |name| renewed_webroot(run, lineage, name))?;
        let given = run.and_then(|run| run.webroot_paths.last());
        let webroot = given.or_else(|| lineage.webroot_of_addresses());
        Ok((routes, self.addresses(&lineage.addresses, webroot)?))
    }

    fn need(&self, lineage: &str) -> Need {
        self.needs.get(lineage).copied().unwrap_or(Need::Due)
    }

    fn addresses(
        &self,
        addresses: &[IpAddr],
        webroot: Option<&Webroot>,
    ) -> Result<Vec<(IpAddr, Webroot)>, Error> {
        let one = |address: &IpAddr| {
            let webroot = webroot.or(self.webroot);
            let webroot = webroot.ok_or_else(|| Error::NoWebroot(address.to_string()))?;
            Ok((*address, webroot.clone()))
        };
        addresses.iter().map(one).collect()
    }

    fn missing(&self, name: &str) -> Error {
        match self.refused.iter().find(|refused| refused.name == name) {
            Some(Refused { name, reason, exit, .. }) => {
                Error::Refused { name: name.clone(), reason: reason.clone(), exit: *exit }
            }
            None => Error::NoLineage(name.to_owned()),
        }
    }

    fn routes<'n, 'w>(
        &self,
        names: impl IntoIterator<Item = &'n Hostname>,
        webroot_of: impl Fn(&Hostname) -> Option<&'w Webroot>,
    ) -> Result<Vec<Route>, Error>
    where
        'a: 'w,
    {
        let route = |name: &Hostname| {
            let webroot = webroot_of(name).or(self.webroot);
            let webroot = webroot.ok_or_else(|| Error::NoWebroot(name.to_string()))?.clone();
            Ok(Route { name: name.clone(), webroot })
        };
        names.into_iter().map(route).collect()
    }
}

/// `renewal.py:_restore_webroot_config`: `-w` on the command line sets the
/// saved map aside as well (`VAR_MODIFIERS`), `--webroot-map` the map alone.
fn renewed_webroot<'a>(
    run: Option<&'a Invocation>,
    lineage: &'a Lineage,
    name: &Hostname,
) -> Option<&'a Webroot> {
    match run {
        Some(run) if !run.webroot_paths.is_empty() => run.webroot_of(name),
        Some(run) if !run.webroot_map.is_empty() => {
            run.webroot_map.get(name).or_else(|| lineage.webroot_paths.last())
        }
        _ => lineage.webroot_of(name),
    }
}

impl ScopedLineage {
    fn due(name: String, routes: Vec<Route>) -> Self {
        Self { name, routes, addresses: Vec::new(), need: Need::Due }
    }
}

/// Of two lineages that want one name from two places, the first that is due keeps it.
fn one_webroot_each(scope: &mut Scope) {
    let mut seen: BTreeMap<Hostname, (String, Webroot)> = BTreeMap::new();
    let mut order: Vec<usize> = (0..scope.lineages.len()).collect();
    order.sort_by_key(|index| scope.lineages[*index].need);
    let mut out = Vec::new();
    for index in order {
        let lineage = &scope.lineages[index];
        let conflict = lineage.routes.iter().find_map(|Route { name, webroot }| {
            let (first_lineage, first) = seen.get(name).filter(|(_, first)| first != webroot)?;
            Some(Error::Conflict {
                name: name.clone(),
                first_lineage: first_lineage.clone(),
                first: first.clone(),
                second_lineage: lineage.name.clone(),
                second: webroot.clone(),
            })
        });
        match conflict {
            Some(why) => {
                out.push(index);
                let (name, need) = (lineage.name.clone(), lineage.need);
                scope.left_out.push(UnprovableLineage { name, need, why });
            }
            None => {
                for Route { name, webroot } in &lineage.routes {
                    let first = || (lineage.name.clone(), webroot.clone());
                    seen.entry(name.clone()).or_insert_with(first);
                }
            }
        }
    }
    let mut index = 0..;
    scope.lineages.retain(|_| index.next().is_none_or(|index| !out.contains(&index)));
}

#[cfg(test)]
mod tests;
