//! system: the hooks' part of `certbaton`: what the small programs that certbot calls have it do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::commands::{DEPLOY, POST, PRE};
use super::{Common, Error, complain, concluded, context, giving_back, parsed, start};
use crate::base::cause::chain;
use crate::base::columns::WIDTH;
use crate::base::exit::Exit;
use crate::base::names::{Hostname, Webroot};
use crate::base::process::Process;
use crate::config::context::Context;
use crate::renewal;
use crate::renewal::guard::ladder;
use crate::renewal::guard::line::Line;
use crate::renewal::guard::words::Word;
use crate::renewal::hook::{self, Call};

/// What every hook understands; certbot passes the rest by environment.
#[derive(Debug, Parser)]
#[command(version, max_term_width = WIDTH)]
pub(super) struct HookWords {
    #[command(flatten)]
    common: Common,
    /// Name to switch, for other clients than certbot; may be repeated.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<Hostname>,
    /// Webroot of the names, for other clients than certbot.
    #[arg(long, value_name = "DIRECTORY")]
    webroot: Option<Webroot>,
}

/// The hook that `words`, which are the whole command line, have done, if they do.
pub(super) fn perform(words: &[OsString]) -> Option<Exit> {
    let verb = words.get(1)?;
    let program = [PRE, DEPLOY, POST].into_iter().find(|program| *verb == *program.hook.verb)?;
    let name = program.hook.name;
    let given = std::iter::once(OsString::from(name)).chain(words[2..].iter().cloned());
    let words: HookWords = match parsed(name, program.command(), given.collect()) {
        Ok(words) => words,
        Err(exit) => return Some(exit),
    };
    start(name);
    Some(match program.hook {
        hook if hook == PRE.hook => pre(&words),
        hook if hook == DEPLOY.hook => concluded(
            name,
            words.act(|context, call| hook::deploy(&context.settings, call)).map(|()| Exit::Done),
        ),
        _ => concluded(name, giving_back(&words.common, hook::post)),
    })
}

/// Takes the lease and routes the challenge path to this host, for a guard.
fn pre(words: &HookWords) -> Exit {
    let Ok(line) = Line::take_up() else {
        complain(PRE.hook.name, "this is a part of certbaton-pre-hook, which starts it");
        return Exit::Usage;
    };
    let done = words.act(|context, call| hook::pre(context, call, &line));
    let is_orphaned = match &done {
        Ok(_) => line.say(Word::Proven).is_err(),
        Err(_) => line.is_gone(),
    };
    // Who would have stopped it is gone: certbot asks the CA as soon as that hook has ended.
    if is_orphaned && let Some(certbot) = line.charge.certbot {
        stop(certbot);
    }
    match done {
        Ok(held) => {
            if let Some(held) = held {
                super::say(PRE.hook.name, &held);
            }
            Exit::Done
        }
        Err(error) => concluded(PRE.hook.name, Err(error)),
    }
}

fn stop(certbot: Process) {
    match ladder::stop(certbot) {
        Ok(true) => tracing::error!(
            "the guard was killed: certbot was stopped, and perhaps not before it asked the CA"
        ),
        Ok(false) => tracing::error!("{}", ladder::still_running(certbot)),
        Err(error) => tracing::error!("cannot stop certbot: {}", chain(&error)),
    }
}

impl HookWords {
    fn act<T>(
        &self,
        act: impl FnOnce(&Context, &Call) -> Result<T, renewal::Error>,
    ) -> Result<T, Error> {
        Ok(act(&context(&self.common)?, &self.call())?)
    }

    /// Arguments and environment, as values.
    fn call(&self) -> Call {
        let domains = std::env::var("RENEWED_DOMAINS").unwrap_or_default();
        Call {
            names: self.names.clone(),
            webroot: self.webroot.clone(),
            lineage: std::env::var_os("RENEWED_LINEAGE").map(PathBuf::from),
            // Wildcards and addresses are certbot's to know; they have no route.
            domains: domains.split(' ').filter_map(|name| Hostname::parse(name).ok()).collect(),
        }
    }
}
