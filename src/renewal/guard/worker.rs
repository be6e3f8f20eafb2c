//! system: the worker: `certbaton` beside this program, started, listened to, and never waited for without end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::command::Program;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;
use crate::renewal::guard::permit::{End, WorkerOutcome};
use crate::renewal::guard::words::{Charge, Word};

/// Why the worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where this program itself is.
    #[error("cannot find the certbaton program beside this one")]
    Beside(#[source] io::Error),
    /// It is missing, or somebody else may have put it there.
    #[error(transparent)]
    File(#[from] files::Error),
    /// It cannot be started.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// It cannot become this process.
    #[error("cannot run {}", path.display())]
    Exec {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be listened to.
    #[error("cannot listen to {}", path.display())]
    Listen {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Command(error) => error.exit(),
            Self::Beside(_) | Self::Exec { .. } | Self::Listen { .. } => Exit::Failed,
        }
    }
}

/// Where it is: beside this program, and nobody but root can have put it there.
pub fn program() -> Result<PathBuf, Error> {
    let this = std::env::current_exe().map_err(Error::Beside)?;
    Ok(files::trusted_program(&this.with_file_name("certbaton"))?)
}

/// Becomes `worker`, under the name of the hook that it is; returns only if that fails.
pub fn exec(worker: PathBuf, name: &str, arguments: &[OsString]) -> Error {
    let source = Command::new(&worker).arg0(name).args(arguments).exec();
    Error::Exec { path: worker, source }
}

/// Has `worker` do what `arguments` say for `charge`; it is killed if it takes longer than it
/// said, or says nothing.
pub fn attend(
    worker: &Path,
    arguments: Vec<OsString>,
    charge: &Charge,
    mut pass_on: impl FnMut(&[u8]),
) -> Result<WorkerOutcome, Error> {
    let failed = |source| Error::Listen { path: worker.to_owned(), source };
    let (line, theirs) = UnixStream::pair().map_err(failed)?;
    // So small that it never waits: nothing was sent yet.
    (&line).write_all(format!("{}\n", charge.line()).as_bytes()).map_err(failed)?;
    let program = Program {
        path: worker.to_owned(),
        arguments,
        environment: std::env::vars_os().collect(),
        // A relative --config is the caller's.
        directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
    };
    let (mut child, said) = program.attend(theirs.as_fd())?;
    // Closed with the worker, then.
    drop(theirs);
    let mut sources = [Some(File::from(OwnedFd::from(line))), Some(said)];
    let mut heard = WorkerOutcome { end: End::Slow(FIRST_WORD), proven: false, said: Vec::new() };
    let (mut words, mut bound) = (Vec::new(), FIRST_WORD);
    let (mut deadline, mut has_ended) = (Deadline::after(bound), false);
    loop {
        let is_silent = sources.iter().all(Option::is_none);
        let left = deadline.remaining().filter(|_| !(has_ended && is_silent));
        let Some(left) = left else {
            if !has_ended {
                child.kill();
            }
            let status = child.wait().map_err(failed)?;
            heard.end = if has_ended { End::Ended(status) } else { End::Slow(bound) };
            return Ok(heard);
        };
        let open: Vec<_> = sources.iter().flatten().map(AsFd::as_fd).collect();
        let mut all = open.clone();
        if !has_ended {
            all.push(child.pidfd().as_fd());
        }
        let ready = clock::ready(&all, Some(left)).map_err(failed)?;
        if !has_ended && ready.last() == Some(&true) {
            has_ended = true;
            // What its own children still say is not its word.
            deadline = Deadline::after(LAST_WORDS);
        }
        let mut ready = ready.into_iter();
        let mut part = [0; 4096];
        for (number, source) in sources.iter_mut().enumerate() {
            let Some(file) = source else { continue };
            if ready.next() != Some(true) {
                continue;
            }
            let count = match file.read(&mut part) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                count => count.map_err(failed)?,
            };
            let part = &part[..count];
            if part.is_empty() {
                *source = None;
            } else if number == 0 {
                words.extend_from_slice(part);
                for word in words_of(&mut words) {
                    match word {
                        Word::Proven => heard.proven = true,
                        Word::Within(time) if !has_ended => {
                            bound = time + LEEWAY;
                            deadline = Deadline::after(bound);
                        }
                        Word::Within(_) => {}
                    }
                }
            } else if heard.said.len() < MOST_SAID {
                pass_on(part);
                heard.said.extend_from_slice(part);
            }
        }
    }
}

/// Takes the whole lines out of `bytes`; a line without end is none.
fn words_of(bytes: &mut Vec<u8>) -> Vec<Word> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines: Vec<u8> = bytes.drain(..end).collect();
    bytes.truncate(MOST_SAID);
    String::from_utf8_lossy(&lines).lines().filter_map(Word::parse).collect()
}

/// For the worker to say how long it takes: until then it only reads its configuration.
const FIRST_WORD: Duration = Duration::from_mins(1);

/// For the worker to end by itself, later than it said.
const LEEWAY: Duration = Duration::from_secs(5);

/// For what is still in the pipes of a worker that ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What certbot's pipe takes without anybody reading (pipe(7)).
const MOST_SAID: usize = 64 * 1024;
