//! system: runs a program by absolute path, with a given environment and a deadline.
//!
//! Never a shell, never our own environment, signals or descriptors (`child`). What the
//! program printed is in the error when it fails.

pub mod child;
pub mod dialogue;
pub mod piped;
pub mod ssh;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;

use crate::base::clock::{Deadline, ready};
use crate::base::process::Error;
use crate::base::trust;
use child::{Child, Group, Streams, nothing};

/// What to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Absolute path.
    pub path: PathBuf,
    /// Arguments, without the program's own name.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Working directory.
    pub directory: PathBuf,
}

impl Program {
    /// In the environment of a service: nothing of the caller's, whatever it has inherited.
    pub fn plain(path: PathBuf, arguments: Vec<OsString>) -> Self {
        let environment = vec![
            ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        Self { path, arguments, environment, directory: "/".into() }
    }
}

/// What it did.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Program {
    /// Runs it and collects what it prints; killed at the deadline.
    pub fn run(&self, deadline: &Deadline) -> Result<Output, Error> {
        let mut stdout = Vec::new();
        let (status, stderr) = self.hear(deadline, |part| stdout.extend_from_slice(part))?;
        Ok(Output { status, stdout, stderr })
    }

    /// Runs it and hands over its standard output while it prints; killed at the deadline.
    pub fn hear(
        &self,
        deadline: &Deadline,
        mut hear: impl FnMut(&[u8]),
    ) -> Result<(ExitStatus, Vec<u8>), Error> {
        let failed = |source| self.failed(source);
        let (stdout, stdout_end) = io::pipe().map_err(failed)?;
        let (stderr, stderr_end) = io::pipe().map_err(failed)?;
        let stdin = nothing().map_err(failed)?;
        let streams = [stdin.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()];
        let mut child = self.start(streams, Group::Ours)?;
        drop((stdout_end, stderr_end));
        let mut said = Vec::new();
        let mut say = |part: &[u8]| said.extend_from_slice(part);
        let [stdout, stderr] = [stdout, stderr].map(|pipe| Some(File::from(OwnedFd::from(pipe))));
        let heard = listen([stdout, stderr], [&mut hear, &mut say], deadline);
        match heard.map_err(failed) {
            Ok(true) => Ok((child.wait().map_err(failed)?, said)),
            not => {
                reap(child);
                not.and(Err(Error::Slow(self.path.clone())))
            }
        }
    }

    /// Starts it with `stdin` and leaves it running, its output discarded.
    pub fn detach(&self, stdin: &OwnedFd) -> Result<(), Error> {
        let nothing = nothing().map_err(|source| self.failed(source))?;
        self.start([stdin.as_fd(), nothing.as_fd(), nothing.as_fd()], Group::Ours)?;
        Ok(())
    }

    /// Starts it with `stdin` and our own standard output; what it says on standard error comes
    /// out of the second.
    pub fn attend(&self, stdin: BorrowedFd<'_>) -> Result<(Child, File), Error> {
        let (stderr, stderr_end) = io::pipe().map_err(|source| self.failed(source))?;
        let stdout = io::stdout();
        let streams = [stdin, stdout.as_fd(), stderr_end.as_fd()];
        let child = self.start(streams, Group::Ours)?;
        Ok((child, OwnedFd::from(stderr).into()))
    }

    /// Starts it with nothing to read and nobody to hear it.
    pub fn unattended(&self) -> Result<Child, Error> {
        let nothing = nothing().map_err(|source| self.failed(source))?;
        self.start([nothing.as_fd(); 3], Group::Ours)
    }

    /// Starts it with `stream` as standard input and output; what it says on standard error
    /// comes out of the second.
    pub fn converse(&self, stream: &OwnedFd) -> Result<(Child, File), Error> {
        let (stderr, stderr_end) = io::pipe().map_err(|source| self.failed(source))?;
        let streams = [stream.as_fd(), stream.as_fd(), stderr_end.as_fd()];
        let child = self.start(streams, Group::Ours)?;
        Ok((child, OwnedFd::from(stderr).into()))
    }

    fn start(&self, streams: Streams<'_>, group: Group) -> Result<Child, Error> {
        if !self.path.is_absolute() {
            return Err(Error::Relative(self.path.clone()));
        }
        trust::before_start(self)?;
        child::start(self, streams, group).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Start { path: self.path.clone(), source }
    }
}

type Hear<'a> = &'a mut dyn FnMut(&[u8]);

/// Hands over what comes out of `pipes` until all are closed; `false` if the deadline was first.
///
/// At its leisure: Apache writes its dump a few bytes at a time, and a reader
/// that waits makes each of these writes switch processes.
fn listen(
    mut pipes: [Option<File>; 2],
    mut hear: [Hear<'_>; 2],
    deadline: &Deadline,
) -> io::Result<bool> {
    let mut part = vec![0; PIPE_SIZE];
    for pipe in pipes.iter().flatten() {
        // Refused, it is only slower.
        fcntl_setpipe_size(pipe, PIPE_SIZE).ok();
    }
    // Closed by the end of the program, or on purpose.
    while pipes.iter().any(Option::is_some) {
        let Some(left) = deadline.remaining() else { return Ok(false) };
        let open: Vec<_> = pipes.iter().flatten().map(AsFd::as_fd).collect();
        let mut ready = ready(&open, Some(left))?.into_iter();
        for (pipe, hear) in pipes.iter_mut().zip(&mut hear) {
            if let Some(file) = pipe
                && ready.next() == Some(true)
            {
                match file.read(&mut part)? {
                    0 => *pipe = None,
                    count => hear(&part[..count]),
                }
            }
        }
        let open: Vec<_> = pipes.iter().flatten().map(AsFd::as_fd).collect();
        crate::base::clock::closed(&open, LEISURE)?;
    }
    Ok(true)
}

fn reap(mut child: Child) {
    // Already gone is fine.
    child.kill();
    child.wait().ok();
}

/// What a pipe is made to hold (pipe(7)).
const PIPE_SIZE: usize = 1024 * 1024;

/// Between two reads; a pipe is not full before that.
const LEISURE: Duration = Duration::from_millis(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str, arguments: &[&str]) -> Program {
        Program {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: vec![("LANG".into(), "C".into())],
            directory: "/".into(),
        }
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn the_environment_is_the_given_one_alone() {
        let output = program("/usr/bin/env", &[]).run(&soon()).unwrap();
        assert_eq!(output.stdout, b"LANG=C\n");
    }

    #[test]
    fn a_relative_program_is_refused() {
        assert!(matches!(program("env", &[]).run(&soon()), Err(Error::Relative(_))));
    }

    #[test]
    fn a_slow_program_is_killed_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_millis(50));
        let slow = program("/bin/sleep", &["1000"]).run(&deadline);
        assert!(matches!(slow, Err(Error::Slow(_))));
    }
}
