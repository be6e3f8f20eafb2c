//! flow: the changes of a set-up: shown, agreed to, made, and what follows from them.

use std::path::Path;
use std::time::Duration;

use crate::base::files;
use crate::base::files::displace;
use crate::base::lock::{self, Lock};
use crate::config::Settings;
use crate::setup::change::{Change, PreparedChange, What};
use crate::setup::consent::{Consent, Person};
use crate::setup::error::Error;
use crate::setup::ledger::Ledger;
use crate::setup::payload::SUDOERS;
use crate::setup::show::Detail;
use crate::setup::{machine, show};

/// What is to be done on this host.
#[derive(Debug, Default)]
pub struct Work {
    /// Files.
    pub changes: Vec<Change>,
    /// The user certbaton is made.
    pub account: bool,
    /// Its directories are made.
    pub directories: bool,
    /// Units to enable, and to start if they are timers.
    pub units: Vec<&'static str>,
    /// What is not done, and why.
    pub notes: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupOutcome {
    /// There was nothing to do.
    Nothing,
    /// All was done.
    Done,
    /// It was only shown.
    Rehearsed,
}

impl Work {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        let Self { changes, account, directories, units, notes: _ } = self;
        changes.is_empty() && !account && !directories && units.is_empty()
    }
}

/// Shows `work`, and `also` what follows elsewhere; asks; does it.
pub fn perform(
    settings: &Settings,
    person: &mut dyn Person,
    consent: Consent,
    work: &Work,
    also: Option<&str>,
) -> Result<SetupOutcome, Error> {
    for note in &work.notes {
        person.tell(&format!("left as it is: {note}\n"));
    }
    if work.is_empty() && also.is_none() {
        person.tell("nothing to change on this host\n");
        return Ok(SetupOutcome::Nothing);
    }
    let extent = if consent == Consent::Rehearsal { Detail::Whole } else { Detail::Brief };
    let mut prepared = Vec::new();
    for change in &work.changes {
        let change = PreparedChange::of(change)?;
        person.tell(&show::change(&change, extent));
        prepared.push(change);
    }
    if work.account {
        person.tell("make the user certbaton: systemd-sysusers certbaton.conf\n");
    }
    if work.directories {
        person.tell("make its directories: systemd-tmpfiles --create certbaton.conf\n");
    }
    for unit in &work.units {
        person.tell(&format!("enable {unit}\n"));
    }
    person.tell(also.unwrap_or_default());
    if consent == Consent::Ask {
        person.tell("what is in the new files, --dry-run shows\n");
    }
    if !consent.is_given(person)? {
        return Ok(SetupOutcome::Rehearsed);
    }
    if work.is_empty() {
        return Ok(SetupOutcome::Done);
    }
    let _lock = exclusive(settings)?;
    for shown in &prepared {
        if shown.is_outdated()? {
            return Err(Error::Moved(shown.change.path.clone()));
        }
    }
    check_sudoers(&work.changes)?;
    let mut ledger = Ledger::open(&settings.state_directory)?;
    ledger.commit(&prepared)?;
    effects(&mut ledger, work).map_err(|error| Error::Halfway(Box::new(error)))?;
    Ok(SetupOutcome::Done)
}

/// Whether somebody holds the lock at `path` for longer than `certbaton recover` does when nothing is to be done.
pub fn is_held(path: &Path) -> Result<bool, Error> {
    if !files::exists(path) {
        return Ok(false);
    }
    match lock::acquire(path, MOMENT) {
        Ok(_) => Ok(false),
        Err(files::Error::Busy { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Nobody else sets this host up meanwhile.
pub fn exclusive(settings: &Settings) -> Result<Lock, Error> {
    settings.runtime_directory.make()?;
    Ok(lock::acquire(&settings.runtime_directory.join("setup.lock"), PATIENCE)?)
}

/// A rule that sudo cannot read would lock everybody out of it.
fn check_sudoers(changes: &[Change]) -> Result<(), Error> {
    let rules = changes.iter().filter(|change| change.path == Path::new(SUDOERS));
    for change in rules {
        if let What::Write { bytes, .. } = &change.what {
            let scratch = displace::scratch(Path::new("/run"), None)?;
            let file = scratch.path().join("sudoers");
            displace::create(&file, bytes, 0o440, scratch.path())?;
            machine::check_sudoers(&file)?;
        }
    }
    Ok(())
}

/// What systemd does; each taken down first.
fn effects(ledger: &mut Ledger, work: &Work) -> Result<(), Error> {
    ledger.manifest.account |= work.account;
    for unit in &work.units {
        ledger.manifest.unit(unit);
        if is_timer(unit) && !files::exists(Path::new(STAMPS)) {
            ledger.manifest.directory(STAMPS.into());
        }
    }
    ledger.save()?;
    if work.account {
        machine::make_account()?;
    }
    if work.directories {
        machine::make_directories()?;
    }
    if work.changes.iter().any(|change| change.path.starts_with(UNITS)) {
        machine::systemctl(&["daemon-reload"])?;
    }
    for unit in &work.units {
        let now: &[&str] = if is_timer(unit) { &["--now"] } else { &[] };
        machine::systemctl(&[&["enable"], now, &[unit]].concat())?;
    }
    Ok(())
}

/// Timers run; services are run by them, and at boot.
pub fn is_timer(unit: &str) -> bool {
    Path::new(unit).extension().is_some_and(|kind| kind == "timer")
}

/// Where systemd notes when timers with Persistent= ran last (systemd.timer(5)).
pub const STAMPS: &str = "/var/lib/systemd/timers";

/// Where units of an administrator are.
pub const UNITS: &str = "/etc/systemd/system";

/// For a look at what no renewal owns.
pub const MOMENT: Duration = Duration::from_secs(3);

/// For another set-up to end.
const PATIENCE: Duration = Duration::from_secs(10);
