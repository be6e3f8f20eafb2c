//! flow: what a person asks the arbiter: who holds the lease, and to take it away.

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, print, print_done};
use crate::config::Settings;
use crate::exit::{CarriesExit, Exit};
use crate::lease::question::{self, question};
use crate::lease::wire::{Answer, Ask, Purpose, Status, Token};
use crate::run::hook;
use crate::run::lease::described;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Order {
    /// Print who holds the lease, since when and what for, and who waits.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take the lease away from the holder of TOKEN, and of no other; its certbot is stopped.
    Break {
        /// The token that `certbaton lease show` prints; without one, whatever this host itself holds ends.
        #[arg(value_name = "TOKEN")]
        token: Option<u64>,
    },
}

/// Why the arbiter did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error(transparent)]
    Question(#[from] question::Error),
    /// It said no.
    #[error("the arbiter refuses: {0}")]
    Refused(String),
    /// It said something else.
    #[error("the arbiter answered something else than was asked: {0}")]
    Strange(String),
    /// The status is no JSON.
    #[error("the status cannot be printed")]
    Json(#[from] serde_json::Error),
    /// This host's own keeper.
    #[error(transparent)]
    Hook(#[from] hook::Error),
    /// Standard output.
    #[error(transparent)]
    Output(#[from] output::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Question(error) => error.exit(),
            Self::Hook(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Refused(_) | Self::Strange(_) | Self::Json(_) => Exit::Failed,
        }
    }
}

/// What `certbaton lease show --json` prints, on one line:
///
/// `arbiter`: name of the host that grants; `token`: the last one granted (0: none yet);
/// `holder`: null, or `name` (by its key), `token`, `purpose` (`host`, `pid`, `why`),
/// `held-millis`, `silent-millis` (since its last heartbeat), `connected`;
/// `queue`: first come first, each `name`, `purpose`, `waited-millis`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown<'a> {
    arbiter: &'a str,
    #[serde(flatten)]
    status: &'a Status,
}

impl Order {
    pub(super) fn perform(&self, settings: &Settings, config: Option<&Path>) -> Result<(), Error> {
        let (ask, json) = match self {
            Self::Show { json } => (Ask::Status, *json),
            Self::Break { token: Some(token) } => (Ask::Break { token: Token(*token) }, false),
            Self::Break { token: None } => {
                let said = if hook::break_run(settings)? {
                    "broken: the run that was under way on this host has given its routes and the lease back\n"
                } else {
                    "no run is under way on this host; certbaton lease show tells who holds the lease\n"
                };
                return Ok(print_done(said)?);
            }
        };
        let (hello, answer) = question(settings, config, &ask)?;
        match (answer, self) {
            (Answer::Status(status), Self::Show { .. }) if json => {
                let shown = Shown { arbiter: &hello.host, status: &status };
                print(&(serde_json::to_string(&shown)? + "\n"))?;
            }
            (Answer::Status(status), Self::Show { .. }) => {
                print(&text(&hello.host, &status))?;
            }
            (Answer::Broken, Self::Break { token: Some(token) }) => print_done(&format!(
                "broken: token {token} is nobody's any more; its holder stops its certbot and gives its routes back\n"
            ))?,
            (Answer::Refused { why }, _) => return Err(Error::Refused(why)),
            (other, _) => return Err(Error::Strange(format!("{other:?}"))),
        }
        Ok(())
    }
}

fn text(arbiter: &str, status: &Status) -> String {
    let mut lines = Vec::new();
    match &status.holder {
        None => lines.push(format!("free (arbiter: {arbiter}, last token: {})", status.token.0)),
        Some(holder) => {
            let number = holder.token.0;
            lines.push(described(holder));
            let connection = if holder.connected { "connected" } else { "not connected" };
            lines.push(format!(
                "token {number}, {connection}, last heard of {} s ago (arbiter: {arbiter})",
                holder.silent_millis / 1000
            ));
            lines.push(format!(
                "to take it away: certbaton lease break {number} (its certbot is stopped, its routes go back, and the next in the queue follows)"
            ));
        }
    }
    for (place, waiter) in status.queue.iter().enumerate() {
        let Purpose { host, pid, why } = &waiter.purpose;
        let waited = waiter.waited_millis / 1000;
        let name = &waiter.name;
        let place = place + 1;
        lines.push(format!(
            "{place}. in the queue: {name} (host {host}, process {pid}) has waited for {waited} s to renew {why}"
        ));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::wire::{Holder, Waiter};

    #[test]
    fn a_person_is_told_who_since_when_what_for_and_the_one_command() {
        let purpose = Purpose { host: "pc".into(), pid: 42, why: "cloud.example.org".into() };
        let holder = Holder {
            name: "home".into(),
            token: Token(7),
            purpose: purpose.clone(),
            held_millis: 65_000,
            silent_millis: 2_000,
            connected: true,
        };
        let waiter = Waiter { name: "vps".into(), purpose, waited_millis: 3_000 };
        let status = Status { holder: Some(holder), queue: vec![waiter], token: Token(7) };
        let text = text("vps", &status);
        for part in [
            "home (host pc, process 42) has held the lease for 65 s to renew cloud.example.org",
            "token 7, connected, last heard of 2 s ago",
            "certbaton lease break 7",
            "1. in the queue: vps",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_value(Shown { arbiter: "vps", status: &status }).unwrap();
        assert_eq!(json["holder"]["token"], 7);
        assert_eq!(json["queue"][0]["waited-millis"], 3_000);
        assert!(super::text("vps", &Status::default()).starts_with("free"));
    }
}
