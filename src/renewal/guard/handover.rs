//! flow: what each of the three hooks does until `certbaton` does the rest.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;

use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::process::{self, Error, Process};
use crate::base::syslog;
use crate::certbot::running::{self, Stranger};
use crate::renewal::guard::blind;
use crate::renewal::guard::ladder;
use crate::renewal::guard::permit::Permit;
use crate::renewal::guard::stopper;
use crate::renewal::guard::voice::{self, PassedOn};
use crate::renewal::guard::words::Charge;
use crate::renewal::guard::worker;

/// One of certbot's hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub name: &'static str,
    /// The verb of `certbaton` that does its work.
    pub verb: &'static str,
}

/// Before the first challenge of a run.
pub const PRE: Hook = Hook { name: "certbaton-pre-hook", verb: "pre-hook" };

/// After each renewed lineage.
pub const DEPLOY: Hook = Hook { name: "certbaton-deploy-hook", verb: "deploy-hook" };

/// At the end of a run.
pub const POST: Hook = Hook { name: "certbaton-post-hook", verb: "post-hook" };

/// The whole of `certbaton-pre-hook`.
pub fn pre() -> Exit {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(certbot) = stopper::order(&arguments) {
        let is_stopped = stopper::perform(certbot).unwrap_or(false);
        return if is_stopped { Exit::Done } else { Exit::Failed };
    }
    process::make_room_for_files();
    let (charge, stranger) = match charge() {
        Ok(charge) => charge,
        Err(error) => return unseen(&error),
    };
    if let (Some(stranger), Some(certbot)) = (stranger, charge.certbot) {
        let why = stranger.to_string();
        voice::complain(PRE.name, &why);
        stop(certbot, format!("{}: {why}\n", PRE.name).into_bytes());
        return stranger.exit();
    }
    let (exit, said) = match work(arguments, &charge) {
        Ok(()) => return Exit::Done,
        Err(refused) => refused,
    };
    if let Some(certbot) = charge.certbot {
        stop(certbot, said);
    }
    exit
}

/// Deploy and post: `certbaton` itself, from here on.
pub fn hand_over(hook: Hook) -> Exit {
    process::make_room_for_files();
    let mut arguments = vec![hook.verb.into()];
    arguments.extend(std::env::args_os().skip(1));
    let error = match worker::program() {
        Ok(worker) => worker::exec(worker, hook.name, &arguments),
        Err(error) => error,
    };
    voice::complain(hook.name, &chain(&error));
    error.exit()
}

/// certbot may be among those above, or not: it cannot be let go on, and whoever could be it ends.
fn unseen(error: &Error) -> Exit {
    let why = format!("cannot tell who runs this hook: {}", chain(error));
    if blind::is_in_a_group() {
        let end = "any of its process group may be certbot, so all of that is stopped before the CA is asked";
        voice::complain(PRE.name, &format!("{why}; {end}"));
        blind::stop_group();
    } else {
        voice::complain(PRE.name, &why);
    }
    Exit::Failed
}

/// Who this is and who runs it; looked at again where one of them ended meanwhile.
fn charge() -> Result<(Charge, Option<Stranger>), Error> {
    let hook = process::own()?;
    let is_at_terminal = io::stderr().is_terminal();
    let mut found = running::find(hook.pid);
    for _ in 0..3 {
        if !matches!(found, Err(Error::Gone(_))) {
            break;
        }
        found = running::find(hook.pid);
    }
    let found = found?;
    let stranger = found.and_then(|certbot| certbot.believed().err());
    let certbot = found.map(|certbot| certbot.process);
    Ok((Charge { hook, certbot, is_at_terminal }, stranger))
}

/// Success, or the exit code and all that was said for people.
fn work(arguments: Vec<OsString>, charge: &Charge) -> Result<(), (Exit, Vec<u8>)> {
    let broken = |why: &str, mut said: Vec<u8>, exit| {
        voice::complain(PRE.name, why);
        said.extend_from_slice(format!("{}: {why}\n", PRE.name).as_bytes());
        Err((exit, said))
    };
    let heard = || {
        let worker = worker::program()?;
        let arguments = std::iter::once(PRE.verb.into()).chain(arguments).collect();
        let journal = std::env::var_os("JOURNAL_STREAM");
        let is_logged = voice::is_logged(journal.as_ref());
        // In the journal is what the worker has logged already.
        let mut passed_on = PassedOn::to_standard_error();
        let pass_on = |part: &[u8]| {
            if !is_logged {
                passed_on.take(part);
            }
        };
        let heard = worker::attend(&worker, arguments, charge, pass_on);
        passed_on.end();
        Ok::<_, worker::Error>((worker, heard?))
    };
    match heard() {
        Err(error) => broken(&chain(&error), Vec::new(), error.exit()),
        Ok((worker, heard)) => match heard.verdict(Path::new(&worker), charge.certbot.is_some()) {
            Permit::Go => Ok(()),
            Permit::Refused(exit) => Err((exit, heard.said)),
            Permit::Broken(why) => broken(&why, heard.said, Exit::Failed),
        },
    }
}

/// Stops certbot; whoever sits at its terminal is told before, since certbot dies without a word
/// and the terminal may go away with it (`ssh -t`).
fn stop(certbot: Process, mut said: Vec<u8>) {
    let end = format!("{}: certbot is stopped before it asks the CA\n", PRE.name);
    said.extend_from_slice(end.as_bytes());
    voice::show(certbot, &said);
    match stopper::stop(certbot) {
        Ok(true) => syslog::error(PRE.name, "certbot was stopped before it asked the CA"),
        Ok(false) => voice::complain(PRE.name, &ladder::still_running(certbot)),
        Err(error) => voice::complain(PRE.name, &format!("cannot stop certbot: {}", chain(&error))),
    }
}
