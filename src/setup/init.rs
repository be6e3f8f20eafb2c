//! flow: `certbaton init`: from what is on a host to one of two that share a lease.

use std::path::Path;

use crate::config::{self, Settings};
use crate::files;
use crate::files::place::{self, State};
use crate::names::HostLabel;
use crate::setup::configuration::Pair;
use crate::setup::error::Error;
use crate::setup::keys::{self, CallerKey};
use crate::setup::ledger::Ledger;
use crate::setup::manifest::Manifest;
use crate::setup::payload::ProgramDirectory;
use crate::setup::perform::{Consent, Outcome, Person, Work, is_held, perform};
use crate::setup::wanted::{Text, Wanted};
use crate::setup::{found, install, machine, ssh};

mod home;

pub use home::{Home, home};

/// What both roles are told.
#[derive(Debug)]
pub struct Call<'a> {
    /// The settings as they are.
    pub settings: &'a Settings,
    /// The running program.
    pub program: &'a Path,
    /// Whether changes are made.
    pub consent: Consent,
    /// What the vps is called.
    pub vps: HostLabel,
    /// What home is called.
    pub home: HostLabel,
}

/// What is left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look at everything: `check`.
    Check,
    /// A line has to be pasted on the other side first.
    Paste,
    /// It was only shown.
    Nothing,
}

/// Makes this host the arbiter; `caller` may call it then.
pub fn vps(
    call: &Call<'_>,
    caller: Option<&CallerKey>,
    person: &mut dyn Person,
) -> Result<Next, Error> {
    let (mut work, programs, manifest) = begin(call, person)?;
    match machine::account() {
        Some(account) if account.home != Path::new(machine::ACCOUNT_HOME) => {
            return Err(Error::ForeignAccount(account.home));
        }
        None if !work.account => return Err(Error::NoAccount),
        _ => {}
    }
    let home = caller.map_or(&call.home, |caller| &caller.name);
    let pair = Pair { vps: call.vps.clone(), home: home.clone(), way: None };
    configure(&mut work, &pair, &manifest)?;
    if let Some(caller) = caller {
        let path = Path::new(machine::ACCOUNT_HOME).join(".ssh/authorized_keys");
        let now = text(&path)?;
        let bytes = keys::authorized_keys(&now, caller, &programs.program("certbaton"));
        let why = format!("{} may ask for the lease and coordinate, and nothing else", caller.name);
        work.add(merged(path, bytes, why), &manifest, false)?;
    }
    let outcome = perform(call.settings, person, call.consent, &work, None)?;
    let has_caller = files::exists(&Path::new(machine::ACCOUNT_HOME).join(".ssh/authorized_keys"));
    if !has_caller && outcome != Outcome::Rehearsed {
        person.tell(&format!("now on home: {}\n", home_line(call)));
    }
    Ok(if outcome == Outcome::Rehearsed { Next::Nothing } else { Next::Check })
}

/// The command for home, with this host's own fingerprint in it.
fn home_line(call: &Call<'_>) -> String {
    let key = files::read_foreign(Path::new(HOST_KEY)).unwrap_or_default();
    let key = keys::host_keys(&format!("x {}", String::from_utf8_lossy(&key))).into_iter().next();
    let mut words = vec!["certbaton", "init", "--role", "home", "--vps", "NAME-OF-THIS-HOST"];
    let fingerprint = key.map(|key| key.fingerprint().to_string());
    words.extend(fingerprint.iter().flat_map(|print| ["--host-key", print]));
    if call.vps.as_str() != "vps" {
        words.extend(["--vps-name", call.vps.as_str()]);
    }
    ssh::quoted(&words)
}

/// Looks at the host, and begins with what an installation lacks.
fn begin(
    call: &Call<'_>,
    person: &mut dyn Person,
) -> Result<(Work, ProgramDirectory, Manifest), Error> {
    if is_held(&call.settings.lease_lock())? {
        return Err(Error::UnderWay("a renewal is under way on this host".into()));
    }
    let programs = install::programs(call.program)?;
    let ledger = Ledger::open(&call.settings.state_directory)?;
    let found = found::find(call.settings)?;
    person.tell(&found.to_string());
    let adopted = found.adoption.changes;
    match found.switch {
        // What is about to be repaired may be the reason.
        Err(error) if adopted.is_empty() => return Err(Error::Unswitchable(error)),
        _ => {}
    }
    let mut work = install::work(call.settings, &programs, &ledger.manifest)?;
    work.adopts = !adopted.is_empty();
    work.changes.extend(adopted);
    Ok((work, programs, ledger.manifest))
}

/// The configuration file.
fn configure(work: &mut Work, pair: &Pair, manifest: &Manifest) -> Result<(), Error> {
    let path = Path::new(config::DEFAULT_PATH);
    let state = place::state(path)?;
    let bytes = match &state {
        State::File { .. } if !manifest.is_ours(path, &state) => {
            pair.merged(config::DEFAULT_PATH, &text(path)?)?
        }
        _ => pair.text(),
    };
    let why = format!("this host is {}, and {} grants the lease", pair.own(), pair.vps);
    work.add(merged(path.to_owned(), bytes, why), manifest, false)
}

fn merged(path: std::path::PathBuf, text: String, why: String) -> Wanted {
    Wanted { path, bytes: text.into_bytes(), mode: 0o644, why, text: Text::Merged }
}

/// The text of a file of ours; nothing if it is not there.
fn text(path: &Path) -> Result<String, Error> {
    match files::read_trusted(path) {
        Err(error) if error.is_missing() => Ok(String::new()),
        bytes => {
            let problem = "it is not UTF-8".to_owned();
            let not_text = |_| Error::OwnKey { path: path.to_owned(), problem };
            String::from_utf8(bytes?).map_err(not_text)
        }
    }
}

/// Where sshd has the key that home pins.
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key.pub";
