//! pure: what a switch or a return is told to do, and what it says it did.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::{Hostname, Route, Webroot};
use crate::switch::plan;
use crate::switch::report::Note;

/// Which routes are to be local afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// These and no others.
    Only(Vec<Route>),
    /// These and those that are local already.
    Add(Vec<Route>),
    /// Those of all vhosts whose challenge path is proxied, in this webroot or their own.
    Proxied(Option<Webroot>),
}

/// Which routes go back to the peer. What is told to return has nothing to put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Return {
    /// All of them.
    All,
    /// Those of these names.
    Names(BTreeSet<Hostname>),
    /// Those of all names but these.
    AllBut(BTreeSet<Hostname>),
}

impl Return {
    /// Whether the routes of `name` go back.
    pub fn covers(&self, name: &Hostname) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
            Self::AllBut(names) => !names.contains(name),
        }
    }
}

/// Choices of the person or program that orders a switch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Also change files that a program generates.
    pub force_generated: bool,
    /// What cannot be switched or proven is left out, as long as anything is left.
    pub partly: bool,
    /// Shared with who may call the switch off.
    pub outset: Outset,
}

/// When a return has a web server load its files although none of them changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reload {
    /// Never.
    #[default]
    Never,
    /// If a certificate was replaced since it loaded its configuration.
    ForCertificates,
    /// Always: something else has to be loaded; given a lineage's `live` directory, its certificate,
    /// which must be served afterwards.
    Always(Option<PathBuf>),
}

/// The part of a switch that changes nothing yet: who shares it may call the switch off until
/// that is over, however long it hangs.
#[derive(Debug, Clone, Default)]
pub struct Outset(Arc<AtomicU8>);

impl Outset {
    /// The switch goes on to change things; `false` if it was called off.
    pub fn leave(&self) -> bool {
        self.become_one(LEFT) != CALLED_OFF
    }

    /// Calls the switch off; `false` if it changes things by now.
    pub fn call_off(&self) -> bool {
        self.become_one(CALLED_OFF) != LEFT
    }

    /// What it was, if it was anything before.
    fn become_one(&self, state: u8) -> u8 {
        let was = self.0.compare_exchange(PLANNED, state, Ordering::SeqCst, Ordering::SeqCst);
        was.unwrap_or_else(|state| state)
    }
}

const PLANNED: u8 = 0;
const LEFT: u8 = 1;
const CALLED_OFF: u8 = 2;

/// A route that was wanted and is not local: it could not be switched or proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutRoute {
    /// The route.
    pub route: Route,
    /// Why.
    pub why: String,
    /// How a program ends that can do nothing without it.
    pub exit: Exit,
}

impl LeftOutRoute {
    /// A route that `error` costs.
    pub fn by(route: Route, error: &(impl Error + CarriesExit + 'static)) -> Self {
        Self { route, why: chain(error), exit: error.exit() }
    }
}

/// What a switch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SwitchReport {
    /// The routes that are local now.
    pub local: Vec<Route>,
    /// What was wanted, and is not.
    pub left_out: Vec<LeftOutRoute>,
    /// The names that were local and are not any more.
    pub returned: Vec<Hostname>,
    /// The vhosts that answer them.
    pub vhosts: Vec<plan::PlannedVhost>,
    /// The files that were replaced.
    pub replaced: Vec<PathBuf>,
    /// The web server that was reloaded, as people call it.
    pub reloaded: Option<String>,
    /// The names of `returned` that this host answers from their webroot all the same: by its
    /// user's own configuration, or because the peer asks it.
    pub still: Vec<Hostname>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// How long each step took.
    pub steps: Vec<(&'static str, Duration)>,
}

impl SwitchReport {
    /// One line for the log; `None` if nothing was switched or found.
    pub fn line(&self) -> Option<String> {
        let list = |names: Vec<&Hostname>| {
            let names: Vec<&str> = names.into_iter().map(Hostname::as_str).collect();
            names.join(" ")
        };
        let local = list(self.local.iter().map(|route| &route.name).collect());
        let returned = list(self.returned.iter().collect());
        let still =
            if local.is_empty() { String::new() } else { format!("; still on this host: {local}") };
        if !returned.is_empty() {
            Some(format!("given back to the peer: {returned}{still}"))
        } else if !self.replaced.is_empty() && !local.is_empty() {
            Some(format!("switched to this host: {local}"))
        } else if let Some(server) = &self.reloaded {
            Some(format!("{server} reloaded{still}"))
        } else if !local.is_empty() {
            Some(format!("answered by this host without a switch: {local}"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_called_off_or_goes_on_and_never_both() {
        let outset = Outset::default();
        assert!(outset.leave() && outset.leave());
        assert!(!outset.clone().call_off());
        let outset = Outset::default();
        assert!(outset.call_off() && outset.call_off());
        assert!(!outset.clone().leave());
    }
}
