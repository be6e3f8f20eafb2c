//! system: the command line and the environment, turned into values once; and what people see.
//!
//! Nothing after this reads the environment. Success is one line per change for
//! `certbaton`, and silence for the hooks.

mod check;
mod commands;
mod coordinate;
mod error;
mod hooks;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::unistd::geteuid;

use crate::agent::carry;
use crate::agent::serve;
use crate::base::cause::chain;
use crate::base::clock;
use crate::base::columns::WIDTH;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::harmless;
use crate::base::inherited;
use crate::base::names::HostLabel;
use crate::base::terminal;
use crate::check::vitals::hold;
use crate::config::context::Context;
use crate::config::{self, Settings};
use crate::fleet::witness::seen_elsewhere;
use crate::history::record::By;
use crate::renewal;
use crate::renewal::guard::{handover as guards, voice};
use crate::renewal::keep;
use crate::renewal::recover;
use crate::switch::said;
use look::look;

mod lease;
mod look;
mod output;
mod render;
mod setup;
mod status;
mod switch;
pub use commands::commands;
pub use coordinate::renew_coordinate;
pub use error::Error;
use hooks::HookWords;
use output::{print, print_done};

/// Lets two web servers that answer for the same names renew their certificates
/// without colliding.
#[derive(Debug, Parser)]
#[command(name = "certbaton", version, max_term_width = WIDTH)]
pub struct Certbaton {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What every program understands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file [default: /etc/certbaton/config.toml, if present].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Choose who answers the challenge path of names: this host or the peer.
    Switch(switch::Switch),
    /// Give back every route that no live renewal owns.
    Recover,
    Status(status::Status),
    /// See every name as the CA sees it, from every host, and what is wrong.
    Check(check::Check),
    Init(setup::Init),
    Install(setup::Install),
    Uninstall(setup::Uninstall),
    /// Write a whole gateway from one small description: the files of both machines.
    Render(render::Render),
    /// Print the thumbprint of this host's ACME account, for `render --layout stateless`.
    Thumbprint(render::ThumbprintCall),
    /// Who may renew now, and who waits.
    #[command(subcommand)]
    Lease(lease::LeaseVerb),
    /// Holds the lease for one renewal; started by the pre-hook.
    #[command(hide = true)]
    Keep,
    /// Carries out one order of a coordinator on this host; reads it from standard input.
    #[command(hide = true)]
    Agent,
    /// Arbiter of the lease for one caller, on standard input and output; started by sshd.
    #[command(hide = true)]
    Serve {
        /// Who calls: a fact about its key, never its own word.
        #[arg(long = "as", value_name = "NAME", value_parser = host_label)]
        caller: HostLabel,
        /// The caller may also coordinate: its orders go to this host's agent.
        #[arg(long)]
        renew: bool,
    },
}

fn host_label(text: &str) -> Result<HostLabel, String> {
    HostLabel::try_from(text.to_owned())
}

/// The whole of `certbaton`.
pub fn certbaton() -> Exit {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(exit) = hooks::perform(&words) {
        return exit;
    }
    let cli: Certbaton = match parsed("certbaton", Certbaton::command(), words) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    start("certbaton");
    concluded("certbaton", cli.perform())
}

impl Certbaton {
    fn perform(&self) -> Result<Exit, Error> {
        let common = &self.common;
        let done = match &self.verb {
            Verb::Check(check) => return check.perform(&context(common)?),
            Verb::Init(init) => return init.perform(&context(common)?, || context(common)),
            Verb::Status(status) => return status.perform(&context(common)?),
            Verb::Render(render) => return render.perform(common),
            Verb::Install(install) => install.perform(&context(common)?),
            Verb::Uninstall(uninstall) => uninstall.perform(&context(common)?),
            // The arbiter needs nothing of root's.
            Verb::Serve { caller, renew } => {
                Ok(serve::serve(&unprivileged_settings(common)?, caller, *renew)?)
            }
            Verb::Switch(order) => order.perform(&settings(common)?),
            Verb::Recover => return recover(common),
            Verb::Thumbprint(account) => account.perform(&settings(common)?),
            Verb::Keep => {
                let context = context(common)?;
                let done = keep::keep(&context, seen_elsewhere);
                look(&context);
                Ok(done?)
            }
            Verb::Lease(order) => order.perform(&context(common)?),
            Verb::Agent => return agent(common),
        };
        done.map(|()| Exit::Done)
    }
}

/// The command line as `command` understands it; else how the program ends: help was wanted, or the words are wrong.
fn parsed<P: FromArgMatches>(
    program: &str,
    mut command: Command,
    words: Vec<OsString>,
) -> Result<P, Exit> {
    let given = command.try_get_matches_from_mut(words);
    let said = match given.and_then(|given| P::from_arg_matches(&given)) {
        Ok(cli) => return Ok(cli),
        Err(said) => said.format(&mut command),
    };
    Err(concluded(program, output::explain(&said)))
}

/// Says what went wrong, and turns it into the exit code.
fn concluded(program: &str, done: Result<Exit, Error>) -> Exit {
    done.unwrap_or_else(|error| {
        if !error.is_hung_up() {
            complain(program, &chain(&error));
        }
        error.exit()
    })
}

/// Sets up what every program shares.
fn start(program: &'static str) {
    // Before anything else uses it: so OpenSSL registers no cleanup at exit, which
    // would pull it from under a thread that is still in it (OPENSSL_INIT_NO_ATEXIT).
    openssl::init();
    crate::base::syslog::start(program);
}

/// What only root may do is done with.
fn context(common: &Common) -> Result<Context, Error> {
    in_context(common, settings(common)?)
}

fn in_context(common: &Common, settings: Settings) -> Result<Context, Error> {
    let this = std::env::current_exe().map_err(Error::Program)?;
    // The coordinator is another program; and one replaced by an upgrade meanwhile is called
    // "certbaton (deleted)".
    let program = this.with_file_name("certbaton");
    Ok(Context { settings, program, config: common.config.clone() })
}

/// Reads the settings for what only root may do.
fn settings(common: &Common) -> Result<Settings, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    unprivileged_settings(common)
}

/// One order. Who gave it hears on standard output why it failed; on standard error too, if that
/// takes it at once.
fn agent(common: &Common) -> Result<Exit, Error> {
    let done = taken_back()
        .and_then(|()| settings(common))
        .inspect_err(|error| carry::refuse(error.exit(), &chain(error)))
        .and_then(|set| Ok(carry::carry(&set)?));
    match done {
        Ok(()) => Ok(Exit::Done),
        // A pipe that nobody reads would hold it for ever (pipe(7)).
        Err(error) if clock::room(io::stderr().as_fd(), &[], Duration::ZERO).unwrap_or(false) => {
            Err(error)
        }
        Err(error) => {
            tracing::error!("{}", harmless::text(&chain(&error)));
            Ok(error.exit())
        }
    }
}

/// What a user could set of a process comes through sudo, which says so (sudo(8), `SUDO_UID`).
fn taken_back() -> Result<(), Error> {
    if std::env::var_os("SUDO_UID").is_some() && geteuid().is_root() {
        inherited::take_back()?;
    }
    Ok(())
}

fn unprivileged_settings(common: &Common) -> Result<Settings, Error> {
    let default = Path::new(config::DEFAULT_PATH);
    let path = common.config.as_deref().unwrap_or(default);
    let bytes = match files::read_trusted(path) {
        Err(error) if error.is_missing() && common.config.is_none() => {
            return Ok(Settings::default());
        }
        Err(error) if error.is_unsafe() || error.is_exhaustion() => return Err(error.into()),
        bytes => bytes.map_err(Error::NoConfig)?,
    };
    let mut settings = Settings::read(&path.display().to_string(), bytes)?;
    if settings.notify.holds_a_secret() && files::is_open_to_all(path) {
        settings.exposed = Some(path.to_owned());
    }
    Ok(settings)
}

/// Gives back what no live renewal owns. By its timer it comes every few minutes: what it says to
/// the log is said once, until it changes. A person always sees it.
fn recover(common: &Common) -> Result<Exit, Error> {
    let done = giving_back(common, |settings| {
        let is_orphaned = || hold(settings).is_some_and(|hold| hold.is_stopped && hold.is_orphaned);
        let done = recover::recover(settings, is_orphaned);
        if let Ok(context) = in_context(common, settings.clone()) {
            look(&context);
        }
        done
    });
    let Some(settings) =
        settings(common).or_else(|error| salvaged(common, &error).ok_or(error)).ok()
    else {
        return done;
    };
    let is_news = said::is_news(
        &settings.state_directory,
        "recover",
        done.as_ref().err().map(|error| chain(error)).as_deref(),
    );
    match done {
        Err(error) if is_logged() && !is_news => Ok(error.exit()),
        done => done,
    }
}

/// Has `give_back` done, also where the configuration is refused: with what can be made out of it.
fn giving_back(
    common: &Common,
    give_back: impl FnOnce(&Settings) -> Result<(), renewal::Error>,
) -> Result<Exit, Error> {
    let refused = match settings(common) {
        Ok(settings) => return Ok(give_back(&settings).map(|()| Exit::Done)?),
        Err(refused) => refused,
    };
    let Some(settings) = salvaged(common, &refused) else { return Err(refused) };
    let refused = Box::new(refused);
    Err(match give_back(&settings) {
        Ok(()) => Error::AllTheSame(refused),
        Err(failed) => Error::Besides { failed: Box::new(failed), refused },
    })
}

/// The settings of who only gives back, where those on disk are `refused`.
fn salvaged(common: &Common, refused: &Error) -> Option<Settings> {
    if matches!(refused, Error::NotRoot) {
        return None;
    }
    let path = common.config.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH));
    match files::read_trusted(path) {
        Ok(bytes) => Some(Settings::salvage(&String::from_utf8_lossy(&bytes))),
        // Which Apache a file is about that was named and cannot be read, nobody knows.
        Err(_) => common.config.is_none().then(Settings::default),
    }
}

/// Says on standard error what went wrong, each line behind the program's name; and in the log.
pub fn complain(program: &str, text: &str) {
    let text = &harmless::text(text);
    tracing::error!("{text}");
    if !is_logged() {
        say(program, text);
    }
}

/// Says it on standard error alone.
fn say(program: &str, text: &str) {
    let is_hook = [guards::DEPLOY, guards::POST].iter().any(|hook| hook.name == program);
    let width = if is_hook { voice::width() } else { terminal::width(io::stderr()) };
    voice::say(program, text, width);
}

/// Whether standard error is the journal's, where the log is too (`JOURNAL_STREAM`, systemd.exec(5)).
fn is_logged() -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    std::env::var("JOURNAL_STREAM").is_ok_and(|at| at == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Who typed this command, as far as sudo tells.
fn person() -> By {
    let words: Vec<_> = std::env::args_os().collect();
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
    By { user: Some(sudo.unwrap_or_else(|| "root".to_owned())), ..By::process(pid, &words) }
}
