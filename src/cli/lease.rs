//! flow: what a person asks the arbiter: who holds the lease, and to take it away.

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::Error;
use super::output::{print, print_done, width};
use crate::base::clock;
use crate::base::harmless;
use crate::check::vitals::hold;
use crate::config::context::Context;
use crate::fleet::host_report::Hold;
use crate::lease::question::question;
use crate::lease::wire::{ArbiterAnswer, Ask, LeaseState, Purpose, Token};
use crate::renewal::recover;
use crate::renewal::right::described;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum LeaseVerb {
    /// Print who holds the lease, since when and what for, who waits, and who holds this host.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke the lease of the holder of TOKEN, and of no other; its certbot is stopped.
    Break {
        /// The token that `certbaton lease show` prints [default: end whatever this host itself holds].
        #[arg(value_name = "TOKEN")]
        token: Option<u64>,
    },
}

/// What `certbaton lease show --json` prints, on one line:
///
/// `arbiter`: name of the host that grants, or null; `here`: who holds the lock of this host, or null; `token`: the last one granted (0: none yet);
/// `holder`: null, or `name` (by its key), `token`, `purpose` (`host`, `pid`, `why`),
/// `held-millis`, `silent-millis` (since its last heartbeat), `connected`;
/// `queue`: first come first, each `name`, `purpose`, `waited-millis`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown<'a> {
    arbiter: Option<&'a str>,
    here: Option<&'a Hold>,
    #[serde(flatten)]
    status: &'a LeaseState,
}

impl LeaseVerb {
    pub(super) fn perform(&self, context: &Context) -> Result<(), Error> {
        let here = hold(&context.settings);
        match self {
            Self::Show { json } => show(context, here.as_ref(), *json),
            Self::Break { token } => {
                let done = take(context, here.as_ref(), *token)?;
                print_done(&width().wrapped("", HANG, &done))
            }
        }
    }
}

fn show(context: &Context, here: Option<&Hold>, json: bool) -> Result<(), Error> {
    let (arbiter, status) = if context.settings.arbiter.is_none() {
        (None, LeaseState::default())
    } else {
        match question(context, &Ask::Status) {
            Ok((hello, ArbiterAnswer::Status(status))) => (Some(hello.host), status),
            Ok((_, ArbiterAnswer::Refused { why })) => return Err(Error::RefusedByArbiter(why)),
            Ok((_, other)) => return Err(Error::StrangeArbiter(format!("{other:?}"))),
            Err(error) => {
                // What is known without it.
                if let Some(here) = here.filter(|_| !json) {
                    print(&held_here(here, clock::now()))?;
                }
                return Err(error.into());
            }
        }
    };
    if json {
        let shown = Shown { arbiter: arbiter.as_deref(), here, status: &status };
        return print(&(serde_json::to_string(&shown).map_err(Error::LeaseJson)? + "\n"));
    }
    let granted = arbiter.map_or_else(
        || width().wrapped("", HANG, "no arbiter: each host has a lock of its own"),
        |arbiter| text(&arbiter, &status),
    );
    let here = here.map(|here| held_here(here, clock::now())).unwrap_or_default();
    print(&(granted + &here))
}

/// Who holds this host's lock, and how to end that.
fn held_here(here: &Hold, now: Timestamp) -> String {
    let shell = if here.is_shell { "; that is a shell, and holds it until it ends" } else { "" };
    let told = format!("here: {}{shell}; {} ends it", here.words(now), here.remedy());
    width().wrapped("", HANG, &told)
}

/// Takes the lease away from the holder of `token`, and ends what this host holds by it; without a
/// token, whatever this host holds.
fn take(context: &Context, here: Option<&Hold>, token: Option<u64>) -> Result<String, Error> {
    let Some(number) = token else {
        let said = if recover::break_run(&context.settings)? {
            "broken: the run that was under way on this host has given its routes and the lease back"
        } else {
            "no run is under way on this host; certbaton lease show tells who holds the lease"
        };
        return Ok(said.to_owned());
    };
    let is_held_here = here.is_some_and(|here| here.token == token);
    let mut said = match question(context, &Ask::Break { token: Token(number) })? {
        (_, ArbiterAnswer::Broken) => format!(
            "lease with token {number} revoked; its holder stops its certbot and gives its routes back"
        ),
        // The arbiter has forgotten it; what it was for holds this host's lock all the same.
        (_, ArbiterAnswer::Refused { .. }) if is_held_here => {
            format!("the lease with token {number} had ended already")
        }
        (_, ArbiterAnswer::Refused { why }) => return Err(Error::RefusedByArbiter(why)),
        (_, other) => return Err(Error::StrangeArbiter(format!("{other:?}"))),
    };
    // Its keeper may have heard of it by now, and then gives everything back by itself.
    if is_held_here && recover::break_run(&context.settings).unwrap_or_default() {
        said += "; the run that held the lock of this host by it has given its routes back";
    }
    Ok(said)
}

fn text(arbiter: &str, status: &LeaseState) -> String {
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
    let width = width();
    lines.iter().map(|line| width.wrapped("", HANG, &harmless::text(line))).collect()
}

/// What goes on in the next line is indented so.
const HANG: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    use crate::lease::wire::{HolderStatus, WaiterStatus};

    #[test]
    fn a_person_is_told_who_since_when_what_for_and_the_one_command() {
        let purpose = Purpose { host: "pc".into(), pid: 42, why: "cloud.example.org".into() };
        let holder = HolderStatus {
            name: "home".into(),
            token: Token(7),
            purpose: purpose.clone(),
            held_millis: 65_000,
            silent_millis: 2_000,
            connected: true,
        };
        let waiter = WaiterStatus { name: "vps".into(), purpose, waited_millis: 3_000 };
        let status = LeaseState { holder: Some(holder), queue: vec![waiter], token: Token(7) };
        let text = text("vps", &status);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "home (host pc, process 42) has held the lease for 65 s to renew cloud.example.org",
            "token 7, connected, last heard of 2 s ago",
            "certbaton lease break 7",
            "1. in the queue: vps",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json =
            serde_json::to_value(Shown { arbiter: Some("vps"), here: None, status: &status })
                .unwrap();
        assert_eq!(json["holder"]["token"], 7);
        assert_eq!(json["queue"][0]["waited-millis"], 3_000);
        assert!(super::text("vps", &LeaseState::default()).starts_with("free"));
    }

    #[test]
    fn what_holds_this_host_says_for_whom_and_how_to_end_it() {
        let now = Timestamp::UNIX_EPOCH;
        let hold = Hold {
            keeper: 9,
            owner: Some(7),
            by: Some("bash, process 7".into()),
            is_shell: true,
            since: Some(now - SignedDuration::from_mins(5)),
            token: Some(3),
            ..Hold::default()
        };
        let text = held_here(&hold, now).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["for bash, process 7, for 5 min", "a shell", "certbaton lease break 3 ends it"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
