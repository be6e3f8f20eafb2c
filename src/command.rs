//! system: runs a program by absolute path, with a given environment and a deadline.
//!
//! Never a shell, never our own environment. What the program printed is in the
//! error when it fails.

pub mod piped;
pub mod ssh;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;

use crate::clock::{Deadline, ready};
use crate::exit::{CarriesExit, Exit};

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

/// Why a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is relative: whoever sets the working directory would choose the program.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// It could not be started.
    #[error("cannot run {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{} did not finish in time and was killed", .0.display())]
    Slow(PathBuf),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Relative(_) | Self::Start { .. } | Self::Slow(_) => Exit::Failed,
        }
    }
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
        let failed = |source| Error::Start { path: self.path.clone(), source };
        let mut command = self.command()?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let mut said = Vec::new();
        let mut say = |part: &[u8]| said.extend_from_slice(part);
        let stdout = child.stdout.take().map(OwnedFd::from).map(File::from);
        let stderr = child.stderr.take().map(OwnedFd::from).map(File::from);
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
    pub fn detach(&self, stdin: OwnedFd) -> Result<Child, Error> {
        let mut command = self.command()?;
        command.stdin(Stdio::from(stdin)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|source| Error::Start { path: self.path.clone(), source })
    }

    /// Starts it with `stream` as standard input and output, and a pipe for its errors; as the
    /// user and group `owner`, if given.
    pub fn converse(&self, stream: OwnedFd, owner: Option<(u32, u32)>) -> Result<Child, Error> {
        let failed = |source| Error::Start { path: self.path.clone(), source };
        let mut command = self.command()?;
        let output = stream.try_clone().map_err(failed)?;
        command.stdin(Stdio::from(stream)).stdout(Stdio::from(output)).stderr(Stdio::piped());
        if let Some((user, group)) = owner {
            // It also drops all supplementary groups.
            command.uid(user).gid(group);
        }
        command.spawn().map_err(failed)
    }

    fn command(&self) -> Result<Command, Error> {
        if !self.path.is_absolute() {
            return Err(Error::Relative(self.path.clone()));
        }
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        Ok(command)
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
        crate::clock::closed(&open, LEISURE)?;
    }
    Ok(true)
}

fn reap(mut child: Child) {
    // Already gone is fine.
    child.kill().ok();
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
