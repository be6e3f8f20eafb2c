//! pure: what the arbiter remembers of its grants, and what that amounts to at a moment.
//!
//! Times are milliseconds of `CLOCK_BOOTTIME`, compared only within one boot.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::process::Process;
use crate::lease::wire::{Purpose, RequestId, Token};

/// Milliseconds since the machine was booted.
pub type Millis = u64;

/// A duration as times are recorded.
pub fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time, from both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since boot: for all that is measured.
    pub boot: Millis,
    /// Seconds of the time of day: only to start tokens from after a loss.
    pub unix: i64,
}

/// What is recorded about the last grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GrantRecord {
    /// The boot in which the times are meant.
    pub boot: String,
    /// Whether it still holds.
    pub state: GrantState,
    /// The highest token known.
    pub token: Token,
    /// To whom, by its key.
    pub name: String,
    /// For which request.
    pub request: RequestId,
    /// For people.
    pub purpose: Purpose,
    /// Since when.
    pub since: Millis,
    /// The last heartbeat, or the release.
    pub beat: Millis,
    /// The arbiter's process that speaks to the holder; no other may write for it.
    pub connection: Process,
    /// The last requests that were released, newest last.
    pub finished: Vec<RequestId>,
    /// Since when the last token is known to be lost, while this grant holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Millis>,
}

/// Whether a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantState {
    /// Until it is released or its holder is silent for too long.
    Active,
    /// Given back.
    Released,
    /// The record was lost: somebody may hold, and nobody new may until `beat` is long enough ago.
    Unknown,
}

/// Something that should be in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recorded<T> {
    /// There is no such file.
    Missing,
    /// There is, and it makes no sense.
    Unreadable,
    /// It is this.
    Known(T),
}

/// All that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory {
    /// This boot.
    pub boot: String,
    /// Lost with a reboot.
    pub grant: Recorded<GrantRecord>,
    /// The last token granted; survives a reboot.
    pub token: Recorded<Token>,
    /// The token that was taken from its holder.
    pub revoked: Option<Token>,
}

/// What the record amounts to now.
pub(super) enum Present<'a> {
    /// Nothing was ever granted.
    Never,
    /// Somebody holds.
    Held(&'a GrantRecord),
    /// Somebody held, and was silent for too long.
    Expired(&'a GrantRecord),
    /// Nobody holds.
    Free(&'a GrantRecord),
    /// Somebody may hold; written down.
    Unknown(&'a GrantRecord),
    /// Somebody may hold; not written down yet.
    Mystery,
    /// Whoever held was silent for too long, and who else may hold has its grace until this time.
    Doubted(Millis),
}

impl Memory {
    pub(super) fn present(&self, now: Now, grace: Millis) -> Present<'_> {
        let unix = now.unix;
        let now = now.boot;
        let grant = match &self.grant {
            Recorded::Missing if self.token == Recorded::Missing => return Present::Never,
            // A heartbeat from the future is of another clock.
            Recorded::Known(grant) if grant.boot == self.boot && grant.beat <= now => grant,
            _ => return Present::Mystery,
        };
        let over = now >= grant.beat.saturating_add(grace);
        let is_lost = self.is_lost(unix);
        match (grant.state, over) {
            // Who holds goes on: a clock that jumps takes nothing from anybody.
            (GrantState::Released, _) if is_lost => Present::Mystery,
            // One grace for both: that its holder is silent, and that another may hold.
            (GrantState::Active, true) if is_lost => match grant.doubted {
                None => Present::Mystery,
                Some(since) if now < since.saturating_add(grace) => {
                    Present::Doubted(since.saturating_add(grace))
                }
                Some(_) => Present::Expired(grant),
            },
            // Whoever it was that nobody knows, it has given up.
            (GrantState::Released, _) | (GrantState::Unknown, true) => Present::Free(grant),
            (GrantState::Active, true) => Present::Expired(grant),
            (GrantState::Active, false) => Present::Held(grant),
            (GrantState::Unknown, false) => Present::Unknown(grant),
        }
    }

    /// Whether the last token is not known: unreadable, or no clock here can have led to it.
    pub(super) fn is_lost(&self, unix: i64) -> bool {
        self.token == Recorded::Unreadable || self.far_ahead_of(unix).is_some()
    }

    /// The record, whatever its worth.
    pub(super) fn last(&self) -> Option<&GrantRecord> {
        match &self.grant {
            Recorded::Known(grant) => Some(grant),
            _ => None,
        }
    }

    /// Above all that was ever granted, as far as that is known.
    pub(super) fn next_token(&self, floor: Token, now: Now) -> Option<Token> {
        let persisted = if let Recorded::Known(token) = self.token { token } else { Token(0) };
        let granted = self.last().map_or(Token(0), |grant| grant.token);
        Token::above([persisted, granted, floor], now.unix)
    }

    /// What is recorded and counts as unreadable: no clock here can have led to it.
    pub(super) fn far_ahead(&self, now: Now) -> Option<Token> {
        self.far_ahead_of(now.unix)
    }

    fn far_ahead_of(&self, unix: i64) -> Option<Token> {
        let granted = self.last().map(|grant| grant.token);
        let persisted = if let Recorded::Known(token) = self.token { Some(token) } else { None };
        [persisted, granted].into_iter().flatten().find(|token| token.is_far_ahead(unix))
    }

    pub(super) fn is_revoked(&self, token: Token) -> bool {
        self.revoked == Some(token)
    }
}
