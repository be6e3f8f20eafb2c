//! flow: what no live run owns is given back, and a run that a person ends.
//!
//! A keeper gives back by itself; this is for the one that was killed, that is stopped, or that
//! never was.

use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::Deadline;
use crate::base::files;
use crate::base::process;
use crate::certbot;
use crate::config::Settings;
use crate::history::file::{Recorder, Start};
use crate::history::record::Kind;
use crate::lease::times;
use crate::renewal::Error;
use crate::renewal::keep::recorder;
use crate::renewal::keeper::{self, Called, KeeperAnswer};
use crate::renewal::messages::{HookMessage, HookRequest};
use crate::renewal::right::{self, Right};
use crate::renewal::stopped::LockHolder;
use crate::renewal::unfinished;
use crate::switch::apply;
use crate::switch::commit;
use crate::switch::give_back;
use crate::switch::order::{Reload, Return};
use crate::switch::said;

/// Gives back what no live renewal owns, where somebody looks after what died: a keeper that is
/// stopped is no live owner if `is_orphaned` says that its run has ended, or if the lease, which it
/// does not keep, has run out meanwhile. It is ended first.
pub fn recover(settings: &Settings, is_orphaned: impl FnOnce() -> bool) -> Result<(), Error> {
    if let Some(stuck) = LockHolder::of(&settings.runtime_directory).filter(LockHolder::is_stuck) {
        let has_lost = || settings.arbiter.is_some() && stuck.stays_stopped(settings.lease_grace);
        if is_orphaned() || has_lost() {
            stuck.end()?;
            return after_death(settings);
        }
    }
    give_back(settings)
}

/// Ends the run that is under way on this host, whoever it is for; whether there was one.
///
/// A keeper that is stopped hears nothing, one that still waits for the lease does not listen:
/// such a one is ended by a signal. Any other answers when the lease is free, too.
pub fn break_run(settings: &Settings) -> Result<bool, Error> {
    let holder = LockHolder::of(&settings.runtime_directory);
    if let Some(stuck) = holder.as_ref().filter(|holder| holder.is_stuck()) {
        stuck.end()?;
        return after_death(settings).map(|()| true);
    }
    let within = keeper::work_time(settings.proof_time) + times::GOODBYE * 2;
    match (
        keeper::ask(&settings.runtime_directory, process::own()?, HookRequest::Break, within)?,
        holder,
    ) {
        (KeeperAnswer::Answered(reply), _) => reply.outcome().map(|()| true),
        (KeeperAnswer::Nobody, Some(waiting)) if waiting.is_keeper() => {
            waiting.end()?;
            after_death(settings).map(|()| true)
        }
        (KeeperAnswer::Nobody, _) => Ok(false),
        (KeeperAnswer::Died, _) => after_death(settings).map(|()| true),
    }
}

/// The same, whatever the keeper's state: by itself, or by the keeper that still holds it. Does
/// nothing while one is under way.
fn give_back(settings: &Settings) -> Result<(), Error> {
    if let Some(right) = right(settings, Duration::ZERO)? {
        return give_back_under(settings, right);
    }
    match ask_to_return(settings)? {
        KeeperAnswer::Answered(reply) => reply.outcome(),
        // A keeper that waits for the lease does it as soon as it has that.
        KeeperAnswer::Nobody if !is_local(settings) => Ok(()),
        // One that is dead, or goes on without the lease, holds the lock for a moment only.
        KeeperAnswer::Nobody | KeeperAnswer::Died => match right(settings, DEATH_TIME)? {
            Some(right) => give_back_under(settings, right),
            None => Ok(()),
        },
    }
}

/// Asks the keeper to give back what no live run owns; one that is stopped while routes are local
/// is not waited for.
fn ask_to_return(settings: &Settings) -> Result<KeeperAnswer, Error> {
    let mut keeper = match keeper::call(&keeper::socket(&settings.runtime_directory))? {
        Called::Answers(keeper) => keeper,
        Called::Nobody => return Ok(KeeperAnswer::Nobody),
        Called::Dead => return Ok(KeeperAnswer::Died),
    };
    let (owner, deadline) =
        (process::own()?, Deadline::after(keeper::work_time(settings.proof_time)));
    let asked = keeper.send(&HookMessage { owner, request: HookRequest::Return });
    let mut answer = asked.and_then(|()| keeper.answer(LOOK_AGAIN, None));
    while let Err(Error::Silent(Some(pid), _)) = answer
        && deadline.remaining().is_some()
    {
        if process::is_stopped(pid).unwrap_or_default() && is_local(settings) {
            return Err(Error::Stopped(pid));
        }
        answer = keeper.answer(LOOK_AGAIN, None);
    }
    KeeperAnswer::of(answer)
}

/// Whether routes are known to be local, or nothing is known.
fn is_local(settings: &Settings) -> bool {
    let known = apply::read_journal(&settings.state_directory).map(|(journal, _)| journal);
    known.map_or(true, |journal| journal.since.is_some())
}

/// That no live run owns anything; `None` while one does.
pub fn right(settings: &Settings, patience: Duration) -> Result<Option<Right>, Error> {
    right::to_give_back(settings, patience)
        .map_err(|error| if is_local(settings) { Error::Stuck(error.into()) } else { error.into() })
}

/// Gives back what a keeper held that was killed: whoever waited for it does its work before it
/// ends, or fails because somebody else has the lease by now.
pub(super) fn after_death(settings: &Settings) -> Result<(), Error> {
    if let Some(right) = right(settings, DEATH_TIME)? {
        return give_back_under(settings, right);
    }
    let (path, waited) = (right::lease_lock(&settings.runtime_directory), DEATH_TIME);
    Err(files::Error::Busy { path, waited }.into())
}

/// Gives everything back, for who has the right to.
pub(super) fn give_back_under(settings: &Settings, _right: Right) -> Result<(), Error> {
    // Only who has the lease listens: this one's keeper was killed.
    if let Err(error) = files::remove_own(&keeper::socket(&settings.runtime_directory)) {
        // Whoever listens there next says so.
        tracing::debug!("what a killed keeper left behind stays: {}", chain(&error));
    }
    unfinished::undo(certbot::halfway::directories(&settings.certbot_directory));
    let start =
        Start { by: process::own().map(recorder::named).unwrap_or_default(), ..Start::default() };
    let record = Recorder::hold_back(settings, Kind::Recovery, start);
    let outcome = give_back::give_back(settings, &Return::All, &Reload::Never);
    let switched = recorder::switched(&outcome);
    let outcome = outcome.map_err(Error::Stuck);
    // The same every few minutes would push all else out of the history.
    let failure = outcome.as_ref().err().map(|error| chain(error));
    let is_news = said::is_news(&settings.state_directory, "recovery", failure.as_deref());
    if outcome.is_ok() || is_news {
        record.record(switched);
        record.end_as(&outcome);
    }
    let report = outcome?;
    commit::log(settings, &report);
    Ok(())
}

/// Between two looks at whether a keeper that does not answer is stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// For the lock of a keeper that was killed to be free: the kernel closes its files one by one.
const DEATH_TIME: Duration = Duration::from_secs(10);
