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
use crate::base::clock::{self, Stopwatch};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::names::{Hostname, Thumbprint, Webroot};
use crate::base::process::{self, Process};
use crate::certbot::accounts::{self, PRODUCTION, STAGING};
use crate::certbot::arguments::Invocation;
use crate::certbot::due;
use crate::certbot::installed;
use crate::certbot::invocation::invocation;
use crate::certbot::lineages::lineages;
use crate::certbot::renewal_file::Lineage;
use crate::certbot::running;
use crate::certbot::scope::{Known, NameSource, scope};
use crate::certbot::version::Version;
use crate::config::Settings;
use crate::config::context::Context;
use crate::history::file::{Recorder, Start};
use crate::history::record::Kind;
use crate::renewal::Error;
use crate::renewal::client::{Client, client};
use crate::renewal::guard::line::Line;
use crate::renewal::guard::voice;
use crate::renewal::guard::words::{Charge, Word};
use crate::renewal::keep::{deployment, recorder};
use crate::renewal::keeper::{self, Channel, KeeperAnswer};
use crate::renewal::messages::{
    Deployment, Extent, Held, HookRequest, LeftOut, Names, Needed, Reply, Task,
};
use crate::renewal::recover;
use crate::switch::commit;
use crate::switch::order::Return;

/// What a hook was told.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// `--name`.
    pub names: Vec<Hostname>,
    /// `--webroot`.
    pub webroot: Option<Webroot>,
    /// `RENEWED_LINEAGE`.
    pub lineage: Option<PathBuf>,
    /// `RENEWED_DOMAINS`.
    pub domains: Vec<Hostname>,
}

/// Before the first challenge: lease, routes, proof; `line` leads to the guard, which stops certbot
/// unless this succeeds. What a person at a shell has to know comes back.
pub fn pre(context: &Context, call: &Call, line: &Line) -> Result<Option<String>, Error> {
    let done = start(context, call, line);
    if !matches!(done, Ok(_) | Err(Error::Refused(_))) {
        // No keeper wrote it down.
        let by = process::parent(line.charge.hook.pid).ok().flatten();
        let start = Start { by: by.map(recorder::named).unwrap_or_default(), ..Start::default() };
        let record = Recorder::hold_back(&context.settings, Kind::Renewal, start);
        record.end_as(&done);
    }
    done
}

/// What the keeper answers, and what it holds then; none if it refuses. It goes on once it knows that
/// this was heard.
fn heard(
    keeper: &mut Channel,
    within: Duration,
    line: &Line,
) -> Result<(Reply, Option<Held>), Error> {
    let reply: Reply = keeper.answer(within, Some(line.as_fd()))?;
    if reply.exit != 0 {
        return Ok((reply, None));
    }
    let held = keeper.answer(within, None)?;
    keeper.send(&())?;
    Ok((reply, Some(held)))
}

fn start(context: &Context, call: &Call, line: &Line) -> Result<Option<String>, Error> {
    let settings = &context.settings;
    let within = settings.lease_wait + keeper::work_time(settings.proof_time);
    // Whether the guard hears it, its end tells.
    line.say(Word::Within(settings.lease_wait + within)).ok();
    let Charge { hook, certbot, is_at_terminal } = line.charge;
    let client = match certbot {
        Some(process) => Client { process, is_shell: false },
        None => client(hook)?,
    };
    let owner = client.process;
    // As directory hook and by flag: the second finds the keeper of the first.
    match keeper::ask(&settings.runtime_directory, owner, HookRequest::Status, settings.lease_wait)?
    {
        KeeperAnswer::Answered(reply) if reply.exit == 0 => return Ok(None),
        // The lease of this very run is lost.
        KeeperAnswer::Answered(reply) if reply.exit == Exit::Failed.code() => {
            return Err(Error::Refused(reply));
        }
        KeeperAnswer::Answered(_) | KeeperAnswer::Nobody | KeeperAnswer::Died => {}
    }
    let invocation = certbot.map(invocation).transpose()?;
    let version = certbot.and_then(installed::of_process);
    let (names, left_out) = names(settings, call, invocation.as_ref(), version)?;
    let mut keeper = keeper::start(context)?;
    let forced = invocation.as_ref().is_some_and(|run| run.force_renewal);
    let dry_run = invocation.as_ref().is_some_and(|run| run.dry_run);
    let stoppable = certbot.is_some();
    let extent = if call.names.is_empty() { Extent::Part } else { Extent::Whole };
    // One that refuses at once may be gone before it is told everything: its answer counts.
    let task = Task { owner, stoppable, forced, dry_run, names, extent, left_out };
    let told = keeper.send(&task);
    let (reply, held) = match heard(&mut keeper, within, line) {
        Err(Error::Closed) => {
            // It was killed, perhaps in the middle of a switch, or after it.
            recover::after_death(settings)?;
            return Err(told.err().unwrap_or(Error::Closed));
        }
        heard => heard?,
    };
    let Some(held) = held else { return Err(Error::Refused(reply)) };
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
    let deployed = Deployment { directory: call.lineage.clone(), names };
    match keeper::ask(
        &settings.runtime_directory,
        owner,
        HookRequest::Deploy(deployed.clone()),
        keeper::work_time(settings.proof_time),
    )? {
        KeeperAnswer::Answered(reply) => reply.outcome(),
        // No run of ours: nothing to give back, but the certificate wants loading.
        KeeperAnswer::Nobody | KeeperAnswer::Died => {
            let start = Start { by: recorder::named(owner), ..Start::default() };
            let record = Recorder::hold_back(settings, Kind::Renewal, start);
            let watch = Stopwatch::start();
            let outcome = deployment::deploy(settings, &Return::Names(BTreeSet::new()), &deployed);
            record.record(recorder::switched(&outcome));
            let failure = outcome.as_ref().err().map(|error| chain(error));
            record.record(recorder::deployed(&deployed, None, failure, watch));
            let exit = outcome.as_ref().map_or_else(CarriesExit::exit, |_| Exit::Done);
            record.end(exit.code(), "");
            commit::log(settings, &outcome?);
            Ok(())
        }
    }
}

/// At the end of the run: everything goes back, the lease is free.
pub fn post(settings: &Settings) -> Result<(), Error> {
    let within = keeper::work_time(settings.proof_time);
    let asked = owner()
        .and_then(|own| keeper::ask(&settings.runtime_directory, own, HookRequest::Finish, within));
    match asked {
        Ok(KeeperAnswer::Answered(reply)) => reply.outcome(),
        Ok(KeeperAnswer::Died) => recover::after_death(settings),
        // Also if whom to ask is not known, or how: what no live run owns goes back all the same.
        Ok(KeeperAnswer::Nobody) | Err(_) => match recover::right(settings, Duration::ZERO)? {
            Some(right) => recover::give_back_under(settings, right),
            None => asked.map(drop),
        },
    }
}

/// Whose life the run's is: certbot's, else the client's.
fn owner() -> Result<Process, Error> {
    let own = process::own()?;
    match running::find(own.pid)? {
        Some(certbot) => Ok(certbot.believed()?),
        None => Ok(client(own)?.process),
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
    if scope.lineages.is_empty() && scope.origin == NameSource::Unknown {
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
