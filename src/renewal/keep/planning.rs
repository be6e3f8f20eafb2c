//! flow: a switch on a thread of its own: while it only plans, the keeper hears whatever ends the run.
//!
//! Configurations, `.htaccess`, Apache's own answers and names are read then, all of which
//! others provide. Nothing is changed by that, so the keeper can go without it at any time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::Keeper;
use super::calls::{AFTER_A_FAILURE, HookCall};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::process::{self, PidFd, Signal};
use crate::base::threads;
use crate::renewal::Error;
use crate::renewal::keeper;
use crate::renewal::messages::{HookRequest, Reply};
use crate::switch::commit;
use crate::switch::order::{Options, Order, SwitchReport};
use crate::switch::report;

impl Keeper<'_> {
    /// Switches as `order` says, unless that is called off before it changes anything: by its
    /// time, by the end of hook, owner or lease, by a signal, by a person.
    pub(super) fn switch(
        &mut self,
        order: Order,
        options: Options,
        hook: BorrowedFd<'_>,
        bell: Option<BorrowedFd<'_>>,
        listener: &UnixListener,
    ) -> Result<Result<SwitchReport, report::Error>, Error> {
        let setup = |error| Error::Setup("begin the switch", error);
        let (done, end) = io::pipe().map_err(setup)?;
        let (settings, outset) = (self.settings.clone(), options.outset.clone());
        let work = move || {
            // Closed by whatever ends this.
            let _end = end;
            commit::switch(&settings, &order, &options)
        };
        let thread = threads::start("switch", work).map_err(setup)?;
        let deadline = Deadline::after(PLANNING_TIME);
        loop {
            let own = [self.owner.as_fd(), hook, self.signals.as_fd(), listener.as_fd()];
            let sources: Vec<_> = [done.as_fd()].into_iter().chain(own).chain(bell).collect();
            let left = deadline.remaining().unwrap_or_default();
            let ready = keeper::wait(&sources, Some(left))?;
            if ready[0] {
                return Ok(thread.wait());
            }
            let why = match ready[1..] {
                [true, ..] => format!("{} ended", self.owner_name()),
                [_, true, ..] => "the pre-hook ended".to_owned(),
                [_, _, true, ..] => "the keeper was told to end".to_owned(),
                [_, _, _, _, true] => "the lease was lost".to_owned(),
                [_, _, _, true, ..] => match self.call_of_a_person(listener, &deadline) {
                    Some(person) if outset.call_off() => {
                        self.breaker = Some(person.channel);
                        BROKEN.to_owned()
                    }
                    person => {
                        self.calls.extend(person);
                        continue;
                    }
                },
                _ => format!(
                    "the switch was not planned within {} s: the configuration, or who was asked about it, is too slow",
                    PLANNING_TIME.as_secs()
                ),
            };
            if !outset.call_off() {
                break;
            }
            let is_hooks_end = ready[2];
            if is_hooks_end {
                // certbot would go on without having been told.
                self.stop_owner("its pre-hook ended");
            }
            self.signals.drain();
            end_questions();
            // With its answer gone the thread removes what it had made for the question, unless it
            // waits for something else: then whoever switches next does.
            clock::ready(&[done.as_fd()], Some(TIDYING)).ok();
            return Ok(Err(report::Error::CalledOff(why)));
        }
        // It changes things, and ends within its own bounds.
        let finish = || thread.wait();
        self.watching(Some(hook), bell, finish)
    }

    /// Takes one call; of a person who ends the run at once it is returned, any other is kept.
    fn call_of_a_person(
        &mut self,
        listener: &UnixListener,
        deadline: &Deadline,
    ) -> Option<HookCall> {
        match HookCall::take(listener) {
            Ok(call) if call.message.request == HookRequest::Break => Some(call),
            Ok(mut call) if call.message.request == HookRequest::Return => {
                // Nothing is switched yet.
                call.channel.send(&Reply::done()).ok();
                None
            }
            Ok(call) => {
                self.calls.push(call);
                None
            }
            Err(error) => {
                tracing::warn!("a hook went away: {}", chain(&error));
                // It may fail again at once (accept(2): EMFILE).
                clock::pause(AFTER_A_FAILURE, deadline).ok();
                None
            }
        }
    }
}

/// What was asked of Apache is nobody's business any more, and might wait for ever.
fn end_questions() {
    let children = process::own().and_then(|own| process::children(own.pid));
    for child in children.unwrap_or_default() {
        let argv = process::argv(child.pid).unwrap_or_default();
        if argv.iter().any(|word| word == "-t") {
            PidFd::open(child).and_then(|child| child.signal(Signal::KILL)).ok();
        }
    }
}

const BROKEN: &str = "a person broke the lease on this host";

/// For a thread that is called off.
const TIDYING: Duration = Duration::from_secs(2);

/// For all that is read and asked before anything is changed.
const PLANNING_TIME: Duration = Duration::from_mins(1);
