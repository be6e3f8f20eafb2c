//! test: Apache's own processes, which any of its user's may stop.

use std::fs;
use std::time::{Duration, Instant};

use certbaton::base::process::{self, PidFd, Signal};

use crate::crash::bench::Goal;
use crate::crash::keepers::until;
use crate::crash::on_a_bench;
use support::ensure;

#[test]
fn a_worker_that_is_stopped_accepts_nothing_and_holds_no_reload_up() {
    on_a_bench(|bench| {
        let pid = fs::read_to_string(bench.layout.pid_file()).unwrap().trim().parse().unwrap();
        for goal in [Goal::Local, Goal::Peer] {
            // The youngest: others may be ending, since a reload. Apache writes its pid file before
            // it has one (ap_run_pre_mpm).
            let mut newest = None;
            until("a worker of Apache's", || {
                newest = process::children(pid).unwrap().last().copied();
                newest.is_some()
            })?;
            let newest = newest.unwrap();
            let worker = PidFd::open(newest).unwrap();
            worker.signal(Signal::STOP).unwrap();
            let since = Instant::now();
            let done = bench.done(goal);
            let waited = since.elapsed();
            let is_stopped = process::is_stopped(newest.pid);
            worker.signal(Signal::CONT).ok();
            done?;
            ensure!(is_stopped.is_ok_and(|is| is), "{goal:?}: it was not there, or not stopped");
            ensure!(waited < bench.settings.proof_time, "{goal:?}: {waited:?}");
            ensure!(worker.wait_exit(Duration::from_secs(20)).unwrap(), "{goal:?}: it goes on");
        }
        bench.expect_as_before()
    });
}
