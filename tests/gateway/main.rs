//! flow: the rendered gateway on two real machines: what it serves, and how it renews in each layout.
//!
//! As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod layouts;
mod served;
mod stage;
#[expect(dead_code, reason = "shared with targets that use more of it")]
#[path = "../two_hosts/mod.rs"]
mod two_hosts;

use stage::{prepare, tidy};
use two_hosts::scenario::{Around, perform};

fn main() {
    perform(&[served::SCENARIOS, layouts::SCENARIOS].concat(), Around { prepare, tidy });
}
