//! system: the lease's words on their way: lines in, lines out, bounded in length.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

use crate::exit::{CarriesExit, Exit};
use crate::lease::wire::{self, MAX_LINE};

/// Both directions of one conversation.
#[derive(Debug)]
pub struct Lines {
    from: File,
    to: File,
    buffer: Vec<u8>,
}

/// Why nothing more is to be read or said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side is gone.
    #[error("the other side closed the connection")]
    Closed,
    /// The system said no.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// No line of ours.
    #[error(transparent)]
    Wire(#[from] wire::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Wire(error) => error.exit(),
            Self::Closed | Self::Broken(_) => Exit::Failed,
        }
    }
}

impl Lines {
    /// Reads `from`, writes `to`.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Self {
        Self { from: from.into(), to: to.into(), buffer: Vec::new() }
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
            _ => Err(wire::Error::TooLong.into()),
        }
    }

    /// Says one word.
    pub fn say(&mut self, word: &impl Serialize) -> Result<(), Error> {
        match self.to.write_all(&wire::line(word)?) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Error::Closed),
            said => said.map_err(Error::Broken),
        }
    }
}

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
            assert!(matches!(lines.next_line(), Err(Error::Wire(wire::Error::TooLong))));
        }
        let mut lines = from(&[vec![b'x'; MAX_LINE - 1], vec![b'\n']].concat());
        lines.fill().unwrap();
        assert_eq!(lines.next_line().unwrap().unwrap().len(), MAX_LINE);
    }

    #[test]
    fn nobody_listens() {
        assert!(matches!(from(b"").say(&1), Err(Error::Closed)));
    }
}
