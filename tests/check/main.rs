//! flow: `certbaton check` on two machines that were broken on purpose, and on some that only look odd.
//!
//! Each set-up is a row of data: what is changed, what `check` has to find and where, and whether home and the vps
//! could renew. The last is not believed but tried: certbot on both asks the CA. As in `machines`, this skips where
//! there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod checked;
mod healthy;
mod renewal;
mod run;
mod served;
mod setup;
mod stage;
mod transcripts;
mod traps;
#[expect(dead_code, reason = "shared with targets that use more of it")]
#[path = "../two_hosts/mod.rs"]
mod two_hosts;
mod wrong_home;
mod wrong_names;
mod wrong_vps;

fn main() {
    run::perform(
        &[
            healthy::SETUPS,
            wrong_names::SETUPS,
            wrong_home::SETUPS,
            wrong_vps::SETUPS,
            served::SETUPS,
            traps::SETUPS,
        ]
        .concat(),
    );
}
