//! pure: how long the lease lasts, and why the numbers hold together.
//!
//! All are measured on `CLOCK_BOOTTIME`, each by one clock alone. The holder
//! gives up before the arbiter grants anew, with room for a clock that runs
//! half as fast again: `HOLDER` × 1.5 ≤ `ARBITER`.

use std::time::Duration;

use crate::config;

/// Between two heartbeats of a holder, and between two words to one who waits.
pub const BEAT: Duration = Duration::from_secs(5);

/// A holder gives up this long after it *sent* its last answered heartbeat.
pub const HOLDER: Duration = Duration::from_secs(20);

/// The arbiter grants anew this long after it *received* the last heartbeat.
pub const ARBITER: Duration = config::GRACE;

/// A peer that says nothing for this long is gone; a holder says something every `BEAT`.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A keeper whose work does not come to an end for so long beats no more: it may hang for
/// ever, and the other hosts must not. Longer than any switch with its proofs.
pub const WORK: Duration = Duration::from_mins(10);

/// A run that holds the lease for so long is said once, as a warning.
pub const LONG_HOLD: Duration = Duration::from_mins(10);

/// Between two attempts to reach the arbiter, at most.
pub const RETRY: Duration = Duration::from_secs(1);

/// For a connection to come about, until the arbiter's first word.
pub const DIAL: Duration = Duration::from_secs(15);

/// For the arbiter to confirm a release.
pub const GOODBYE: Duration = Duration::from_secs(10);

/// The times that follow from how long the arbiter waits for a silent holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// As `BEAT`.
    pub beat: Duration,
    /// As `HOLDER`.
    pub holder: Duration,
    /// As `ARBITER`.
    pub arbiter: Duration,
    /// As `SILENCE`.
    pub silence: Duration,
    /// As `WORK`.
    pub work: Duration,
}

impl Periods {
    /// In the proportions of the constants above, which a `grace` of `ARBITER` gives.
    pub fn of(grace: Duration) -> Self {
        Self {
            beat: grace / 6,
            holder: grace * 2 / 3,
            arbiter: grace,
            silence: grace,
            work: grace * 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_grace_gives_the_usual_times() {
        let usual =
            Periods { beat: BEAT, holder: HOLDER, arbiter: ARBITER, silence: SILENCE, work: WORK };
        assert_eq!(Periods::of(ARBITER), usual);
    }
}
