//! pure: tokens only rise, and none is far ahead of a host's own clock.
//!
//! Tokens start from the time of day and rise by one with each grant, so that a loss of memory
//! does not lower them. Therefore each stands for a moment, and one that stands for a moment far
//! ahead is no arbiter's: it is a peer's lie, a damaged file, or of a clock that was wrong. Were
//! it ever taken over, every later one would be above it, on disk and past each reboot.

use std::fmt;

use jiff::Timestamp;

use crate::lease::wire::Token;

impl Token {
    /// The first token of a moment, in seconds of the time of day.
    pub fn at(unix: i64) -> Self {
        Self(u64::try_from(unix).unwrap_or(0).saturating_mul(A_SECOND))
    }

    /// The next one to grant: above all that are `known`, those far ahead aside. None if all of
    /// them are, or the highest is the last there is.
    pub(super) fn above(known: impl IntoIterator<Item = Self>, unix: i64) -> Option<Self> {
        let highest = known.into_iter().filter(|token| !token.is_far_ahead(unix)).max()?;
        Some(Self(highest.0.checked_add(1)?).max(Self::at(unix)))
    }

    /// Whether no clock that is nearly right can have led to it at the moment `unix`.
    pub fn is_far_ahead(self, unix: i64) -> bool {
        self > Self::at(unix.max(0).saturating_add(DRIFT))
    }

    /// Itself, unless it is far ahead: what is lost then is only that it was.
    #[must_use]
    pub fn kept(self, unix: i64) -> Self {
        if self.is_far_ahead(unix) { Self(0) } else { self }
    }

    /// Since when it can have been granted, for people.
    pub fn moment(self) -> impl fmt::Display {
        let seconds = i64::try_from(self.0 / A_SECOND).unwrap_or(i64::MAX);
        day(seconds)
    }
}

/// Why the floor of the host `name` is not taken over by an arbiter whose clock says `unix`.
pub(super) fn ahead(name: &str, floor: Token, unix: i64) -> String {
    format!(
        "{name} remembers token {}, which is of {}, and the clock of the arbiter says {}: one of both clocks is wrong, or was; if it was {name}'s, remove /var/lib/certbaton/token-seen there",
        floor.0,
        floor.moment(),
        day(unix)
    )
}

/// The day of a moment, for people.
pub(super) fn day(unix: i64) -> String {
    let moment = Timestamp::from_second(unix);
    moment.map_or_else(|_| "no day at all".into(), |moment| moment.strftime("%F").to_string())
}

/// As many in one second of the clock; nobody grants that often.
const A_SECOND: u64 = 1 << 16;

/// A clock may be wrong by this, as one is that takes local time for UTC, in seconds.
const DRIFT: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_drift_and_a_year_is_not() {
        const NOW: i64 = 1_795_000_000;
        const HOUR: i64 = 3600;
        for fine in [0, NOW, NOW + HOUR, NOW + 14 * HOUR] {
            assert!(!Token::at(fine).is_far_ahead(NOW), "{fine}");
        }
        for far in [NOW + 365 * 24 * HOUR, NOW + 48 * HOUR, i64::MAX] {
            assert!(Token::at(far).is_far_ahead(NOW), "{far}");
        }
        assert!(Token((1 << 62) - 1).is_far_ahead(NOW) && Token(u64::MAX).is_far_ahead(NOW));
        // A Raspberry Pi before it has asked anybody for the time.
        assert!(Token::at(NOW).is_far_ahead(0));
        assert!(!Token(7).is_far_ahead(-1) && !Token(7).is_far_ahead(i64::MAX));
        assert_eq!(Token::at(NOW).moment().to_string(), "2026-11-18");
        assert_eq!(Token(u64::MAX).moment().to_string(), "no day at all");
    }
}
