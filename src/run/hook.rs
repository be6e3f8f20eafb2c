//! flow: what certbot's three hooks do.
//!
//! Silent on success. certbot ignores a hook's exit code, so a pre-hook that
//! cannot succeed stops certbot before it asks the CA.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cause::chain;
use crate::certbot::accounts;
use crate::certbot::arguments::Invocation;
use crate::certbot::certificate;
use crate::certbot::due;
use crate::certbot::installed;
use crate::certbot::invocation::{self, invocation};
use crate::certbot::lineages::{self, lineages};
use crate::certbot::renewal::Lineage;
use crate::certbot::running;
use crate::certbot::scope::{self, Known, Origin, scope};
use crate::certbot::version::Version;
use crate::clock::{self, Stopwatch};
use crate::config::Settings;
use crate::exit::{CarriesExit, Exit};
use crate::files;
use crate::guard::ladder;
use crate::history::log::{Recorder, Start};
use crate::history::record::{By, Kind};
use crate::lock::Lock;
use crate::names::{Hostname, Thumbprint, Webroot};
use crate::process::{self, Process};
use crate::route::give_back;
use crate::route::order::{Options, Return};
use crate::route::report;
use crate::route::switch;
use crate::run::keep;
use crate::run::keeper;
use crate::run::lease;
use crate::run::messages::{
    Deployed, Extent, LeftOut, Message, Names, Needed, Reply, Request, Task,
};

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
    Lease(#[from] lease::Error),
    /// The switch.
    #[error(transparent)]
    Switch(#[from] report::Error),
    /// The keeper said no.
    #[error("{}", .0.text)]
    Refused(Reply),
    /// The routes did not go back.
    #[error("{}", keep::still_local(.0))]
    StillLocal(report::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Process(error) => error.exit(),
            Self::Certbot(error) => error.exit(),
            Self::Lineages(error) => error.exit(),
            Self::Scope(error) => error.exit(),
            Self::Keeper(error) => error.exit(),
            Self::Lease(error) => error.exit(),
            Self::Switch(error) => error.exit(),
            Self::Refused(reply) => Exit::from_code(reply.exit),
            Self::StillLocal(_) => Exit::NotUndone,
        }
    }
}

/// Before the first challenge: lease, routes, proof. Who calls it follows a failure with [`veto`].
pub fn pre(settings: &Settings, call: &Call) -> Result<(), Error> {
    let done = start(settings, call);
    if let Err(error) = &done
        && !matches!(error, Error::Refused(_))
    {
        // No keeper wrote it down.
        let by = process::own().and_then(|own| process::parent(own.pid)).ok().flatten();
        let start = Start { by: by.map(named).unwrap_or_default(), ..Start::default() };
        let record = Recorder::hold_back(settings, Kind::Renewal, start);
        record.end(error.exit().code(), &chain(error));
    }
    done
}

fn start(settings: &Settings, call: &Call) -> Result<(), Error> {
    let certbot = running::find(process::own()?.pid)?;
    let owner = owner(certbot)?;
    // As directory hook and by flag: the second finds the keeper of the first.
    match ask(settings, owner, Request::Status)? {
        Some(reply) if reply.exit == 0 => return Ok(()),
        // The lease of this very run is lost.
        Some(reply) if reply.exit == Exit::Failed.code() => return Err(Error::Refused(reply)),
        Some(_) | None => {}
    }
    let invocation = certbot.map(invocation).transpose()?;
    let version = certbot.and_then(installed::of_process);
    let (names, left_out) = names(settings, call, invocation.as_ref(), version)?;
    let mut keeper = keeper::start(call.program.clone(), call.config.as_deref())?;
    let forced = invocation.as_ref().is_some_and(|run| run.force_renewal);
    let dry_run = invocation.as_ref().is_some_and(|run| run.dry_run);
    let stoppable = certbot.is_some();
    let extent = if call.names.is_empty() { Extent::Part } else { Extent::Whole };
    keeper.send(&Task { owner, stoppable, forced, dry_run, names, extent, left_out })?;
    let reply = match keeper.receive::<Reply>() {
        Err(error) => {
            // The keeper was killed, perhaps in the middle of a switch.
            give_back(settings)?;
            return Err(error.into());
        }
        Ok(reply) => reply,
    };
    keeper.send(&())?;
    if reply.exit != 0 {
        return Err(Error::Refused(reply));
    }
    // What is left out certbot will fail with.
    for line in reply.text.lines() {
        tracing::warn!("{line}");
    }
    Ok(())
}

/// After a lineage is renewed: its names go back, its certificate is served.
pub fn deploy(settings: &Settings, call: &Call) -> Result<(), Error> {
    let owner = owner(running::find(process::own()?.pid)?)?;
    let names = [&call.names[..], &call.domains].concat();
    let deployed = Deployed { directory: call.lineage.clone(), names };
    match ask(settings, owner, Request::Deploy(deployed.clone()))? {
        Some(reply) if reply.exit == 0 => Ok(()),
        Some(reply) => Err(Error::Refused(reply)),
        // No run of ours: nothing to give back, but the certificate wants loading.
        None => {
            let start = Start { by: named(owner), ..Start::default() };
            let record = Recorder::hold_back(settings, Kind::Renewal, start);
            let watch = Stopwatch::start();
            let outcome = keep::deploy(settings, &Return::Names(BTreeSet::new()), &deployed);
            record.record(keep::record::switched(&outcome));
            let failure = outcome.as_ref().err().map(|error| chain(error));
            record.record(keep::record::deployed(&deployed, None, failure, watch));
            let exit = outcome.as_ref().map_or_else(CarriesExit::exit, |_| Exit::Done);
            record.end(exit.code(), "");
            switch::log(&outcome?);
            Ok(())
        }
    }
}

/// At the end of the run: everything goes back, the lease is free.
pub fn post(settings: &Settings) -> Result<(), Error> {
    let owner = owner(running::find(process::own()?.pid)?)?;
    match ask(settings, owner, Request::Finish)? {
        Some(reply) if reply.exit == 0 => Ok(()),
        Some(reply) => Err(Error::Refused(reply)),
        None => give_back(settings),
    }
}

/// Gives back what no live renewal owns; does nothing while one is under way.
pub fn give_back(settings: &Settings) -> Result<(), Error> {
    let Some(_grant) = lease(settings)? else { return Ok(()) };
    // Only who has the lease listens: this one's keeper was killed.
    files::remove_own(&settings.keeper_socket()).map_err(|error| Error::Switch(error.into()))?;
    let start = Start { by: process::own().map(named).unwrap_or_default(), ..Start::default() };
    let record = Recorder::hold_back(settings, Kind::Recovery, start);
    let outcome = give_back::give_back(settings, &Return::All, &Options::default());
    record.record(keep::record::switched(&outcome));
    let outcome = outcome.map_err(Error::StillLocal);
    match &outcome {
        Ok(_) => record.end(Exit::Done.code(), ""),
        Err(error) => record.end(error.exit().code(), &chain(error)),
    }
    let report = outcome?;
    switch::log(&report);
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
    Ok(lease::local(settings)?)
}

/// Whose life the run's is: certbot's, else the client's.
fn owner(certbot: Option<Process>) -> Result<Process, Error> {
    match certbot {
        Some(certbot) => Ok(certbot),
        None => client(process::own()?),
    }
}

/// The nearest ancestor that is not a shell running us; where that is init, which never ends,
/// the outermost of those shells.
///
/// A shell script's subshell ends with the hook (dehydrated calls it from one), so it counts as
/// the script: it is a fork, with the same arguments.
fn client(own: Process) -> Result<Process, Error> {
    let mut owner = own;
    let mut client: Option<Vec<OsString>> = None;
    for process in process::ancestors(own.pid)? {
        let argv = process::argv(process.pid)?;
        let is_outside = match &client {
            Some(client) => argv != *client,
            None => process.pid == INIT && owner != own,
        };
        if is_outside {
            break;
        }
        owner = process;
        if !is_shell_command(&argv) {
            client = Some(argv);
        }
    }
    Ok(owner)
}

fn is_shell_command(argv: &[OsString]) -> bool {
    let program = argv.first().and_then(|program| Path::new(program).file_name());
    argv.get(1).is_some_and(|a| a == "-c")
        && program.is_some_and(|name| {
            ["sh", "bash", "dash", "ash", "zsh"].iter().any(|shell| name == *shell)
        })
}

/// Asks the keeper of the run under way; `None` if there is no run.
fn ask(settings: &Settings, owner: Process, request: Request) -> Result<Option<Reply>, Error> {
    let Some(mut keeper) = keeper::call(&settings.keeper_socket())? else { return Ok(None) };
    keeper.send(&Message { owner, request })?;
    match keeper.receive() {
        Ok(reply) => Ok(Some(reply)),
        // Killed while it worked: as if it had not been there.
        Err(keeper::Error::Closed) => Ok(None),
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
        certificate: known(&scoped.name).map(|lineage| lineage.cert.clone()),
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

/// Stops the certbot that runs this pre-hook, which would ignore its exit code
/// and ask the CA; nothing if no certbot does.
///
/// certbot dies without a word: the person at its terminal is told before, since
/// the terminal may go away with it (`ssh -t`).
pub fn veto(why: &str) {
    let certbot = match process::own().and_then(|own| running::find(own.pid)) {
        Ok(Some(certbot)) => certbot,
        Ok(None) => return,
        Err(error) => return tracing::error!("{}", chain(&error)),
    };
    if let Some(mut terminal) = process::terminal(certbot.pid) {
        let text = format!("certbaton-pre-hook: {why}; certbot is stopped before it asks the CA");
        // A terminal that went away has nobody in front of it.
        writeln!(terminal, "{text}").ok();
    }
    match ladder::stop(certbot) {
        Ok(true) => tracing::error!("certbot was stopped before it asked the CA"),
        Ok(false) => tracing::error!("{}", ladder::still_running(certbot)),
        Err(error) => tracing::error!("{}", chain(&error)),
    }
}

/// The first process of a host or container.
const INIT: i32 = 1;
