//! pure: the words that hooks and keeper exchange; a message is one line of JSON.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::names::{Hostname, Route, Thumbprint, Webroot};
use crate::base::process::Process;
use crate::certbot::due::Need;
use crate::renewal::Error;

/// What the pre-hook asks of the keeper it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The process whose life is the run's: certbot, or whoever runs the hooks.
    pub owner: Process,
    /// The owner is certbot, proven: it is stopped when the run cannot go on.
    pub stoppable: bool,
    /// Certbot renews whether or not it is due.
    pub forced: bool,
    /// Certbot only rehearses.
    pub dry_run: bool,
    /// What to switch.
    pub names: Names,
    /// How much of it has to succeed.
    pub extent: Extent,
    /// What certbot takes up although it cannot be proven.
    pub left_out: Vec<LeftOut>,
}

/// How much of a run has to be switched and proven for it to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// All: it was given to the hook by name.
    Whole,
    /// Any lineage that this run renews.
    Part,
}

/// A lineage of a run that is left out: nothing is switched for it, and certbot will fail with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub lineage: String,
    /// Whether this run renews it.
    pub need: Need,
    /// Why.
    pub why: String,
}

/// The names of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Known by lineage.
    Lineages(Vec<Needed>),
    /// Whatever is proxied now, in this webroot or the vhosts' own.
    Proxied(Option<Webroot>),
}

/// What one lineage needs until it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// The lineage.
    pub lineage: String,
    /// Whether this run renews it.
    pub need: Need,
    /// Its routes.
    pub routes: Vec<Route>,
    /// Its addresses and their webroot: no route is for them, and who answers is only looked at.
    pub addresses: Vec<(IpAddr, Webroot)>,
    /// Its certificate, if it has one already.
    pub certificate: Option<PathBuf>,
    /// The account that its names are proven for, as far as it is known.
    pub account: Option<Thumbprint>,
}

impl LeftOut {
    /// Whether certbot fails with it in this run.
    pub fn is_due(&self) -> bool {
        self.need == Need::Due
    }

    /// For people.
    pub fn line(&self) -> String {
        format!("{}: {}", self.lineage, self.why)
    }
}

/// What a hook asks of the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookRequest {
    /// Are you there for this owner?
    Status,
    /// A lineage was renewed: give its names back and serve its certificate.
    Deploy(Deployment),
    /// The run is over: give everything back.
    Finish,
    /// A person takes away what is held: end, whoever it is held for.
    Break,
    /// Whoever gives back what no live run owns: if that is yours, try now.
    Return,
}

/// A renewed lineage, or names that another client says are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its `live/NAME` directory (`RENEWED_LINEAGE`).
    pub directory: Option<PathBuf>,
    /// Its names (`RENEWED_DOMAINS`).
    pub names: Vec<Hostname>,
}

/// A request, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookMessage {
    /// The owner of the run that the hook belongs to.
    pub owner: Process,
    /// What it asks.
    pub request: HookRequest,
}

/// The keeper's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Exit code for the hook.
    pub exit: u8,
    /// What failed; empty when nothing did.
    pub text: String,
}

/// What a run holds once it has begun; follows the answer to the pre-hook, if that is success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The arbiter's token.
    pub token: Option<u64>,
    /// The names whose challenge path is with this host.
    pub names: Vec<Hostname>,
}

impl Held {
    /// For who called the hook at `shell`, which says nothing of a renewal.
    pub fn text(&self, shell: Process) -> String {
        let names: Vec<&str> = self.names.iter().map(Hostname::as_str).collect();
        let names = match &names[..] {
            [] => String::new(),
            names => format!(" and the challenge path of {}", names.join(", ")),
        };
        let from_elsewhere = match self.token {
            Some(token) => format!("; from anywhere else: certbaton lease break {token}"),
            None => "; from anywhere else on this host: certbaton lease break".to_owned(),
        };
        format!(
            "this host holds the lease{names} until this shell, {shell}, ends; certbaton-post-hook, called here, gives it back at once{from_elsewhere}"
        )
    }
}

impl Deployment {
    /// The lineage's name.
    pub fn name(&self) -> Option<&OsStr> {
        self.directory.as_deref().and_then(Path::file_name)
    }
}

impl Reply {
    /// All is well.
    pub fn done() -> Self {
        Self { exit: 0, text: String::new() }
    }

    /// As it is for whoever asked.
    pub fn outcome(self) -> Result<(), Error> {
        if self.exit == 0 { Ok(()) } else { Err(Error::Refused(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_by_hand_is_told_what_is_held_for_whom_and_how_to_end_it() {
        let shell = Process { pid: 7, start_time: 9 };
        let names = vec![Hostname::parse("a.example").unwrap()];
        assert_eq!(
            Held { token: Some(3), names }.text(shell),
            "this host holds the lease and the challenge path of a.example until this shell, process 7, ends; certbaton-post-hook, called here, gives it back at once; from anywhere else: certbaton lease break 3"
        );
        assert_eq!(
            Held::default().text(shell),
            "this host holds the lease until this shell, process 7, ends; certbaton-post-hook, called here, gives it back at once; from anywhere else on this host: certbaton lease break"
        );
    }

    #[test]
    fn messages_survive_the_wire() {
        let owner = Process { pid: 7, start_time: 9 };
        let message = HookMessage {
            owner,
            request: HookRequest::Deploy(Deployment {
                directory: Some("/l/a".into()),
                names: vec![Hostname::parse("a.example").unwrap()],
            }),
        };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<HookMessage>(&text).unwrap(), message);
        assert!(!text.contains('\n'));
    }
}
