//! system: the log that an administrator reads: the journal with its fields, else syslog's lines.
//!
//! certbot hides what hooks print, so this is our own way to a person. A host
//! without either socket loses the events, and so does one whose daemon does
//! not read; errors are also in the exit code.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::syslog::native::JournalWriter;
use crate::base::syslog::outlet::Outlet;

mod native;
pub mod outlet;

/// Sends events to syslog under `program`.
#[derive(Debug, Clone)]
struct Syslog {
    outlet: Arc<Outlet>,
    program: &'static str,
}

/// One event on its way.
#[derive(Debug)]
struct Event<'a> {
    to: &'a Syslog,
    level: Level,
    text: Vec<u8>,
}

/// Sends all events of this process to the log, from `info` on.
///
/// In the journal, what an event is about is in fields: `CERTBATON_HOST`,
/// `CERTBATON_LINEAGE`, `CERTBATON_TOKEN` … (systemd.journal-fields(7)).
pub fn start(program: &'static str) {
    // A second start in one process keeps the first.
    if let Ok(Some(journal)) = JournalWriter::at(Path::new(JOURNAL), program) {
        let journal = journal.with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(journal).try_init().ok();
    } else if let Ok(outlet) = Outlet::new(Path::new(SYSLOG)) {
        lines(Syslog { outlet: outlet.into(), program });
    }
}

/// The text alone: it says what the fields say.
fn lines(syslog: Syslog) {
    let text = debug_fn(|out, field, value| match field.name() {
        "message" => write!(out, "{value:?}"),
        _ => Ok(()),
    });
    let logger = tracing_subscriber::fmt()
        .with_writer(syslog)
        .fmt_fields(text)
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .with_max_level(Level::INFO);
    logger.try_init().ok();
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event { to: self, level: Level::INFO, text: Vec::new() }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Event<'a> {
        Event { to: self, level: *meta.level(), text: Vec::new() }
    }
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let Syslog { outlet, program } = self.to;
        let text = String::from_utf8_lossy(self.text.trim_ascii_end());
        let severity = match self.level {
            Level::ERROR => ERROR,
            Level::WARN => WARNING,
            Level::INFO => 6,
            _ => 7,
        };
        outlet.send(&line(program, severity, &text), |lost| line(program, WARNING, &loss(lost)));
    }
}

/// One error for syslog, of a program that has nothing else to say.
pub fn error(program: &str, text: &str) {
    // No log, no event: there is nobody left to tell.
    if let Ok(outlet) = Outlet::new(Path::new(SYSLOG)) {
        outlet.send(&line(program, ERROR, text), |_| Vec::new());
    }
}

/// RFC 3164 as syslog(3) writes it, of the facility daemon (3).
fn line(program: &str, severity: u8, text: &str) -> Vec<u8> {
    let (priority, pid) = (3 * 8 + severity, std::process::id());
    format!("<{priority}>{program}[{pid}]: {}", bounded(text)).into_bytes()
}

/// What a daemon that missed some is told.
fn loss(lost: u64) -> String {
    format!("events before this that are lost, because the log did not take them: {lost}")
}

/// What fits into a datagram together with a few more values.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let cut = &text[..text.floor_char_boundary(LONGEST)];
    format!("{cut} [cut, of {} bytes]", text.len()).into()
}

/// Of systemd-journald.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Of whoever is the syslog daemon.
const SYSLOG: &str = "/dev/log";

const ERROR: u8 = 3;
const WARNING: u8 = 4;

/// Bytes: what journald takes of a line (`LineMax=`, journald.conf(5)).
const LONGEST: usize = 48 * 1024;
