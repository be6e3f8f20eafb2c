//! flow: the lease between two real machines, and every fault that a lab can make while it is held.
//!
//! The scenarios are named by the rule that must hold; the number of the fault is that of the failure table, which
//! is the order of `FAULTS`. As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod checker;
mod clocks;
mod coordinate;
mod deaths;
mod glass;
mod lease;
mod links;
mod sight;
mod state;
mod status;
mod turns;
#[expect(dead_code, reason = "shared with targets that use more of it")]
#[path = "../two_hosts/mod.rs"]
mod two_hosts;
mod units;

use lease::{prepare, tidy};
use two_hosts::scenario::{Around, perform};

fn main() {
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
    perform(&scenarios.concat(), Around { prepare, tidy });
}
