//! flow: the exclusive right to renew: a lock on this host, then the arbiter's lease.
//!
//! Without an arbiter the lock is all there is, and enough as long as nobody
//! elsewhere renews the same names. With one, the lock still keeps `switch` and
//! `recover` by hand away from a run.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::apache::server;
use crate::base::clock;
use crate::base::command::ssh;
use crate::base::files;
use crate::base::fingerprint::fingerprint;
use crate::base::lock::{self, Insisted, Lock};
use crate::base::own_directories::RuntimeDirectory;
use crate::config::Settings;
use crate::config::context::Context;
use crate::lease::connection::ArbiterWay;
use crate::lease::heartbeat::{self, News, Session};
use crate::lease::holder::GiveUp;
use crate::lease::wire::{HolderStatus, Purpose, Token, Waiting};
use crate::renewal::Error;
use crate::switch::apply;

/// The lock of this host: whoever renews or gives back has it.
pub fn lease_lock(runtime: &RuntimeDirectory) -> PathBuf {
    runtime.join("lease.lock")
}

/// This host's own lease, if nobody has it.
pub fn lease(settings: &Settings) -> Result<Option<Lock>, Error> {
    settings.runtime_directory.make()?;
    local(settings)
}

/// The lock of this host, if nobody has it.
fn local(settings: &Settings) -> Result<Option<Lock>, Error> {
    let Some(lock) = lock::attempt(&lease_lock(&settings.runtime_directory))? else {
        return Ok(None);
    };
    let Some(path) = apaches_lock(settings) else { return Ok(Some(lock)) };
    if let Some(directory) = path.parent() {
        files::own_directory(directory, 0o755)?;
    }
    Ok(lock::attempt(&path)?.map(|apaches| lock.with(apaches)))
}

/// The same for who only gives back, who goes on where a lock cannot be made or written: `None`
/// while somebody holds one of them.
pub fn to_give_back(
    settings: &Settings,
    patience: Duration,
) -> Result<Option<Right>, files::Error> {
    let mut right = Right::default();
    for path in [Some(lease_lock(&settings.runtime_directory)), apaches_lock(settings)]
        .into_iter()
        .flatten()
    {
        match apply::insist(settings, &path, patience)? {
            Insisted::Held(lock) => right.locks.push(lock),
            Insisted::Nobodys(_) => {}
            Insisted::Busy => return Ok(None),
        }
    }
    Ok(Some(right))
}

/// That no run is under way on this host, for as long as it is held.
#[derive(Debug, Default)]
#[must_use = "the locks are released when this is dropped"]
pub struct Right {
    locks: Vec<Lock>,
}

/// The lock of the Apache that runs: another configuration, with directories of its own, may be
/// for the same one, and would take this one's lines for what a dead run left.
fn apaches_lock(settings: &Settings) -> Option<PathBuf> {
    if settings.web_server.is_some() {
        return None;
    }
    let identity = server::identity(settings.pid_file.as_deref())?;
    let name = format!("apache-{}.lock", fingerprint(&identity, 8));
    Some(Settings::default().runtime_directory.join(name))
}

/// The right, as it is asked for: look, wait for `source` at most `patience`, look again.
#[derive(Debug)]
pub struct Asking<'a> {
    settings: &'a Settings,
    purpose: Purpose,
    way: Option<ArbiterWay>,
    /// On the clock that does not stop in sleep.
    until: Duration,
    lock: Option<Lock>,
    session: Option<Session>,
    waited: bool,
    last: Option<Waiting>,
}

impl<'a> Asking<'a> {
    /// Begins to ask.
    pub fn begin(context: &'a Context, purpose: Purpose) -> Result<Self, Error> {
        let settings = &context.settings;
        let way = match settings.arbiter {
            None => None,
            Some(_) => Some(ArbiterWay::of(context)?),
        };
        let until = clock::since_boot() + settings.lease_wait;
        let (lock, session, waited, last) = (None, None, false, None);
        Ok(Self { settings, purpose, way, until, lock, session, waited, last })
    }

    /// The right, if it is to be had now.
    pub fn look(&mut self) -> Result<Option<Grant>, Error> {
        if self.lock.is_none() {
            self.lock = local(self.settings)?;
            if self.lock.is_none() {
                self.waited = true;
                let late = clock::since_boot() >= self.until;
                return if late { Err(Error::Busy(self.settings.lease_wait)) } else { Ok(None) };
            }
        }
        let Some(way) = &self.way else { return Ok(self.grant(None)) };
        if self.session.is_none() {
            self.settings.state_directory.make()?;
            let wait = self.until.saturating_sub(clock::since_boot());
            let purpose = self.purpose.clone();
            let seen = heartbeat::token_seen(&self.settings.state_directory);
            let grace = self.settings.lease_grace;
            let session = Session::start(seen, grace, way.clone(), purpose, wait);
            self.session = Some(session.map_err(Error::Start)?);
        }
        while let Some(news) = self.session.as_mut().and_then(Session::take) {
            match news {
                News::Waiting(reason) => self.waits(reason),
                News::Granted(token) => return Ok(self.grant(Some(token))),
                News::GaveUp(why, said) => return Err(self.gave_up(why, &said)),
                News::Lost(why) => return Err(Error::NotGranted(GiveUp::Refused(why))),
            }
        }
        Ok(None)
    }

    /// What to wait for between two looks.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.session.as_ref().map(AsFd::as_fd)
    }

    /// For how long; a lock that somebody else holds can only be looked at again.
    pub fn patience(&self) -> Option<Duration> {
        self.lock.is_none().then_some(ASK_AGAIN)
    }

    /// What is left of the right when nobody can be asked: the lock.
    pub fn break_glass(mut self) -> Option<Grant> {
        self.session = None;
        self.grant(None)
    }

    fn grant(&mut self, token: Option<Token>) -> Option<Grant> {
        let (session, waited) = (self.session.take(), self.waited);
        Some(Grant { lock: self.lock.take()?, session, token, waited })
    }

    fn waits(&mut self, reason: Waiting) {
        self.waited = true;
        if self.last.as_ref().map(line) != Some(line(&reason)) {
            tracing::info!("waiting for the lease: {}", line(&reason));
        }
        self.last = Some(reason);
    }

    fn gave_up(&self, why: GiveUp, said: &str) -> Error {
        let arbiter = self.settings.arbiter.as_ref().map(ToString::to_string).unwrap_or_default();
        match why {
            GiveUp::Busy(waited) => match &self.last {
                Some(Waiting::Behind { holder: Some(holder), .. }) => {
                    Error::BusyElsewhere { by: described(holder), waited }
                }
                Some(reason) => Error::BusyElsewhere { by: line(reason), waited },
                None => Error::Unreachable { arbiter, said: ssh::explained(said) },
            },
            GiveUp::Unreachable => {
                let said = if said.is_empty() { "no answer".into() } else { ssh::explained(said) };
                Error::Unreachable { arbiter, said }
            }
            other => Error::NotGranted(other),
        }
    }
}

/// Why a waiter waits, without what changes from second to second.
fn line(reason: &Waiting) -> String {
    match reason {
        Waiting::Behind { holder: Some(holder), .. } => {
            format!("{} holds it for {}", holder.name, holder.purpose.why)
        }
        Waiting::Behind { holder: None, .. } => "others wait longer".into(),
        Waiting::Grace { .. } => "its last holder ended without a word, and may not know".into(),
    }
}

/// Who holds it, since when and what for.
pub fn described(holder: &HolderStatus) -> String {
    let HolderStatus { name, purpose: Purpose { host, pid, why }, held_millis, .. } = holder;
    let held = held_millis / 1000;
    format!("{name} (host {host}, process {pid}) has held the lease for {held} s to renew {why}")
}

/// The right, held until it is released.
#[derive(Debug)]
pub struct Grant {
    lock: Lock,
    session: Option<Session>,
    /// The arbiter's; none where there is no arbiter, or it was done without.
    pub token: Option<Token>,
    /// Whether it was not to be had at once.
    pub waited: bool,
}

impl Grant {
    /// Readable once the right is lost.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.session.as_ref().map(AsFd::as_fd)
    }

    /// Whoever works under it is not stuck; see [`Session::alive`].
    pub fn alive(&self) {
        if let Some(session) = &self.session {
            session.alive();
        }
    }

    /// Why it is lost, if it is; said once.
    pub fn lost(&mut self) -> Option<String> {
        match self.session.as_mut()?.take()? {
            News::Lost(why) => Some(why),
            other => Some(format!("{other:?}")),
        }
    }

    /// Gives it back, the arbiter's part first.
    pub fn release(self) {
        if let Some(session) = self.session {
            session.release();
        }
        drop(self.lock);
    }
}

/// Between two looks at a lock that somebody else holds.
const ASK_AGAIN: Duration = Duration::from_millis(50);
