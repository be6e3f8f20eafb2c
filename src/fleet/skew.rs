//! pure: how far the clock of a host is from that of the one that asked.

use jiff::{SignedDuration, Timestamp};

/// How far `clock` is from the time between question and answer.
pub fn apart(clock: Timestamp, asked: Timestamp, answered: Timestamp) -> SignedDuration {
    if clock < asked {
        clock.duration_since(asked)
    } else if clock > answered {
        clock.duration_since(answered)
    } else {
        SignedDuration::ZERO
    }
}
