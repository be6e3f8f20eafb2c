//! pure: how long the lease lasts, and why the numbers hold together.
//!
//! All are measured on `CLOCK_BOOTTIME`, each by one clock alone. The holder
//! gives up before the arbiter grants anew, with room for a clock that runs
//! half as fast again: `HOLDER` × 1.5 ≤ `ARBITER`.

use std::time::Duration;

/// Between two heartbeats of a holder, and between two words to one who waits.
pub const BEAT: Duration = Duration::from_secs(5);

/// A holder gives up this long after it *sent* its last answered heartbeat.
pub const HOLDER: Duration = Duration::from_secs(20);

/// The arbiter grants anew this long after it *received* the last heartbeat.
pub const ARBITER: Duration = Duration::from_secs(30);

/// A peer that says nothing for this long is gone; a holder says something every `BEAT`.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A run that holds the lease for so long is said once, as a warning.
pub const LONG_HOLD: Duration = Duration::from_mins(10);

/// Between two attempts to reach the arbiter.
pub const RETRY: Duration = Duration::from_secs(1);

/// For a connection to come about, until the arbiter's first word.
pub const DIAL: Duration = Duration::from_secs(15);

/// Before the lease is granted, an arbiter that cannot be reached for so long is given up.
pub const UNREACHABLE: Duration = Duration::from_secs(30);

/// For the arbiter to confirm a release.
pub const GOODBYE: Duration = Duration::from_secs(10);
