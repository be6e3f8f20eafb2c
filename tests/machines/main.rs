//! flow: two real machines, a real certbot, a real CA: one lab, one scenario after another.
//!
//! Where there can be no lab this says so and skips. `CERTBATON_FULL` runs each fault at each moment with each certbot.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod ca;
mod certbot;
mod clean;
mod hooks;
mod host;
mod kills;
mod lab;
mod leftovers;
mod refusals;
mod renewals;
mod scenario;
#[path = "../schema/mod.rs"]
mod schema;
#[path = "../apache/snapshot.rs"]
mod snapshot;
mod status;

use lab::Lab;
use scenario::{Certbots, Scenario};

/// A lab of our own, beside whatever a developer has up.
pub(crate) const NAME: &str = "certbaton-lab-tests";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-tests";

fn main() {
    scenario::perform(&scenarios());
}

/// Each host has a lease of its own.
pub(crate) fn prepare(_: &Lab) {}

/// Nothing that `reset` does not bring back.
pub(crate) fn tidy(_: &Lab) {}

fn scenarios() -> Vec<Scenario> {
    [
        renewals::SCENARIOS,
        leftovers::SCENARIOS,
        refusals::SCENARIOS,
        hooks::SCENARIOS,
        kills::SCENARIOS,
        status::SCENARIOS,
    ]
    .concat()
}
