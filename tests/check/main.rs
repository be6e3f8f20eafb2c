//! flow: `certbaton check` on two machines that were broken on purpose, and on some that only look odd.
//!
//! Each set-up is a row of data: what is changed, what `check` has to find and where, and whether home and the vps
//! could renew. The last is not believed but tried: certbot on both asks the CA. As in `machines`, this skips where
//! there can be no lab.

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
mod checked;
#[path = "../machines/clean.rs"]
mod clean;
mod healthy;
#[path = "../machines/host.rs"]
mod host;
#[path = "../machines/lab.rs"]
mod lab;
mod renewal;
mod run;
mod served;
mod setup;
#[path = "../apache/snapshot.rs"]
mod snapshot;
mod stage;
mod transcripts;
mod traps;
mod wrong_home;
mod wrong_names;
mod wrong_vps;

/// A lab of our own, beside whatever else is up.
pub(crate) const NAME: &str = "certbaton-lab-check-tests";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-check-tests";

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
