//! flow: the rendered gateway on two real machines: what it serves, and how it renews in each layout.
//!
//! As in `machines`, this skips where there can be no lab.

mod layouts;
mod served;
mod stage;

use crate::scenario::{self, Around};
use crate::trials::Part;
use stage::{prepare, tidy};

pub(crate) fn part() -> Part {
    scenario::part("gateway", &[served::SCENARIOS, layouts::SCENARIOS], Around { prepare, tidy })
}
