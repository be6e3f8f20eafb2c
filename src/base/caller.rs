//! system: whoever called this program by its standard input and output: what it is told, bounded in time, and that it is gone.
//!
//! A caller that reads nothing must not hold an agent up that has to give a
//! route back: nothing is written before there is room for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::signals::Signals;

/// Who ordered something, and what may end it.
#[derive(Debug)]
pub struct Caller {
    input: File,
    output: File,
    signals: Option<Signals>,
}

/// What comes from the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Silence,
    /// It hung up, or a signal came.
    End,
}

impl Caller {
    /// Of this process's standard input and output; signals are taken from here on.
    pub fn standard() -> io::Result<Self> {
        let signals = Some(Signals::catch()?);
        // Not `Stdin`, whose buffer would hide from poll(2) what it has read ahead.
        let input = io::stdin().as_fd().try_clone_to_owned()?.into();
        let output = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Self { input, output, signals })
    }

    /// Of any two descriptors.
    pub fn of(input: File, output: File) -> Self {
        Self { input, output, signals: None }
    }

    /// What can be read once the caller hangs up, or a signal comes; for `wait`.
    pub fn ends(&self) -> Vec<BorrowedFd<'_>> {
        let signals = self.signals.as_ref().map(AsFd::as_fd);
        [Some(self.input.as_fd()), signals].into_iter().flatten().collect()
    }

    /// Whether a signal came, rather than the caller hanging up.
    pub fn is_signalled(&self) -> bool {
        let signals = self.signals.as_ref();
        signals.is_some_and(|signals| {
            clock::ready(&[signals.as_fd()], Some(Duration::ZERO)).is_ok_and(|is| is == [true])
        })
    }

    /// Waits for the end of the order, at most `patience`.
    pub fn wait(&self, patience: Duration) -> io::Result<Heard> {
        let ended = clock::ready(&self.ends(), Some(patience))?.contains(&true);
        Ok(if ended { Heard::End } else { Heard::Silence })
    }

    /// One line, with its end, of at most `max` bytes.
    pub fn line(&mut self, patience: Duration, max: usize) -> io::Result<Vec<u8>> {
        let deadline = Deadline::after(patience);
        let (mut line, mut part) = (Vec::new(), [0; 4096]);
        while !line.contains(&b'\n') && line.len() <= max {
            let late = || io::Error::new(io::ErrorKind::TimedOut, clock::Passed);
            let left = deadline.remaining().ok_or_else(late)?;
            let ready = clock::ready(&self.ends(), Some(left))?;
            if ready.get(1) == Some(&true) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, Signalled));
            }
            if ready[0] {
                match self.input.read(&mut part)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => line.extend_from_slice(&part[..count]),
                }
            }
        }
        Ok(line)
    }

    /// Says `line` as the caller takes it, at most `PATIENCE` and not once a signal comes.
    pub fn say(&self, line: &[u8]) -> io::Result<()> {
        let deadline = Deadline::after(PATIENCE);
        let signals: Vec<_> = self.signals.iter().map(AsFd::as_fd).collect();
        for part in line.chunks(PART) {
            let late = || io::Error::new(io::ErrorKind::TimedOut, Unheard);
            let left = deadline.remaining().ok_or_else(late)?;
            if !clock::room(self.output.as_fd(), &signals, left)? {
                return Err(late());
            }
            (&self.output).write_all(part)?;
        }
        Ok(())
    }
}

/// A signal came first.
#[derive(Debug, thiserror::Error)]
#[error("ended by a signal")]
struct Signalled;

/// Nobody reads.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes what is said")]
struct Unheard;

/// For a caller to read.
const PATIENCE: Duration = Duration::from_secs(30);

/// What fits where poll(2) says that there is room: a page of a pipe (pipe(7), PIPE_BUF).
const PART: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::threads;
    use std::os::fd::OwnedFd;

    fn file(end: impl Into<OwnedFd>) -> File {
        end.into().into()
    }

    #[test]
    fn what_is_said_arrives_whole_and_a_closed_input_is_an_end() {
        let (input, far) = io::pipe().unwrap();
        let (mut taken, output) = io::pipe().unwrap();
        let caller = Caller::of(file(input), file(output));
        let text = vec![b'x'; 300_000];
        let reader = threads::start("reader", move || {
            let mut all = vec![0; 300_000];
            taken.read_exact(&mut all).map(|()| all)
        });
        caller.say(&text).unwrap();
        assert_eq!(reader.unwrap().wait().unwrap(), text);
        assert_eq!(caller.wait(Duration::ZERO).unwrap(), Heard::Silence);
        drop(far);
        assert_eq!(caller.wait(Duration::ZERO).unwrap(), Heard::End);
    }

    #[test]
    fn nobody_who_reads_nothing_blocks_it() {
        let (input, _far) = io::pipe().unwrap();
        let (_unread, output) = io::pipe().unwrap();
        let caller = Caller::of(file(input), file(output));
        // As much as a pipe holds goes out at once.
        caller.say(&vec![b'x'; 16 * PART]).unwrap();
        assert!(!clock::room(caller.output.as_fd(), &[], Duration::ZERO).unwrap());
    }
}
