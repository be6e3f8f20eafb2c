//! system: a program that is talked to while it runs: lines out, bytes in, an end that is always seen.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;

use crate::clock::{Deadline, ready};
use crate::command::{Error, Program};
use crate::process::{self, PidFd, Signal};

/// A running program and our ends of its pipes; killed when dropped.
#[derive(Debug)]
pub struct Piped {
    child: Child,
    pidfd: Option<PidFd>,
    stdin: Option<File>,
    outputs: [Output; 2],
    ended: Option<Deadline>,
}

/// What happened next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line of its standard output, without its end.
    Out(Vec<u8>),
    /// A line of its standard error, without its end.
    Err(Vec<u8>),
    /// The source of this index can be read, or is closed.
    Woken(usize),
    /// Nothing, for as long as was asked.
    Silence,
    /// It ended, and everything that it said was heard.
    Ended,
}

#[derive(Debug)]
struct Output {
    pipe: Option<File>,
    lines: Lines,
}

/// Bytes on their way to lines; a longer line than `max` comes in pieces.
#[derive(Debug)]
struct Lines {
    buffer: Vec<u8>,
    max: usize,
}

impl Program {
    /// Starts it in a process group of its own, so that a terminal's Ctrl-C is ours to pass on.
    pub fn talk(&self, max_line: usize) -> Result<Piped, Error> {
        self.start(Stdio::piped(), max_line)
    }

    /// The same, with all of `input` on its standard input, whether it reads it or not.
    pub fn talk_with(&self, input: &[u8], max_line: usize) -> Result<Piped, Error> {
        // A file, since a pipe would have to be written to as fast as it is read.
        let file = || -> io::Result<File> {
            let mut file = File::from(memfd_create(c"input", MemfdFlags::CLOEXEC)?);
            file.write_all(input)?;
            file.rewind()?;
            Ok(file)
        };
        let failed = |source| Error::Start { path: self.path.clone(), source };
        self.start(file().map_err(failed)?.into(), max_line)
    }

    fn start(&self, stdin: Stdio, max_line: usize) -> Result<Piped, Error> {
        let failed = |source| Error::Start { path: self.path.clone(), source };
        let mut command = self.command()?;
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().map_err(failed)?;
        let stdin = child.stdin.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stdout = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        // Ours until it is waited for, so its pid means it.
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let pidfd = process::identify(pid).and_then(PidFd::open).ok();
        let output = |pipe| Output { pipe, lines: Lines { buffer: Vec::new(), max: max_line } };
        Ok(Piped { child, pidfd, stdin, outputs: [stdout, stderr].map(output), ended: None })
    }
}

impl Piped {
    /// Writes to its standard input.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Closes its standard input.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Sends it `signal`; that it has ended already is fine.
    pub fn signal(&self, signal: Signal) {
        if let Some(pidfd) = &self.pidfd {
            pidfd.signal(signal).ok();
        }
    }

    /// Waits for the next thing to happen, at most `patience`.
    ///
    /// Its end is seen also where a child of its own keeps the pipes open.
    pub fn next(&mut self, wake: &[BorrowedFd<'_>], patience: Duration) -> io::Result<Next> {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(next) = self.heard() {
                return Ok(next);
            }
            let is_silent = self.outputs.iter().all(|output| output.pipe.is_none());
            let is_over = self.ended.is_some_and(|end| end.remaining().is_none());
            if is_over || (is_silent && (self.ended.is_some() || self.pidfd.is_none())) {
                return Ok(self.rest());
            }
            let Some(left) = deadline.remaining() else { return Ok(Next::Silence) };
            let left = self.ended.map_or(left, |end| left.min(end.remaining().unwrap_or(left)));
            let mut sources = wake.to_vec();
            let open = self.outputs.iter().map(|output| output.pipe.as_ref());
            let open: Vec<bool> = open.map(|pipe| pipe.is_some()).collect();
            sources.extend(self.outputs.iter().filter_map(|o| o.pipe.as_ref()).map(AsFd::as_fd));
            let end = self.pidfd.as_ref().filter(|_| self.ended.is_none());
            sources.extend(end.map(AsFd::as_fd));
            let has_end = end.is_some();
            let ready = ready(&sources, Some(left))?;
            if let Some(woken) = ready.iter().take(wake.len()).position(|ready| *ready) {
                return Ok(Next::Woken(woken));
            }
            if has_end && ready.last() == Some(&true) {
                self.ended = Some(Deadline::after(LAST_WORDS));
            }
            let mut pipes = ready.into_iter().skip(wake.len());
            for (output, open) in self.outputs.iter_mut().zip(open) {
                if open && pipes.next() == Some(true) {
                    output.read()?;
                }
            }
        }
    }

    /// Waits for its end, at most `patience`, without listening; `None` if it still runs.
    pub fn end(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let ended = match &self.pidfd {
            Some(pidfd) => pidfd.wait_exit(patience).unwrap_or(true),
            None => true,
        };
        if ended { self.child.wait().map(Some) } else { Ok(None) }
    }

    /// Kills it with all that it started and did not put into a group of its own.
    pub fn kill_all(&self) {
        // Ours until it is waited for, so its pid means its group. Gone already is fine.
        rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
    }

    fn heard(&mut self) -> Option<Next> {
        let [stdout, stderr] = &mut self.outputs;
        let out = stdout.lines.take().map(Next::Out);
        out.or_else(|| stderr.lines.take().map(Next::Err))
    }

    /// A last line may have no end.
    fn rest(&mut self) -> Next {
        let [stdout, stderr] = &mut self.outputs;
        let rest = |output: &mut Output| {
            let rest = std::mem::take(&mut output.lines.buffer);
            (!rest.is_empty()).then_some(rest)
        };
        let out = rest(stdout).map(Next::Out);
        out.or_else(|| rest(stderr).map(Next::Err)).unwrap_or(Next::Ended)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.hang_up();
        // Already gone is fine.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Output {
    fn read(&mut self) -> io::Result<()> {
        let mut part = [0; 16 * 1024];
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        match pipe.read(&mut part) {
            Ok(0) => self.pipe = None,
            Ok(count) => self.lines.buffer.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Lines {
    fn take(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|&b| b == b'\n');
        let line = match end {
            Some(end) => self.buffer.drain(..=end).take(end).collect(),
            None if self.buffer.len() > self.max => self.buffer.drain(..=self.max).collect(),
            None => return None,
        };
        Some(line)
    }
}

/// For the pipes of a program that has ended; what its children say later is not its own.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Piped {
        let program = Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            directory: "/".into(),
        };
        program.talk(100).unwrap()
    }

    fn next(piped: &mut Piped) -> Next {
        piped.next(&[], Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn lines_are_heard_as_they_come_and_the_last_without_its_end() {
        let mut piped = shell("echo one; read word; echo \"$word\" >&2; printf last; exit 3");
        assert_eq!(next(&mut piped), Next::Out(b"one".to_vec()));
        piped.say(b"two\n").unwrap();
        assert_eq!(next(&mut piped), Next::Err(b"two".to_vec()));
        assert_eq!(next(&mut piped), Next::Out(b"last".to_vec()));
        assert_eq!(next(&mut piped), Next::Ended);
        assert_eq!(piped.end(Duration::from_secs(20)).unwrap().unwrap().code(), Some(3));
    }

    #[test]
    fn a_child_that_keeps_the_pipes_open_does_not_hide_the_end() {
        let mut piped = shell("/bin/sleep 1000 & echo $!");
        let Next::Out(pid) = next(&mut piped) else { panic!("no pid") };
        assert_eq!(next(&mut piped), Next::Ended);
        let pid: i32 = String::from_utf8(pid).unwrap().parse().unwrap();
        let left = PidFd::open(process::identify(pid).unwrap()).unwrap();
        left.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn others_wake_the_listener_and_a_drop_kills() {
        let mut piped = shell("exec /bin/sleep 1000");
        let pid = i32::try_from(piped.child.id()).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let woken = piped.next(&[reader.as_fd()], Duration::from_secs(20)).unwrap();
        assert_eq!(woken, Next::Woken(0));
        assert_eq!(piped.next(&[], Duration::from_millis(1)).unwrap(), Next::Silence);
        drop(piped);
        assert!(process::identify(pid).is_err());
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let mut lines = Lines { buffer: vec![b'x'; 250], max: 100 };
        assert_eq!(lines.take().unwrap().len(), 101);
        assert_eq!(lines.take().unwrap().len(), 101);
        assert_eq!(lines.take(), None);
    }
}
