//! flow: nginx on the vps, Apache on home, a real certbot and a real CA: renewals through home where nothing is switched.
//!
//! As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod foreign;
mod renewals;
#[expect(dead_code, reason = "shared with targets that use more of it")]
#[path = "../two_hosts/mod.rs"]
mod two_hosts;

use two_hosts::lab::{Lab, tool};
use two_hosts::scenario::{Around, perform};

fn main() {
    // Each scenario says itself what its vps is.
    perform(renewals::SCENARIOS, Around { prepare: |_| {}, tidy });
}

/// Takes back what two hosts need to reach each other.
fn tidy(lab: &Lab) {
    if lab.home.path("/etc/certbaton").exists() {
        let done = tool().arg("no-lease").output().unwrap();
        assert!(done.status.success(), "lab no-lease: {done:?}");
    }
}
