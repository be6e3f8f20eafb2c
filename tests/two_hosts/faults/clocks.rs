//! flow: time that stands still, and clocks that jump.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::checker::granted;
use crate::faults::deaths::expect_no_overlap;
use crate::host::Host;
use crate::lab::Lab;
use crate::lease::{GRACE, ONE, acquire};
use crate::scenario::Certbots::{Debians, Full};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "14_a_wall_clock_of_the_arbiter_that_jumps_leaves_nothing_behind",
        Full,
        wall_clock,
    ),
    Scenario::new("16_a_holder_that_slept_through_its_lease_stops_itself", Debians, slept),
    Scenario::new("16_a_holder_that_slept_for_a_moment_goes_on", Full, dozed),
];

/// Everything of the run on a host stands still, as in a suspended machine.
struct Asleep(Vec<Pid>);

impl Asleep {
    fn new(host: &Host) -> Self {
        let all = ["certbaton", "/usr/bin/certbot", "ssh -", "/run/pause"];
        let asleep: Vec<Pid> = all.iter().flat_map(|text| host.processes(text)).collect();
        for pid in &asleep {
            kill(*pid, Signal::SIGSTOP).unwrap();
        }
        Self(asleep)
    }

    fn wake(self) {
        for pid in self.0 {
            kill(pid, Signal::SIGCONT).ok();
        }
    }
}

fn slept(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    let since = lab.ca.mark();
    let waiting = lab.wait_for_lease(&lab.vps);
    let asleep = Asleep::new(&lab.home);
    lab.granted(&cursor, &lab.vps, GRACE * 2);
    // The route is still at home, which the probe sees: the CA is not asked.
    assert_eq!(waiting.ended().code(), 143);
    asleep.wake();
    let took = holding.be_stopped(Instant::now());
    assert!(took < Duration::from_secs(10), "awake for {took:?}");
    lab.expect_not_asked(since);
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
    lab.renew_on(&lab.vps).with(&ONE).succeed();
    lab.expect_issued(since, 1);
}

fn dozed(lab: &Lab) {
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    let asleep = Asleep::new(&lab.home);
    std::thread::sleep(Duration::from_secs(10));
    asleep.wake();
    std::thread::sleep(Duration::from_secs(7));
    holding.succeed();
    lab.expect_issued(since, 1);
    lab.expect_free();
}

/// libfaketime changes what `time(2)` and its kin say, and leaves the time since boot alone.
fn wall_clock(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let first = lab.hold_briefly();
    expect_no_overlap(lab, &cursor);
    let wrong = lab.vps.cursor();
    let since = lab.ca.mark();
    // A token of a wrong clock is refused, whichever of the two it is, and nothing lasts of it.
    for jump in ["+400d", "-400d"] {
        lab.forced_command(&format!(
            "FAKETIME_DONT_FAKE_MONOTONIC=1 exec faketime -f '{jump}' /usr/bin/certbaton serve --as home"
        ));
        lab.renew().with(&ONE).be_stopped();
    }
    lab.expect_not_asked(since);
    // That of the clock ahead was written down and refused by its holder; that of the clock behind, never granted.
    let events = lab.events(&wrong);
    let ahead = granted(&events);
    assert!(matches!(ahead[..], [token] if token > first), "{events:?} after {first}");
    lab.forced_command("exec /usr/bin/certbaton serve --as home");
    let cursor = lab.vps.cursor();
    let began = Instant::now();
    // The end of who held it is waited for, too.
    let patience = GRACE * 2 + Duration::from_secs(10);
    let said = lab.vps.by_hand("home", &[&acquire("after"), "\"release\""], patience);
    assert!(said.contains("released"), "the arbiter: {said}");
    // As an unreadable one it is waited out, and then tokens go on from the clock.
    assert!(began.elapsed() > GRACE, "the lease was granted after {:?}", began.elapsed());
    let then = lab.hold_briefly();
    assert!(then > first, "{then} after {first}");
    assert!(then < ahead[0], "{then} after {first}, not after {}", ahead[0]);
    expect_no_overlap(lab, &cursor);
    let told = lab.vps.journal(&cursor);
    assert_eq!(told.matches("far ahead of the clock of this host").count(), 1, "{told}");
    lab.expect_free();
}

impl Lab {
    /// A whole renewal on home; the token it had.
    fn hold_briefly(&self) -> u64 {
        let holding = self.hold(&self.home);
        let token = holding.token;
        holding.succeed();
        token
    }

    /// What sshd on the vps runs when home calls.
    pub(crate) fn forced_command(&self, script: &str) {
        self.vps.script("/usr/local/bin/forced", &format!("#!/bin/sh\n{script}\n"));
        self.vps.sh(
            "sed -i 's|command=\"[^\"]*\"|command=\"/usr/local/bin/forced\"|' /var/lib/certbaton-ssh/.ssh/authorized_keys",
        );
    }
}
