//! flow: what an installation of certbaton still needs on this host, beside its programs.

use std::path::{Path, PathBuf};

use crate::base::files;
use crate::base::files::displace;
use crate::config::Settings;
use crate::config::context::Context;
use crate::lease::store;
use crate::setup::consent::{Consent, Person};
use crate::setup::error::Error;
use crate::setup::ledger::Ledger;
use crate::setup::machine;
use crate::setup::manifest::Manifest;
use crate::setup::payload::{PROGRAMS, Piece, ProgramDirectory, RECOVER, SUDOERS, pieces};
use crate::setup::perform::{SetupOutcome, UNITS, Work, is_timer, perform};
use crate::setup::wanted::{Correction, Text, Wanted};

/// Puts hooks, units, sudoers, user and directories in place.
pub fn install(
    context: &Context,
    person: &mut dyn Person,
    consent: Consent,
) -> Result<SetupOutcome, Error> {
    let Context { settings, program, .. } = context;
    let ledger = Ledger::open(&settings.state_directory)?;
    let work = work(settings, &programs(program)?, &ledger.manifest)?;
    if is_packaged() && work.is_empty() {
        person.tell("a package has put units and sudoers in place, and the hooks are there\n");
    }
    perform(settings, person, consent, &work, None)
}

/// The directory of the running `program`, with all others in it, none of which anybody else can replace.
pub fn programs(program: &Path) -> Result<ProgramDirectory, Error> {
    let directory = program.parent().unwrap_or(Path::new("/"));
    for name in PROGRAMS {
        let Err(source) = files::trusted_program(&directory.join(name)) else { continue };
        let directory = directory.display().to_string();
        return Err(Error::NoProgram { program: name, directory, source });
    }
    ProgramDirectory::parse(directory).ok_or_else(|| Error::ProgramDirectory(directory.to_owned()))
}

/// Whether a distribution's package brought the units.
pub fn is_packaged() -> bool {
    files::exists(&Path::new(VENDOR_UNITS).join(RECOVER[0]))
}

/// What is missing.
pub fn work(
    settings: &Settings,
    programs: &ProgramDirectory,
    manifest: &Manifest,
) -> Result<Work, Error> {
    let mut work = Work::default();
    let has_systemd = machine::has_systemd();
    if !has_systemd {
        work.notes.push(format!(
            "systemd does not run here, so there are no units: have cron run {} every few minutes and at boot, and on one host {} twice a day",
            programs.program("certbaton recover"),
            programs.program("renew-coordinate")
        ));
    }
    let is_packaged = is_packaged();
    for piece in pieces(programs, &settings.certbot_directory) {
        let Piece { path, vendor, bytes, mode, why } = piece;
        if vendor.is_some_and(|vendor| files::exists(&vendor)) {
            continue;
        }
        if path.starts_with(UNITS) && !has_systemd {
            continue;
        }
        if path == Path::new(SUDOERS) && !machine::has_sudo() {
            work.notes.push(format!(
                "{SUDOERS}: sudo is not installed, so no other host can coordinate this one: apt install sudo, then certbaton install"
            ));
            continue;
        }
        let wanted = Wanted { path, bytes, mode, why: why.to_owned(), text: Text::Whole };
        work.add(wanted, manifest, is_packaged)?;
    }
    if has_systemd {
        work.account = machine::account().is_none();
        work.directories = work.account || !places().iter().all(|at| files::exists(at));
        for unit in RECOVER {
            work.enable(unit);
        }
    }
    Ok(work)
}

impl Work {
    /// Takes in what a file needs.
    pub fn add(
        &mut self,
        wanted: Wanted,
        manifest: &Manifest,
        is_packaged: bool,
    ) -> Result<(), Error> {
        let state = displace::state(&wanted.path)?;
        match wanted.verdict(&state, manifest, is_packaged) {
            Correction::Fine => {}
            Correction::Change(change) => self.changes.push(change),
            Correction::Left(why) => self.notes.push(why),
        }
        Ok(())
    }

    /// Takes in a unit that has to start at boot, and now if it is a timer.
    pub fn enable(&mut self, unit: &'static str) {
        match machine::enabled(unit).as_str() {
            "enabled" if !is_timer(unit) || machine::is_active(unit) => {}
            "masked" => self.notes.push(format!("{unit} is masked (systemctl unmask {unit})")),
            _ => self.units.push(unit),
        }
    }
}

/// What tmpfiles.d makes, wherever the configuration says that the state is.
fn places() -> [PathBuf; 3] {
    let (default, keys) = (Settings::default(), Path::new(machine::ACCOUNT_HOME).join(".ssh"));
    [
        store::arbiter_directory(&default.runtime_directory),
        store::token_directory(&default.state_directory),
        keys,
    ]
}

const VENDOR_UNITS: &str = "/usr/lib/systemd/system";
