//! system: a program that is talked to while it runs: lines out, bytes in, an end that is always seen.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use super::child::{Child, Group};
use crate::base::clock::{Deadline, ready};
use crate::base::command::{Error, Program};
use crate::base::process::Signal;

/// A running program and our ends of its pipes; killed when dropped.
#[derive(Debug)]
pub struct Piped {
    child: Child,
    stdin: Option<File>,
    outputs: [Output; 2],
    ended: Option<Deadline>,
    is_left: bool,
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
    /// So many bytes of `buffer`, from its start, hold no end of a line: none is looked at twice,
    /// however small the pieces are that a long line comes in.
    searched: usize,
    max: usize,
}

impl Program {
    /// Starts it in a process group of its own, so that a terminal's Ctrl-C is ours to pass on.
    pub fn talk(&self, max_line: usize) -> Result<Piped, Error> {
        let (stdin_end, stdin) = io::pipe().map_err(|source| self.failed(source))?;
        let mut piped = self.start_piped(stdin_end.as_fd(), max_line)?;
        piped.stdin = Some(OwnedFd::from(stdin).into());
        Ok(piped)
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
        let stdin = file().map_err(|source| self.failed(source))?;
        self.start_piped(stdin.as_fd(), max_line)
    }

    fn start_piped(&self, stdin: BorrowedFd<'_>, max_line: usize) -> Result<Piped, Error> {
        let pipe = || io::pipe().map_err(|source| self.failed(source));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        let child = self.start([stdin, stdout_end.as_fd(), stderr_end.as_fd()], Group::Own)?;
        let output = |pipe: io::PipeReader| Output {
            pipe: Some(OwnedFd::from(pipe).into()),
            lines: Lines::new(max_line),
        };
        Ok(Piped {
            child,
            stdin: None,
            outputs: [stdout, stderr].map(output),
            ended: None,
            is_left: false,
        })
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

    /// Lets it run on by itself.
    pub fn leave(mut self) {
        self.is_left = true;
    }

    /// Sends it `signal`; that it has ended already is fine.
    pub fn signal(&self, signal: Signal) {
        self.child.pidfd().signal(signal).ok();
    }

    /// Waits for the next thing to happen, at most `patience`.
    ///
    /// Its end is seen also where a child of its own keeps the pipes open.
    pub fn next(&mut self, wake: &[BorrowedFd<'_>], patience: Duration) -> io::Result<Next> {
        let deadline = Deadline::after(patience);
        loop {
            // First: who talks without end must not drown who calls it off.
            let woken = ready(wake, Some(Duration::ZERO))?;
            if let Some(woken) = woken.iter().position(|ready| *ready) {
                return Ok(Next::Woken(woken));
            }
            if let Some(next) = self.heard() {
                return Ok(next);
            }
            let is_silent = self.outputs.iter().all(|output| output.pipe.is_none());
            let is_over = self.ended.is_some_and(|end| end.remaining().is_none());
            if is_over || (is_silent && self.ended.is_some()) {
                return Ok(self.rest());
            }
            let Some(left) = deadline.remaining() else { return Ok(Next::Silence) };
            let left = self.ended.map_or(left, |end| left.min(end.remaining().unwrap_or(left)));
            let mut sources = wake.to_vec();
            let open = self.outputs.iter().map(|output| output.pipe.as_ref());
            let open: Vec<bool> = open.map(|pipe| pipe.is_some()).collect();
            sources.extend(self.outputs.iter().filter_map(|o| o.pipe.as_ref()).map(AsFd::as_fd));
            let has_end = self.ended.is_none();
            sources.extend(has_end.then(|| self.child.pidfd().as_fd()));
            let ready = ready(&sources, Some(left))?;
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
        let ended = self.child.pidfd().wait_exit(patience).map_err(io::Error::other)?;
        if ended { self.child.wait().map(Some) } else { Ok(None) }
    }

    /// Kills it with all that it started and did not put into a group of its own.
    pub fn kill_all(&self) {
        self.child.kill_group();
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
            let rest = output.lines.rest();
            (!rest.is_empty()).then_some(rest)
        };
        let out = rest(stdout).map(Next::Out);
        out.or_else(|| rest(stderr).map(Next::Err)).unwrap_or(Next::Ended)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.hang_up();
        if self.is_left {
            return;
        }
        self.child.kill();
        // Another user's, such as sudo, is not killed, and sees only that nobody talks to it.
        self.end(KILLED).ok();
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
    const fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, max }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let new = self.buffer.iter().skip(self.searched);
        let end = new.copied().position(|byte| byte == b'\n').map(|at| self.searched + at);
        let line = match end {
            Some(end) => self.buffer.drain(..=end).take(end).collect(),
            None if self.buffer.len() > self.max => self.buffer.drain(..=self.max).collect(),
            None => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        self.searched = 0;
        Some(line)
    }

    /// All that is left, without an end.
    fn rest(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.buffer)
    }
}

/// For a program that was killed to be gone.
const KILLED: Duration = Duration::from_secs(1);

/// For the pipes of a program that has ended; what its children say later is not its own.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::{self, PidFd};

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
        let pid = piped.child.pidfd().process().pid;
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let woken = piped.next(&[reader.as_fd()], Duration::from_secs(20)).unwrap();
        assert_eq!(woken, Next::Woken(0));
        assert_eq!(piped.next(&[], Duration::from_millis(1)).unwrap(), Next::Silence);
        drop(piped);
        assert!(process::identify(pid).is_err());
    }

    #[test]
    fn no_byte_of_a_line_that_comes_in_pieces_is_searched_twice() {
        let mut lines = Lines::new(100);
        for piece in [&b"on"[..], b"e\ntw", b"o", b"\n\nthree"] {
            lines.buffer.extend_from_slice(piece);
            while lines.take().is_some() {}
            assert_eq!(lines.searched, lines.buffer.len());
        }
        assert_eq!(lines.buffer, b"three");
        lines.buffer.extend_from_slice(b"\nfour\n");
        assert_eq!(lines.take(), Some(b"three".to_vec()));
        assert_eq!((lines.searched, lines.take()), (0, Some(b"four".to_vec())));
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let mut lines = Lines { buffer: vec![b'x'; 250], ..Lines::new(100) };
        assert_eq!(lines.take().unwrap().len(), 101);
        assert_eq!(lines.take().unwrap().len(), 101);
        assert_eq!(lines.take(), None);
    }
}
