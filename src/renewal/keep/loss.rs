//! flow: what the keeper does when the lease is lost: certbot ends, routes go back, hooks are told.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use super::calls::HOOK_PATIENCE;
use super::{End, Keeper, tell_breaker};
use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::history::record::Event;
use crate::renewal::Error;
use crate::renewal::keeper;
use crate::renewal::messages::{HookMessage, HookRequest, Reply};

impl Keeper<'_> {
    /// Ends certbot, and says why.
    pub(super) fn lost(&self, why: &str) -> Reply {
        self.stop_owner(&format!("the lease was lost: {why}"));
        let stopped = if self.task.stoppable { "certbot was stopped" } else { "no more is proven" };
        let text = format!("the lease was lost: {why}; {stopped} and the routes go back");
        tracing::error!("{text}");
        self.record.record(Event::Lost { why: why.to_owned() });
        Reply { exit: Exit::Failed.code(), text }
    }

    /// Gives the routes back at once; then whatever hook of certbot's still comes is told.
    pub(super) fn after_loss(
        &mut self,
        listener: &UnixListener,
        reply: &Reply,
    ) -> Result<(), Error> {
        self.told(reply);
        let finished = self.finish(End::Lost, None, Some(listener));
        // There is no lease to be given back any more.
        tell_breaker(self.breaker.take());
        // A client, or a shell, may live for as long as it likes: nothing is held for it any more.
        if !self.task.stoppable {
            return finished;
        }
        let mut told_to_end = false;
        loop {
            let sources = [self.owner.as_fd(), self.signals.as_fd(), listener.as_fd()];
            let Ok(ready) = keeper::wait(&sources, None) else { return finished };
            if ready[2] {
                let told = keeper::accept(listener).and_then(|mut channel| {
                    channel.patience(HOOK_PATIENCE)?;
                    let message: HookMessage = channel.receive()?;
                    let own = message.owner == self.task.owner;
                    let told = match (&message.request, &finished) {
                        (HookRequest::Return, Ok(())) => Reply::done(),
                        (HookRequest::Return, Err(error)) => {
                            Reply { exit: error.exit().code(), text: chain(error) }
                        }
                        _ if own => reply.clone(),
                        _ => self.stranger(),
                    };
                    channel.send(&told)?;
                    Ok(own && message.request == HookRequest::Finish)
                });
                if told.unwrap_or(false) {
                    return finished;
                }
            } else if ready[0] || (told_to_end && ready[1]) {
                return finished;
            } else if ready[1] {
                told_to_end = self.signals.take();
            }
        }
    }
}
