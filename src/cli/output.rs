//! system: standard output: all that a program says there is written here, and what cannot be written is an error.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::error::Error;
use crate::base::clock;
use crate::base::columns::Width;
use crate::base::exit::Exit;
use crate::base::harmless;
use crate::base::terminal;

/// How wide it is read.
pub(super) fn width() -> Width {
    terminal::width(io::stdout()).unwrap_or_default()
}

/// Tells what was found; nothing was changed.
pub(super) fn print(text: &str) -> Result<(), Error> {
    write(text).map_err(|source| Error::Output { exit: Exit::Failed, source })
}

/// Tells what was done: who reads the exit code learns that not everything is as before.
pub(super) fn print_done(text: &str) -> Result<(), Error> {
    write(text).map_err(|source| Error::Output { exit: Exit::NotUndone, source })
}

/// Tells it to whoever is there to take it, and to nobody who takes nothing for `patience`.
pub(super) fn print_within(patience: Duration, text: &str) {
    let text = harmless::printed(text);
    if let Err(error) = write_until(io::stdout().lock(), text.as_bytes(), &[], patience) {
        tracing::debug!("standard output cannot be written: {error}");
    }
}

/// All of it, past every buffer.
///
/// SIGPIPE stays ignored, as Rust starts a program: in the middle of a switch nobody must die of a reader.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(harmless::printed(text).as_bytes())?;
    out.flush()
}

/// Writes `text` as far as `to` takes it: what it does not take at once is not waited for once one
/// of `wake` can be read, nor for longer than `patience`. Whether that was all of it.
pub(super) fn write_until(
    mut to: impl Write + AsFd,
    text: &[u8],
    wake: &[BorrowedFd<'_>],
    patience: Duration,
) -> io::Result<bool> {
    for part in text.chunks(PART) {
        let to_fd = to.as_fd();
        if !clock::room(to_fd, &[], Duration::ZERO)? && !clock::room(to_fd, wake, patience)? {
            return Ok(false);
        }
        to.write_all(part)?;
        to.flush()?;
    }
    Ok(true)
}

/// What fits where poll(2) says that there is room: a page of a pipe (pipe(7), PIPE_BUF).
const PART: usize = 4096;

/// Says what clap has to say of the command line: help and version on standard output, anything else is refused.
pub(super) fn explain(said: &clap::Error) -> Result<Exit, Error> {
    let printed = said.print().and_then(|()| io::stdout().lock().flush());
    match (said.use_stderr(), printed) {
        // Nobody to tell if standard error is gone.
        (true, _) => Ok(Exit::Usage),
        (false, Ok(())) => Ok(Exit::Done),
        (false, Err(source)) => Err(Error::Output { exit: Exit::Failed, source }),
    }
}
