//! flow: two real machines, a real certbot, a real CA: one lab, one scenario after another.
//!
//! Where there can be no lab this says so and skips. `CERTBATON_FULL` runs each fault at each moment with each certbot.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod hooks;
mod kills;
mod leftovers;
mod refusals;
mod renewals;
mod status;
#[path = "../two_hosts/mod.rs"]
mod two_hosts;

use two_hosts::scenario::{NOTHING_AROUND, perform};

fn main() {
    let scenarios = [
        renewals::SCENARIOS,
        leftovers::SCENARIOS,
        refusals::SCENARIOS,
        hooks::SCENARIOS,
        kills::SCENARIOS,
        status::SCENARIOS,
    ];
    perform(&scenarios.concat(), NOTHING_AROUND);
}
