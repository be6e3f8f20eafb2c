//! flow: nginx on the vps, Apache on home, a real certbot and a real CA: renewals through home where nothing is switched.
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
mod foreign;
#[path = "../machines/host.rs"]
mod host;
#[path = "../machines/lab.rs"]
mod lab;
mod renewals;
#[path = "../machines/scenario.rs"]
mod scenario;
#[path = "../schema/mod.rs"]
mod schema;
#[path = "../apache/snapshot.rs"]
mod snapshot;

use lab::Lab;
use scenario::{Certbots, Scenario};

/// A lab of our own, beside whatever else is up.
pub(crate) const NAME: &str = "certbaton-lab-nginx";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-nginx";

fn main() {
    scenario::perform(renewals::SCENARIOS);
}

/// Each scenario says itself what its vps is.
pub(crate) fn prepare(_: &Lab) {}

/// Takes back what two hosts need to reach each other.
pub(crate) fn tidy(lab: &Lab) {
    if lab.home.path("/etc/certbaton").exists() {
        let done = lab::tool().arg("no-lease").output().unwrap();
        assert!(done.status.success(), "lab no-lease: {done:?}");
    }
}
