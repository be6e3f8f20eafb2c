//! flow: the keeper's way to the lease: asking, waiting, doing without, being too late.

use std::os::fd::AsFd;

use super::Keeper;
use crate::base::harmless;
use crate::base::host;
use crate::config::context::Context;
use crate::lease::wire::Purpose;
use crate::renewal::Error;
use crate::renewal::certificates::Certificates;
use crate::renewal::keeper::{self, Channel};
use crate::renewal::messages::Names;
use crate::renewal::right::{Asking, Grant};

impl Keeper<'_> {
    /// Waits for the lease; gives up when the hook or the owner is gone. Where it is done
    /// without the arbiter, also why.
    pub(super) fn acquire(
        &self,
        hook: &Channel,
        context: &Context,
    ) -> Result<(Grant, Option<Error>), Error> {
        let mut asking = Asking::begin(context, self.purpose())?;
        loop {
            match asking.look() {
                Ok(Some(grant)) => return Ok((grant, None)),
                Ok(None) => {}
                Err(Error::Unreachable { arbiter, said }) => {
                    let why =
                        format!("the arbiter of the lease, {arbiter}, cannot be reached ({said})");
                    let error = Error::Unreachable { arbiter, said };
                    let within = self.settings.break_glass;
                    let Some(end) = within.and_then(|time| self.before.expires_within(time)) else {
                        return Err(error);
                    };
                    let Some(grant) = asking.break_glass() else { return Err(error) };
                    tracing::warn!(
                        "{why}; a certificate expires at {end}: going on WITHOUT the lease (lease.break-glass)"
                    );
                    return Ok((grant, Some(error)));
                }
                Err(error) => return Err(error),
            }
            let own = [hook.as_fd(), self.owner.as_fd(), self.signals.as_fd()];
            let sources: Vec<_> = own.into_iter().chain(asking.source()).collect();
            let ready = keeper::wait(&sources, asking.patience())?;
            // The hook says nothing while it waits: it can only have closed.
            if ready[..own.len()].contains(&true) {
                return Err(Error::Abandoned);
            }
        }
    }

    /// What others are told about this run.
    fn purpose(&self) -> Purpose {
        let mut why: String = match &self.task.names {
            Names::Lineages(needed) => {
                let names: Vec<&str> = needed.iter().map(|n| n.lineage.as_str()).collect();
                names.join(" ")
            }
            Names::Proxied(_) => String::new(),
        };
        if why.is_empty() {
            why = "certificates that are not known before".into();
        }
        let why = harmless::line(&why, LONGEST_PURPOSE);
        Purpose { host: host::machine(), pid: self.task.owner.pid, why }
    }

    /// Whether others have renewed everything meanwhile; certbot, which does not know, is stopped.
    pub(super) fn is_done(&self) -> bool {
        if self.task.forced
            || !self.task.stoppable
            || !self.before.all_renewed(&Certificates::of(&self.task))
        {
            return false;
        }
        tracing::info!(
            "another run has renewed everything while {} waited: it is stopped, nothing is left to do",
            self.owner_name()
        );
        self.stop_owner("another run has renewed everything meanwhile, so nothing is left to do");
        true
    }
}

/// Characters of what a run is for, on lines of bounded length.
const LONGEST_PURPOSE: usize = 200;
