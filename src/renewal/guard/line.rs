//! system: the worker's end of the line to its guard, which is its standard input.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::base::clock;
use crate::renewal::guard::words::{Charge, Word};

/// The line; its other end closes when the guard dies, however that happens.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// What the guard wants.
    pub charge: Charge,
}

impl Line {
    /// Takes up standard input; an error if there is no guard.
    pub fn take_up() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_read_timeout(Some(FIRST_WORD))?;
        stream.set_write_timeout(Some(FIRST_WORD))?;
        let mut line = String::new();
        BufReader::new(&stream).take(LONGEST).read_line(&mut line)?;
        let charge = Charge::parse(line.trim_end()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { stream, charge })
    }

    /// Says `word`; an error if nobody hears it.
    pub fn say(&self, word: Word) -> io::Result<()> {
        (&self.stream).write_all(format!("{}\n", word.line()).as_bytes())
    }

    /// Whether the guard is gone: it says nothing more, so it can only have closed.
    pub fn is_gone(&self) -> bool {
        clock::ready(&[self.as_fd()], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// For a guard that is there to say why it called.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// A charge is far shorter.
const LONGEST: u64 = 256;
