//! system: has a web server that is not Apache test its configuration, and reload it, as `[web-server]` says.

use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::command::{Output, Program};
use crate::base::files;
use crate::config::notify::Command;
use crate::config::web_server::WebServer;
use crate::switch::report::Error;

/// Has it test its configuration.
pub fn test(server: &WebServer) -> Result<(), Error> {
    run(&server.test, "nothing was reloaded")
}

/// Has it load its configuration anew.
pub fn reload(server: &WebServer) -> Result<(), Error> {
    run(&server.reload, "the old certificate may still be served")
}

/// `outcome` is what comes of it if the program fails.
fn run(command: &Command, outcome: &'static str) -> Result<(), Error> {
    let path = files::trusted_program(&command.program)?;
    let arguments = command.arguments.iter().map(Into::into).collect();
    let output = Program::plain(path, arguments).run(&Deadline::after(TIME))?;
    if output.status.success() {
        return Ok(());
    }
    let (command, status) = (command.to_string(), output.status);
    Err(Error::Foreign { command, status, outcome, said: said(&output) })
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
