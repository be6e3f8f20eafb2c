//! system: a conversation with a program whose other end is another host: bounded, whatever it says or does not.
//!
//! Who answers may never end, drip, fill or flood, out of malice or of a fault.
//! So each conversation has a time for all of it, a time without a word, bytes
//! for all of it, and something that ends it at once. `Piped`, which has none of
//! these, is for programs of this host.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::piped::{Next, Piped};
use super::{Error, Program};
use crate::base::clock::Deadline;

/// What one conversation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of it.
    pub time: Duration,
    /// Without a word.
    pub silence: Duration,
    /// All that is said, on standard output and error.
    pub bytes: usize,
    /// The longest line.
    pub line: usize,
}

/// A conversation under way.
#[derive(Debug)]
pub struct Dialogue<'a> {
    piped: Piped,
    bounds: Limits,
    deadline: Deadline,
    heard: usize,
    stop: Option<BorrowedFd<'a>>,
    is_called_off: bool,
}

/// What the other side says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A line of standard output.
    Out(Vec<u8>),
    /// A line of standard error.
    Err(Vec<u8>),
    /// It ended.
    Ended,
}

/// Why a conversation is over before the other side ended it.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A pipe.
    #[error("the connection broke")]
    Pipe(#[source] io::Error),
    /// It hangs.
    #[error("no sign of life for {} s", .0.as_secs())]
    Silent(Duration),
    /// It goes on and on.
    #[error("no end after {} s", .0.as_secs())]
    Endless(Duration),
    /// It says more than anybody has to say.
    #[error("more than {0} bytes, and no end")]
    Flood(usize),
    /// A person or the system ended it.
    #[error("called off")]
    CalledOff,
}

impl Program {
    /// Starts it, to be talked to within `bounds` and until `stop` can be read.
    pub fn dialogue<'a>(
        &self,
        bounds: Limits,
        stop: Option<BorrowedFd<'a>>,
    ) -> Result<Dialogue<'a>, Error> {
        let deadline = Deadline::after(bounds.time);
        Ok(Dialogue {
            piped: self.talk(bounds.line)?,
            bounds,
            deadline,
            heard: 0,
            stop,
            is_called_off: false,
        })
    }
}

impl Dialogue<'_> {
    /// Says `bytes`: no more, with all that was said before, than a pipe holds (64 KiB, pipe(7)),
    /// so that a program that does not listen holds nobody up.
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.piped.say(bytes).map_err(Broken::Pipe)
    }

    /// Waits for the next that is said.
    pub fn hear(&mut self) -> Result<Said, Broken> {
        let Some(left) = self.deadline.remaining() else {
            return Err(Broken::Endless(self.bounds.time));
        };
        let stops: Vec<_> = self.stop.into_iter().collect();
        let patience = left.min(self.bounds.silence);
        let (line, said): (_, fn(Vec<u8>) -> Said) =
            match self.piped.next(&stops, patience).map_err(Broken::Pipe)? {
                Next::Out(line) => (line, Said::Out),
                Next::Err(line) => (line, Said::Err),
                Next::Woken(_) => {
                    self.is_called_off = true;
                    return Err(Broken::CalledOff);
                }
                Next::Silence if left > self.bounds.silence => {
                    return Err(Broken::Silent(self.bounds.silence));
                }
                Next::Silence => return Err(Broken::Endless(self.bounds.time)),
                Next::Ended => return Ok(Said::Ended),
            };
        self.heard = self.heard.saturating_add(line.len() + 1);
        if self.heard > self.bounds.bytes {
            return Err(Broken::Flood(self.bounds.bytes));
        }
        Ok(said(line))
    }

    /// Hangs up, and waits for the other side to end, at most `patience` whatever it still says
    /// and not once it is called off; then it is killed.
    pub fn end(mut self, patience: Duration) {
        self.hang_up(patience);
    }

    /// The same, but it is left running.
    pub fn leave(mut self, patience: Duration) {
        self.hang_up(patience);
        self.piped.leave();
    }

    fn hang_up(&mut self, patience: Duration) {
        self.piped.hang_up();
        let deadline = Deadline::after(patience);
        let stops: Vec<_> = self.stop.filter(|_| !self.is_called_off).into_iter().collect();
        // Its pipes are drained, so that it is not held up by them.
        while let Some(left) = deadline.remaining()
            && let Ok(Next::Out(_) | Next::Err(_)) = self.piped.next(&stops, left)
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Stopwatch;
    use std::os::fd::AsFd;

    const BOUNDS: Limits = Limits {
        time: Duration::from_millis(600),
        silence: Duration::from_millis(250),
        bytes: 20_000,
        line: 1000,
    };

    fn outcome(script: &str, stop: Option<BorrowedFd<'_>>) -> Result<(), Broken> {
        let program = Program::plain("/bin/sh".into(), vec!["-c".into(), script.into()]);
        let mut dialogue = program.dialogue(BOUNDS, stop).unwrap();
        let outcome = loop {
            match dialogue.hear() {
                Ok(Said::Ended) => break Ok(()),
                Ok(_) => {}
                Err(broken) => break Err(broken),
            }
        };
        dialogue.end(Duration::from_millis(100));
        outcome
    }

    #[test]
    fn whatever_the_other_side_does_it_is_over_in_time() {
        let watch = Stopwatch::start();
        let never = outcome("exec /bin/sleep 1000", None);
        assert!(matches!(never, Err(Broken::Silent(_))), "{never:?}");
        let alive = outcome("while :; do echo alive; /bin/sleep 0.05; done", None);
        assert!(matches!(alive, Err(Broken::Endless(_))), "{alive:?}");
        let drips = outcome("while :; do printf x; /bin/sleep 0.05; done", None);
        assert!(matches!(drips, Err(Broken::Silent(_))), "{drips:?}");
        let floods = outcome("exec /usr/bin/yes", None);
        assert!(matches!(floods, Err(Broken::Flood(_))), "{floods:?}");
        let fills = outcome("exec /bin/cat /dev/zero", None);
        assert!(matches!(fills, Err(Broken::Flood(_))), "{fills:?}");
        let complains = outcome("exec /usr/bin/yes >&2", None);
        assert!(matches!(complains, Err(Broken::Flood(_))), "{complains:?}");
        assert!(outcome("echo one; echo two", None).is_ok());
        assert!(watch.elapsed() < Duration::from_secs(15), "{:?}", watch.elapsed());
    }

    #[test]
    fn what_ends_it_is_seen_before_what_is_said() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        for script in ["exec /bin/sleep 1000", "exec /usr/bin/yes"] {
            let stopped = outcome(script, Some(reader.as_fd()));
            assert!(matches!(stopped, Err(Broken::CalledOff)), "{stopped:?}");
        }
    }
}
