//! flow: takes certbaton off this host: routes first, then what starts it, then every file that is as it was written.

use std::path::{Path, PathBuf};

use crate::base::cause::chain;
use crate::base::files;
use crate::base::files::displace::{self, State};
use crate::base::lock;
use crate::config::Settings;
use crate::config::context::Context;
use crate::coordinate;
use crate::lease::question::question;
use crate::lease::wire::{ArbiterAnswer, Ask};
use crate::renewal::right;
use crate::setup::consent::{Consent, Person};
use crate::setup::error::Error;
use crate::setup::install::is_packaged;
use crate::setup::ledger::{Ledger, ORIGINALS};
use crate::setup::manifest::Restoration;
use crate::setup::own_hooks::{self, HookEdit, hook_edits};
use crate::setup::payload::{PROGRAMS, RECOVER, RENEW_TIMER};
use crate::setup::perform::{MOMENT, STAMPS, SetupOutcome, exclusive, is_held, is_timer};
use crate::setup::{apache_files, machine};
use crate::switch::commit;
use crate::switch::give_back;
use crate::switch::order::{Reload, Return};

/// What is taken back, and what stays.
#[derive(Debug, Default)]
struct Plan {
    fates: Vec<(PathBuf, Restoration)>,
    stays: Vec<String>,
    /// Files of certbot's, and what is done to hooks in them.
    saved: Vec<(HookEdit, PathBuf)>,
}

/// Leaves routes and files as they were before certbaton came.
pub fn uninstall(
    context: &Context,
    person: &mut dyn Person,
    consent: Consent,
) -> Result<SetupOutcome, Error> {
    let Context { settings, program, .. } = context;
    under_way(context)?;
    let ledger = Ledger::open(&settings.state_directory)?;
    let mut plan = plan(settings, &ledger, program)?;
    tell(&plan, &ledger, person);
    if !consent.is_given(person)? {
        return Ok(SetupOutcome::Rehearsed);
    }
    let _setup = exclusive(settings)?;
    let busy = || Error::UnderWay("a renewal is under way on this host".into());
    let _coordinator = lock::attempt(&coordinate::coordinator_lock(&settings.runtime_directory))?
        .ok_or_else(busy)?;
    let _lease = lock::acquire(&right::lease_lock(&settings.runtime_directory), MOMENT)
        .map_err(|_| busy())?;
    let given_back = give_back::give_back(settings, &Return::All, &Reload::Never)?;
    commit::log(settings, &given_back);
    // From here on nothing may begin again.
    take_back(settings, &ledger, &mut plan, person)
        .map_err(|error| Error::HalfBack(Box::new(error)))?;
    for line in &plan.stays {
        person.tell(&format!("stays: {line}\n"));
    }
    Ok(SetupOutcome::Done)
}

/// Refuses while anybody renews who would miss something of this host.
fn under_way(context: &Context) -> Result<(), Error> {
    let settings = &context.settings;
    if is_held(&right::lease_lock(&settings.runtime_directory))? {
        return Err(Error::UnderWay("a renewal is under way on this host".into()));
    }
    if is_held(&coordinate::coordinator_lock(&settings.runtime_directory))? {
        return Err(Error::UnderWay("renew-coordinate runs on this host".into()));
    }
    let is_arbiter = settings.arbiter.is_some() && settings.arbiter == settings.name;
    // An arbiter that is broken is no reason to keep it.
    if is_arbiter
        && let Ok((_, ArbiterAnswer::Status(status))) = question(context, &Ask::Status)
        && let Some(holder) = status.holder.filter(|holder| holder.connected)
    {
        let why = format!("{} holds the lease that this host grants, and renews", holder.name);
        return Err(Error::UnderWay(why));
    }
    Ok(())
}

fn plan(settings: &Settings, ledger: &Ledger, program: &Path) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    for entry in ledger.manifest.files.iter().rev() {
        let state = displace::state(&entry.path)?;
        let fate = entry.fate(&state);
        if fate == Restoration::Edited {
            plan.stays.push(format!("{}, {}", entry.path.display(), edited(&state)));
        }
        plan.fates.push((entry.path.clone(), fate));
    }
    if plan.has_edited() && files::exists(&settings.state_directory.join(ORIGINALS)) {
        let originals = settings.state_directory.join(ORIGINALS);
        plan.stays.push(format!("{}, what was there before", originals.display()));
    }
    plan.saved = hook_edits(&settings.certbot_directory)?;
    plan.stays.extend(own_hooks::others(&settings.certbot_directory));
    plan.stays.extend(own_hooks::commented_out(&settings.certbot_directory));
    let directory = program.parent().unwrap_or(Path::new("/")).display();
    if is_packaged() {
        plan.stays.push("what the package installed: apt purge certbaton removes it".into());
    } else {
        let programs = PROGRAMS.map(|name| format!("{directory}/{name}")).join(" ");
        plan.stays.push(format!("the programs: rm {programs}"));
    }
    if let Some(arbiter) = settings.arbiter.as_ref().filter(|a| settings.name.as_ref() != Some(a)) {
        let key = "the line with this host's key";
        plan.stays.push(format!("on {arbiter}: all of it, and {key}; uninstall it there too"));
    }
    Ok(plan)
}

/// Why it stays.
fn edited(state: &State) -> String {
    match state {
        State::Link { target, .. } => {
            let target = target.display();
            format!("a link to {target}: it, or what it leads to, was changed since")
        }
        State::Absent | State::File { .. } | State::Other => "which was changed since".to_owned(),
    }
}

impl Plan {
    fn has_edited(&self) -> bool {
        self.fates.iter().any(|(_, fate)| *fate == Restoration::Edited)
    }
}

fn tell(plan: &Plan, ledger: &Ledger, person: &mut dyn Person) {
    person.tell("give back every route to the peer\n");
    for unit in &ledger.manifest.units {
        person.tell(&format!("stop and disable {unit}\n"));
    }
    for (path, fate) in &plan.fates {
        let path = path.display();
        match fate {
            Restoration::Back => {}
            Restoration::Remove => person.tell(&format!("remove {path}\n")),
            Restoration::PutBack(_) => person.tell(&format!("put back {path} as it was before\n")),
            Restoration::Mode(mode) => person.tell(&format!("mode of {path} back to {mode:04o}\n")),
            Restoration::Edited => person.tell(&format!("leave {path}: it was changed since\n")),
            Restoration::Repaired => person.tell(&format!(
                "leave {path} without the # that the old hook put before ProxyPass lines\n"
            )),
        }
    }
    for (edit, path) in &plan.saved {
        let path = path.display();
        person.tell(&match edit {
            HookEdit::TakeOut => format!("take certbaton's hooks out of {path}\n"),
            HookEdit::PutBack => format!("put the hooks back that init commented out in {path}\n"),
        });
    }
    person.tell("remove journal, history and locks\n");
    if ledger.manifest.account && !is_packaged() {
        person.tell("remove the user and the group certbaton\n");
    }
}

fn take_back(
    settings: &Settings,
    ledger: &Ledger,
    plan: &mut Plan,
    person: &mut dyn Person,
) -> Result<(), Error> {
    let manifest = &ledger.manifest;
    if machine::has_systemd() {
        stop(&manifest.units)?;
    }
    let due = plan.fates.iter().filter(|(_, fate)| {
        !matches!(fate, Restoration::Back | Restoration::Edited | Restoration::Repaired)
    });
    let apache = apache_files::reader(settings, due.map(|(path, _)| path.as_path()))?;
    for (path, fate) in &mut plan.fates {
        let state = displace::state(path)?;
        // A person may have taken an hour to agree.
        let now = manifest.entry(path).map_or(Restoration::Edited, |entry| entry.fate(&state));
        if now == *fate {
            ledger.follow(path, fate)?;
        } else {
            *fate = Restoration::Edited;
            plan.stays.push(format!("{}, {}", path.display(), edited(&state)));
        }
    }
    for (edit, path) in &plan.saved {
        edit.perform(path, &settings.state_directory)?;
    }
    if let Some(apache) = apache {
        apache.accepts()?;
        apache.reload(settings)?;
    }
    if machine::has_systemd() {
        machine::systemctl(&["daemon-reload"])?;
        for unit in UNITS {
            // Only what failed and is gone is still listed.
            machine::systemctl(&["reset-failed", unit]).ok();
        }
    }
    remove_state(settings, plan)?;
    for directory in manifest.directories.iter().rev() {
        displace::remove_empty(directory)?;
    }
    if is_packaged() {
        if machine::has_systemd() {
            // The package's own places, as it left them.
            machine::make_directories()?;
        }
    } else if manifest.account
        && let Err(error) = machine::remove_account()
    {
        let why = chain(&error);
        person.tell(&format!("stays: the user certbaton ({why}); userdel certbaton removes it\n"));
    }
    Ok(())
}

/// Only what was enabled by a set-up; what a package enabled is the package's.
fn stop(units: &[String]) -> Result<(), Error> {
    for unit in units {
        machine::systemctl(&["disable", "--now", unit])?;
        if is_timer(unit) {
            files::remove_own(&Path::new(STAMPS).join(format!("stamp-{unit}")))?;
        }
    }
    Ok(())
}

/// Journal, history, locks, lease: nobody's but ours. The manifest goes last.
fn remove_state(settings: &Settings, plan: &Plan) -> Result<(), Error> {
    let keys = Path::new(machine::ACCOUNT_HOME);
    for directory in [keys.join(".ssh"), keys.to_owned()] {
        displace::remove_empty(&directory)?;
    }
    displace::remove_all(&settings.runtime_directory)?;
    let keeps = plan.has_edited();
    let state = &settings.state_directory;
    let manifest = Path::new("installed.json");
    let entries = if files::exists(state) { files::list(state)? } else { Vec::new() };
    for entry in entries {
        let is_kept = keeps && entry == ORIGINALS;
        if entry != manifest.as_os_str() && !is_kept {
            displace::remove_all(&state.join(entry))?;
        }
    }
    files::remove_own(&state.join(manifest))
        .or_else(|error| if error.is_missing() { Ok(()) } else { Err(error) })?;
    displace::remove_empty(state)?;
    Ok(())
}

/// All that may have run.
const UNITS: [&str; 4] = [RECOVER[0], RECOVER[1], RENEW_TIMER, "certbaton-renew.service"];
