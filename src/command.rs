//! system: runs a program by absolute path, with a given environment and a deadline.
//!
//! Never a shell, never our own environment. What the program printed is in the
//! error when it fails.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::clock::{Deadline, pause, within};

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
        source: std::io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{} did not finish in time and was killed", .0.display())]
    Slow(PathBuf),
}

impl Program {
    /// Runs it and collects what it prints; killed at the deadline.
    pub fn run(&self, deadline: &Deadline) -> Result<Output, Error> {
        let failed = |source| Error::Start { path: self.path.clone(), source };
        let mut child = self.command()?.spawn().map_err(failed)?;
        let stdout = drain(child.stdout.take(), *deadline);
        let stderr = drain(child.stderr.take(), *deadline);
        // Both pipes at their end: it has exited, or closed them on purpose.
        let ended = within(deadline, move || {
            (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
        });
        if let Ok((stdout, stderr)) = ended {
            let status = child.wait().map_err(failed)?;
            Ok(Output { status, stdout, stderr })
        } else {
            reap(child);
            Err(Error::Slow(self.path.clone()))
        }
    }

    /// Starts it with `stdin` and leaves it running, its output discarded.
    pub fn detach(&self, stdin: OwnedFd) -> Result<Child, Error> {
        let mut command = self.command()?;
        command.stdin(Stdio::from(stdin)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|source| Error::Start { path: self.path.clone(), source })
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
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

/// Reads all that comes, at its leisure.
///
/// Apache writes its dump a few bytes at a time, and a reader that waits in
/// `read` makes each of these writes switch processes.
fn drain(
    pipe: Option<impl Read + Send + 'static>,
    deadline: Deadline,
) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut bytes, mut part) = (Vec::new(), vec![0; PIPE_SIZE]);
        let Some(mut pipe) = pipe else { return bytes };
        // A read error ends the text; the exit status tells the rest.
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            bytes.extend_from_slice(&part[..count]);
            if pause(LEISURE, &deadline).is_err() {
                break;
            }
        }
        bytes
    })
}

fn reap(mut child: Child) {
    // Already gone is fine.
    child.kill().ok();
    child.wait().ok();
}

/// What a pipe holds (pipe(7)).
const PIPE_SIZE: usize = 64 * 1024;

/// Between two reads; a pipe is not full before that.
const LEISURE: Duration = Duration::from_millis(1);

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
