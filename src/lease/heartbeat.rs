//! flow: holds the lease on a thread of its own, so that beats go on while routes are switched.
//!
//! The thread runs the machine of `holder` on a connection and tells the keeper
//! what matters. After the grant there is only one thing left to tell, so that
//! readable means lost.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::{self, Alarm};
use crate::base::command::ssh::Bar;
use crate::base::files;
use crate::base::own_directories::StateDirectory;
use crate::base::threads;
use crate::lease::connection::{ArbiterWay, Connection};
use crate::lease::holder::{
    Action, GiveUp, Greeting, Holder, HolderEvent, HolderWord, Patience, Warning,
};
use crate::lease::memory::millis;
use crate::lease::times::{self, Periods};
use crate::lease::wire::{self, Ask, Hello, Purpose, RequestId, Token, Waiting};

/// What a keeper is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Not yet.
    Waiting(Waiting),
    /// It is held.
    Granted(Token),
    /// It will not be had, and what the connection said last.
    GaveUp(GiveUp, String),
    /// It is held no more.
    Lost(String),
}

/// A request for the lease, and then the lease; given up when this is dropped.
#[derive(Debug)]
pub struct Session {
    news: Receiver<News>,
    /// One byte per piece of news; closed with the thread.
    bell: UnixStream,
    pulse: Arc<Pulse>,
}

/// When the holder's own thread was last seen alive.
#[derive(Debug, Default)]
struct Pulse(AtomicU64);

impl Pulse {
    fn beat(&self) {
        self.0.store(millis(clock::since_boot()), Ordering::Relaxed);
    }

    /// Whether it was seen within `bound`.
    fn is_alive(&self, bound: Duration) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        millis(clock::since_boot()).saturating_sub(last) <= millis(bound)
    }
}

impl Session {
    /// Asks for the lease, which an arbiter grants again `grace` after its holder went silent; what
    /// the highest token was is known by the file `seen`.
    pub fn start(
        seen: PathBuf,
        grace: Duration,
        way: ArbiterWay,
        purpose: Purpose,
        wait: Duration,
    ) -> io::Result<Self> {
        let (bell, far) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let (tell, news) = mpsc::channel();
        let unix = clock::now().as_second();
        let pulse = Arc::new(Pulse::default());
        let floor = floor(&seen, unix);
        let patience = Patience::new(grace, wait);
        let worker = Worker {
            machine: Holder::new(clock::since_boot(), patience, floor, unix),
            way,
            request: request()?,
            purpose,
            connection: None,
            greeted: false,
            said: String::new(),
            tell,
            bell: far,
            pulse: Arc::clone(&pulse),
            alarm: Alarm::new()?,
            seen,
            work: Periods::of(grace).work,
        };
        threads::start("lease", move || worker.work())?;
        Ok(Self { news, bell, pulse })
    }

    /// The thread that works under the lease is not stuck: said at least every
    /// [`times::WORK`], else the lease is given up.
    pub fn alive(&self) {
        self.pulse.beat();
    }

    /// The next piece of news, if there is one.
    pub fn take(&mut self) -> Option<News> {
        match self.bell.read(&mut [0]) {
            Ok(1) => self.news.recv().ok(),
            Ok(_) => Some(self.news.try_recv().unwrap_or_else(|_| News::Lost(DIED.into()))),
            Err(_) => None,
        }
    }

    /// Gives the lease back; waits until the arbiter knows, for a bounded time.
    pub fn release(self) {
        // The thread sees the end of its input, and closes its side when it is done.
        self.bell.shutdown(std::net::Shutdown::Write).ok();
        let deadline = clock::Deadline::after(times::GOODBYE + LEEWAY);
        let mut bell = &self.bell;
        while let Some(left) = deadline.remaining() {
            match clock::ready(&[bell.as_fd()], Some(left)) {
                Ok(ready) if ready[0] => match bell.read(&mut [0]) {
                    Ok(1) => {}
                    _ => return,
                },
                _ => return,
            }
        }
    }
}

impl AsFd for Session {
    /// Readable while there is news; after the grant: lost.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Chosen at random: whoever guesses it could resume what it does not hold.
fn request() -> io::Result<RequestId> {
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(RequestId(format!("{:032x}", u128::from_be_bytes(bytes))))
}

/// Where the highest token is kept that this host ever saw.
pub fn token_seen(state: &StateDirectory) -> PathBuf {
    state.join("token-seen")
}

/// The highest token this host ever saw; a damaged file costs only this second safeguard, and so
/// does one of a wrong clock, until the next grant replaces it.
fn floor(path: &Path, unix: i64) -> Token {
    let parse = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().parse().ok().map(Token);
    match files::read_trusted(path) {
        Err(error) if error.is_missing() => Token(0),
        Err(error) => {
            tracing::warn!("{}; going on without it", chain(&error));
            Token(0)
        }
        Ok(bytes) => match parse(bytes) {
            Some(token) if token.is_far_ahead(unix) => {
                tracing::warn!(
                    "{} holds token {}, which is of {}, far ahead of the clock of this host; going on without it",
                    path.display(),
                    token.0,
                    token.moment()
                );
                Token(0)
            }
            Some(token) => token,
            None => {
                tracing::warn!("{} holds no number; going on without it", path.display());
                Token(0)
            }
        },
    }
}

/// The machine refuses another version, and then looks at nothing else of it.
fn greeting(line: &[u8]) -> Result<Greeting, wire::Error> {
    match wire::hello(line) {
        Ok(Hello { version, grace_millis, .. }) => {
            Ok(Greeting { version, grace: Duration::from_millis(grace_millis) })
        }
        Err(wire::Error::Version(version)) => Ok(Greeting { version, grace: Duration::ZERO }),
        Err(error) => Err(error),
    }
}

struct Worker {
    machine: Holder,
    way: ArbiterWay,
    request: RequestId,
    purpose: Purpose,
    connection: Option<Connection>,
    greeted: bool,
    /// What the last connection that ended complained about.
    said: String,
    tell: Sender<News>,
    bell: UnixStream,
    pulse: Arc<Pulse>,
    alarm: Alarm,
    seen: PathBuf,
    /// How long the holder's own thread may be silent.
    work: Duration,
}

impl Worker {
    fn work(mut self) {
        self.step(HolderEvent::Tick);
        while !self.machine.is_over() {
            let work = self.work;
            if self.machine.holds().is_some() && !self.pulse.is_alive(work) {
                // Silence ends it for the arbiter; the work, if it ever ends, finds it lost.
                tracing::error!("the lease is given up: {STUCK} {} s", work.as_secs());
                return self.news(News::Lost(format!("{STUCK} {} s", work.as_secs())));
            }
            if let Err(error) = self.round() {
                // Without a clock or poll nothing can be held: silence ends it for the arbiter.
                tracing::error!("the lease cannot be watched: {error}");
                return self.news(News::Lost(error.to_string()));
            }
        }
    }

    /// Waits for something, and takes it.
    fn round(&mut self) -> io::Result<()> {
        if let Some(next) = self.machine.next() {
            self.alarm.set(next)?;
        }
        let sources = [Some(self.bell.as_fd()), Some(self.alarm.as_fd())];
        let line = self.connection.as_ref().map(AsFd::as_fd);
        let sources: Vec<_> = sources.into_iter().chain([line]).flatten().collect();
        let ready = clock::ready(&sources, None)?;
        // Lateness first: after a sleep of the machine, answers that lie there are too old.
        self.step(HolderEvent::Tick);
        if ready[0] {
            // The keeper says nothing: it can only have closed.
            self.step(HolderEvent::Release);
            return self.farewell();
        }
        if ready.get(2) == Some(&true) {
            self.hear();
        }
        Ok(())
    }

    /// The keeper is gone or done: its side stays readable, so only the rest is waited for.
    fn farewell(&mut self) -> io::Result<()> {
        while let Some(next) = self.machine.next() {
            self.alarm.set(next)?;
            let mut sources = vec![self.alarm.as_fd()];
            sources.extend(self.connection.as_ref().map(AsFd::as_fd));
            let ready = clock::ready(&sources, None)?;
            self.step(HolderEvent::Tick);
            if ready.get(1) == Some(&true) {
                self.hear();
            }
        }
        Ok(())
    }

    /// Takes all that the arbiter said.
    fn hear(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let filled = connection.fill();
        loop {
            let Some(connection) = &mut self.connection else { return };
            let line = match connection.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return self.broken(&chain(&error)),
            };
            let event = if self.greeted {
                wire::word(&line).map(HolderEvent::Said)
            } else {
                greeting(&line).map(HolderEvent::Hello)
            };
            match event {
                Ok(event) => {
                    self.greeted = true;
                    self.step(event);
                }
                Err(error) => return self.broken(&chain(&error)),
            }
        }
        if let Err(error) = filled {
            self.broken(&chain(&error));
        }
    }

    /// The connection is over; the child's own words are worth more than ours.
    fn broken(&mut self, why: &str) {
        if let Some(connection) = self.connection.take() {
            let said = connection.end();
            self.said = if said.is_empty() { why.to_owned() } else { said };
        }
        let is_barred = Bar::of(&self.said).is_some_and(Bar::is_lasting);
        self.step(if is_barred { HolderEvent::Barred } else { HolderEvent::Ended });
    }

    fn step(&mut self, event: HolderEvent) {
        let mut failed = false;
        for action in self.machine.step(clock::since_boot(), event) {
            match action {
                Action::Connect => match Connection::open(&self.way) {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.greeted = false;
                    }
                    Err(error) => {
                        self.said = chain(&error);
                        failed = true;
                    }
                },
                Action::Close => self.connection = None,
                Action::Say(word) => failed |= !self.say(&word),
                Action::Seen(token) => self.remember(token),
                Action::Waiting(reason) => self.news(News::Waiting(reason)),
                Action::Granted(token) => {
                    self.pulse.beat();
                    self.news(News::Granted(token));
                }
                Action::Lost(why) => self.news(News::Lost(why.to_string())),
                Action::GiveUp(why) => self.news(News::GaveUp(why, self.said.clone())),
                Action::Warn(Warning::Late) => tracing::warn!(
                    "the arbiter has not answered for a while{}; the lease is lost if that goes on",
                    if self.said.is_empty() { String::new() } else { format!(" ({})", self.said) }
                ),
                Action::Warn(Warning::LongHold) => tracing::warn!(
                    "this renewal has held the lease for {} min; others wait for it",
                    times::LONG_HOLD.as_secs() / 60
                ),
                Action::Released => {}
            }
        }
        if failed {
            self.broken("the connection broke");
        }
    }

    fn say(&mut self, word: &HolderWord) -> bool {
        let ask = match *word {
            HolderWord::Acquire { floor, held } => Ask::Acquire {
                request: self.request.clone(),
                floor,
                held,
                purpose: self.purpose.clone(),
            },
            HolderWord::Beat(number) => Ask::Beat { number },
            HolderWord::Release => Ask::Release,
        };
        self.connection.as_mut().is_some_and(|connection| connection.say(&ask).is_ok())
    }

    fn remember(&self, token: Token) {
        let text = format!("{}\n", token.0);
        if let Err(error) = files::write_own(&self.seen, text.as_bytes()) {
            // A full disk is no reason not to renew: the arbiter remembers, too.
            tracing::warn!("{}", chain(&error));
        }
    }

    fn news(&self, news: News) {
        // The keeper may be gone.
        if self.tell.send(news).is_ok() {
            (&self.bell).write_all(b".").ok();
        }
    }
}

/// A piece of work that hangs.
const STUCK: &str = "the work under it did not come to an end in";

/// The thread ended without a word.
const DIED: &str = "the thread that held it ended";

/// Beyond the machine's own time for a release.
const LEEWAY: Duration = Duration::from_secs(2);
