//! flow: two real machines, a real certbot, a real CA: one lab, one scenario after another.
//!
//! Where there can be no lab this says so and skips. `CERTBATON_FULL` runs each fault at each moment with each certbot.

mod hooks;
mod kills;
mod leftovers;
mod refusals;
mod renewals;
mod status;

use crate::scenario::{self, NOTHING_AROUND};
use crate::trials::Part;

pub(crate) fn part() -> Part {
    let scenarios = [
        renewals::SCENARIOS,
        leftovers::SCENARIOS,
        refusals::SCENARIOS,
        hooks::SCENARIOS,
        kills::SCENARIOS,
        status::SCENARIOS,
    ];
    scenario::part("machines", &scenarios, NOTHING_AROUND)
}
