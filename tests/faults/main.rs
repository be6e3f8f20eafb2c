//! flow: the lease between two real machines, and every fault that a lab can make while it is held.
//!
//! The scenarios are named by the rule that must hold; the number of the fault is that of the failure table, which
//! is the order of `FAULTS`. As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]
#![expect(
    dead_code,
    reason = "the machines are shared with another target, which uses more of them"
)]

#[path = "../machines/ca.rs"]
mod ca;
#[path = "../machines/certbot.rs"]
mod certbot;
mod checker;
#[path = "../machines/clean.rs"]
mod clean;
mod clocks;
mod coordinate;
mod deaths;
mod glass;
#[path = "../machines/host.rs"]
mod host;
#[path = "../machines/lab.rs"]
mod lab;
mod lease;
mod links;
#[path = "../machines/scenario.rs"]
mod scenario;
#[path = "../schema/mod.rs"]
mod schema;
#[path = "../apache/snapshot.rs"]
mod snapshot;
mod state;
mod status;
mod turns;

use scenario::{Certbots, Scenario};

pub(crate) use lease::{prepare, tidy};

/// A lab of our own, beside whatever else is up.
pub(crate) const NAME: &str = "certbaton-lab-faults";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-faults";

fn main() {
    scenario::perform(
        &[
            deaths::SCENARIOS,
            links::SCENARIOS,
            glass::SCENARIOS,
            clocks::SCENARIOS,
            state::SCENARIOS,
            turns::SCENARIOS,
            coordinate::SCENARIOS,
            status::SCENARIOS,
        ]
        .concat(),
    );
}
