//! flow: one look at all hosts: metrics written, and what has changed told.
//!
//! At the end of what a keeper, a coordinator or `recover` does, when nothing
//! waits for it any more. Whatever fails here fails nothing else: it is in the log.

use std::os::fd::AsFd;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::files;
use crate::base::lock::{self, Lock, Pending};
use crate::base::own_directories::{RuntimeDirectory, StateDirectory};
use crate::config::Settings;
use crate::config::notify::Notify;
use crate::monitor::deliver;
use crate::monitor::message::{Message, message};
use crate::monitor::metrics::metrics;
use crate::monitor::told::{AlarmLedger, Situation};
use crate::monitor::{self, Error};
use crate::status::overview::Overview;

/// What each way of telling has said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Told {
    command: AlarmLedger,
    url: AlarmLedger,
}

/// Looks by `status`, if anybody wants to know, and tells; not if there is nothing to rely on.
pub fn look(settings: &Settings, status: impl FnOnce() -> Option<Overview>) {
    let wants_to_know = settings.textfile.is_some() || settings.notify != Notify::default();
    if wants_to_know && let Err(error) = look_and_tell(settings, status) {
        tracing::error!("monitoring failed: {}; the next run tries again", chain(error.as_ref()));
    }
}

fn look_and_tell(
    settings: &Settings,
    status: impl FnOnce() -> Option<Overview>,
) -> Result<(), Error> {
    settings.runtime_directory.make()?;
    settings.state_directory.make()?;
    // Who looked first must not tell last.
    let _lock = lock(&settings.runtime_directory)?;
    let Some(status) = status() else { return Ok(()) };
    if let Some(path) = &settings.textfile {
        let text = metrics(&status, env!("CARGO_PKG_VERSION"));
        if let Err(error) = files::publish(path, text.as_bytes()) {
            tracing::error!("metrics: {}", chain(&error));
        }
    }
    if settings.notify != Notify::default() {
        tell(settings, &status);
    }
    Ok(())
}

fn lock(runtime: &RuntimeDirectory) -> Result<Lock, Error> {
    let path = runtime.join("monitor.lock");
    let pending = Pending::start(lock::open(&path)?, &path)?;
    let unready = |source| monitor::failed("cannot wait for another certbaton".into(), source);
    clock::ready(&[pending.as_fd()], Some(PATIENCE)).map_err(unready)?;
    let busy = || format!("another certbaton has been at it for {} s", PATIENCE.as_secs());
    Ok(pending.take().ok_or_else(busy)??)
}

/// Takes in what is seen, keeps it, and delivers what waits.
fn tell(settings: &Settings, status: &Overview) {
    let now = clock::now();
    let own = status.hosts.iter().find(|host| host.own);
    let from = own.map_or("this host", |host| host.name.as_str());
    let seen = Situation::of(status);
    let before = recall(&settings.state_directory);
    let mut told = before.clone().unwrap_or_default();
    // A way that is configured no more has said nothing when it comes back.
    let Notify { command, post } = &settings.notify;
    let ways = [(&mut told.command, command.is_some()), (&mut told.url, post.is_some())];
    for (ledger, is_configured) in ways {
        if is_configured {
            ledger.see(&seen, now);
        } else {
            *ledger = AlarmLedger::default();
        }
    }
    // Before anything is delivered: what is killed meanwhile says it again, with its time.
    if before.as_ref() != Some(&told) {
        remember(&settings.state_directory, &told);
    }
    let mut delivered = told.clone();
    if let Some(command) = command {
        let run = |message: &Message<'_>, body: &[u8]| {
            deliver::run(command, body, &message.variables(), PATIENCE)
        };
        deliver_by(run, &mut delivered.command, from, now);
    }
    if let Some(post) = post {
        let run = |_: &Message<'_>, body: &[u8]| deliver::post(post, body, PATIENCE);
        deliver_by(run, &mut delivered.url, from, now);
    }
    if delivered != told {
        remember(&settings.state_directory, &delivered);
    }
}

/// Delivers what `ledger` has to say, if anything.
fn deliver_by(
    run: impl FnOnce(&Message<'_>, &[u8]) -> Result<(), Error>,
    ledger: &mut AlarmLedger,
    from: &str,
    now: Timestamp,
) {
    let Some(message) = message(ledger, from, now) else { return };
    let body = match serde_json::to_vec(&message) {
        Ok(body) => body,
        Err(error) => return tracing::error!("notification: {error}"),
    };
    match run(&message, &body) {
        Ok(()) => ledger.delivered(),
        Err(error) => tracing::error!(
            "notification not delivered: {}; it is kept and sent later: {}",
            chain(error.as_ref()),
            message.text
        ),
    }
}

/// What was told; what cannot be read is told again rather than never.
fn recall(state: &StateDirectory) -> Option<Told> {
    let path = state.join(TOLD);
    let damaged = |why: String| {
        tracing::warn!(
            "notification state lost, so all notifications are sent again: {}: {why}",
            path.display()
        );
        None
    };
    match files::read_trusted(&path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(told) => Some(told),
            Err(error) => damaged(error.to_string()),
        },
        Err(error) if error.is_missing() => None,
        Err(error) => damaged(chain(&error)),
    }
}

fn remember(state: &StateDirectory, told: &Told) {
    let path = state.join(TOLD);
    let written = match serde_json::to_vec(told) {
        Ok(text) => files::write_own(&path, &text).map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = written {
        tracing::error!("what is told cannot be noted down, and will be told again: {why}");
    }
}

/// What was told, in the state directory.
const TOLD: &str = "told.json";

/// For another certbaton that looks, for the program, and for the answer to a post.
const PATIENCE: Duration = Duration::from_secs(15);
