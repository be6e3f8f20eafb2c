//! system: has a web server that is not Apache test its configuration, and reload it, as `[web-server]` says.

use std::process::ExitStatus;
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::command::{Output, Program};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;
use crate::config::notify::Command;
use crate::config::web_server::WebServer;

/// Why it did not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not pass its own test.
    #[error("{command} ended with {status}, so nothing was reloaded: {said}")]
    Test {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// It was not reloaded.
    #[error("{command} ended with {status}, so the old certificate may still be served: {said}")]
    Reload {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// A program that others may change, or that is not there.
    #[error(transparent)]
    File(#[from] files::Error),
    /// It could not be run, or hung.
    #[error(transparent)]
    Command(#[from] process::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Command(error) => error.exit(),
            Self::Test { .. } | Self::Reload { .. } => Exit::Failed,
        }
    }
}

/// Has it test its configuration.
pub fn test(server: &WebServer) -> Result<(), Error> {
    let output = run(&server.test)?;
    let (command, status) = (server.test.to_string(), output.status);
    let failed = || Error::Test { command, status, said: said(&output) };
    if status.success() { Ok(()) } else { Err(failed()) }
}

/// Has it load its configuration anew.
pub fn reload(server: &WebServer) -> Result<(), Error> {
    let output = run(&server.reload)?;
    let (command, status) = (server.reload.to_string(), output.status);
    let failed = || Error::Reload { command, status, said: said(&output) };
    if status.success() { Ok(()) } else { Err(failed()) }
}

fn run(command: &Command) -> Result<Output, Error> {
    let path = files::trusted_program(&command.program)?;
    let arguments = command.arguments.iter().map(Into::into).collect();
    Ok(Program::plain(path, arguments).run(&Deadline::after(TIME))?)
}

/// On one line, of bounded length.
fn said(output: &Output) -> String {
    let bytes = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ").chars().take(LONGEST).collect()
}

/// For a test or a reload; nginx with thousands of sites needs seconds.
const TIME: Duration = Duration::from_mins(1);

/// Characters of what a program printed.
const LONGEST: usize = 1000;
