//! flow: nginx on the vps, Apache on home, a real certbot and a real CA: renewals through home where nothing is switched.
//!
//! As in `machines`, this skips where there can be no lab.

mod foreign;
mod renewals;

use crate::lab::{Lab, tool};
use crate::scenario::{self, Around};
use crate::trials::Part;

pub(crate) fn part() -> Part {
    // Each scenario says itself what its vps is.
    scenario::part("nginx", &[renewals::SCENARIOS], Around { prepare: |_| {}, tidy })
}

/// Takes back what two hosts need to reach each other.
fn tidy(lab: &Lab) {
    if lab.home.path("/etc/certbaton").exists() {
        let done = tool().arg("no-lease").output().unwrap();
        assert!(done.status.success(), "lab no-lease: {done:?}");
    }
}
