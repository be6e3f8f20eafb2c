//! flow: the end of a run: the routes go back, and whatever is in the way is tried again.
//!
//! The lease is held for that for a stated time only, since who holds it keeps every other renewal
//! away; a route that stays here keeps only its own name, and the other host's proof says so. From
//! then on the journal owns what is left: this keeper goes on for a while as `recover` and its
//! timer do, whenever nobody else is at it.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use super::calls::HookCall;
use super::{End, Keeper};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::renewal::keep::recorder;
use crate::renewal::keeper::{self, Channel};
use crate::renewal::messages::{HookRequest, Reply};
use crate::renewal::right;
use crate::renewal::{Error, still_local};
use crate::switch::commit;
use crate::switch::give_back::give_back;
use crate::switch::journal;
use crate::switch::order::{Reload, Return, SwitchReport};
use crate::switch::report;

/// Between two tries.
#[derive(Default)]
struct Wait {
    /// Who asked for the next one, and is told what comes of it.
    asked: Option<Channel>,
    /// That is a person who breaks the lease.
    is_breaker: bool,
    /// The keeper was told to end: by signal, or by a person who breaks the lease.
    told_to_end: bool,
}

impl Keeper<'_> {
    /// Gives everything back, tries again for as long as the lease of one that died is kept if it
    /// must, and answers the post-hook.
    ///
    /// Who stops a service sends its signal to the whole control group, Apache's test included
    /// (systemd.kill(5), twice if certbot was quicker): what fails by that is tried again at once.
    /// Who wants the keeper to leave it to `recover` tells it while it waits.
    pub(super) fn finish(
        &mut self,
        end: End,
        waiting: Option<Channel>,
        listener: Option<&UnixListener>,
    ) -> Result<(), Error> {
        if end != End::Finished {
            tracing::warn!(
                "{} ended without its post-hook ({end:?}): giving the routes back",
                self.owner_name()
            );
        }
        let deadline = Deadline::after(self.settings.lease_grace);
        let is_breaker = end == End::Broken;
        let mut wait = Wait { asked: waiting, is_breaker, told_to_end: false };
        let (mut said, mut pause) = (BTreeSet::new(), FIRST_PAUSE);
        loop {
            let outcome = self.try_once(&mut said);
            let reply = match &outcome {
                Ok(_) => Reply::done(),
                Err(error) if error.is_given_back() => {
                    Reply { exit: error.exit().code(), text: chain(error) }
                }
                Err(error) => Reply { exit: Exit::NotUndone.code(), text: still_local(error) },
            };
            if wait.is_breaker && outcome.is_ok() {
                // The lease is to be free and the record closed by then.
                self.breaker = wait.asked.take();
            }
            if let Some(mut channel) = wait.asked.take() {
                // The hook may have been killed; the log has it too.
                channel.send(&reply).ok();
            }
            let Err(error) = outcome else { return Ok(()) };
            if deadline.remaining().is_some() && self.signals.drain() {
                tracing::warn!("told to end meanwhile, so once more: {}", reply.text);
                continue;
            }
            // What only a person can mend keeps nobody else from renewing.
            if wait.told_to_end || error.is_for_a_person() {
                return Err(Error::Stuck(error));
            }
            let Some(left) = deadline.remaining() else {
                self.owes = true;
                return Err(Error::Stuck(error));
            };
            wait = self.wait_for_a_change(&error, pause.min(left), listener);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The same without the lease, for what `before` left: whenever nobody else holds this host,
    /// until it is done, or left to `recover`.
    pub(super) fn go_on(&mut self, before: Error) -> Result<(), Error> {
        let Error::Stuck(mut error) = before else { return Err(before) };
        let deadline = Deadline::after(GO_ON);
        let mut said = BTreeSet::from([chain(&error)]);
        while deadline.remaining().is_some() && !error.is_for_a_person() {
            if self.wait_for_a_change(&error, LONGEST_PAUSE, None).told_to_end {
                break;
            }
            // Whoever holds it looks, or finishes what the journal says.
            let Ok(Some(_right)) = right::to_give_back(self.settings, Duration::ZERO) else {
                continue;
            };
            match self.try_once(&mut said) {
                Ok(_) => return Ok(()),
                Err(again) => error = again,
            }
        }
        Err(Error::Stuck(error))
    }

    /// Gives everything back. What fails is told once.
    fn try_once(&self, said: &mut BTreeSet<String>) -> Result<SwitchReport, report::Error> {
        let outcome = give_back(self.settings, &Return::All, &Reload::ForCertificates);
        match &outcome {
            Ok(report) => {
                self.record.record(recorder::switched(&outcome));
                commit::log(self.settings, report);
            }
            Err(error) => {
                if said.insert(chain(error)) {
                    self.record.record(recorder::switched(&outcome));
                    tracing::error!("{}", still_local(error));
                }
            }
        }
        outcome
    }

    /// Waits until it is worth while to try again: until a file that Apache complains about is
    /// another, until somebody has done it or asks for it, or for `time`.
    fn wait_for_a_change(
        &self,
        error: &report::Error,
        time: Duration,
        listener: Option<&UnixListener>,
    ) -> Wait {
        let complaint = error.complaint().map(PathBuf::from);
        let version = || {
            let complaint = complaint.as_ref().map(|path| files::stamp(path).ok());
            (complaint, files::exists(&journal::path(&self.settings.state_directory)))
        };
        let (then, deadline) = (version(), Deadline::after(time));
        let mut wait = Wait::default();
        while let Some(left) = deadline.remaining() {
            let time = left.min(LOOK_AGAIN);
            let sources: Vec<_> = [Some(self.signals.as_fd()), listener.map(AsFd::as_fd)]
                .into_iter()
                .flatten()
                .collect();
            let is_told = match keeper::wait(&sources, Some(time)) {
                Ok(ready) => {
                    let called = listener.filter(|_| ready.get(1) == Some(&true));
                    if let Some(call) = called.and_then(|listener| self.hear(listener, &deadline)) {
                        wait.is_breaker = call.message.request == HookRequest::Break;
                        wait.told_to_end = wait.is_breaker;
                        wait.asked = Some(call.channel);
                    }
                    ready[0]
                }
                // What the kernel refuses for now ends no return.
                Err(_) => clock::pause(time, &deadline).is_err(),
            };
            if is_told || wait.asked.is_some() || version() != then {
                break;
            }
        }
        wait.told_to_end |= self.signals.drain();
        wait
    }

    /// Takes one call; only one who wants everything to go back now is returned.
    fn hear(&self, listener: &UnixListener, deadline: &Deadline) -> Option<HookCall> {
        let mut call = match HookCall::take(listener) {
            Ok(call) => call,
            Err(error) => {
                tracing::warn!("a hook went away: {}", chain(&error));
                // It may fail again at once (accept(2): EMFILE).
                clock::pause(LOOK_AGAIN, deadline).ok();
                return None;
            }
        };
        match call.message.request {
            HookRequest::Return | HookRequest::Break => return Some(call),
            HookRequest::Finish if call.message.owner == self.task.owner => return Some(call),
            HookRequest::Finish | HookRequest::Status | HookRequest::Deploy(_) => {}
        }
        call.channel.send(&self.stranger()).ok();
        None
    }
}

/// After the first try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Between two tries, if nothing changes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Between two looks at a file that Apache complains about.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long a keeper without the lease goes on before it leaves it to `recover` and its timer.
const GO_ON: Duration = Duration::from_mins(5);
