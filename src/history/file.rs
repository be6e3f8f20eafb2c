//! system: the file that events are appended to, in the state directory: `history.jsonl`.
//!
//! One `write(2)` with `O_APPEND` a line, so that several processes may write.
//! At `LIMIT` the file becomes `history.1.jsonl`, and the one before goes.
//! Nothing that fails here fails a renewal: it is said once, in the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::host;
use crate::base::lock;
use crate::base::own_directories::StateDirectory;
use crate::base::process;
use crate::config::Settings;
use crate::history::record::{self, Began, By, Event, Kind, LogEntry, RunId};

/// Writes down one run.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    run: RunId,
    /// What is not written yet, as nothing that is worth a record has happened.
    held: Mutex<Option<Vec<LogEntry>>>,
    /// That writing failed has been said.
    complained: AtomicBool,
}

/// What is known about a run at its beginning.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Who wanted it.
    pub by: By,
    /// The lineages that it is about.
    pub lineages: Vec<String>,
    /// A rehearsal.
    pub dry_run: bool,
    /// Also what is not due.
    pub forced: bool,
}

/// What the files hold.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All events, oldest first.
    pub entries: Vec<LogEntry>,
    /// Lines that are none.
    pub damaged: usize,
}

impl Recorder {
    /// Begins a record, on disk at once, so that also a death is known.
    pub fn begin(settings: &Settings, kind: Kind, start: Start) -> Self {
        let recorder = Self::hold_back(settings, kind, start);
        recorder.flush();
        recorder
    }

    /// Begins a record that is only kept if something is switched or fails.
    pub fn hold_back(settings: &Settings, kind: Kind, start: Start) -> Self {
        let at = clock::now();
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let run = RunId::new(at, pid);
        let process = process::own().unwrap_or(process::Process { pid, start_time: 0 });
        let Start { by, lineages, dry_run, forced } = start;
        let host = settings.name.as_ref().map_or_else(host::machine, ToString::to_string);
        let boot = process::boot().unwrap_or_default();
        let began = Began { kind, host, by, process, boot, lineages, dry_run, forced };
        let first = LogEntry { at, run: run.clone(), event: Event::Began(began) };
        let recorder = Self {
            path: path(&settings.state_directory),
            run,
            held: Mutex::new(Some(vec![first])),
            complained: AtomicBool::new(false),
        };
        if let Err(error) = make_room(settings) {
            recorder.complain(&error);
        }
        recorder
    }

    /// Writes down that something happened just now.
    pub fn record(&self, event: Event) {
        let matters = match &event {
            Event::Switched(switched) => !switched.files.is_empty() || switched.reloaded,
            Event::NotSwitched { .. }
            | Event::Lost { .. }
            | Event::Deployed(_)
            | Event::NotRenewed { .. }
            | Event::LeftOut(_) => true,
            _ => false,
        };
        let entry = self.entry(event);
        match &mut *self.held() {
            Some(held) => held.push(entry),
            None => self.write(&[entry], false),
        }
        if matters {
            self.flush();
        }
    }

    /// Writes down the end, and waits until all of it is on disk.
    pub fn end(self, exit: u8, text: &str) {
        if exit == 0 && self.held().is_some() {
            return;
        }
        self.flush();
        self.write(&[self.entry(Event::Ended { exit, text: text.to_owned() })], true);
    }

    /// The same of what was done, or why not.
    pub fn end_as<T, E>(self, outcome: &Result<T, E>)
    where
        E: std::error::Error + CarriesExit + 'static,
    {
        match outcome {
            Ok(_) => self.end(Exit::Done.code(), ""),
            Err(error) => self.end(error.exit().code(), &chain(error)),
        }
    }

    fn entry(&self, event: Event) -> LogEntry {
        LogEntry { at: clock::now(), run: self.run.clone(), event }
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<LogEntry>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self) {
        if let Some(held) = self.held().take() {
            self.write(&held, false);
        }
    }

    fn write(&self, entries: &[LogEntry], sync: bool) {
        if let Err(error) = append(&self.path, entries, sync) {
            self.complain(&error);
        }
    }

    fn complain(&self, error: &dyn std::error::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::warn!("no whole record of this run in {path}: {}", chain(error));
        }
    }
}

/// Everything that was written down and is still kept.
pub fn read(state: &StateDirectory) -> Result<History, files::Error> {
    let mut history = History::default();
    for path in [older(state), path(state)] {
        let bytes = match files::read_trusted(&path) {
            Err(error) if error.is_missing() => continue,
            bytes => bytes?,
        };
        let (entries, damaged) = record::read(&bytes);
        history.entries.extend(entries);
        history.damaged += damaged;
    }
    Ok(history)
}

/// Whether the process that began a run is still there.
pub fn is_alive(began: &Began) -> bool {
    let process = began.process;
    began.boot == process::boot().unwrap_or_default()
        && process::identify(process.pid).is_ok_and(|found| found == process)
}

/// Where it is.
pub fn path(state: &StateDirectory) -> PathBuf {
    state.join("history.jsonl")
}

fn older(state: &StateDirectory) -> PathBuf {
    path(state).with_extension("1.jsonl")
}

fn append(path: &Path, entries: &[LogEntry], sync: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // What is no file is not waited for.
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)?;
    let mut bytes = Vec::new();
    if is_torn(&file)? {
        tracing::warn!(
            "the last line of {} is torn, by a power cut or a full disk; it is passed over",
            path.display()
        );
        bytes.push(b'\n');
    }
    for entry in entries {
        bytes.extend(record::line(entry)?);
    }
    // Not `write_all`: what is not written in one piece is as bad as not written.
    let written = file.write(&bytes)?;
    if written < bytes.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    if sync { file.sync_data() } else { Ok(()) }
}

fn is_torn(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != [b'\n'])
}

/// Makes the directory, and puts a file aside that has become too long.
fn make_room(settings: &Settings) -> Result<(), files::Error> {
    settings.state_directory.make()?;
    let path = path(&settings.state_directory);
    let is_long = || fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LIMIT);
    if !is_long() {
        return Ok(());
    }
    // Who does not get the lock leaves it to who has it.
    let lock = settings.runtime_directory.join("history.lock");
    let held = lock::attempt(&lock).ok().flatten();
    if held.is_some() && is_long() {
        fs::rename(&path, older(&settings.state_directory))
            .map_err(|source| files::Error::System { verb: "put aside", path, source })?;
    }
    Ok(())
}

/// Some thousand runs, in two files of this length.
const LIMIT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
