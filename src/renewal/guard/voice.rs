//! system: what the guard says: on its standard error, in the log, and on certbot's terminal.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::base::columns::Width;
use crate::base::harmless;
use crate::base::process::{self, Process};
use crate::base::syslog;
use crate::base::terminal;
use crate::certbot::running;

/// Says `text` on standard error and in the log, as the hook `name`.
pub fn complain(name: &str, text: &str) {
    syslog::error(name, text);
    say(name, text, width());
}

/// Says it on standard error alone, each line behind the program's name, folded to `width`.
pub fn say(program: &str, text: &str, width: Option<Width>) {
    let mut out = io::stderr().lock();
    for line in text.lines() {
        let line = format!("{program}: {line}");
        let told = width.map_or_else(|| format!("{line}\n"), |width| width.said(&line));
        // Nobody to tell if standard error is gone.
        out.write_all(told.as_bytes()).ok();
    }
}

/// How wide it is where the standard error of a hook is read, if that is a terminal.
///
/// certbot captures it, and shows it on its own, indented by one
/// (`display/ops.py:report_executed_command`).
pub fn width() -> Option<Width> {
    let captured = || {
        let hook = process::own().ok()?;
        let certbot = running::find(hook.pid).ok()??;
        let width = terminal::width(process::terminal(certbot.process.pid)?)?;
        Some(width.within(1))
    };
    terminal::width(io::stderr()).or_else(captured)
}

/// What the worker says, passed on as it comes; on a terminal whole lines of it, folded.
#[derive(Debug, Default)]
pub struct PassedOn {
    width: Option<Width>,
    rest: Vec<u8>,
}

impl PassedOn {
    /// To standard error.
    pub fn to_standard_error() -> Self {
        Self { width: terminal::width(io::stderr()), rest: Vec::new() }
    }

    /// The next part.
    pub fn take(&mut self, part: &[u8]) {
        let told = self.folded(part);
        // Nobody to tell if standard error is gone.
        io::stderr().write_all(&told).ok();
    }

    /// The end of it, which may lack that of its line.
    pub fn end(mut self) {
        if !self.rest.is_empty() {
            self.take(b"\n");
        }
    }

    fn folded(&mut self, part: &[u8]) -> Vec<u8> {
        let Some(width) = self.width else { return part.to_vec() };
        self.rest.extend_from_slice(part);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        let lines = String::from_utf8_lossy(&lines);
        lines.lines().map(|line| width.said(line)).collect::<String>().into_bytes()
    }
}

/// Shows `text`, whoever said it, on the terminal of `certbot`, if it has one.
///
/// certbot captures what hooks print, and dies without a word. What does not fit into the
/// terminal's buffer, because nobody reads there, is not waited for.
pub fn show(certbot: Process, text: &[u8]) {
    let Some(mut terminal) = process::terminal(certbot.pid) else { return };
    let width = terminal::width(&terminal).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    for line in text.lines().take(MOST_LINES) {
        let told = width.said(&harmless::line(line, LONGEST));
        if terminal.write_all(told.as_bytes()).is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_parts_is_folded_by_whole_lines() {
        let line = format!("certbaton-pre-hook: {}\n", "word ".repeat(30).trim_end());
        let both = line.repeat(2);
        let mut passed_on = PassedOn { width: Some(Width::default()), rest: Vec::new() };
        let parts = both.as_bytes().chunks(7).chain([&b"no end"[..]]);
        let told: Vec<u8> = parts.flat_map(|part| passed_on.folded(part)).collect();
        assert_eq!(
            String::from_utf8(told).unwrap(),
            Width::default().said(line.trim_end()).repeat(2)
        );
        assert_eq!(passed_on.rest, b"no end");
        let mut raw = PassedOn::default();
        assert_eq!(raw.folded(b"x"), b"x");
    }
}
