//! flow: two real machines, each part of these tests on a lab of its own.
//!
//! `cargo test --test two_hosts -- machines::` performs one part. Where there can be no lab this says so and skips.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod ca;
mod certbot;
mod check;
mod checker;
mod clean;
mod faults;
mod gateway;
mod host;
mod lab;
mod lease;
mod machines;
mod nginx;
mod scenario;
mod setup;
mod table;
mod trials;

fn main() {
    // The longest first: `tests/run` begins with it.
    trials::perform(vec![
        faults::part(),
        check::part(),
        machines::part(),
        gateway::part(),
        setup::part(),
        table::part(),
        nginx::part(),
    ]);
}
