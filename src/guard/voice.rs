//! system: what the guard says: on its standard error, in the log, and on certbot's terminal.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::harmless;
use crate::process::{self, Process};
use crate::syslog;

/// Says `text` on standard error and in the log, as the hook `name`.
pub fn complain(name: &str, text: &str) {
    syslog::error(name, text);
    // Nobody to tell if standard error is gone.
    writeln!(io::stderr(), "{name}: {text}").ok();
}

/// Shows `text`, whoever said it, on the terminal of `certbot`, if it has one.
///
/// certbot captures what hooks print, and dies without a word. What does not fit into the
/// terminal's buffer, because nobody reads there, is not waited for.
pub fn show(certbot: Process, text: &[u8]) {
    let Some(mut terminal) = process::terminal(certbot.pid) else { return };
    let text = String::from_utf8_lossy(text);
    for line in text.lines().take(MOST_LINES) {
        let line = harmless::line(line, LONGEST);
        if writeln!(terminal, "{line}").is_err() {
            return;
        }
    }
}

/// Whether standard error is the journal's, where the worker has logged already (`JOURNAL_STREAM`, systemd.exec(5)).
pub fn is_logged(journal_stream: Option<&OsString>) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    journal_stream.is_some_and(|at| *at == *format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// More than a screen is not read.
const MOST_LINES: usize = 40;

/// Characters of one of them.
const LONGEST: usize = 2000;
