//! system: the way to a log daemon, which is not waited for.
//!
//! A daemon that does not read (stopped, hung, starting anew) makes sendto(2) wait for ever, in
//! whoever has something to tell: a keeper would keep its routes for as long. What it does not
//! take is dropped, and the next that it takes is told how many were lost.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SndBufForce;

use crate::base::clock::Stopwatch;

/// A socket for datagrams, and what became of them.
#[derive(Debug)]
pub struct Outlet {
    socket: UnixDatagram,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How long this process may still wait, in all.
    left: Duration,
    /// How many were lost since the daemon took one.
    lost: u64,
}

impl Outlet {
    /// To the daemon that listens at `path`, whether one does or not.
    pub fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // Room for a burst, as sd_journal_send(3) makes it; refused to who is not root on the host.
        setsockopt(&socket, SndBufForce, &ROOM).ok();
        socket.set_write_timeout(Some(PATIENCE))?;
        let state = Mutex::new(State { left: PATIENCE, lost: 0 });
        Ok(Self { socket, path: path.to_owned(), state })
    }

    /// Whether a daemon is there, also one that does not read: an empty datagram means nothing to it.
    pub fn has_reader(&self) -> bool {
        match self.attempt(&mut self.state(), &[]) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    /// Sends `datagram`, and before it, where some were lost, what `loss` says of their number.
    pub fn send(&self, datagram: &[u8], loss: impl FnOnce(u64) -> Vec<u8>) {
        let mut state = self.state();
        if state.lost > 0 {
            let loss = loss(state.lost);
            if self.attempt(&mut state, &loss).is_ok() {
                state.lost = 0;
            }
        }
        if state.lost > 0 || self.attempt(&mut state, datagram).is_err() {
            state.lost += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self, state: &mut State, datagram: &[u8]) -> io::Result<()> {
        let watch = Stopwatch::start();
        let sent = self.socket.send_to(datagram, &self.path);
        let waited = watch.elapsed();
        if waited >= NOTICEABLE && !state.left.is_zero() {
            state.left = state.left.saturating_sub(waited);
            // A timeout of zero would be none (socket(7)).
            if state.left.is_zero() {
                self.socket.set_nonblocking(true)?;
            } else {
                self.socket.set_write_timeout(Some(state.left))?;
            }
        }
        sent.map(drop)
    }
}

/// Of a process in all, for a daemon that reads, but more slowly than a burst comes: its queue may
/// hold no more than ten (`max_dgram_qlen`, unix(7)).
const PATIENCE: Duration = Duration::from_millis(250);

/// No datagram that is taken at once takes this long.
const NOTICEABLE: Duration = Duration::from_millis(1);

/// Bytes.
const ROOM: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn said(daemon: &UnixDatagram) -> String {
        let mut bytes = [0; 100];
        let count = daemon.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// Does `work`, and fails if that hangs.
    fn soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        crate::base::threads::start("work", move || done.send(work())).unwrap();
        result.recv_timeout(Duration::from_secs(30)).expect("it waits for the log")
    }

    #[test]
    fn a_daemon_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_nonblocking(true).unwrap();
        let outlet = Outlet::new(&path).unwrap();
        let outlet = soon(move || {
            for number in 0..2000 {
                outlet.send(format!("event {number}").as_bytes(), |_| b"lost".to_vec());
            }
            assert!(outlet.has_reader());
            outlet
        });
        let taken = std::iter::from_fn(|| {
            let mut bytes = [0; 100];
            daemon.recv(&mut bytes).ok()
        });
        let taken = taken.count();
        assert!((1..2000).contains(&taken), "{taken}");
        daemon.set_nonblocking(false).unwrap();
        soon(move || {
            for number in ["one", "two"] {
                outlet.send(number.as_bytes(), |lost| format!("{lost} lost").into_bytes());
            }
        });
        assert_eq!(said(&daemon), format!("{} lost", 2000 - taken));
        assert_eq!(said(&daemon), "one");
        assert_eq!(said(&daemon), "two");
    }

    #[test]
    fn a_burst_that_a_daemon_reads_as_it_can_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let outlet = Outlet::new(&path).unwrap();
        let burst = crate::base::threads::start("burst", move || {
            for number in 0..200 {
                outlet.send(format!("event {number}").as_bytes(), |_| Vec::new());
            }
        });
        for number in 0..200 {
            assert_eq!(said(&daemon), format!("event {number}"));
        }
        drop(burst.unwrap());
    }

    #[test]
    fn where_no_daemon_is_there_is_no_reader() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        assert!(!Outlet::new(&path).unwrap().has_reader());
        drop(UnixDatagram::bind(&path).unwrap());
        assert!(!Outlet::new(&path).unwrap().has_reader());
    }
}
