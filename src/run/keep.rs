//! flow: the keeper: it holds the lease and the routes for exactly as long as one run lives.
//!
//! Started by the pre-hook, bound to certbot by pidfd, told what to do by the
//! later hooks. It alone switches while a run is on. Whatever ends the run, the
//! routes go back first and the lease last.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::clock::Deadline;
use crate::config::Settings;
use crate::exit::Exit;
use crate::files;
use crate::process::{self, PidFd, Signal};
use crate::route::order::{Options, Order, Report};
use crate::route::proof;
use crate::route::public;
use crate::route::report::{self, chain};
use crate::route::switch;
use crate::run::due::Certificates;
use crate::run::keeper::{self, Channel, Signals};
use crate::run::lease::{self, Grant};
use crate::run::messages::{Deployed, Message, Names, RenewalRun, Reply, Request, Task};

mod claim;
mod loss;

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
    /// The lease was lost.
    Lost,
    /// The keeper was told twice to end.
    Signalled,
}

/// The whole life of a keeper; `config` is the configuration file that it was started with.
pub fn keep(settings: &Settings, config: Option<&Path>) -> Result<(), Error> {
    let (mut hook, signals) = keeper::settle()?;
    let task: Task = hook.receive()?;
    files::own_directory(&settings.runtime_directory, 0o755)?;
    let owner = PidFd::open(task.owner)?;
    let run = RenewalRun::new(match &task.names {
        Names::Lineages(needed) => needed.clone(),
        Names::Proxied(_) => Vec::new(),
    });
    let before = Certificates::of(&task);
    let mut keeper = Keeper { settings, task, owner, signals, run, served: BTreeSet::new() };
    let (mut grant, without) = match keeper.acquire(&hook, config, &before) {
        Ok(granted) => granted,
        Err(error) => {
            let exit = if let Error::Lease(error) = &error { error.exit() } else { Exit::Failed };
            // Nobody listens any more if the hook is what ended.
            hook.send(&Reply { exit: exit.code(), text: chain(&error) }).ok();
            if matches!(error, Error::Abandoned) {
                keeper.stop_owner();
            }
            return Err(error);
        }
    };
    let token = grant.token.map(|token| format!(", token {}", token.0)).unwrap_or_default();
    tracing::info!("lease granted to {}{token}", keeper.owner_name());
    let held = if grant.waited && keeper.is_done(&before) {
        hook.send(&Reply::done()).ok();
        Ok(())
    } else {
        let listener = keeper::listen(&settings.keeper_socket())?;
        let held = keeper.hold(&mut hook, &listener, &mut grant, without.as_ref());
        files::remove_own(&settings.keeper_socket())?;
        held
    };
    grant.release();
    tracing::info!("lease released by {}{token}", keeper.owner_name());
    held
}

impl Keeper<'_> {
    /// From the switch to this host to the switch back. `without`: why there is no arbiter's lease.
    fn hold(
        &mut self,
        hook: &mut Channel,
        listener: &UnixListener,
        grant: &mut Grant,
        without: Option<&lease::Error>,
    ) -> Result<(), Error> {
        let order = match &self.task.names {
            Names::Lineages(_) => Order::Only(self.run.routes()),
            Names::Proxied(webroot) => Order::Proxied(webroot.clone()),
        };
        let begin = || {
            let report = switch::switch(self.settings, &order, &Options::default())?;
            switch::log(&report);
            Ok(self.prove_publicly(&report, without.is_some()))
        };
        let outcome: Result<Result<(), proof::Error>, report::Error> =
            self.watching(Some(hook.as_fd()), grant.bell(), begin)?;
        let lost = grant.lost();
        let (reply, end) = match (&outcome, &lost) {
            (Err(error), _) => {
                // Nothing may be left local once the lease is free.
                let end = (Exit::of(error) == Exit::NotUndone).then_some(End::NotBegun);
                (Reply { exit: Exit::of(error).code(), text: chain(error) }, end)
            }
            (Ok(_), Some(why)) => (self.lost(why), Some(End::Lost)),
            (Ok(Err(error)), None) => {
                let text = match without {
                    Some(unreachable) => format!("{}; {}", chain(unreachable), chain(error)),
                    None => chain(error),
                };
                let exit = if without.is_some() { Exit::Busy } else { Exit::Failed };
                (Reply { exit: exit.code(), text }, Some(End::NotBegun))
            }
            (Ok(Ok(())), None) => (Reply::done(), None),
        };
        let heard = hook.send(&reply).is_ok() && hook.receive::<()>().is_ok();
        match end {
            Some(End::Lost) => return self.after_loss(listener, &reply),
            Some(end) => return self.finish(end, None),
            None if outcome.is_err() => return Ok(()),
            // The pre-hook died: certbot would go on without having been told.
            None if !heard => self.stop_owner(),
            None => {}
        }
        let (end, waiting) = self.serve(listener, grant)?;
        if end == End::Lost {
            let reply = self.lost(&grant.lost().unwrap_or_default());
            return self.after_loss(listener, &reply);
        }
        self.finish(end, waiting)
    }

    /// Where others hand the challenge path on to this host, a local proof is not enough.
    fn prove_publicly(&self, report: &Report, all: bool) -> Result<(), proof::Error> {
        let routes = if all {
            report.local.clone()
        } else if self.settings.arbiter.is_some() {
            public::unswitched(report)
        } else {
            Vec::new()
        };
        public::prove(&routes, self.settings.proof_time)
    }

    /// Does `work`; stops certbot as soon as the hook dies, since it would ask the CA at once,
    /// and when the lease is lost.
    fn watching<T>(
        &self,
        hook: Option<BorrowedFd<'_>>,
        bell: Option<BorrowedFd<'_>>,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        let setup = |error| Error::Keeper(keeper::Error::Setup("watch its hook", error));
        let (end, done) = io::pipe().map_err(setup)?;
        let end = end.as_fd();
        Ok(thread::scope(|scope| {
            scope.spawn(move || {
                // The hook says nothing while it waits: it can only have closed.
                let of = |fd: Option<BorrowedFd<'_>>| fd.is_some_and(is_ready);
                let sources: Vec<_> = [Some(end), hook, bell].into_iter().flatten().collect();
                if keeper::wait(&sources, None).is_err() || is_ready(end) {
                    return;
                }
                if of(bell) { self.end_owner() } else { self.stop_owner() }
            });
            let outcome = work();
            drop(done);
            outcome
        }))
    }

    /// Does what the hooks ask until the run ends.
    fn serve(
        &mut self,
        listener: &UnixListener,
        grant: &Grant,
    ) -> Result<(End, Option<Channel>), Error> {
        let mut told_to_end = false;
        loop {
            let own = [self.owner.as_fd(), self.signals.as_fd(), listener.as_fd()];
            let sources: Vec<_> = own.into_iter().chain(grant.bell()).collect();
            let ready = keeper::wait(&sources, None)?;
            if ready.get(own.len()) == Some(&true) {
                return Ok((End::Lost, None));
            }
            if ready[2] {
                match self.answer(listener, grant) {
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
    fn answer(&mut self, listener: &UnixListener, grant: &Grant) -> Result<Option<Channel>, Error> {
        let mut channel = keeper::accept(listener)?;
        channel.patience(HOOK_PATIENCE)?;
        let message: Message = channel.receive()?;
        let reply = if message.owner == self.task.owner {
            match &message.request {
                Request::Status => Reply::done(),
                Request::Deploy(deployed) => self.deploy(deployed, grant)?,
                Request::Finish => return Ok(Some(channel)),
            }
        } else {
            self.stranger()
        };
        channel.send(&reply)?;
        Ok(None)
    }

    fn stranger(&self) -> Reply {
        let text = format!(
            "a renewal of {} is under way, and this hook is not part of it",
            self.task.owner
        );
        Reply { exit: Exit::Busy.code(), text }
    }

    /// Gives back what the deployed lineage alone needed, and serves its certificate.
    fn deploy(&mut self, deployed: &Deployed, grant: &Grant) -> Result<Reply, Error> {
        // As directory hook and by flag: the first did it.
        if deployed.directory.as_ref().is_some_and(|directory| self.served.contains(directory)) {
            return Ok(Reply::done());
        }
        self.run.deploy(deployed);
        let order = match &self.task.names {
            Names::Lineages(_) => Order::Only(self.run.routes()),
            Names::Proxied(_) => Order::Without(deployed.names.iter().cloned().collect()),
        };
        let work = || deploy(self.settings, &order, deployed);
        Ok(match self.watching(None, grant.bell(), work)? {
            Ok(report) => {
                switch::log(&report);
                self.served.extend(deployed.directory.clone());
                Reply::done()
            }
            Err(error) => Reply { exit: Exit::of(&error).code(), text: chain(&error) },
        })
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

fn is_ready(fd: BorrowedFd<'_>) -> bool {
    keeper::wait(&[fd], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
}

/// For a hook to say what it wants.
const HOOK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a keeper tries to give the routes back before it leaves it to `recover`.
const FINISH_TIME: Duration = Duration::from_mins(5);

/// Between two of those tries.
const TRY_AGAIN: Duration = Duration::from_secs(5);
