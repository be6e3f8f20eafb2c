//! flow: what certbot's three hooks do.
//!
//! Silent on success. certbot ignores a hook's exit code; the guard, which started
//! the pre-hook's part of this, stops certbot unless that succeeds.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::clock::{self, Deadline, Stopwatch};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::lock::{self, Lock};
use crate::base::names::{Hostname, Thumbprint, Webroot};
use crate::base::process::{self, Process};
use crate::certbot::arguments::Invocation;
use crate::certbot::due;
use crate::certbot::installed;
use crate::certbot::invocation::{self, invocation};
use crate::certbot::lineages::{self, lineages};
use crate::certbot::renewal_file::Lineage;
use crate::certbot::running;
use crate::certbot::scope::{self, Known, Origin, scope};
use crate::certbot::version::Version;
use crate::certbot::{self, accounts};
use crate::config::Settings;
use crate::history::file::{Recorder, Start};
use crate::history::record::{By, Kind};
use crate::lease::times;
use crate::renewal::client::{Client, client};
use crate::renewal::guard::line::Line;
use crate::renewal::guard::voice;
use crate::renewal::guard::words::{Charge, Word};
use crate::renewal::keep;
use crate::renewal::keeper::{self, Called};
use crate::renewal::messages::{
    Deployed, Extent, Held, LeftOut, Message, Names, Needed, Reply, Request, Task,
};
use crate::renewal::right::{self, Right};
use crate::renewal::stopped::LockHolder;
use crate::renewal::unfinished;
use crate::switch::apply;
use crate::switch::commit;
use crate::switch::give_back;
use crate::switch::order::{Options, Return};
use crate::switch::report;
use crate::switch::said;

/// What a hook was told.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// `--config`, to pass on.
    pub config: Option<PathBuf>,
    /// The `certbaton` program, which becomes the keeper.
    pub program: PathBuf,
    /// `--name`.
    pub names: Vec<Hostname>,
    /// `--webroot`.
    pub webroot: Option<Webroot>,
    /// `RENEWED_LINEAGE`.
    pub lineage: Option<PathBuf>,
    /// `RENEWED_DOMAINS`.
    pub domains: Vec<Hostname>,
}

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// What certbot was told.
    #[error(transparent)]
    Certbot(#[from] invocation::Error),
    /// It is not root's.
    #[error(transparent)]
    Stranger(#[from] running::Stranger),
    /// certbot's files.
    #[error(transparent)]
    Lineages(#[from] lineages::Error),
    /// The names.
    #[error(transparent)]
    Scope(#[from] scope::Error),
    /// The keeper.
    #[error(transparent)]
    Keeper(#[from] keeper::Error),
    /// The lease.
    #[error(transparent)]
    Lease(#[from] right::Error),
    /// The switch.
    #[error(transparent)]
    Switch(#[from] report::Error),
    /// The keeper said no.
    #[error("{}", .0.text)]
    Refused(Reply),
    /// The routes did not go back.
    #[error("{}", keep::still_local(.0))]
    StillLocal(report::Error),
    /// The keeper does nothing.
    #[error(
        "the keeper, process {0}, is stopped (state T), and the routes that it holds are still local; kill -CONT {0} lets it go on"
    )]
    Stopped(i32),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Process(error) => error.exit(),
            Self::Certbot(error) => error.exit(),
            Self::Stranger(error) => error.exit(),
            Self::Lineages(error) => error.exit(),
            Self::Scope(error) => error.exit(),
            Self::Keeper(error) => error.exit(),
            Self::Lease(error) => error.exit(),
            Self::Switch(error) => error.exit(),
            Self::Refused(reply) => Exit::from_code(reply.exit),
            Self::StillLocal(_) | Self::Stopped(_) => Exit::NotUndone,
        }
    }
}

/// Before the first challenge: lease, routes, proof; `line` leads to the guard, which stops certbot
/// unless this succeeds. What a person at a shell has to know comes back.
pub fn pre(settings: &Settings, call: &Call, line: &Line) -> Result<Option<String>, Error> {
    let done = start(settings, call, line);
    if let Err(error) = &done
        && !matches!(error, Error::Refused(_))
    {
        // No keeper wrote it down.
        let by = process::parent(line.charge.hook.pid).ok().flatten();
        let start = Start { by: by.map(named).unwrap_or_default(), ..Start::default() };
        let record = Recorder::hold_back(settings, Kind::Renewal, start);
        record.end(error.exit().code(), &chain(error));
    }
    done
}

fn start(settings: &Settings, call: &Call, line: &Line) -> Result<Option<String>, Error> {
    let within = settings.lease_wait + work_time(settings);
    // Whether the guard hears it, its end tells.
    line.say(Word::Within(settings.lease_wait + within)).ok();
    let Charge { hook, certbot, is_at_terminal } = line.charge;
    let client = match certbot {
        Some(process) => Client { process, is_shell: false },
        None => client(hook)?,
    };
    let owner = client.process;
    // As directory hook and by flag: the second finds the keeper of the first.
    match ask(settings, owner, Request::Status, settings.lease_wait)? {
        Asked::Answered(reply) if reply.exit == 0 => return Ok(None),
        // The lease of this very run is lost.
        Asked::Answered(reply) if reply.exit == Exit::Failed.code() => {
            return Err(Error::Refused(reply));
        }
        Asked::Answered(_) | Asked::Nobody | Asked::Died => {}
    }
    let invocation = certbot.map(invocation).transpose()?;
    let version = certbot.and_then(installed::of_process);
    let (names, left_out) = names(settings, call, invocation.as_ref(), version)?;
    let mut keeper = keeper::start(call.program.clone(), call.config.as_deref())?;
    let forced = invocation.as_ref().is_some_and(|run| run.force_renewal);
    let dry_run = invocation.as_ref().is_some_and(|run| run.dry_run);
    let stoppable = certbot.is_some();
    let extent = if call.names.is_empty() { Extent::Part } else { Extent::Whole };
    // One that refuses at once may be gone before it is told everything: its answer counts.
    let task = Task { owner, stoppable, forced, dry_run, names, extent, left_out };
    let told = keeper.send(&task);
    let reply: Reply = match keeper.answer(within, Some(line.as_fd())) {
        Ok(reply) => reply,
        Err(keeper::Error::Closed) => {
            // It was killed, perhaps in the middle of a switch.
            give_back_after_death(settings)?;
            return Err(told.err().unwrap_or(keeper::Error::Closed).into());
        }
        Err(error) => return Err(error.into()),
    };
    if reply.exit != 0 {
        return Err(Error::Refused(reply));
    }
    let held: Held = keeper.answer(within, None)?;
    keeper.send(&())?;
    // What is left out certbot will fail with; the keeper has logged it.
    if let Some(certbot) = certbot {
        voice::show(certbot, reply.text.as_bytes());
    }
    Ok((client.is_shell && is_at_terminal).then(|| held.text(owner)))
}

/// After a lineage is renewed: its names go back, its certificate is served.
pub fn deploy(settings: &Settings, call: &Call) -> Result<(), Error> {
    let owner = owner()?;
    let names = [&call.names[..], &call.domains].concat();
    let deployed = Deployed { directory: call.lineage.clone(), names };
    match ask(settings, owner, Request::Deploy(deployed.clone()), work_time(settings))? {
        Asked::Answered(reply) if reply.exit == 0 => Ok(()),
        Asked::Answered(reply) => Err(Error::Refused(reply)),
        // No run of ours: nothing to give back, but the certificate wants loading.
        Asked::Nobody | Asked::Died => {
            let start = Start { by: named(owner), ..Start::default() };
            let record = Recorder::hold_back(settings, Kind::Renewal, start);
            let watch = Stopwatch::start();
            let outcome =
                keep::deployment::deploy(settings, &Return::Names(BTreeSet::new()), &deployed);
            record.record(keep::recorder::switched(&outcome));
            let failure = outcome.as_ref().err().map(|error| chain(error));
            record.record(keep::recorder::deployed(&deployed, None, failure, watch));
            let exit = outcome.as_ref().map_or_else(CarriesExit::exit, |_| Exit::Done);
            record.end(exit.code(), "");
            commit::log(settings, &outcome?);
            Ok(())
        }
    }
}

/// At the end of the run: everything goes back, the lease is free.
pub fn post(settings: &Settings) -> Result<(), Error> {
    let asked = owner().and_then(|own| ask(settings, own, Request::Finish, work_time(settings)));
    match asked {
        Ok(Asked::Answered(reply)) if reply.exit == 0 => Ok(()),
        Ok(Asked::Answered(reply)) => Err(Error::Refused(reply)),
        Ok(Asked::Nobody) => match right(settings, Duration::ZERO)? {
            Some(right) => give_back_under(settings, right),
            None => Ok(()),
        },
        Ok(Asked::Died) => give_back_after_death(settings),
        // Whom to ask is not known, or how; what no live run owns goes back all the same.
        Err(error) => match right(settings, Duration::ZERO)? {
            Some(right) => give_back_under(settings, right),
            None => Err(error),
        },
    }
}

/// Ends the run that is under way on this host, whoever it is for; whether there was one.
///
/// A keeper that is stopped hears nothing, one that still waits for the lease does not listen:
/// such a one is ended by a signal. Any other answers when the lease is free, too.
pub fn break_run(settings: &Settings) -> Result<bool, Error> {
    let holder = LockHolder::of(settings);
    if let Some(stuck) = holder.as_ref().filter(|holder| holder.is_stuck()) {
        stuck.end()?;
        return give_back_after_death(settings).map(|()| true);
    }
    let within = work_time(settings) + times::GOODBYE * 2;
    match (ask(settings, process::own()?, Request::Break, within)?, holder) {
        (Asked::Answered(reply), _) if reply.exit == 0 => Ok(true),
        (Asked::Answered(reply), _) => Err(Error::Refused(reply)),
        (Asked::Nobody, Some(waiting)) if waiting.is_keeper() => {
            waiting.end()?;
            give_back_after_death(settings).map(|()| true)
        }
        (Asked::Nobody, _) => Ok(false),
        (Asked::Died, _) => give_back_after_death(settings).map(|()| true),
    }
}

/// The same for a keeper that was killed: whoever waited for it does its work before it ends, or
/// fails because somebody else has the lease by now.
fn give_back_after_death(settings: &Settings) -> Result<(), Error> {
    if let Some(right) = right(settings, DEATH_TIME)? {
        return give_back_under(settings, right);
    }
    let (path, waited) = (settings.lease_lock(), DEATH_TIME);
    Err(right::Error::from(lock::Error::Busy { path, waited }).into())
}

/// Gives back what no live renewal owns: by itself, or by the keeper that still holds it. Does
/// nothing while one is under way.
pub fn give_back(settings: &Settings) -> Result<(), Error> {
    if let Some(right) = right(settings, Duration::ZERO)? {
        return give_back_under(settings, right);
    }
    match ask_to_return(settings)? {
        Asked::Answered(reply) if reply.exit == 0 => Ok(()),
        Asked::Answered(reply) => Err(Error::Refused(reply)),
        // A keeper that waits for the lease does it as soon as it has that.
        Asked::Nobody if !is_local(settings) => Ok(()),
        // One that is dead, or goes on without the lease, holds the lock for a moment only.
        Asked::Nobody | Asked::Died => match right(settings, DEATH_TIME)? {
            Some(right) => give_back_under(settings, right),
            None => Ok(()),
        },
    }
}

/// Asks the keeper to give back what no live run owns; one that is stopped while routes are local
/// is not waited for.
fn ask_to_return(settings: &Settings) -> Result<Asked, Error> {
    let mut keeper = match keeper::call(&settings.keeper_socket())? {
        Called::Answers(keeper) => keeper,
        Called::Nobody => return Ok(Asked::Nobody),
        Called::Dead => return Ok(Asked::Died),
    };
    let (owner, deadline) = (process::own()?, Deadline::after(work_time(settings)));
    let asked = keeper.send(&Message { owner, request: Request::Return });
    let mut answer = asked.and_then(|()| keeper.answer(LOOK_AGAIN, None));
    while let Err(keeper::Error::Silent(Some(pid), _)) = answer
        && deadline.remaining().is_some()
    {
        if process::is_stopped(pid).unwrap_or_default() && is_local(settings) {
            return Err(Error::Stopped(pid));
        }
        answer = keeper.answer(LOOK_AGAIN, None);
    }
    match answer {
        Ok(reply) => Ok(Asked::Answered(reply)),
        Err(keeper::Error::Closed) => Ok(Asked::Died),
        Err(error) => Err(error.into()),
    }
}

/// Whether routes are known to be local, or nothing is known.
fn is_local(settings: &Settings) -> bool {
    let known = apply::read_journal(&settings.journal()).map(|(journal, _)| journal);
    known.map_or(true, |journal| journal.since.is_some())
}

/// The same where somebody looks after what died: a keeper that is stopped is no live owner if
/// `is_orphaned` says that its run has ended, or if the lease, which it does not keep, has run out
/// meanwhile. It is ended first.
pub fn recover(settings: &Settings, is_orphaned: impl FnOnce() -> bool) -> Result<(), Error> {
    if let Some(stuck) = LockHolder::of(settings).filter(LockHolder::is_stuck) {
        let has_lost = || settings.arbiter.is_some() && stuck.stays_stopped(settings.lease_grace);
        if is_orphaned() || has_lost() {
            stuck.end()?;
            return give_back_after_death(settings);
        }
    }
    give_back(settings)
}

/// That no live run owns anything; `None` while one does.
pub fn right(settings: &Settings, patience: Duration) -> Result<Option<Right>, Error> {
    right::to_give_back(settings, patience).map_err(|error| {
        if is_local(settings) {
            Error::StillLocal(error.into())
        } else {
            right::Error::from(error).into()
        }
    })
}

fn give_back_under(settings: &Settings, _right: Right) -> Result<(), Error> {
    // Only who has the lease listens: this one's keeper was killed.
    if let Err(error) = files::remove_own(&settings.keeper_socket()) {
        // Whoever listens there next says so.
        tracing::debug!("what a killed keeper left behind stays: {}", chain(&error));
    }
    unfinished::undo(certbot::halfway::directories(&settings.certbot_directory));
    let start = Start { by: process::own().map(named).unwrap_or_default(), ..Start::default() };
    let record = Recorder::hold_back(settings, Kind::Recovery, start);
    let outcome = give_back::give_back(settings, &Return::All, &Options::default());
    let switched = keep::recorder::switched(&outcome);
    let outcome = outcome.map_err(|error| {
        if error.is_given_back() { Error::Switch(error) } else { Error::StillLocal(error) }
    });
    // The same every few minutes would push all else out of the history.
    let failure = outcome.as_ref().err().map(|error| chain(error));
    let is_news = said::is_news(settings, "recovery", failure.as_deref());
    match &outcome {
        Ok(_) => {
            record.record(switched);
            record.end(Exit::Done.code(), "");
        }
        Err(error) if is_news => {
            record.record(switched);
            record.end(error.exit().code(), &chain(error));
        }
        Err(_) => {}
    }
    let report = outcome?;
    commit::log(settings, &report);
    Ok(())
}

/// A process as the history names it.
fn named(process: Process) -> By {
    By::process(process.pid, &process::argv(process.pid).unwrap_or_default())
}

/// This host's own lease, if nobody has it.
pub fn lease(settings: &Settings) -> Result<Option<Lock>, Error> {
    files::own_directory(&settings.runtime_directory, 0o755)
        .map_err(|error| Error::Switch(error.into()))?;
    Ok(right::local(settings)?)
}

/// Whose life the run's is: certbot's, else the client's.
fn owner() -> Result<Process, Error> {
    let own = process::own()?;
    match running::find(own.pid)? {
        Some(certbot) => Ok(certbot.believed()?),
        None => Ok(client(own)?.process),
    }
}

/// What came of asking the keeper of the run under way.
enum Asked {
    /// There is none.
    Nobody,
    /// It answered.
    Answered(Reply),
    /// It was killed, before it was asked or while it worked.
    Died,
}

/// Asks the keeper of the run under way, for as long as `patience`.
fn ask(
    settings: &Settings,
    owner: Process,
    request: Request,
    patience: Duration,
) -> Result<Asked, Error> {
    let mut keeper = match keeper::call(&settings.keeper_socket())? {
        Called::Answers(keeper) => keeper,
        Called::Nobody => return Ok(Asked::Nobody),
        Called::Dead => return Ok(Asked::Died),
    };
    let asked = keeper.send(&Message { owner, request });
    match asked.and_then(|()| keeper.answer(patience, None)) {
        Ok(reply) => Ok(Asked::Answered(reply)),
        Err(keeper::Error::Closed) => Ok(Asked::Died),
        Err(error) => Err(error.into()),
    }
}

/// What is to be switched, and what certbot takes up although it cannot be proven.
fn names(
    settings: &Settings,
    call: &Call,
    invocation: Option<&Invocation>,
    version: Option<Version>,
) -> Result<(Names, Vec<LeftOut>), Error> {
    let directory = invocation.map_or(&settings.certbot_directory, |run| &run.config_dir);
    let found = lineages(directory)?;
    let current = |lineage: &Lineage| {
        let pem = files::read_trusted(&lineage.cert).ok()?;
        certificate::from_pem(&pem).ok()
    };
    let current: Vec<_> = found.usable.iter().map(|lineage| (lineage, current(lineage))).collect();
    let scope = scope(&Known {
        names: &call.names,
        webroot: call.webroot.as_ref(),
        invocation,
        lineages: &found.usable,
        refused: &found.refused,
        needs: &due::needs(invocation, &current, version, clock::now()),
    })?;
    let left_out = scope.left_out.into_iter().map(|left| LeftOut {
        lineage: left.name,
        need: left.need,
        why: left.why.to_string(),
    });
    let left_out = left_out.collect();
    if scope.lineages.is_empty() && scope.origin == Origin::Unknown {
        return Ok((Names::Proxied(call.webroot.clone()), left_out));
    }
    let known = |name: &str| found.usable.iter().find(|lineage| lineage.name == name);
    let needed = scope.lineages.into_iter().map(|scoped| Needed {
        // Also of a lineage yet to be made, whose deploy hook may not be run.
        certificate: Some(known(&scoped.name).map_or_else(
            || directory.join("live").join(&scoped.name).join("cert.pem"),
            |lineage| lineage.cert.clone(),
        )),
        account: account(directory, invocation, known(&scoped.name)),
        lineage: scoped.name,
        need: scoped.need,
        routes: scoped.routes,
        addresses: scoped.addresses,
    });
    Ok((Names::Lineages(needed.collect()), left_out))
}

/// The account that certbot is about to use.
///
/// certbot asks staging when it only rehearses, unless it was told another server (`cli_utils.py:set_test_server_options`).
fn account(
    directory: &Path,
    invocation: Option<&Invocation>,
    lineage: Option<&Lineage>,
) -> Option<Thumbprint> {
    let saved = lineage.and_then(|lineage| lineage.server.as_deref());
    let given = invocation.and_then(|invocation| invocation.server.as_deref());
    let server = given.or(saved).unwrap_or(PRODUCTION);
    let rehearses = invocation.is_some_and(|invocation| invocation.dry_run);
    let server = if rehearses && server == PRODUCTION { STAGING } else { server };
    let id = lineage.filter(|_| saved == Some(server)).and_then(|l| l.account.as_deref());
    accounts::of_server(directory, server, id)
}

/// certbot's default.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Where it rehearses.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The longest that a keeper works until it answers: some waits for Apache and for proofs, each of
/// which is bounded by this.
fn work_time(settings: &Settings) -> Duration {
    settings.proof_time * 15
}

/// Between two looks at whether a keeper that does not answer is stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// For the lock of a keeper that was killed to be free: the kernel closes its files one by one.
const DEATH_TIME: Duration = Duration::from_secs(10);
