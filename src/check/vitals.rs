//! system: reads what a host's health is judged by: room, clock, who is at work, whether the arbiter answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::clock;
use crate::base::files;
use crate::base::host;
use crate::base::lock;
use crate::base::process::{self, LockOwner};
use crate::certbot::ini;
use crate::certbot::lineages::Lineages;
use crate::certbot::running::LOCK_FILE;
use crate::check::door::door;
use crate::check::health::{FileSystem, Vitals, Worker};
use crate::check::reading;
use crate::check::this_host;
use crate::config::Settings;
use crate::fleet::host_report::Hold;
use crate::history::file;
use crate::history::record::Event;
use crate::lease::question::question_abroad;
use crate::lease::wire::{ArbiterAnswer, Ask};
use crate::renewal::client::is_interactive_shell;
use crate::renewal::right;

/// Looks.
pub fn vitals(settings: &Settings, known: &Lineages) -> Vitals {
    Vitals {
        room: room(settings, known),
        clock: newest(known),
        no_certbot: no_certbot(settings, known),
        certbot: certbot(settings),
        hold: hold(settings),
        arbiter: arbiter(settings),
        breaks_glass: settings.break_glass.is_some(),
        door: door(settings),
        exposed: settings.exposed.clone(),
    }
}

fn room(settings: &Settings, known: &Lineages) -> Vec<FileSystem> {
    let mut directories = BTreeSet::from([
        settings.certbot_directory.clone(),
        settings.state_directory.to_path_buf(),
        settings.runtime_directory.to_path_buf(),
        PathBuf::from("/var/log/letsencrypt"),
        PathBuf::from("/var/lib/letsencrypt"),
    ]);
    for file in reading::options_files(&settings.certbot_directory) {
        let options = reading::text(&file).map(|text| ini::parse(&text)).unwrap_or_default();
        let of_paths = options.into_iter().filter(|option| {
            ["logs-dir", "work-dir"].contains(&option.key.replace('_', "-").as_str())
        });
        directories.extend(of_paths.map(|option| PathBuf::from(option.value)));
    }
    directories.extend(known.usable.iter().flat_map(this_host::webroots));
    let mut found: BTreeMap<(u64, bool), FileSystem> = BTreeMap::new();
    for path in directories {
        let Ok(host::Room { device, bytes, files }) = host::room(&path) else { continue };
        // What is not there yet is made where it is missing.
        let is_writable = !files::exists(&path) || host::is_writable(&path);
        let room = FileSystem { paths: Vec::new(), bytes, files, is_writable };
        found.entry((device, is_writable)).or_insert(room).paths.push(path);
    }
    found.into_values().collect()
}

fn newest(known: &Lineages) -> Option<(jiff::Timestamp, String, jiff::Timestamp)> {
    let begins = known.usable.iter().filter_map(|lineage| {
        let pem = files::read_trusted(&lineage.cert).ok()?;
        Some((certificate::from_pem(&pem).ok()?.not_before, lineage.name.clone()))
    });
    begins.max().map(|(begins, whose)| (begins, whose, clock::now()))
}

/// Where there is something to renew, and nothing to do it with.
fn no_certbot(settings: &Settings, known: &Lineages) -> Option<String> {
    let program = this_host::program(settings);
    let is_there = program.as_deref().is_some_and(files::exists);
    let wanted = program.map_or_else(|| "certbot".to_owned(), |path| path.display().to_string());
    (!is_there && !known.usable.is_empty()).then_some(wanted)
}

fn certbot(settings: &Settings) -> Option<Worker> {
    let lock = settings.certbot_directory.join(LOCK_FILE);
    let Ok(Some(LockOwner::Pid(pid))) = process::lock_holder(&lock) else { return None };
    let process = process::identify(pid).ok()?;
    let is_stopped = process::is_stopped(pid).ok()?;
    Some(Worker { pid, is_stopped, age: process::age(process) })
}

/// Who holds this host's lock.
pub fn hold(settings: &Settings) -> Option<Hold> {
    let keeper = lock::holder(&right::lease_lock(&settings.runtime_directory))?;
    let history = file::read(&settings.state_directory).unwrap_or_default();
    let begun = history.entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Began(began) if began.process.pid == keeper && file::is_alive(began) => {
            Some((entry, began))
        }
        _ => None,
    });
    let mut hold = Hold {
        keeper,
        is_stopped: process::is_stopped(keeper).unwrap_or_default(),
        ..Hold::default()
    };
    if let Some((entry, began)) = begun {
        let own = history.entries.iter().filter(|other| other.run == entry.run);
        let last = own.clone().map(|other| other.at).max().unwrap_or(entry.at);
        let is_quiet = clock::now().duration_since(last) > QUIET;
        let has_failed = matches!(
            own.clone().next_back().map(|other| &other.event),
            Some(Event::NotSwitched { .. })
        );
        hold.since = Some(entry.at);
        hold.owner = began.by.pid;
        hold.by = Some(began.by.text());
        let is_idle = is_quiet || has_failed || hold.is_stopped;
        hold.is_orphaned = is_idle && began.by.pid.is_some_and(|owner| is_gone(owner, keeper));
        hold.is_shell = began.by.pid.is_some_and(is_shell);
        hold.token = own.rev().find_map(|other| match other.event {
            Event::Granted { token, .. } => token,
            _ => None,
        });
    }
    Some(hold)
}

/// Whether `owner` has ended; a process that is younger than its keeper is another one.
fn is_gone(owner: i32, keeper: i32) -> bool {
    match process::identify(owner) {
        Err(process::Error::Gone(_)) => true,
        Err(_) => false,
        Ok(owner) => {
            process::identify(keeper).is_ok_and(|keeper| owner.start_time > keeper.start_time)
        }
    }
}

/// A shell that reads what is typed: it runs neither a script nor a command that it was given.
fn is_shell(pid: i32) -> bool {
    is_interactive_shell(&process::argv(pid).unwrap_or_default())
}

/// Whether another host, which grants the lease, answers this one.
fn arbiter(settings: &Settings) -> Option<(String, String)> {
    let arbiter = settings.arbiter.as_ref().filter(|name| settings.name.as_ref() != Some(name))?;
    let said = match question_abroad(settings, &Ask::Status, PATIENCE) {
        Ok((_, ArbiterAnswer::Status(_))) => return None,
        Ok((_, ArbiterAnswer::Refused { why })) => why,
        Ok((_, _)) => "it answered something else than was asked".to_owned(),
        Err(error) => chain(&error),
    };
    Some((arbiter.to_string(), said))
}

/// A keeper that is giving back writes that down within.
const QUIET: SignedDuration = SignedDuration::from_mins(1);

/// Less than a status waits for a peer, which does this as well.
const PATIENCE: Duration = Duration::from_secs(10);
