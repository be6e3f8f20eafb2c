//! flow: the rendered gateway on two real machines: what it serves, and how it renews in each layout.
//!
//! As in `machines`, this skips where there can be no lab.

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
#[path = "../machines/clean.rs"]
mod clean;
#[path = "../machines/host.rs"]
mod host;
#[path = "../machines/lab.rs"]
mod lab;
mod layouts;
#[path = "../machines/scenario.rs"]
mod scenario;
mod served;
#[path = "../apache/snapshot.rs"]
mod snapshot;
mod stage;

use scenario::{Certbots, Scenario};

pub(crate) use stage::{prepare, tidy};

/// A lab of our own, beside whatever else is up.
pub(crate) const NAME: &str = "certbaton-lab-gateway";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-gateway";

fn main() {
    scenario::perform(&[served::SCENARIOS, layouts::SCENARIOS].concat());
}
