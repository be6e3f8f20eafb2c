//! system: the lease's words on their way: lines in, lines out, bounded in length.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::Serialize;

use crate::base::caller::Caller;
use crate::base::clock;
use crate::lease::wire::{self, Error, MAX_LINE};

/// Both directions of one conversation.
#[derive(Debug)]
pub struct Lines {
    from: File,
    to: File,
    buffer: Vec<u8>,
    since: Duration,
    heard: u64,
}

impl Lines {
    /// Reads `from`, writes `to`.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Self {
        let since = clock::since_boot();
        Self { from: from.into(), to: to.into(), buffer: Vec::new(), since, heard: 0 }
    }

    /// This process's standard input and output.
    pub fn standard() -> io::Result<Self> {
        let from = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self::new(from, io::stdout().as_fd().try_clone_to_owned()?))
    }

    /// Takes in what is there; waits if nothing is.
    pub fn fill(&mut self) -> Result<(), Error> {
        let mut chunk = [0; MAX_LINE];
        loop {
            return match self.from.read(&mut chunk) {
                Ok(0) => Err(Error::Closed),
                Ok(count) => {
                    self.buffer.extend_from_slice(&chunk[..count]);
                    self.heard += count as u64;
                    let time = clock::since_boot().saturating_sub(self.since).as_secs();
                    if self.heard > WORDS + WORDS_A_SECOND * time {
                        return Err(Error::Flood(WORDS));
                    }
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Error::Closed),
                Err(error) => Err(Error::Broken(error)),
            };
        }
    }

    /// The next whole line that was taken in, with its end.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self.buffer.iter().position(|&b| b == b'\n') {
            Some(end) if end < MAX_LINE => Ok(Some(self.buffer.drain(..=end).collect())),
            None if self.buffer.len() < MAX_LINE => Ok(None),
            _ => Err(Error::TooLong),
        }
    }

    /// Says one word.
    pub fn say(&mut self, word: &impl Serialize) -> Result<(), Error> {
        let line = wire::line(word)?;
        // A line fits where there is room at all (pipe(7), PIPE_BUF).
        if !clock::room(self.to.as_fd(), &[], TAKEN).map_err(Error::Broken)? {
            return Err(Error::Deaf(TAKEN));
        }
        match self.to.write_all(&line) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Error::Closed),
            said => said.map_err(Error::Broken),
        }
    }
}

/// For whoever hands these lines on as another conversation.
impl From<Lines> for Caller {
    fn from(lines: Lines) -> Self {
        Self::of(lines.from, lines.to)
    }
}

/// What may be said at once: every word of a renewal is below a kilobyte.
const WORDS: u64 = 64 * 1024;

/// What may be said beyond, on and on: a word every few seconds.
const WORDS_A_SECOND: u64 = 2048;

/// For the other side to take a word in.
const TAKEN: Duration = Duration::from_secs(5);

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &[u8]) -> Lines {
        let (reader, mut writer) = io::pipe().unwrap();
        let (_, to) = io::pipe().unwrap();
        writer.write_all(text).unwrap();
        Lines::new(reader.into(), to.into())
    }

    #[test]
    fn lines_come_one_by_one_and_then_the_end() {
        let mut lines = from(b"1\n22\n3");
        lines.fill().unwrap();
        assert_eq!(lines.next_line().unwrap().unwrap(), b"1\n");
        assert_eq!(lines.next_line().unwrap().unwrap(), b"22\n");
        assert_eq!(lines.next_line().unwrap(), None);
        assert!(matches!(lines.fill(), Err(Error::Closed)));
    }

    #[test]
    fn a_line_has_a_bound_whether_it_ends_or_not() {
        for text in [vec![b'x'; MAX_LINE], [vec![b'x'; MAX_LINE], vec![b'\n']].concat()] {
            let mut lines = from(&text);
            lines.fill().unwrap();
            assert!(matches!(lines.next_line(), Err(Error::TooLong)));
        }
        let mut lines = from(&[vec![b'x'; MAX_LINE - 1], vec![b'\n']].concat());
        lines.fill().unwrap();
        assert_eq!(lines.next_line().unwrap().unwrap().len(), MAX_LINE);
    }

    #[test]
    fn a_flood_of_good_lines_ends_the_conversation() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (_, to) = io::pipe().unwrap();
        let mut lines = Lines::new(reader.into(), to.into());
        let flood = || -> Result<(), Error> {
            for _ in 0..1000 {
                writer.write_all(&b"1\n".repeat(512)).unwrap();
                lines.fill()?;
                while lines.next_line()?.is_some() {}
            }
            Ok(())
        };
        assert!(matches!({ flood }(), Err(Error::Flood(WORDS))));
    }

    #[test]
    fn nobody_listens() {
        assert!(matches!(from(b"").say(&1), Err(Error::Closed)));
    }
}
