//! flow: whatever becomes of the link, both ends know by their own clocks who may go on.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::checker::granted;
use crate::faults::deaths::expect_no_overlap;
use crate::lab::{Lab, until};
use crate::lease::{DEADLINE, DEADLINE_LEAST, GRACE, GRACE_LEAST, ONE, expect_within};
use crate::scenario::Certbots::{Debians, Full};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "11_a_link_cut_in_the_challenge_stops_certbot_before_the_next_is_granted",
        Debians,
        cut_in_challenge,
    ),
    Scenario::new(
        "11_a_link_that_is_down_stops_certbot_before_the_next_is_granted",
        Full,
        link_down,
    ),
    Scenario::new(
        "12_a_half_open_link_without_answers_is_noticed_by_both_ends",
        Full,
        half_open::<false>,
    ),
    Scenario::new(
        "12_a_half_open_link_without_questions_is_noticed_by_both_ends",
        Full,
        half_open::<true>,
    ),
    Scenario::new("13_a_slow_link_changes_nothing", Full, slow),
    Scenario::new("11_a_link_that_comes_back_in_time_changes_nothing", Debians, comes_back),
];

/// A heartbeat, and certbot's end.
const MARGIN: Duration = Duration::from_secs(12);

impl Lab {
    /// No packet of the lease's connection from home, or to home, or both, arrives; and nobody is told.
    fn cut(&self, from: bool, to: bool) {
        self.home.sh("nft add table inet cut
            nft 'add chain inet cut out { type filter hook output priority 0; }'
            nft 'add chain inet cut in { type filter hook input priority 0; }'");
        if from {
            self.home.sh("nft add rule inet cut out tcp dport 22 drop");
        }
        if to {
            self.home.sh("nft add rule inet cut in tcp sport 22 drop");
        }
    }

    /// Has the CA stand still, or go on.
    pub(crate) fn mend(&self) {
        self.home.sh("nft delete table inet cut");
    }
}

/// certbot on home is stopped by its own keeper, and only then the vps gets its turn.
fn lost(lab: &Lab, cut: impl Fn(), mend: impl Fn()) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_for_lease(&lab.vps);
    let began = Instant::now();
    cut();
    let stopped = holding.be_stopped(began);
    expect_within("certbot's end", stopped, DEADLINE_LEAST, GRACE);
    until("the route's return", || lab.home.processes("certbaton keep").is_empty());
    assert!(began.elapsed() < GRACE, "the route came back after {:?}", began.elapsed());
    mend();
    lab.granted(&cursor, &lab.vps, GRACE + MARGIN);
    expect_within("the grace", began.elapsed(), GRACE_LEAST, GRACE + MARGIN);
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn half_open<const QUESTIONS: bool>(lab: &Lab) {
    lost(lab, || lab.cut(QUESTIONS, !QUESTIONS), || lab.mend());
}

fn link_down(lab: &Lab) {
    let up = || {
        lab.home.sh("ip link set eth0 up; ip address replace 2001:db8::20/64 dev eth0 nodad");
    };
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_and_pause(&lab.vps);
    let began = Instant::now();
    lab.home.sh("ip link set eth0 down");
    let stopped = holding.be_stopped(began);
    expect_within("certbot's end", stopped, DEADLINE_LEAST, GRACE);
    lab.granted(&cursor, &lab.vps, GRACE + MARGIN);
    lab.expect_not_asked(since);
    up();
    until("the routes", || lab.ca.answers(&crate::clean::NAMES) == ["vps"; 4]);
    lab.vps.await_pause();
    lab.vps.go_on();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn cut_in_challenge(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let held = lab.ca.hold();
    let certbot = lab.renew().with(&ONE).start();
    lab.await_challenge(since);
    let waiting = lab.wait_for_lease(&lab.vps);
    // The CA takes its time, longer than the lease.
    lab.signal_ca("STOP");
    drop(held);
    let began = Instant::now();
    lab.cut(true, true);
    let done = certbot.ended();
    assert_eq!(done.code(), 143, "{done:?}");
    expect_within("certbot's end", began.elapsed(), DEADLINE_LEAST, GRACE);
    lab.signal_ca("CONT");
    lab.granted(&cursor, &lab.vps, GRACE + MARGIN);
    lab.mend();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    expect_no_overlap(lab, &cursor);
    lab.home.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
    lab.expect_free();
}

fn slow(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    let token = holding.token;
    let at_home = lab.home.cursor();
    let ssh = lab.home.ssh();
    kill(ssh, Signal::SIGSTOP).unwrap();
    std::thread::sleep(DEADLINE_LEAST);
    // The last answer was up to 5 s before: the holder may have tried another line already, which is in time.
    kill(ssh, Signal::SIGCONT).ok();
    std::thread::sleep(DEADLINE / 2);
    holding.succeed();
    let told = lab.home.journal(&at_home);
    assert!(told.contains("the arbiter has not answered for a while"), "{told}");
    lab.expect_issued(since, 1);
    let events = lab.events(&cursor);
    assert_eq!(granted(&events), [token], "{events:?}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn comes_back(lab: &Lab) {
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    lab.cut(true, true);
    std::thread::sleep(DEADLINE_LEAST);
    lab.mend();
    std::thread::sleep(GRACE / 2);
    holding.succeed();
    lab.expect_issued(since, 1);
    lab.expect_free();
}
