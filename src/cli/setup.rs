//! system: the command lines of `certbaton init`, `install` and `uninstall`, and the person who is asked.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::net::IpAddr;
use std::path::Path;

use clap::Args;

use super::check::Check;
use super::output::{print, print_done, width, write};
use super::{Error, host_label};
use crate::base::exit::Exit;
use crate::base::names::{Destination, HostLabel, Hostname};
use crate::config::context::Context;
use crate::config::{self, Settings};
use crate::setup::consent::{Consent, Person};
use crate::setup::error::Error as Refusal;
use crate::setup::init::{self, HomeOptions, InitCall, NextStep};
use crate::setup::install::install;
use crate::setup::keys::{CallerKey, Fingerprint, SSH_PORT};
use crate::setup::openssh::{Login, Terminal};
use crate::setup::role::Role;
use crate::setup::uninstall::uninstall;

/// Install hooks, units, sudoers, user and directories, if no package did.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    how: How,
}

/// Give back every route, remove what install and init added, and list what stays.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    how: How,
}

/// Set this host up as one of two that share a lease. Idempotent.
///
/// Runs `certbaton check` at the end and returns its exit code, or 75 if a command must first be run
/// on the VPS.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// Role of this host: the VPS grants the lease, home requests it and coordinates.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// On home: name or address of the VPS, for ssh.
    #[arg(long, value_name = "HOST", value_parser = host)]
    vps: Option<String>,
    /// On home: port of the VPS's sshd [default: 22].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// On home: a working login on the VPS, as root or as a user who may use sudo without a password.
    #[arg(long, value_name = "USER@HOST", value_parser = destination)]
    ssh: Option<Destination>,
    /// On home: fingerprint of the VPS's host key, as `ssh-keygen -l` prints it there.
    #[arg(long, value_name = "SHA256:…", value_parser = Fingerprint::parse)]
    host_key: Option<Fingerprint>,
    /// On the VPS: home's public key, which `init` prints on home.
    #[arg(long, value_name = "KEY", value_parser = CallerKey::parse)]
    home_key: Option<CallerKey>,
    /// Name of this host in the configuration [default: its role].
    #[arg(long, value_name = "NAME", value_parser = host_label)]
    name: Option<HostLabel>,
    /// On home: name of the VPS in the configuration [default: vps].
    #[arg(long, value_name = "NAME", value_parser = host_label)]
    vps_name: Option<HostLabel>,
    /// Take this role even if the configuration or DNS says that this host has the other.
    #[arg(long)]
    change_role: bool,
    #[command(flatten)]
    how: How,
    /// Skip the check at the end.
    #[arg(long, hide = true)]
    no_check: bool,
}

/// How changes are agreed to.
#[derive(Debug, Args)]
struct How {
    /// Skip the questions.
    #[arg(long)]
    yes: bool,
    /// Show every change without making it.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl How {
    fn consent(&self) -> Consent {
        match self {
            Self { dry_run: true, .. } => Consent::Rehearsal,
            Self { yes: true, .. } => Consent::Given,
            _ if is_terminal() => Consent::Ask,
            _ => Consent::Nobody,
        }
    }
}

impl Install {
    pub(super) fn perform(&self, context: &Context) -> Result<(), Error> {
        only_default(context)?;
        let (mut console, consent) = (Console::default(), self.how.consent());
        install(context, &mut console, consent)?;
        console.heard(consent)
    }
}

impl Uninstall {
    pub(super) fn perform(&self, context: &Context) -> Result<(), Error> {
        only_default(context)?;
        let (mut console, consent) = (Console::default(), self.how.consent());
        uninstall(context, &mut console, consent)?;
        console.heard(consent)
    }
}

impl Init {
    pub(super) fn perform(
        &self,
        context: &Context,
        again: impl Fn() -> Result<Context, Error>,
    ) -> Result<Exit, Error> {
        only_default(context)?;
        let settings = &context.settings;
        let role = self.role(settings)?;
        let label = |given: &Option<HostLabel>, usual: &str| {
            // The usual ones are labels.
            given.clone().or_else(|| HostLabel::parse(usual)).ok_or(Refusal::Missing("--name"))
        };
        let (vps, home) = match role {
            Role::Vps => (label(&self.name, "vps")?, label(&None, "home")?),
            Role::Home => (label(&self.vps_name, "vps")?, label(&self.name, "home")?),
        };
        let (consent, change_role) = (self.how.consent(), self.change_role);
        let call = InitCall { context, consent, vps, home, change_role };
        let mut console = Console::default();
        let ended = match role {
            Role::Vps => init::vps(&call, self.home_key.as_ref(), &mut console)?,
            Role::Home => init::home(&call, &self.home(settings)?, &mut console)?,
        };
        console.heard(call.consent)?;
        let exit = match ended.next {
            NextStep::Nothing | NextStep::Certificate => Exit::Done,
            NextStep::Paste => Exit::Busy,
            // Whoever called goes on there.
            NextStep::Check if self.no_check => return Ok(Exit::Done),
            NextStep::Check => {
                print("\n")?;
                let exit = Check::all().perform(&again()?)?;
                // On home, what is wrong comes first; the vps cannot be whole before home is.
                if role == Role::Home && exit != Exit::Done {
                    return Ok(exit);
                }
                exit
            }
        };
        // The last of all, so that nobody has to look for it.
        print_done(&folded_heads(&ended.last.unwrap_or_default()))?;
        Ok(exit)
    }

    /// As it was told, else as the configuration has it, else as the person says.
    fn role(&self, settings: &Settings) -> Result<Role, Refusal> {
        let (role, wrong) = match self.role.or_else(|| Role::of(settings)) {
            Some(role) => (role, None),
            None if self.home_key.is_some() => (Role::Vps, None),
            None if self.vps.is_some() || self.ssh.is_some() => (Role::Home, None),
            None => (Role::Home, Some("which host is this? add --role vps or --role home")),
        };
        let Some(wrong) = wrong else { return Ok(role) };
        if self.how.consent() != Consent::Ask {
            return Err(Refusal::Missing(wrong));
        }
        let is_vps = Console::default().agrees("Is this host the vps, the one with the A record?");
        Ok(if is_vps.map_err(Refusal::Answer)? { Role::Vps } else { Role::Home })
    }

    fn home(&self, settings: &Settings) -> Result<HomeOptions, Refusal> {
        if self.home_key.is_some() {
            return Err(Refusal::Missing("--home-key is for the vps: certbaton init --role vps"));
        }
        let login = self.ssh.clone().map(login);
        let resolved = login.as_ref().filter(|_| self.vps.is_none()).and_then(Login::resolved);
        let (named, port) = resolved.unzip();
        let known = || {
            let arbiter =
                settings.hosts.iter().find(|h| Some(&h.name) == settings.arbiter.as_ref());
            let way = arbiter?.ssh.as_ref()?.as_str();
            host(way.split_once('@')?.1).ok()
        };
        let vps = self.vps.clone().or(named.and_then(|named| host(&named).ok())).or_else(known);
        let vps = vps.ok_or(Refusal::Missing(
            "where is the vps? add --vps HOST, its name or address for ssh",
        ))?;
        Ok(HomeOptions {
            host: vps,
            port: self.port.or(port).unwrap_or(SSH_PORT),
            fingerprint: self.host_key.clone(),
            login,
        })
    }
}

/// What leads to a command is folded, and the command is not.
fn folded_heads(last: &str) -> String {
    let line = |line: &str| {
        if line.ends_with(':') { width().wrapped("", 0, line) } else { format!("{line}\n") }
    };
    last.lines().map(line).collect()
}

fn only_default(context: &Context) -> Result<(), Refusal> {
    match context.config.as_ref().filter(|path| *path != Path::new(config::DEFAULT_PATH)) {
        None => Ok(()),
        Some(other) => Err(Refusal::OtherConfig(other.clone())),
    }
}

/// A name or an address, as ssh knows it.
fn host(text: &str) -> Result<String, String> {
    let address = text.parse::<IpAddr>().map(|address| address.to_string());
    address.or_else(|_| Hostname::parse(text).map(String::from)).map_err(|error| error.to_string())
}

fn destination(text: &str) -> Result<Destination, String> {
    Destination::parse(text).ok_or_else(|| format!("not a login as in USER@HOST: {text:?}"))
}

/// Whoever called sudo has the keys, the agent and the ssh configuration that are meant.
fn login(destination: Destination) -> Login {
    let user = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty() && user != "root");
    let wanted = ["HOME", "PATH", "LANG", "TERM", "SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"];
    let environment = wanted.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((OsString::from(name), value))
    });
    let terminal = if is_terminal() { Terminal::Present } else { Terminal::Absent };
    Login { destination, user, environment: environment.collect(), terminal }
}

fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Standard output, and answers from standard input.
#[derive(Debug, Default)]
struct Console {
    /// Why something could not be shown.
    unheard: Option<io::Error>,
}

impl Console {
    /// An error if not all was heard.
    fn heard(self, consent: Consent) -> Result<(), Error> {
        let exit = if consent == Consent::Rehearsal { Exit::Failed } else { Exit::NotUndone };
        match self.unheard {
            None => Ok(()),
            Some(source) => Err(Error::Output { exit, source }),
        }
    }
}

impl Person for Console {
    fn tell(&mut self, text: &str) {
        if let Err(error) = write(&width().folded_lines(text)) {
            self.unheard.get_or_insert(error);
        }
    }

    fn agrees(&mut self, question: &str) -> io::Result<bool> {
        self.tell(&format!("{question} [y/N] "));
        // Nobody agrees to what was not shown.
        if let Some(error) = self.unheard.take() {
            return Err(error);
        }
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }
}
