//! flow: one conversation of the arbiter with one caller, from hello to the end of the connection.
//!
//! One process per connection; the others are known by the store alone. While
//! it waits it is woken by kernel locks: the ticket of who is before it, then
//! the `hold` of who holds. What it then does is decided by `rules`, under the
//! store's lock, so no lock but that one is needed for safety.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::base::caller::Caller;
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::lock::Lock;
use crate::base::names::HostLabel;
use crate::base::process::{self, Process};
use crate::config::Settings;
use crate::lease::lines::{self, Lines};
use crate::lease::memory::{Grant, Millis, Now, millis};
use crate::lease::place::{Hold, Holder, Standing, Waiter};
use crate::lease::rules::{self, Claim, Verdict};
use crate::lease::store::{self, Slip, Store};
use crate::lease::times::{Periods, SILENCE};
use crate::lease::wire::{self, Answer, Ask, Hello, Purpose, RequestId, Token, Waiting};
use crate::lease::{holders, slots};

/// Why a conversation ended other than by the caller's will.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input and output.
    #[error("cannot use standard input and output")]
    Standard(#[source] io::Error),
    /// Waiting for the caller.
    #[error("cannot wait for the caller")]
    Wait(#[source] io::Error),
    /// The words.
    #[error(transparent)]
    Lines(#[from] lines::Error),
    /// The directories.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The arbiter's directory.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The user who owns it.
    #[error("cannot become the user that the arbiter's directory belongs to")]
    Owner(#[source] io::Error),
    /// Our own process.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The caller says nothing any more.
    #[error("the caller said nothing for {} s", .0.as_secs())]
    Silent(Duration),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Lines(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Standard(_) | Self::Wait(_) | Self::Owner(_) | Self::Silent(_) => Exit::Failed,
        }
    }
}

impl Error {
    /// The caller has gone, which is its right.
    fn is_farewell(&self) -> bool {
        matches!(self, Self::Lines(lines::Error::Closed))
    }
}

/// One conversation.
struct Conversation<'a> {
    store: Store,
    periods: Periods,
    caller: &'a HostLabel,
    lines: Lines,
    me: Process,
    /// When the caller last said something.
    heard: Millis,
    standing: Standing,
}

/// A caller who was greeted.
pub struct Greeted<'a> {
    settings: &'a Settings,
    caller: &'a HostLabel,
    lines: Lines,
    first: Option<Vec<u8>>,
}

/// A first line that is not about the lease.
pub struct Other {
    /// The line.
    pub line: Vec<u8>,
    /// Whose it is.
    pub caller: Caller,
    /// Why the caller may not say it.
    pub refused: Option<String>,
    _slot: Option<Lock>,
}

/// Greets a caller, and with `hears` waits for the first line; none: the caller has gone.
pub fn greet<'a>(
    settings: &'a Settings,
    caller: &'a HostLabel,
    hears: bool,
) -> Result<Option<Greeted<'a>>, Error> {
    let mut lines = Lines::standard().map_err(Error::Standard)?;
    let host = settings.name.as_ref().map_or_else(Store::host, |name| name.as_str().to_owned());
    let hello = Hello {
        version: wire::VERSION,
        host,
        caller: caller.as_str().to_owned(),
        grace_millis: millis(settings.lease_grace),
    };
    lines.say(&hello)?;
    let first = match hears.then(|| first_line(&mut lines)).transpose() {
        Err(error) if error.is_farewell() => return Ok(None),
        first => first?,
    };
    Ok(Some(Greeted { settings, caller, lines, first }))
}

impl Greeted<'_> {
    /// The first line, if that was waited for.
    pub fn first(&self) -> Option<&[u8]> {
        self.first.as_deref()
    }

    /// The first line as one that is not about the lease. It takes a connection as others do.
    pub fn other(self) -> Other {
        let slot = slot(self.settings, self.caller);
        let (slot, refused) = slot.unwrap_or_else(|error| (None, Some(chain(&error))));
        let line = self.first.unwrap_or_default();
        Other { line, caller: self.lines.into(), refused, _slot: slot }
    }

    /// The whole conversation about the lease.
    pub fn converse(self) -> Result<(), Error> {
        let Self { settings, caller, mut lines, first } = self;
        step_down(settings)?;
        let store = match Store::open(settings) {
            Ok(store) => store,
            Err(error) => {
                lines.say(&Answer::Refused { why: chain(&error) })?;
                return Err(error.into());
            }
        };
        let (_slot, refused) = slot(settings, caller)?;
        if let Some(why) = refused {
            return Ok(lines.say(&Answer::Refused { why })?);
        }
        let mut conversation = Conversation {
            store,
            periods: Periods::of(settings.lease_grace),
            caller,
            lines,
            me: process::own()?,
            heard: now().boot,
            standing: Standing::Nobody,
        };
        let ended = match first {
            Some(line) => conversation.hear(&line).and_then(|()| conversation.converse()),
            None => conversation.converse(),
        };
        if let Standing::Holder(Holder { token, lost: false, .. }) = &conversation.standing {
            tracing::warn!(token = token.0, "lease: ended token={} (no release)", token.0);
        }
        match ended {
            Err(error) if error.is_farewell() => Ok(()),
            ended => ended,
        }
    }
}

/// The caller's right to one connection more, or why it has none.
fn slot(settings: &Settings, caller: &HostLabel) -> Result<(Option<Lock>, Option<String>), Error> {
    // What root makes in the directory of another, that one could not open any more.
    if process::is_own_root() && is_anothers(settings)? {
        return Ok((None, None));
    }
    let slot = slots::take(&settings.arbiter_directory(), caller)?;
    let why = format!("{caller} has {} connections here already", slots::AT_ONCE);
    if slot.is_none() {
        tracing::warn!(host = %caller, "lease: {why}");
    }
    let refused = slot.is_none().then_some(why);
    Ok((slot, refused))
}

fn is_anothers(settings: &Settings) -> Result<bool, Error> {
    match files::owner(&settings.arbiter_directory()) {
        Err(error) if error.is_missing() => Ok(false),
        owner => Ok(owner?.0 != 0),
    }
}

/// Root becomes the user whose memory the lease is: all arbiters of a host run as that one.
fn step_down(settings: &Settings) -> Result<(), Error> {
    if !process::is_own_root() {
        return Ok(());
    }
    let directory = settings.arbiter_directory();
    match files::owner(&directory) {
        Err(error) if error.is_missing() => Ok(files::own_directory(&directory, 0o755)?),
        owner => match owner? {
            (0, _) => Ok(()),
            (user, group) => process::step_down(user, group).map_err(Error::Owner),
        },
    }
}

/// Waits for the first line, as long as for any other.
fn first_line(lines: &mut Lines) -> Result<Vec<u8>, Error> {
    let deadline = Deadline::after(SILENCE);
    loop {
        if let Some(line) = lines.next_line()? {
            return Ok(line);
        }
        let left = deadline.remaining().ok_or(Error::Silent(SILENCE))?;
        if clock::ready(&[lines.as_fd()], Some(left)).map_err(Error::Wait)? == [true] {
            lines.fill()?;
        }
    }
}

impl Conversation<'_> {
    fn converse(&mut self) -> Result<(), Error> {
        let silence = millis(self.periods.silence);
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
                return Err(Error::Silent(self.periods.silence));
            }
            self.advance()?;
        }
    }

    /// Answers one line.
    fn hear(&mut self, line: &[u8]) -> Result<(), Error> {
        let ask = match wire::word(line) {
            Ok(ask) => ask,
            Err(error) => return self.not_understood(error.into()),
        };
        let answered = match ask {
            Ask::Acquire { request, floor, held, purpose } => {
                self.acquire(request, floor, held, &purpose)
            }
            Ask::Beat { number } => self.beat(number),
            Ask::Release => self.release(),
            Ask::Status => {
                let grace = millis(self.periods.arbiter);
                Ok(Some(Answer::Status(holders::status(&self.store, now().boot, grace)?)))
            }
            Ask::Break { token } => self.revoke(token),
        };
        let answer = match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            // Nothing was changed: what is recorded holds.
            Err(Error::Store(error)) => self.refused(&error),
            Err(error) => return Err(error),
        };
        Ok(self.lines.say(&answer)?)
    }

    fn not_understood(&mut self, error: lines::Error) -> Result<(), Error> {
        let why = wire::clipped(&chain(&error));
        let why = format!("{why}; this arbiter speaks version {}", wire::VERSION);
        self.lines.say(&Answer::Refused { why })?;
        Err(error.into())
    }

    /// A waiter that cannot be served leaves the queue.
    fn refused(&mut self, error: &dyn std::error::Error) -> Answer {
        let why = chain(error);
        tracing::error!(host = %self.caller, "lease: {} refused: {why}", self.caller);
        if matches!(self.standing, Standing::Waiter(_)) {
            self.standing = Standing::Nobody;
        }
        Answer::Refused { why: wire::clipped(&why) }
    }

    fn acquire(
        &mut self,
        request: RequestId,
        floor: Token,
        held: Option<Token>,
        purpose: &Purpose,
    ) -> Result<Option<Answer>, Error> {
        let refused = |why: &str| Ok(Some(Answer::Refused { why: why.to_owned() }));
        match &mut self.standing {
            Standing::Holder(holder) if holder.request == request => {
                let token = holder.token;
                return Ok(Some(match self.beaten(token)? {
                    Ok(()) => Answer::Granted { token },
                    Err(why) => Answer::Lost { why },
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
        let claim = Claim { name, request, floor, held, purpose, since, connection: self.me };
        match self.look(&claim, None)? {
            Verdict::Confirmed(grant) => {
                let hold = Hold::reach(&self.store)?;
                return Ok(Some(self.granted(&grant, hold)));
            }
            Verdict::Lost(why) => return Ok(Some(Answer::Lost { why })),
            Verdict::Refused(why) => return Ok(Some(Answer::Refused { why })),
            Verdict::Wait { .. } | Verdict::Granted { .. } | Verdict::Quarantined(_) => {}
        }
        let Claim { name, purpose, .. } = claim.clone();
        let ticket = self.store.enqueue(&Slip { name, purpose, since, pid: self.me.pid })?;
        self.standing = Standing::Waiter(Box::new(Waiter::new(claim, ticket)));
        Ok(None)
    }

    /// Decides about a claim, and writes down what was decided.
    fn look(&self, claim: &Claim, before: Option<usize>) -> Result<Verdict, Error> {
        let decision = self.store.decide()?;
        let memory = decision.memory()?;
        let verdict = rules::claim(&memory, claim, before, now(), self.periods.arbiter);
        match &verdict {
            Verdict::Granted { grant, expired } => {
                decision.record_new(grant)?;
                if let Some(token) = expired {
                    tracing::warn!(token = token.0, "lease: expired token={}", token.0);
                }
                let (token, name, request) = (grant.token.0, &grant.name, &grant.request.0);
                tracing::info!(token, host = %name, "lease: granted token={token} to={name} request={request}");
            }
            Verdict::Confirmed(grant) => {
                decision.record(grant)?;
                let (token, name, request) = (grant.token.0, &grant.name, &grant.request.0);
                tracing::info!(token, host = %name, "lease: resumed token={token} to={name} request={request}");
            }
            Verdict::Quarantined(grant) => {
                decision.record(grant)?;
                let grace = self.periods.arbiter.as_secs();
                if let Some(token) = memory.far_ahead(now()) {
                    tracing::warn!(
                        token = token.0,
                        "lease: the last token, {}, is of {}, far ahead of the clock of this host: nobody gets the lease for {grace} s, then tokens go on from the clock",
                        token.0,
                        token.moment()
                    );
                } else {
                    tracing::warn!(
                        "lease: no record of who holds (a reboot, or a damaged file): nobody gets it for {grace} s"
                    );
                }
            }
            Verdict::Wait { .. } | Verdict::Lost(_) | Verdict::Refused(_) => {}
        }
        Ok(verdict)
    }

    fn granted(&mut self, grant: &Grant, hold: Hold) -> Answer {
        let (token, request) = (grant.token, grant.request.clone());
        // A ticket is given up here: the next waits for `hold` from now on.
        self.standing = Standing::Holder(Holder { token, request, hold, lost: false });
        Answer::Granted { token }
    }

    /// Takes what threads have waited for, and does what it is time for.
    fn advance(&mut self) -> Result<(), Error> {
        let answer = match self.step() {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(Error::Store(error)) => self.refused(&error),
            Err(error) => return Err(error),
        };
        Ok(self.lines.say(&answer)?)
    }

    fn step(&mut self) -> Result<Option<Answer>, Error> {
        let waiter = match &mut self.standing {
            Standing::Nobody => return Ok(None),
            Standing::Holder(holder) => {
                holder.hold.take()?;
                return Ok(None);
            }
            Standing::Waiter(waiter) => waiter,
        };
        let moved = waiter.line_up(&self.store)?;
        let woken = waiter.hold.take()?;
        let at = now().boot;
        if moved || woken || at >= waiter.look || at >= waiter.say {
            return self.try_turn();
        }
        Ok(None)
    }

    /// Looks whether the waiter's turn has come.
    fn try_turn(&mut self) -> Result<Option<Answer>, Error> {
        let Standing::Waiter(waiter) = &self.standing else { return Ok(None) };
        let (first, without) = (waiter.before == 0, matches!(waiter.hold, Hold::Without));
        let reached = if first && without { Some(Hold::reach(&self.store)?) } else { None };
        let verdict = self.look(&waiter.claim, Some(waiter.before))?;
        let Standing::Waiter(waiter) = &mut self.standing else { return Ok(None) };
        if let Some(hold) = reached {
            waiter.hold = hold;
        }
        let (until, unknown) = match verdict {
            Verdict::Granted { grant, .. } | Verdict::Confirmed(grant) => {
                let hold = match std::mem::replace(&mut waiter.hold, Hold::Without) {
                    Hold::Without => Hold::reach(&self.store)?,
                    hold => hold,
                };
                return Ok(Some(self.granted(&grant, hold)));
            }
            Verdict::Lost(why) => {
                self.standing = Standing::Nobody;
                return Ok(Some(Answer::Lost { why }));
            }
            Verdict::Refused(why) => {
                self.standing = Standing::Nobody;
                return Ok(Some(Answer::Refused { why }));
            }
            Verdict::Quarantined(grant) => {
                (grant.beat.saturating_add(millis(self.periods.arbiter)), true)
            }
            Verdict::Wait { until, unknown } => (until, unknown),
        };
        let at = now().boot;
        let Some(grace) = waiter.waits(at, until, unknown, self.periods.beat) else {
            return Ok(None);
        };
        let waiters = waiter.before;
        let reason = if grace {
            Waiting::Grace { millis: until.saturating_sub(at) }
        } else {
            Waiting::Behind { waiters, holder: holders::holder(&self.store, at)? }
        };
        Ok(Some(Answer::Waiting { reason }))
    }

    /// A heartbeat of the holder's, recorded if it may be.
    fn beaten(&self, token: Token) -> Result<Result<(), String>, Error> {
        let decision = self.store.decide()?;
        let memory = decision.memory()?;
        match rules::beat(&memory, token, self.me, now(), self.periods.arbiter) {
            Ok(grant) => Ok(Ok(decision.record(&grant)?)),
            Err(why) => Ok(Err(why)),
        }
    }

    fn beat(&mut self, number: u64) -> Result<Option<Answer>, Error> {
        let Standing::Holder(Holder { token, .. }) = self.standing else {
            return Ok(Some(Answer::Beaten { number }));
        };
        let beaten = self.beaten(token)?;
        let Standing::Holder(holder) = &mut self.standing else { return Ok(None) };
        Ok(Some(match beaten {
            Ok(()) => Answer::Beaten { number },
            Err(why) => {
                if !std::mem::replace(&mut holder.lost, true) {
                    tracing::warn!(token = token.0, "lease: lost {why}");
                }
                Answer::Lost { why }
            }
        }))
    }

    fn release(&mut self) -> Result<Option<Answer>, Error> {
        let token = match &self.standing {
            Standing::Nobody => {
                return Ok(Some(Answer::Refused { why: "nothing is held here".into() }));
            }
            Standing::Waiter(_) => {
                self.standing = Standing::Nobody;
                return Ok(Some(Answer::Released));
            }
            Standing::Holder(holder) => holder.token,
        };
        let decision = self.store.decide()?;
        let answer = match rules::release(&decision.memory()?, token, self.me, now()) {
            Ok(grant) => {
                decision.record(&grant)?;
                tracing::info!(token = token.0, "lease: released token={}", token.0);
                Answer::Released
            }
            Err(why) => Answer::Lost { why },
        };
        drop(decision);
        self.standing = Standing::Nobody;
        Ok(Some(answer))
    }

    fn revoke(&mut self, token: Token) -> Result<Option<Answer>, Error> {
        let decision = self.store.decide()?;
        Ok(Some(match rules::revoke(&decision.memory()?, token) {
            Ok(()) => {
                decision.record_revoked(token)?;
                tracing::warn!(
                    token = token.0,
                    "lease: broken token={} by={}",
                    token.0,
                    self.caller
                );
                Answer::Broken
            }
            Err(why) => Answer::Refused { why },
        }))
    }
}

fn now() -> Now {
    Now { boot: millis(clock::since_boot()), unix: clock::now().as_second() }
}
