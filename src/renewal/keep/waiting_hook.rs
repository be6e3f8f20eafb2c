//! flow: work that ends certbot at once when nobody waits for it any more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use super::Keeper;
use crate::base::threads;
use crate::renewal::Error;
use crate::renewal::keeper;

impl Keeper<'_> {
    /// Does `work`; stops certbot as soon as the hook dies, since it would ask the CA at once,
    /// and when the lease is lost.
    pub(super) fn watching<T>(
        &self,
        hook: Option<BorrowedFd<'_>>,
        bell: Option<BorrowedFd<'_>>,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        let setup = |error| Error::Setup("watch its hook", error);
        let (end, done) = io::pipe().map_err(setup)?;
        let end = end.as_fd();
        thread::scope(|scope| {
            let watch = move || {
                // The hook says nothing while it waits: it can only have closed.
                let sources: Vec<_> = [Some(end), hook, bell].into_iter().flatten().collect();
                if keeper::wait(&sources, None).is_err() || is_ready(end) {
                    return;
                }
                let is_hooks_end = hook.is_some_and(is_ready);
                let why = if is_hooks_end { "its pre-hook ended" } else { "the lease was lost" };
                self.stop_owner(why);
            };
            threads::scoped(scope, "watch", watch).map_err(setup)?;
            let outcome = work();
            drop(done);
            Ok(outcome)
        })
    }
}

fn is_ready(fd: BorrowedFd<'_>) -> bool {
    keeper::wait(&[fd], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
}
