//! flow: `certbaton check` on two machines that were broken on purpose, and on some that only look odd.
//!
//! Each set-up is a row of data: what is changed, what `check` has to find and where, and whether home and the vps
//! could renew. The last is not believed but tried: certbot on both asks the CA. As in `machines`, this skips where
//! there can be no lab.

mod checked;
mod healthy;
mod renewal;
mod run;
mod served;
mod setup;
mod stage;
mod transcripts;
mod traps;
mod wrong_home;
mod wrong_names;
mod wrong_vps;

use crate::trials::Part;

pub(crate) fn part() -> Part {
    run::part(
        &[
            healthy::SETUPS,
            wrong_names::SETUPS,
            wrong_home::SETUPS,
            wrong_vps::SETUPS,
            served::SETUPS,
            traps::SETUPS,
        ]
        .concat(),
    )
}
