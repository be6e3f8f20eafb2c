//! flow: the keeper: it holds the lease and the routes for exactly as long as one run lives.
//!
//! Started by the pre-hook, bound to certbot by pidfd, told what to do by the
//! later hooks. It alone switches while a run is on. Whatever ends the run, the
//! routes go back first and the lease last.

use std::collections::BTreeSet;
use std::iter;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::names::Route;
use crate::base::process::PidFd;
use crate::base::signals::Signals;
use crate::certbot::log::Log;
use crate::config::Settings;
use crate::config::context::Context;
use crate::history::file::Recorder;
use crate::history::record::Event;
use crate::renewal::Error;
use crate::renewal::certificates::Certificates;
use crate::renewal::guard::ladder;
use crate::renewal::guard::voice;
use crate::renewal::keep::calls::HookCall;
use crate::renewal::keeper::{self, Channel};
use crate::renewal::messages::{Held, LeftOut, Names, Reply, Task};
use crate::renewal::right::Grant;
use crate::renewal::still_needed::RenewalRun;
use crate::renewal::unfinished;
use crate::switch::order;
use crate::switch::report;

mod calls;
mod claim;
pub(super) mod deployment;
mod finish;
mod loss;
mod planning;
mod prove;
pub mod recorder;
mod unnamed;
mod waiting_hook;

/// Those of the routes that another host sees answered by somebody else than this one. The other
/// hosts are no business of a renewal on this one: whoever starts the keeper knows them.
pub type Witnesses = fn(&Settings, &[Route]) -> Vec<order::LeftOutRoute>;

/// A run that is under way.
struct Keeper<'a> {
    settings: &'a Settings,
    witnesses: Witnesses,
    task: Task,
    owner: PidFd,
    signals: Signals,
    run: RenewalRun,
    /// Lineages whose certificate is served.
    served: BTreeSet<PathBuf>,
    /// The certificates as they were at the beginning.
    before: Certificates,
    /// What certbot writes down of its own failures.
    log: Option<Log>,
    record: Recorder,
    /// The first failure that a hook was told of.
    told: Reply,
    /// Hooks that called while it planned.
    calls: Vec<HookCall>,
    /// It has let go of the lease although not everything is given back.
    owes: bool,
    /// The person who broke the lease: told when nothing of the run is left.
    breaker: Option<Channel>,
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
    /// A person took away what it holds.
    Broken,
    /// The keeper cannot go on.
    GivenUp,
}

/// The whole life of a keeper.
pub fn keep(context: &Context, witnesses: Witnesses) -> Result<(), Error> {
    let settings = &context.settings;
    let (mut hook, signals) = keeper::settle()?;
    hook.patience(READY)?;
    let task: Task = hook.receive()?;
    settings.runtime_directory.make()?;
    let owner = PidFd::open(task.owner)?;
    let run = RenewalRun::new(match &task.names {
        Names::Lineages(needed) => needed.clone(),
        Names::Proxied(_) => Vec::new(),
    });
    let before = Certificates::of(&task);
    let record = recorder::begin(settings, &task);
    let log = Some(task.owner.pid).filter(|_| task.stoppable).and_then(Log::of);
    let (served, told, calls, owes) = (BTreeSet::new(), Reply::done(), Vec::new(), false);
    let mut keeper = Keeper {
        settings,
        witnesses,
        task,
        owner,
        signals,
        run,
        served,
        before,
        log,
        record,
        told,
        calls,
        owes,
        breaker: None,
    };
    let outcome = keeper.live(&mut hook, context);
    let breaker = keeper.breaker.take();
    keeper.ended(&outcome);
    tell_breaker(breaker);
    outcome
}

/// Tells the person who broke the lease that all is given back.
fn tell_breaker(breaker: Option<Channel>) {
    if let Some(mut channel) = breaker {
        // Whoever it was may have gone.
        channel.send(&Reply::done()).ok();
    }
}

impl Keeper<'_> {
    /// From the lease to its end.
    fn live(&mut self, hook: &mut Channel, context: &Context) -> Result<(), Error> {
        let (mut grant, without) = match self.acquire(hook, context) {
            Ok(granted) => granted,
            Err(error) => {
                // Nobody listens any more if the hook is what ended.
                hook.send(&Reply { exit: error.exit().code(), text: chain(&error) }).ok();
                if matches!(error, Error::Abandoned) {
                    self.stop_owner("its pre-hook ended before the lease was there");
                }
                return Err(error);
            }
        };
        let token = grant.token.map(|token| format!(", token {}", token.0)).unwrap_or_default();
        tracing::info!("lease granted to {}{token}", self.owner_name());
        self.granted(&grant, without.as_ref().map(|error| chain(error)).as_deref());
        let held = if grant.waited && self.is_done() {
            self.told.text = "another run has renewed everything meanwhile".into();
            self.has_begun(hook, &Reply::done(), &Held::default());
            Ok(())
        } else {
            let held = match keeper::listen(&keeper::socket(&self.settings.runtime_directory)) {
                Ok(listener) => {
                    let held = self.hold(hook, &mut grant, &listener, without.as_ref());
                    held.or_else(|error| self.give_up(hook, error, Some(&listener)))
                }
                Err(error) => self.give_up(hook, error, None),
            };
            if let Err(error) = files::remove_own(&keeper::socket(&self.settings.runtime_directory))
            {
                tracing::warn!("{}; the next run makes it anew", chain(&error));
            }
            held
        };
        grant.release();
        self.record.record(Event::Released);
        tracing::info!("lease released by {}{token}", self.owner_name());
        if self.owes { held.or_else(|error| self.go_on(error)) } else { held }
    }

    /// From the switch to this host to the switch back. `without`: why there is no arbiter's lease.
    fn hold(
        &mut self,
        hook: &mut Channel,
        grant: &mut Grant,
        listener: &UnixListener,
        without: Option<&Error>,
    ) -> Result<(), Error> {
        let outcome = self.begin(hook.as_fd(), grant.bell(), listener, without.is_some())?;
        let lost = grant.lost();
        let (reply, end) = match (&outcome, &lost) {
            (Ok(_) | Err(report::Error::CalledOff(_)), Some(why)) => {
                (self.lost(why), Some(End::Lost))
            }
            (Err(error), _) => {
                // Nothing may be left local once the lease is free.
                let exit = error.exit();
                let end = (exit == Exit::NotUndone).then_some(End::NotBegun);
                let others = self.task.left_out.iter().map(LeftOut::line);
                let text: Vec<String> = iter::once(chain(error)).chain(others).collect();
                (Reply { exit: exit.code(), text: text.join("\n") }, end)
            }
            (Ok(begun), None) => {
                let reply = self.judged(begun, without);
                let end = (reply.exit != Exit::Done.code()).then_some(End::NotBegun);
                (reply, end)
            }
        };
        self.told(&reply);
        let heard = if let (Ok(begun), 0) = (&outcome, reply.exit) {
            let token = grant.token.map(|token| token.0);
            self.has_begun(hook, &reply, &Held { token, names: begun.local.clone() })
        } else {
            hook.send(&reply).ok();
            false
        };
        match end {
            Some(End::Lost) => return self.after_loss(listener, &reply),
            Some(end) => return self.finish(end, None, Some(listener)),
            None if outcome.is_err() => return Ok(()),
            // The pre-hook died: certbot would go on without having been told.
            None if !heard => self.stop_owner("its pre-hook ended before it could be told"),
            None => {}
        }
        let (end, waiting) = self.serve(listener, grant)?;
        if end == End::OwnerEnded {
            unfinished::undo(self.lineage_directories());
        }
        if matches!(end, End::Finished | End::OwnerEnded) {
            self.deploy_unsaid(grant);
        }
        self.came_to(end);
        if end == End::Lost {
            let reply = self.lost(&grant.lost().unwrap_or_default());
            return self.after_loss(listener, &reply);
        }
        if end == End::Broken {
            self.stop_owner("a person broke the lease on this host");
        }
        self.finish(end, waiting, Some(listener))
    }

    /// The keeper cannot go on: certbot, which has nobody then, ends, and the routes go back. Its
    /// error, unless that of the return is worse.
    fn give_up(
        &mut self,
        hook: &mut Channel,
        error: Error,
        listener: Option<&UnixListener>,
    ) -> Result<(), Error> {
        if matches!(error, Error::Stuck(_)) {
            return Err(error);
        }
        let reply = Reply { exit: error.exit().code(), text: chain(&error) };
        tracing::error!("{}", reply.text);
        // It hears this if it still waits, and then says it before it stops certbot too.
        let is_heard = hook.send(&reply).is_ok();
        self.told(&reply);
        if is_heard {
            self.end_owner();
        } else {
            self.stop_owner(&reply.text);
        }
        self.finish(End::GivenUp, None, listener).and(Err(error))
    }

    /// Tells the pre-hook that the run has begun; whether it heard that, which a hook that is
    /// stopped does not, nor one whose certbot has ended meanwhile.
    fn has_begun(&self, hook: &mut Channel, reply: &Reply, held: &Held) -> bool {
        let told = hook.send(reply).and_then(|()| hook.send(held));
        let sources = [hook.as_fd(), self.owner.as_fd()];
        let heard = told.and_then(|()| keeper::wait(&sources, Some(READY)));
        heard.is_ok_and(|ready| ready[0]) && hook.receive::<()>().is_ok()
    }

    /// The `live/NAME` of the lineages of this run.
    fn lineage_directories(&self) -> Vec<PathBuf> {
        let Names::Lineages(needed) = &self.task.names else { return Vec::new() };
        let certificates = needed.iter().filter_map(|needed| needed.certificate.as_deref());
        certificates.filter_map(Path::parent).map(Path::to_owned).collect()
    }

    fn owner_name(&self) -> String {
        let program = if self.task.stoppable { "certbot, " } else { "" };
        format!("{program}{}", self.task.owner)
    }

    /// Stops certbot, which says no word of it: whoever sits at its terminal is told `why` before.
    fn stop_owner(&self, why: &str) {
        if self.task.stoppable {
            let told = format!(
                "certbaton: {why}: certbot is stopped, and the routes go back
"
            );
            voice::show(self.task.owner, told.as_bytes());
        }
        self.end_owner();
    }

    /// Ends certbot for certain, and nothing that is not certbot.
    fn end_owner(&self) {
        if !self.task.stoppable {
            return;
        }
        match ladder::descend(&self.owner) {
            Ok(true) => {}
            Ok(false) => tracing::error!("{}", ladder::still_running(self.task.owner)),
            Err(error) => tracing::error!("cannot stop certbot: {}", chain(&error)),
        }
    }
}

/// For the pre-hook that started it to take the next step, on a busy machine too.
const READY: Duration = Duration::from_secs(30);
