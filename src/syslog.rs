//! system: the log that an administrator reads: the journal with its fields, else syslog's lines.
//!
//! certbot hides what hooks print, so this is our own way to a person. A host
//! without either socket loses the events; errors are also in the exit code.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Sends events to syslog under `program`.
#[derive(Debug, Clone)]
pub struct Syslog {
    program: &'static str,
}

/// One event on its way.
#[derive(Debug)]
pub struct Event {
    header: String,
    text: Vec<u8>,
}

/// Sends all events of this process to the log, from `info` on.
///
/// In the journal, what an event is about is in fields: `CERTBATON_HOST`,
/// `CERTBATON_LINEAGE`, `CERTBATON_TOKEN` … (systemd.journal-fields(7)).
pub fn start(program: &'static str) {
    // A second start in one process keeps the first.
    match tracing_journald::layer() {
        Ok(journal) => {
            let journal = journal
                .with_syslog_identifier(program.to_owned())
                .with_field_prefix(Some(PREFIX.to_owned()))
                .with_filter(LevelFilter::INFO);
            tracing_subscriber::registry().with(journal).try_init().ok();
        }
        Err(_) => lines(program),
    }
}

/// The text alone: it says what the fields say.
fn lines(program: &'static str) {
    let text = debug_fn(|out, field, value| match field.name() {
        "message" => write!(out, "{value:?}"),
        _ => Ok(()),
    });
    let logger = tracing_subscriber::fmt()
        .with_writer(Syslog { program })
        .fmt_fields(text)
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .with_max_level(Level::INFO);
    logger.try_init().ok();
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        self.event(Level::INFO)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Event {
        self.event(*meta.level())
    }
}

impl Syslog {
    /// RFC 3164 as syslog(3) writes it: facility daemon (3), severity by level.
    fn event(&self, level: Level) -> Event {
        const DAEMON: u8 = 3 * 8;
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let header = format!("<{}>{}[{}]: ", DAEMON + severity, self.program, std::process::id());
        Event { header, text: Vec::new() }
    }
}

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let datagram = [self.header.as_bytes(), self.text.trim_ascii_end()].concat();
        // No log, no event: there is nobody left to tell.
        if let Ok(socket) = UnixDatagram::unbound() {
            socket.send_to(&datagram, "/dev/log").ok();
        }
    }
}

/// Of the journal's fields.
const PREFIX: &str = "CERTBATON";
