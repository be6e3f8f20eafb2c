//! flow: what hooks and persons ask of a run that is under way, until it ends.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::{End, Keeper};
use crate::base::cause::chain;
use crate::base::exit::Exit;
use crate::renewal::Error;
use crate::renewal::keeper::{self, Channel};
use crate::renewal::messages::{HookMessage, HookRequest, Reply};
use crate::renewal::right::Grant;

/// What a hook asks.
pub(super) struct HookCall {
    pub(super) channel: Channel,
    pub(super) message: HookMessage,
}

impl HookCall {
    /// Takes the next one.
    pub(super) fn take(listener: &UnixListener) -> Result<Self, Error> {
        let mut channel = keeper::accept(listener)?;
        channel.patience(HOOK_PATIENCE)?;
        let message = channel.receive()?;
        Ok(Self { channel, message })
    }
}

impl Keeper<'_> {
    /// Does what the hooks ask until the run ends.
    pub(super) fn serve(
        &mut self,
        listener: &UnixListener,
        grant: &Grant,
    ) -> Result<(End, Option<Channel>), Error> {
        for call in std::mem::take(&mut self.calls) {
            match self.answer(call, grant) {
                Ok(Some((end, waiting))) => return Ok((end, Some(waiting))),
                Ok(None) => {}
                Err(error) => tracing::warn!("a hook went away: {}", chain(&error)),
            }
        }
        let mut told_to_end = false;
        loop {
            let own = [self.owner.as_fd(), self.signals.as_fd(), listener.as_fd()];
            let sources: Vec<_> = own.into_iter().chain(grant.bell()).collect();
            // This thread does not hang: said far more often than it has to be (`times::WORK`).
            grant.alive();
            let ready = keeper::wait(&sources, Some(self.settings.lease_grace))?;
            if ready.get(own.len()) == Some(&true) {
                return Ok((End::Lost, None));
            }
            if ready[2] {
                match HookCall::take(listener).and_then(|call| self.answer(call, grant)) {
                    Ok(Some((end, waiting))) => return Ok((end, Some(waiting))),
                    Ok(None) => continue,
                    Err(error) => {
                        tracing::warn!("a hook went away: {}", chain(&error));
                        // It may fail again at once (accept(2): EMFILE), and hides no end of the run.
                        let ends = [self.owner.as_fd(), self.signals.as_fd()];
                        keeper::wait(&ends, Some(AFTER_A_FAILURE))?;
                    }
                }
            }
            if ready[0] {
                return Ok((End::OwnerEnded, None));
            }
            if ready[1] && self.signals.take() {
                // systemd signals the whole control group: certbot's end follows by itself.
                if told_to_end {
                    return Ok((End::Signalled, None));
                }
                told_to_end = true;
            }
        }
    }

    /// Answers one call; one that ends the run is answered later, by who gave the routes back.
    fn answer(&mut self, call: HookCall, grant: &Grant) -> Result<Option<(End, Channel)>, Error> {
        let HookCall { mut channel, message } = call;
        let is_own = message.owner == self.task.owner;
        let reply = match &message.request {
            HookRequest::Break => return Ok(Some((End::Broken, channel))),
            HookRequest::Status if is_own => Reply::done(),
            // A live run owns them.
            HookRequest::Return => Reply::done(),
            HookRequest::Deploy(deployed) if is_own => self.deploy(deployed, grant),
            HookRequest::Finish if is_own => return Ok(Some((End::Finished, channel))),
            HookRequest::Status | HookRequest::Deploy(_) | HookRequest::Finish => self.stranger(),
        };
        channel.send(&reply)?;
        Ok(None)
    }

    /// What one is told that is of another run.
    pub(super) fn stranger(&self) -> Reply {
        let text = format!(
            "a renewal of {} is under way, and this hook is not part of it",
            self.task.owner
        );
        Reply { exit: Exit::Busy.code(), text }
    }
}

/// Between two hooks of which one could not be heard.
pub(super) const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// For a hook to say what it wants.
pub(super) const HOOK_PATIENCE: Duration = Duration::from_secs(5);
