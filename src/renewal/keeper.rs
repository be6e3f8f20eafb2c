//! system: how hooks and keeper reach each other: a process, two sockets, a few signals.
//!
//! One message a line, bounded in length and time; what they mean is in
//! `messages`, what is done about them in `keep`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::stat::{Mode, umask};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::clock;
use crate::base::command::Program;
use crate::base::files;
use crate::base::own_directories::RuntimeDirectory;
use crate::base::process::Process;
use crate::base::signals::Signals;
use crate::config::context::Context;
use crate::renewal::Error;
use crate::renewal::messages::{HookMessage, HookRequest, Reply};

/// Longest message, in bytes: some thousand names.
const MAX_LINE: u64 = 1 << 20;

/// One end of a conversation.
#[derive(Debug)]
pub struct Channel {
    stream: BufReader<UnixStream>,
}

impl Channel {
    fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(message)? + "\n";
        match self.stream.get_mut().write_all(line.as_bytes()) {
            Err(error) if is_end(&error) => Err(Error::Closed),
            sent => sent.map_err(|e| Error::Socket("write to", e)),
        }
    }

    /// Waits for one message, at most `patience`, and no longer than `guard`, which says nothing,
    /// is there.
    pub fn answer<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
        guard: Option<BorrowedFd<'_>>,
    ) -> Result<T, Error> {
        if self.stream.buffer().is_empty() {
            let sources: Vec<_> = std::iter::once(self.as_fd()).chain(guard).collect();
            let ready = wait(&sources, Some(patience))?;
            if !ready.contains(&true) {
                return Err(Error::Silent(self.peer(), patience));
            }
            if !ready[0] {
                return Err(Error::Unattended);
            }
        }
        self.patience(patience)?;
        self.receive()
    }

    /// Who listens at the other end (unix(7), `SO_PEERCRED`).
    fn peer(&self) -> Option<i32> {
        let peer = getsockopt(self.stream.get_ref(), PeerCredentials).ok()?;
        Some(peer.pid()).filter(|pid| *pid > 0)
    }

    /// Waits for one message.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut line = String::new();
        let read = (&mut self.stream).take(MAX_LINE).read_line(&mut line);
        let count = match read {
            Err(error) if is_end(&error) => 0,
            count => count.map_err(|e| Error::Socket("read from", e))?,
        };
        // Killed in the middle of a line.
        let is_cut = !line.ends_with('\n') && count as u64 != MAX_LINE;
        if is_cut { Err(Error::Closed) } else { Ok(serde_json::from_str(&line)?) }
    }

    /// Bounds every wait of this end.
    pub fn patience(&self, time: Duration) -> Result<(), Error> {
        let stream = self.stream.get_ref();
        let set = stream.set_read_timeout(Some(time)).and(stream.set_write_timeout(Some(time)));
        set.map_err(|e| Error::Socket("bound", e))
    }
}

/// Whether the other side is not there any more.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}

/// Starts a keeper: `certbaton keep`, detached, with a socket as standard input.
///
/// It closes certbot's pipes (certbot waits for whoever holds them) and sees
/// this end close when the hook dies.
pub fn start(context: &Context) -> Result<Channel, Error> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| Error::Socket("make", e))?;
    let environment = ENVIRONMENT.map(|(name, value)| (name.into(), value.into())).into();
    let keeper = Program { environment, ..context.certbaton(&["keep"]) };
    // Not waited for: it outlives this process by design.
    keeper.detach(&OwnedFd::from(theirs))?;
    Ok(Channel::new(ours))
}

/// What makes a keeper faster; no program that it starts has any of it.
const ENVIRONMENT: [(&str, &str); 3] = [
    // Its threads share the heap of the first, which grows by 128 KiB a call. The one that glibc
    // would give each of them grows page by page (`grow_heap`, malloc/arena.c), and with 1,000
    // vhosts a switch takes 3,000 pages.
    ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1"),
    // No proof looks at who issued a certificate, and yet OpenSSL would read all root
    // certificates of the system first, twice: 40 ms (`TlsConnector::new`, native-tls).
    ("SSL_CERT_FILE", "/dev/null"),
    ("SSL_CERT_DIR", "/dev/null"),
];

/// The keeper's side of `start`: its session, umask and signals are its own from here on.
pub fn settle() -> Result<(Channel, Signals), Error> {
    // EPERM: already a session leader, when a person started it.
    nix::unistd::setsid().ok();
    umask(Mode::from_bits_truncate(0o077));
    let signals = Signals::catch().map_err(|e| Error::Setup("take its signals", e))?;
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.map_err(|e| Error::Setup("use its standard input", e))?;
    Ok((Channel::new(UnixStream::from(stdin)), signals))
}

/// Where hooks find the keeper of the run under way.
pub fn socket(runtime: &RuntimeDirectory) -> PathBuf {
    runtime.join("keeper.sock")
}

/// Listens there; only its holder of the lease listens.
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    files::remove_own(path)?;
    UnixListener::bind(path).map_err(|e| Error::Socket("make", e))
}

/// Takes one hook's call.
pub fn accept(listener: &UnixListener) -> Result<Channel, Error> {
    let (stream, _) = listener.accept().map_err(|e| Error::Socket("accept on", e))?;
    Ok(Channel::new(stream))
}

/// What a call of the keeper comes to.
#[derive(Debug)]
pub enum Called {
    /// It answers.
    Answers(Channel),
    /// None is there.
    Nobody,
    /// One was there, and was killed: it leaves its socket behind.
    Dead,
}

/// Calls the keeper.
pub fn call(path: &Path) -> Result<Called, Error> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Called::Answers(Channel::new(stream))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Called::Nobody),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Called::Dead),
        Err(error) => Err(Error::Socket("reach", error)),
    }
}

/// What came of asking the keeper of the run under way.
#[derive(Debug)]
pub(super) enum KeeperAnswer {
    /// There is none.
    Nobody,
    /// It answered.
    Answered(Reply),
    /// It was killed, before it was asked or while it worked.
    Died,
}

impl KeeperAnswer {
    /// What became of a keeper that was asked.
    pub(super) fn of(answer: Result<Reply, Error>) -> Result<Self, Error> {
        match answer {
            Ok(reply) => Ok(Self::Answered(reply)),
            Err(Error::Closed) => Ok(Self::Died),
            Err(error) => Err(error),
        }
    }
}

/// Asks the keeper of the run under way, for as long as `patience`.
pub(super) fn ask(
    runtime: &RuntimeDirectory,
    owner: Process,
    request: HookRequest,
    patience: Duration,
) -> Result<KeeperAnswer, Error> {
    let mut keeper = match call(&socket(runtime))? {
        Called::Answers(keeper) => keeper,
        Called::Nobody => return Ok(KeeperAnswer::Nobody),
        Called::Dead => return Ok(KeeperAnswer::Died),
    };
    let asked = keeper.send(&HookMessage { owner, request });
    KeeperAnswer::of(asked.and_then(|()| keeper.answer(patience, None)))
}

/// The longest that a keeper works until it answers: some waits for Apache and for proofs, each of
/// which is bounded by this.
pub(super) fn work_time(proof: Duration) -> Duration {
    proof * 15
}

/// Waits until one of `sources` has something, or closes; says which.
pub fn wait(sources: &[BorrowedFd<'_>], patience: Option<Duration>) -> Result<Vec<bool>, Error> {
    clock::ready(sources, patience).map_err(|error| Error::Socket("wait on", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_killed_in_the_middle_of_a_word_has_ended_and_nothing_else() {
        for said in ["", "{\"exit\":0,", "{\"exit\":0,\"text\":\"\"}"] {
            let (mut theirs, ours) = UnixStream::pair().unwrap();
            theirs.write_all(said.as_bytes()).unwrap();
            drop(theirs);
            let mut keeper = Channel::new(ours);
            let heard = keeper.receive::<Reply>();
            assert!(matches!(heard, Err(Error::Closed)), "{said}: {heard:?}");
            let told = keeper.send(&());
            assert!(matches!(told, Err(Error::Closed)), "{said}: {told:?}");
        }
    }
}
