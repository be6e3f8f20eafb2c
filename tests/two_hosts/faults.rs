//! flow: the lease between two real machines, and every fault that a lab can make while it is held.
//!
//! The scenarios are named by the rule that must hold; the number of the fault is that of the failure table, which
//! is the order of `FAULTS`. As in `machines`, this skips where there can be no lab.

mod clocks;
mod coordinate;
mod deaths;
mod glass;
mod links;
mod sight;
mod state;
mod status;
mod turns;
mod units;

use crate::lease::{prepare, tidy};
use crate::scenario::{self, Around};
use crate::trials::Part;

pub(crate) fn part() -> Part {
    let scenarios = [
        deaths::SCENARIOS,
        links::SCENARIOS,
        glass::SCENARIOS,
        clocks::SCENARIOS,
        state::SCENARIOS,
        turns::SCENARIOS,
        coordinate::SCENARIOS,
        status::SCENARIOS,
        units::SCENARIOS,
        sight::SCENARIOS,
    ];
    scenario::part("faults", &scenarios, Around { prepare, tidy })
}
