//! flow: whatever dies, and wherever, the routes come back.
//!
//! A real Apache, the real program. `CERTBATON_FULL=1` stops at every step and
//! at every system call that changes something; else at a sample of them.
//! Where Apache, strace or root is missing this says so on stderr and skips.

mod barred;
mod bench;
mod deaf;
mod edits;
mod hindered;
mod keepers;
mod keys;
mod kills;
mod links;
mod mounts;
mod obstacles;
mod steps;
mod stuck;
mod workers;

use std::path::Path;

use bench::Bench;
use support::apache::Network;
use support::{apache, say};

/// Runs `check` on a bench of its own, if there can be one here.
fn on_a_bench(check: impl FnOnce(&mut Bench) -> Result<(), String> + Send) {
    on_a_bench_in(|bench, _| check(bench));
}

/// The same for who starts Apache again.
fn on_a_bench_in(check: impl FnOnce(&mut Bench, &Network) -> Result<(), String> + Send) {
    apache::on_a_network("crashes", |network| {
        if let Err(broken) = check(&mut Bench::set(network), network) {
            panic!("{broken}");
        }
    });
}

/// Why system calls cannot be meddled with here.
fn without_strace() -> bool {
    let missing = !Path::new("/usr/bin/strace").exists();
    if missing {
        say("skipped: faults at system calls: strace is missing; see tests/packages");
    }
    missing
}
