//! flow: a caller's place at the arbiter: nobody's, a waiter's in the queue, the holder's.
//!
//! How it is woken: by the kernel, when who is before it is gone. Nothing is
//! decided here; a place is given up when its value is dropped.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::lock::{self, Lock, Pending};
use crate::lease::memory::{Millis, millis};
use crate::lease::rules::Claim;
use crate::lease::store::{self, Store, Ticket};
use crate::lease::wire::{RequestId, Token};

/// What the caller is.
pub(super) enum Standing {
    Nobody,
    Waiter(Box<Waiter>),
    Holder(HolderPlace),
}

pub(super) struct Waiter {
    pub(super) claim: Claim,
    pub(super) ticket: Ticket,
    /// The ticket of who is before it.
    pub(super) predecessor: Option<(PathBuf, Pending)>,
    pub(super) before: usize,
    pub(super) hold: HolderLock,
    /// When to look at the record without being woken.
    pub(super) look: Millis,
    /// When to say that it still waits.
    pub(super) say: Millis,
    /// What it was told last.
    pub(super) told: Option<(usize, bool)>,
}

pub(super) struct HolderPlace {
    pub(super) token: Token,
    pub(super) request: RequestId,
    pub(super) hold: HolderLock,
    /// It was told so.
    pub(super) lost: bool,
}

/// The lock by which others learn that the holder's process is gone.
pub(super) enum HolderLock {
    Without,
    Awaited(Pending),
    Had { _lock: Lock },
}

impl Standing {
    /// What a thread waits for.
    pub(super) fn pending(&self) -> Option<&Pending> {
        let hold = match self {
            Self::Nobody => return None,
            Self::Waiter(waiter) => match &waiter.predecessor {
                Some((_, pending)) => return Some(pending),
                None => &waiter.hold,
            },
            Self::Holder(holder) => &holder.hold,
        };
        if let HolderLock::Awaited(pending) = hold { Some(pending) } else { None }
    }
}

impl HolderLock {
    /// Takes it, or has a thread wait for it.
    pub(super) fn reach(store: &Store) -> Result<Self, store::Error> {
        let path = store.hold();
        if let Some(lock) = lock::attempt(&path)? {
            return Ok(Self::Had { _lock: lock });
        }
        Ok(Self::Awaited(Pending::start(lock::open(&path)?, &path)?))
    }

    /// Whether it is there since now.
    pub(super) fn take(&mut self) -> Result<bool, store::Error> {
        let Self::Awaited(pending) = self else { return Ok(false) };
        let Some(lock) = pending.take() else { return Ok(false) };
        // A thread that failed has nothing more to say.
        *self = Self::Without;
        *self = Self::Had { _lock: lock? };
        Ok(true)
    }
}

impl Waiter {
    /// At the end of the queue.
    pub(super) fn new(claim: Claim, ticket: Ticket) -> Self {
        let (hold, at) = (HolderLock::Without, claim.since);
        Self { claim, ticket, predecessor: None, before: 0, hold, look: at, say: at, told: None }
    }

    /// Plans when to look again; what to tell the caller, if it is time to: whether it
    /// waits only for who may come back.
    pub(super) fn waits(
        &mut self,
        at: Millis,
        until: Millis,
        unknown: bool,
        beat: Duration,
    ) -> Option<bool> {
        // Its turn, and the holder's process is gone: it may come back by another connection.
        let alone = matches!(self.hold, HolderLock::Had { .. });
        if alone {
            self.hold = HolderLock::Without;
        }
        let tick = if alone { beat / 5 } else { beat };
        self.look = until.max(at + 1).min(at.saturating_add(millis(tick)));
        let grace = self.before == 0 && (alone || unknown);
        let tell = Some((self.before, grace));
        if self.told == tell && at < self.say {
            return None;
        }
        self.told = tell;
        self.say = at.saturating_add(millis(beat));
        Some(grace)
    }

    /// Buries who died before it, and waits for the next that lives; whether anything changed.
    pub(super) fn line_up(&mut self, store: &Store) -> Result<bool, store::Error> {
        if let Some((path, pending)) = &self.predecessor {
            let Some(lock) = pending.take() else { return Ok(false) };
            store::bury(path, &lock?)?;
        } else if self.told.is_some() {
            // First already, and nobody comes before the first.
            return Ok(false);
        }
        self.predecessor = None;
        loop {
            let before = store.before(&self.ticket)?;
            self.before = before.len();
            let Some(path) = before.last() else { return Ok(true) };
            let Some(file) = store::ticket(path)? else { continue };
            if let Some(lock) = lock::of_file(file, path)? {
                store::bury(path, &lock)?;
                continue;
            }
            let Some(file) = store::ticket(path)? else { continue };
            self.predecessor = Some((path.clone(), Pending::start(file, path)?));
            return Ok(true);
        }
    }
}
