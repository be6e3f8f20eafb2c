//! flow: the keeper: it holds the lease and the routes for exactly as long as one run lives.
//!
//! Started by the pre-hook, bound to certbot by pidfd, told what to do by the
//! later hooks. It alone switches while a run is on. Whatever ends the run, the
//! routes go back first and the lease last.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::clock::Deadline;
use crate::config::Settings;
use crate::exit::Exit;
use crate::files;
use crate::process::{self, PidFd, Signal};
use crate::route::order::{Options, Order, Report};
use crate::route::report::{self, chain};
use crate::route::switch;
use crate::run::keeper::{self, Channel, Signals};
use crate::run::lease::{self, Grant, Lease};
use crate::run::messages::{Deployed, Message, Names, RenewalRun, Reply, Request, Task};

/// Why a keeper ended other than by the end of its run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket or signal.
    #[error(transparent)]
    Keeper(#[from] keeper::Error),
    /// The owner's process.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The lease.
    #[error(transparent)]
    Lease(#[from] lease::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Somebody else renewed all the time.
    #[error("another renewal holds the lease; waited for {} s; the next run of the timer tries again", .0.as_secs())]
    Busy(Duration),
    /// The hook that started it is gone.
    #[error("the pre-hook ended before it had the lease")]
    Abandoned,
    /// The routes could not be given back.
    #[error("the routes are still local")]
    Stuck(#[source] report::Error),
}

/// A run that is under way.
struct Keeper<'a> {
    settings: &'a Settings,
    task: Task,
    owner: PidFd,
    signals: Signals,
    run: RenewalRun,
    /// Lineages whose certificate is served.
    served: BTreeSet<PathBuf>,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The first switch failed half-way.
    NotBegun,
    /// The post-hook said so.
    Finished,
    /// The owner ended without a post-hook.
    OwnerEnded,
    /// The keeper was told twice to end.
    Signalled,
}

/// The whole life of a keeper.
pub fn keep(settings: &Settings) -> Result<(), Error> {
    let (mut hook, signals) = keeper::settle()?;
    let task: Task = hook.receive()?;
    files::own_directory(&settings.runtime_directory, 0o755)?;
    let owner = PidFd::open(task.owner)?;
    let run = RenewalRun::new(match &task.names {
        Names::Lineages(needed) => needed.clone(),
        Names::Proxied(_) => Vec::new(),
    });
    let mut keeper = Keeper { settings, task, owner, signals, run, served: BTreeSet::new() };
    let lease = lease::Local::new(settings.lease_lock());
    let grant = match keeper.acquire(&lease, &hook) {
        Ok(grant) => grant,
        Err(error) => {
            let exit = if matches!(error, Error::Busy(_)) { Exit::Busy } else { Exit::Failed };
            // Nobody listens any more if the hook is what ended.
            hook.send(&Reply { exit: exit.code(), text: chain(&error) }).ok();
            if matches!(error, Error::Abandoned) {
                keeper.stop_owner();
            }
            return Err(error);
        }
    };
    tracing::info!("lease granted to {}", keeper.owner_name());
    let listener = keeper::listen(&settings.keeper_socket())?;
    let held = keeper.hold(&mut hook, &listener);
    files::remove_own(&settings.keeper_socket())?;
    drop(grant);
    tracing::info!("lease released by {}", keeper.owner_name());
    held
}

impl Keeper<'_> {
    /// Waits for the lease; gives up when the hook or the owner is gone.
    fn acquire(&self, lease: &dyn Lease, hook: &Channel) -> Result<Box<dyn Grant>, Error> {
        let patience = self.settings.lease_wait;
        let deadline = Deadline::after(patience);
        loop {
            if let Some(grant) = lease.attempt()? {
                return Ok(grant);
            }
            let sources = [hook.as_fd(), self.owner.as_fd(), self.signals.as_fd()];
            let ready = keeper::wait(&sources, Some(ASK_AGAIN))?;
            // The hook says nothing while it waits: it can only have closed.
            if ready.contains(&true) {
                return Err(Error::Abandoned);
            }
            if deadline.remaining().is_none() {
                return Err(Error::Busy(patience));
            }
        }
    }

    /// From the switch to this host to the switch back.
    fn hold(&mut self, hook: &mut Channel, listener: &UnixListener) -> Result<(), Error> {
        let order = match &self.task.names {
            Names::Lineages(_) => Order::Only(self.run.routes()),
            Names::Proxied(webroot) => Order::Proxied(webroot.clone()),
        };
        let outcome =
            self.watching(hook, || switch::switch(self.settings, &order, &Options::default()))?;
        let reply = match &outcome {
            Ok(report) => {
                switch::log(report);
                Reply::done()
            }
            Err(error) => Reply { exit: Exit::of(error).code(), text: chain(error) },
        };
        let heard = hook.send(&reply).is_ok() && hook.receive::<()>().is_ok();
        match outcome {
            // Nothing may be left local once the lease is free.
            Err(error) if Exit::of(&error) == Exit::NotUndone => {
                return self.finish(End::NotBegun, None);
            }
            Err(_) => return Ok(()),
            // The pre-hook died: certbot would go on without having been told.
            Ok(_) if !heard => self.stop_owner(),
            Ok(_) => {}
        }
        let (end, waiting) = self.serve(listener)?;
        self.finish(end, waiting)
    }

    /// Does `work`; stops certbot as soon as the hook dies, since it would ask the CA at once.
    fn watching<T>(&self, hook: &Channel, work: impl FnOnce() -> T) -> Result<T, Error> {
        let setup = |error| Error::Keeper(keeper::Error::Setup("watch its hook", error));
        let (end, done) = io::pipe().map_err(setup)?;
        let (hook, end) = (hook.as_fd(), end.as_fd());
        Ok(thread::scope(|scope| {
            scope.spawn(move || {
                // The hook says nothing while it waits: it can only have closed.
                if keeper::wait(&[hook, end], None).is_ok_and(|ready| ready[0]) {
                    self.stop_owner();
                }
            });
            let outcome = work();
            drop(done);
            outcome
        }))
    }

    /// Does what the hooks ask until the run ends.
    fn serve(&mut self, listener: &UnixListener) -> Result<(End, Option<Channel>), Error> {
        let mut told_to_end = false;
        loop {
            let sources = [self.owner.as_fd(), self.signals.as_fd(), listener.as_fd()];
            let ready = keeper::wait(&sources, None)?;
            if ready[2] {
                match self.answer(listener) {
                    Ok(Some(waiting)) => return Ok((End::Finished, Some(waiting))),
                    Ok(None) => {}
                    Err(error) => tracing::warn!("a hook went away: {}", chain(&error)),
                }
            } else if ready[0] {
                return Ok((End::OwnerEnded, None));
            } else if ready[1] && self.signals.take() {
                // systemd signals the whole control group: certbot's end follows by itself.
                if told_to_end {
                    return Ok((End::Signalled, None));
                }
                told_to_end = true;
            }
        }
    }

    /// Takes one call; a `Finish` is answered later, by who gave the routes back.
    fn answer(&mut self, listener: &UnixListener) -> Result<Option<Channel>, keeper::Error> {
        let mut channel = keeper::accept(listener)?;
        channel.patience(HOOK_PATIENCE)?;
        let message: Message = channel.receive()?;
        let reply = if message.owner == self.task.owner {
            match &message.request {
                Request::Status => Reply::done(),
                Request::Deploy(deployed) => self.deploy(deployed),
                Request::Finish => return Ok(Some(channel)),
            }
        } else {
            let text = format!(
                "a renewal of {} is under way, and this hook is not part of it",
                self.task.owner
            );
            Reply { exit: Exit::Busy.code(), text }
        };
        channel.send(&reply)?;
        Ok(None)
    }

    /// Gives back what the deployed lineage alone needed, and serves its certificate.
    fn deploy(&mut self, deployed: &Deployed) -> Reply {
        // As directory hook and by flag: the first did it.
        if deployed.directory.as_ref().is_some_and(|directory| self.served.contains(directory)) {
            return Reply::done();
        }
        self.run.deploy(deployed);
        let order = match &self.task.names {
            Names::Lineages(_) => Order::Only(self.run.routes()),
            Names::Proxied(_) => Order::Without(deployed.names.iter().cloned().collect()),
        };
        match deploy(self.settings, &order, deployed) {
            Ok(report) => {
                switch::log(&report);
                self.served.extend(deployed.directory.clone());
                Reply::done()
            }
            Err(error) => Reply { exit: Exit::of(&error).code(), text: chain(&error) },
        }
    }

    /// Gives everything back, tries again for a while if it must, and answers the post-hook.
    fn finish(&self, end: End, mut waiting: Option<Channel>) -> Result<(), Error> {
        if end != End::Finished {
            tracing::warn!(
                "{} ended without its post-hook ({end:?}): giving the routes back",
                self.owner_name()
            );
        }
        let deadline = Deadline::after(FINISH_TIME);
        loop {
            let order = Order::Only(Vec::new());
            let outcome = switch::switch(self.settings, &order, &Options::default());
            let reply = match &outcome {
                Ok(report) => {
                    switch::log(report);
                    Reply::done()
                }
                Err(error) => Reply { exit: Exit::NotUndone.code(), text: still_local(error) },
            };
            if let Some(mut channel) = waiting.take() {
                // The hook may have been killed; the log has it too.
                channel.send(&reply).ok();
            }
            let Err(error) = outcome else { return Ok(()) };
            tracing::error!("{}", reply.text);
            if deadline.remaining().is_none() || self.signals.take() {
                return Err(Error::Stuck(error));
            }
            keeper::wait(&[self.signals.as_fd()], Some(TRY_AGAIN))?;
        }
    }

    fn owner_name(&self) -> String {
        let program = if self.task.stoppable { "certbot, " } else { "" };
        format!("{program}{}", self.task.owner)
    }

    /// Stops certbot, and nothing that is not certbot.
    fn stop_owner(&self) {
        if !self.task.stoppable {
            return;
        }
        match self.owner.signal(Signal::TERM) {
            Ok(()) | Err(process::Error::Gone(_)) => {}
            Err(error) => tracing::warn!("cannot stop certbot: {}", chain(&error)),
        }
    }
}

/// One reload for the routes of `order` and the certificate of `deployed`, and proof of both.
pub fn deploy(
    settings: &Settings,
    order: &Order,
    deployed: &Deployed,
) -> Result<Report, report::Error> {
    let certificate = deployed.directory.clone();
    let options = Options { reload: true, certificate, ..Options::default() };
    switch::switch(settings, order, &options)
}

/// What a person has to know when the routes did not go back.
pub fn still_local(error: &report::Error) -> String {
    format!(
        "{}; the challenge path may still be local: certbaton recover tries again",
        chain(error)
    )
}

/// Between two looks at a lease that somebody else holds.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// For a hook to say what it wants.
const HOOK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a keeper tries to give the routes back before it leaves it to `recover`.
const FINISH_TIME: Duration = Duration::from_mins(5);

/// Between two of those tries.
const TRY_AGAIN: Duration = Duration::from_secs(5);
