//! flow: one conversation of the arbiter with one caller about the lease.
//!
//! One process per connection; the others are known by the store alone. While
//! it waits it is woken by kernel locks: the ticket of who is before it, then
//! the `hold` of who holds. What it then does the arbiter decides, under the
//! store's lock, so no lock but that one is needed for safety.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::names::HostLabel;
use crate::lease::arbiter::{Arbiter, now};
use crate::lease::holders;
use crate::lease::lines::Lines;
use crate::lease::memory::{GrantRecord, Millis, millis};
use crate::lease::place::{HolderLock, HolderPlace, Standing, Waiter};
use crate::lease::rules::{Claim, Ruling};
use crate::lease::store::Slip;
use crate::lease::wire::{self, ArbiterAnswer, Ask, Error, Purpose, RequestId, Token, Waiting};

/// One conversation.
pub(super) struct Conversation<'a> {
    arbiter: Arbiter,
    caller: &'a HostLabel,
    lines: Lines,
    /// When the caller last said something.
    heard: Millis,
    standing: Standing,
}

impl<'a> Conversation<'a> {
    /// One with a caller who is nobody yet.
    pub(super) fn new(arbiter: Arbiter, caller: &'a HostLabel, lines: Lines) -> Self {
        let heard = now().boot;
        Self { arbiter, caller, lines, heard, standing: Standing::Nobody }
    }

    /// All of it; `first` is a line that was heard already.
    pub(super) fn whole(mut self, first: Option<&[u8]>) -> Result<(), Error> {
        let ended = match first {
            Some(line) => self.hear(line).and_then(|()| self.converse()),
            None => self.converse(),
        };
        if let Standing::Holder(HolderPlace { token, lost: false, .. }) = &self.standing {
            tracing::warn!(token = token.0, "lease: ended token={} (no release)", token.0);
        }
        match ended {
            // The caller has gone, which is its right.
            Err(Error::Closed) => Ok(()),
            ended => ended,
        }
    }

    fn converse(&mut self) -> Result<(), Error> {
        let silence = millis(self.arbiter.periods.silence);
        loop {
            let end = self.heard.saturating_add(silence);
            let next = match &self.standing {
                Standing::Waiter(waiter) => end.min(waiter.look).min(waiter.say),
                _ => end,
            };
            let patience = Duration::from_millis(next.saturating_sub(now().boot));
            let mut sources = vec![self.lines.as_fd()];
            sources.extend(self.standing.pending().map(AsFd::as_fd));
            let ready = clock::ready(&sources, Some(patience)).map_err(Error::Wait)?;
            if ready[0] {
                self.lines.fill()?;
                self.heard = now().boot;
                loop {
                    match self.lines.next_line() {
                        Ok(Some(line)) => self.hear(&line)?,
                        Ok(None) => break,
                        Err(error) => return self.not_understood(error),
                    }
                }
            } else if now().boot >= end {
                return Err(Error::Silent(self.arbiter.periods.silence));
            }
            self.advance()?;
        }
    }

    /// Answers one line.
    fn hear(&mut self, line: &[u8]) -> Result<(), Error> {
        let ask = match wire::word(line) {
            Ok(ask) => ask,
            Err(error) => return self.not_understood(error),
        };
        let answered = match ask {
            Ask::Acquire { request, floor, held, purpose } => {
                self.acquire(request, floor, held, &purpose)
            }
            Ask::Beat { number } => self.beat(number),
            Ask::Release => self.release(),
            Ask::Status => self.status(),
            Ask::Break { token } => {
                self.arbiter.revoke(token, self.caller).map(Some).map_err(Error::from)
            }
        };
        let answer = match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            // Nothing was changed: what is recorded holds.
            Err(Error::Store(error)) => self.refused(&error),
            Err(error) => return Err(error),
        };
        self.lines.say(&answer)
    }

    fn not_understood(&mut self, error: Error) -> Result<(), Error> {
        let why = wire::clipped(&chain(&error));
        let why = format!("{why}; this arbiter speaks version {}", wire::VERSION);
        self.lines.say(&ArbiterAnswer::Refused { why })?;
        Err(error)
    }

    /// A waiter that cannot be served leaves the queue.
    fn refused(&mut self, error: &dyn std::error::Error) -> ArbiterAnswer {
        let why = chain(error);
        tracing::error!(host = %self.caller, "lease: {} refused: {why}", self.caller);
        if matches!(self.standing, Standing::Waiter(_)) {
            self.standing = Standing::Nobody;
        }
        ArbiterAnswer::Refused { why: wire::clipped(&why) }
    }

    fn acquire(
        &mut self,
        request: RequestId,
        floor: Token,
        held: Option<Token>,
        purpose: &Purpose,
    ) -> Result<Option<ArbiterAnswer>, Error> {
        let refused = |why: &str| Ok(Some(ArbiterAnswer::Refused { why: why.to_owned() }));
        match &mut self.standing {
            Standing::Holder(holder) if holder.request == request => {
                let token = holder.token;
                return Ok(Some(match self.arbiter.beat(token)? {
                    Ok(()) => ArbiterAnswer::Granted { token },
                    Err(why) => ArbiterAnswer::Lost { why },
                }));
            }
            Standing::Waiter(waiter) if waiter.claim.request == request => {
                waiter.told = None;
                return Ok(None);
            }
            Standing::Nobody => {}
            _ => return refused("this connection has another request"),
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !(1..=64).contains(&request.0.len()) || !request.0.bytes().all(plain) {
            return refused("a request is named by 1 to 64 letters, digits, -, _ and .");
        }
        let purpose = purpose.clipped();
        let name = self.caller.as_str().to_owned();
        let since = now().boot;
        let claim =
            Claim { name, request, floor, held, purpose, since, connection: self.arbiter.me };
        match self.arbiter.claim(&claim, None)? {
            Ruling::Confirmed(grant) => {
                let hold = HolderLock::reach(&self.arbiter.store)?;
                return Ok(Some(self.granted(&grant, hold)));
            }
            Ruling::Lost(why) => return Ok(Some(ArbiterAnswer::Lost { why })),
            Ruling::Refused(why) => return Ok(Some(ArbiterAnswer::Refused { why })),
            Ruling::Wait { .. } | Ruling::Granted { .. } | Ruling::Quarantined(_) => {}
        }
        let Claim { name, purpose, .. } = claim.clone();
        let ticket =
            self.arbiter.store.enqueue(&Slip { name, purpose, since, pid: self.arbiter.me.pid })?;
        self.standing = Standing::Waiter(Box::new(Waiter::new(claim, ticket)));
        Ok(None)
    }

    fn granted(&mut self, grant: &GrantRecord, hold: HolderLock) -> ArbiterAnswer {
        let (token, request) = (grant.token, grant.request.clone());
        // A ticket is given up here: the next waits for `hold` from now on.
        self.standing = Standing::Holder(HolderPlace { token, request, hold, lost: false });
        ArbiterAnswer::Granted { token }
    }

    /// Takes what threads have waited for, and does what it is time for.
    fn advance(&mut self) -> Result<(), Error> {
        let answer = match self.step() {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(Error::Store(error)) => self.refused(&error),
            Err(error) => return Err(error),
        };
        self.lines.say(&answer)
    }

    fn step(&mut self) -> Result<Option<ArbiterAnswer>, Error> {
        let waiter = match &mut self.standing {
            Standing::Nobody => return Ok(None),
            Standing::Holder(holder) => {
                holder.hold.take()?;
                return Ok(None);
            }
            Standing::Waiter(waiter) => waiter,
        };
        let moved = waiter.line_up(&self.arbiter.store)?;
        let woken = waiter.hold.take()?;
        let at = now().boot;
        if moved || woken || at >= waiter.look || at >= waiter.say {
            return self.try_turn();
        }
        Ok(None)
    }

    /// Looks whether the waiter's turn has come.
    fn try_turn(&mut self) -> Result<Option<ArbiterAnswer>, Error> {
        let Standing::Waiter(waiter) = &self.standing else { return Ok(None) };
        let (first, without) = (waiter.before == 0, matches!(waiter.hold, HolderLock::Without));
        let reached =
            if first && without { Some(HolderLock::reach(&self.arbiter.store)?) } else { None };
        let ruling = self.arbiter.claim(&waiter.claim, Some(waiter.before))?;
        let Standing::Waiter(waiter) = &mut self.standing else { return Ok(None) };
        if let Some(hold) = reached {
            waiter.hold = hold;
        }
        let (until, unknown) = match ruling {
            Ruling::Granted { grant, .. } | Ruling::Confirmed(grant) => {
                let hold = match std::mem::replace(&mut waiter.hold, HolderLock::Without) {
                    HolderLock::Without => HolderLock::reach(&self.arbiter.store)?,
                    hold => hold,
                };
                return Ok(Some(self.granted(&grant, hold)));
            }
            Ruling::Lost(why) => {
                self.standing = Standing::Nobody;
                return Ok(Some(ArbiterAnswer::Lost { why }));
            }
            Ruling::Refused(why) => {
                self.standing = Standing::Nobody;
                return Ok(Some(ArbiterAnswer::Refused { why }));
            }
            Ruling::Quarantined(grant) => {
                (grant.beat.saturating_add(millis(self.arbiter.periods.arbiter)), true)
            }
            Ruling::Wait { until, unknown } => (until, unknown),
        };
        let at = now().boot;
        let Some(grace) = waiter.waits(at, until, unknown, self.arbiter.periods.beat) else {
            return Ok(None);
        };
        let waiters = waiter.before;
        let reason = if grace {
            Waiting::Grace { millis: until.saturating_sub(at) }
        } else {
            Waiting::Behind { waiters, holder: holders::holder(&self.arbiter.store, at)? }
        };
        Ok(Some(ArbiterAnswer::Waiting { reason }))
    }

    fn status(&self) -> Result<Option<ArbiterAnswer>, Error> {
        let grace = millis(self.arbiter.periods.arbiter);
        let status = holders::status(&self.arbiter.store, now().boot, grace)?;
        Ok(Some(ArbiterAnswer::Status(status)))
    }

    fn beat(&mut self, number: u64) -> Result<Option<ArbiterAnswer>, Error> {
        let Standing::Holder(HolderPlace { token, .. }) = self.standing else {
            return Ok(Some(ArbiterAnswer::Beaten { number }));
        };
        let beaten = self.arbiter.beat(token)?;
        let Standing::Holder(holder) = &mut self.standing else { return Ok(None) };
        Ok(Some(match beaten {
            Ok(()) => ArbiterAnswer::Beaten { number },
            Err(why) => {
                if !std::mem::replace(&mut holder.lost, true) {
                    tracing::warn!(token = token.0, "lease: lost {why}");
                }
                ArbiterAnswer::Lost { why }
            }
        }))
    }

    fn release(&mut self) -> Result<Option<ArbiterAnswer>, Error> {
        let token = match &self.standing {
            Standing::Nobody => {
                return Ok(Some(ArbiterAnswer::Refused { why: "nothing is held here".into() }));
            }
            Standing::Waiter(_) => {
                self.standing = Standing::Nobody;
                return Ok(Some(ArbiterAnswer::Released));
            }
            Standing::Holder(holder) => holder.token,
        };
        let answer = self.arbiter.release(token)?;
        self.standing = Standing::Nobody;
        Ok(Some(answer))
    }
}
