//! pure: which names a run will be challenged for, in which webroot, and for which lineage.
//!
//! certbot tells a pre-hook nothing, so this follows what certbot is about to
//! do: names given to the hook come first, then certbot's command line, then
//! `renewal/*.conf`. Wildcards never appear: HTTP-01 cannot prove them.

use std::collections::BTreeMap;

use crate::certbot::arguments::{Invocation, Verb};
use crate::certbot::renewal::{Lineage, Refused};
use crate::exit::{CarriesExit, Exit};
use crate::names::{Hostname, Route, Webroot};

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
}

/// The routes of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// By lineage; empty when no name is proven by a webroot.
    pub lineages: Vec<ScopedLineage>,
    /// Where the names come from.
    pub origin: Origin,
}

/// Where the names of a scope come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
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
}

/// Why there is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that certbot will ask a webroot for, or fail.
    #[error(
        "no webroot is known for {0}; add `--webroot -w /its/webroot` to certbot's command \
         line, or `--webroot /its/webroot` to the hook"
    )]
    NoWebroot(Hostname),
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
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::NoWebroot(_)
            | Self::Conflict { .. }
            | Self::NoLineage(_)
            | Self::Refused { .. } => Exit::Failed,
        }
    }
}

/// Finds out the scope of a run.
pub fn scope(known: &Known<'_>) -> Result<Scope, Error> {
    let (lineages, origin) = match known.invocation {
        _ if !known.names.is_empty() => (known.by_name()?, Origin::Names),
        Some(run) => match run.verb {
            Verb::Run | Verb::Certonly => known.obtained(run)?,
            Verb::Renew | Verb::Reconfigure => known.renewed(Some(run))?,
            Verb::Other(_) => (Vec::new(), Origin::CommandLine),
        },
        None => match known.renewed(None)? {
            (lineages, _) if lineages.is_empty() => (lineages, Origin::Unknown),
            found => found,
        },
    };
    one_webroot_each(&lineages)?;
    Ok(Scope { lineages, origin })
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
                found.push(ScopedLineage { name: lineage.name.clone(), routes });
            }
        }
        for name in self.names {
            let has_it = |lineage: &ScopedLineage| lineage.routes.iter().any(|r| r.name == *name);
            if !found.iter().any(has_it) {
                let given = |name: &Hostname| self.invocation.and_then(|run| run.webroot_of(name));
                let routes = self.routes([name], given)?;
                found.push(ScopedLineage { name: name.to_string(), routes });
            }
        }
        Ok(found)
    }

    /// `certonly` and `run`: what `-d` says, else `--cert-name`, else a person.
    fn obtained(&self, run: &'a Invocation) -> Result<(Vec<ScopedLineage>, Origin), Error> {
        let nothing = (Vec::new(), Origin::CommandLine);
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
            ([], None, _) if !run.skipped.is_empty() => return Ok(nothing),
            ([], None, _) => {
                return self.renewed(Some(run)).map(|(lineages, _)| (lineages, Origin::Unknown));
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
        let name = match (target, &run.cert_name) {
            (Some(lineage), _) => lineage.name.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => names.first().map(ToString::to_string).unwrap_or_default(),
        };
        Ok((vec![ScopedLineage { name, routes }], Origin::CommandLine))
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

    /// `renew`: the lineages, or that of `--cert-name`, that a webroot proves.
    fn renewed(&self, run: Option<&Invocation>) -> Result<(Vec<ScopedLineage>, Origin), Error> {
        let only = run.and_then(|run| run.cert_name.as_deref());
        let wanted = |name: &str| only.is_none_or(|only| only == name);
        let origin = if only.is_some() { Origin::CommandLine } else { Origin::Renewal };
        for refused in self.refused.iter().filter(|refused| wanted(&refused.name)) {
            if !refused.certbot_skips_it {
                return Err(self.missing(&refused.name));
            }
        }
        let mut found = Vec::new();
        let mut met = only.is_none();
        for lineage in self.lineages.iter().filter(|lineage| wanted(&lineage.name)) {
            met = true;
            let asked = run.and_then(|run| run.authenticator.as_deref());
            if asked.unwrap_or(&lineage.authenticator) == "webroot" {
                let routes =
                    self.routes(&lineage.names, |name| renewed_webroot(run, lineage, name));
                found.push(ScopedLineage { name: lineage.name.clone(), routes: routes? });
            }
        }
        if met { Ok((found, origin)) } else { Err(self.missing(only.unwrap_or_default())) }
    }

    fn missing(&self, name: &str) -> Error {
        match self.refused.iter().find(|refused| refused.name == name) {
            Some(Refused { name, reason, .. }) => {
                Error::Refused { name: name.clone(), reason: reason.clone() }
            }
            None => Error::NoLineage(name.to_owned()),
        }
    }

    fn routes<'n>(
        &self,
        names: impl IntoIterator<Item = &'n Hostname>,
        webroot_of: impl Fn(&Hostname) -> Option<&'a Webroot>,
    ) -> Result<Vec<Route>, Error> {
        let route = |name: &Hostname| {
            let webroot = webroot_of(name).or(self.webroot);
            let webroot = webroot.ok_or_else(|| Error::NoWebroot(name.clone()))?.clone();
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

fn one_webroot_each(lineages: &[ScopedLineage]) -> Result<(), Error> {
    let mut seen: BTreeMap<&Hostname, (&str, &Webroot)> = BTreeMap::new();
    for lineage in lineages {
        for Route { name, webroot } in &lineage.routes {
            let (first_lineage, first) = *seen.entry(name).or_insert((&lineage.name, webroot));
            if first != webroot {
                return Err(Error::Conflict {
                    name: name.clone(),
                    first_lineage: first_lineage.to_owned(),
                    first: first.clone(),
                    second_lineage: lineage.name.clone(),
                    second: webroot.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
