//! flow: whatever dies of a run or of the arbiter, at most one holds, and the next gets its turn in time.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clean::NAMES;
use crate::lab::{Lab, until, until_within};
use crate::lease::{DEADLINE, GRACE, GRACE_LEAST, ONE, expect_within, kill_hard};
use crate::scenario::Certbots::{Debians, Full};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "01_a_pre_hook_killed_while_it_waits_withdraws_and_stops_certbot",
        Debians,
        pre_hook_waiting,
    ),
    Scenario::new("02_a_shell_killed_after_the_grant_changes_nothing", Debians, shell_after_grant),
    Scenario::new("03_certbot_killed_releases_at_once", Debians, certbot_ends::<KILL>),
    Scenario::new("04_certbot_terminated_releases_at_once", Debians, certbot_ends::<TERM>),
    Scenario::new("04_certbot_interrupted_releases_at_once", Full, certbot_ends::<INT>),
    Scenario::new("05_a_post_hook_killed_loses_nothing", Debians, post_hook_killed),
    Scenario::new("05_a_post_hook_that_never_runs_loses_nothing", Full, post_hook_never),
    Scenario::new(
        "06_a_keeper_killed_keeps_the_next_waiting_for_the_grace",
        Debians,
        keeper_killed,
    ),
    Scenario::new(
        "07_the_arbiters_process_killed_gives_back_the_same_token",
        Debians,
        arbiter_killed,
    ),
    Scenario::new(
        "08_an_arbiter_that_is_down_stops_certbot_before_the_ca_is_asked",
        Debians,
        arbiter_down,
    ),
    Scenario::new(
        "09_an_arbiter_killed_before_it_answers_never_grants_twice",
        Debians,
        arbiter_killed_writing,
    ),
    Scenario::new("10_an_arbiter_that_reboots_confirms_its_holder", Debians, arbiter_reboots),
    Scenario::new(
        "19_power_loss_of_the_holder_is_waited_out_and_its_boot_repairs",
        Full,
        holder_power_cut,
    ),
    Scenario::new(
        "20_power_loss_of_the_arbiter_while_it_grants_leaves_a_rising_token",
        Full,
        arbiter_power_cut,
    ),
    Scenario::new("29_a_killed_ssh_is_replaced_and_the_token_stays", Debians, ssh_killed),
];

const TERM: i32 = Signal::SIGTERM as i32;
const INT: i32 = Signal::SIGINT as i32;
const KILL: i32 = Signal::SIGKILL as i32;

/// What the next one gets at once.
const AT_ONCE: Duration = Duration::from_secs(8);

/// From the end of a grace until a holder stands behind its pre-hook, on a busy host.
const SLACK: Duration = Duration::from_secs(10);

fn pre_hook_waiting(lab: &Lab) {
    let holding = lab.hold(&lab.vps);
    let since = lab.ca.mark();
    let waiting = lab.wait_for_lease(&lab.home);
    kill_hard(lab.home.process("certbaton-pre-hook"));
    assert_eq!(waiting.ended().code(), 143);
    lab.expect_not_asked(since);
    until("an empty queue", || !lab.status().contains("wait"));
    holding.succeed();
    lab.expect_free();
}

fn shell_after_grant(lab: &Lab) {
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    for shell in lab.home.processes("certbaton-pre-hook && /run/pause") {
        let name = std::fs::read_to_string(format!("/proc/{shell}/comm")).unwrap_or_default();
        if name.trim() == "sh" {
            kill_hard(shell);
        }
    }
    holding.succeed();
    lab.expect_issued(since, 1);
    lab.expect_free();
}

fn certbot_ends<const SIGNAL: i32>(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_for_lease(&lab.vps);
    let began = Instant::now();
    holding.certbot.signal(Signal::try_from(SIGNAL).unwrap());
    lab.granted(&cursor, &lab.vps, AT_ONCE);
    expect_within("the handoff", began.elapsed(), Duration::ZERO, AT_ONCE);
    lab.home.go_on();
    holding.certbot.ended();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 1);
    lab.expect_free();
}

fn post_hook_killed(lab: &Lab) {
    let since = lab.ca.mark();
    let pausing = lab.home.pausing();
    let certbot = lab.renew().with(&ONE).post(&format!("{pausing} && certbaton-post-hook")).start();
    lab.await_pause();
    // Apache stands still, and so does the post-hook.
    lab.home.sh("kill -STOP $(cat /run/apache2/apache2.pid)");
    let keeper = lab.home.own_keeper();
    nix::sys::signal::kill(keeper, Signal::SIGSTOP).unwrap();
    lab.go_on();
    kill_hard(lab.home.process("certbaton-post-hook"));
    lab.home.sh("kill -CONT $(cat /run/apache2/apache2.pid)");
    nix::sys::signal::kill(keeper, Signal::SIGCONT).unwrap();
    certbot.ended();
    lab.expect_issued(since, 1);
    lab.expect_free();
}

fn post_hook_never(lab: &Lab) {
    let since = lab.ca.mark();
    let done = lab.renew().with(&ONE).post("true").run();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 1);
    lab.expect_free();
}

fn keeper_killed(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.vps);
    let waiting = lab.wait_for_lease(&lab.home);
    let began = Instant::now();
    kill_hard(lab.vps.own_keeper());
    lab.granted(&cursor, &lab.home, GRACE + SLACK);
    // The last heartbeat was up to 5 s before.
    expect_within("the grace", began.elapsed(), GRACE_LEAST, GRACE + SLACK);
    holding.certbot.signal(Signal::SIGKILL);
    lab.vps.go_on();
    holding.certbot.ended();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_free();
    // As its timer does: the killed keeper's socket goes.
    lab.vps.sh("certbaton recover");
}

/// The holder goes on with the token that it had.
fn until_resumed(lab: &Lab, cursor: &str, token: u64) {
    until_within("the same token", DEADLINE, || {
        lab.events(cursor)
            .iter()
            .any(|e| matches!(e, crate::checker::Event::Resumed { token: t, .. } if *t == token))
    });
}

fn arbiter_killed(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_for_lease(&lab.vps);
    kill_hard(lab.vps.arbiter_of("home"));
    until_resumed(lab, &cursor, holding.token);
    holding.succeed();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn ssh_killed(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    let ssh = lab.home.ssh();
    kill_hard(ssh);
    until_within("another ssh", DEADLINE, || lab.home.running("ssh").iter().any(|pid| *pid != ssh));
    until_resumed(lab, &cursor, holding.token);
    holding.succeed();
    lab.expect_free();
}

fn arbiter_down(lab: &Lab) {
    let since = lab.ca.mark();
    lab.vps.power(false);
    let cursor = lab.home.cursor();
    let began = Instant::now();
    lab.renew().with(&ONE).be_stopped();
    expect_within("giving up", began.elapsed(), Duration::ZERO, Duration::from_mins(1));
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    assert!(told.contains("cannot be reached"), "{told}");
    lab.vps.power(true);
    lab.expect_another_apache();
    lab.renew().with(&ONE).succeed();
    lab.expect_issued(since, 1);
}

/// strace kills the arbiter in the N-th rename of its life: the token's, the record's; the holder tries again.
fn arbiter_killed_writing(lab: &Lab) {
    let mut last = 0;
    for rename in 1..=4 {
        let cursor = lab.vps.cursor();
        lab.forced_command(&format!(
            "if rm /tmp/armed-strace 2> /dev/null; then exec strace -f -o /dev/null \
             -e inject=rename,renameat,renameat2:signal=KILL:when={rename} /usr/bin/certbaton serve --as home; fi
             exec /usr/bin/certbaton serve --as home"
        ));
        lab.vps.sh("install -o certbaton /dev/null /tmp/armed-strace");
        let holding = lab.hold(&lab.home);
        assert!(!lab.vps.path("/tmp/armed-strace").exists(), "no arbiter was killed");
        assert!(holding.token > last, "{} after {last}", holding.token);
        last = holding.token;
        expect_no_overlap(lab, &cursor);
        holding.succeed();
    }
    lab.expect_free();
}

fn arbiter_reboots(lab: &Lab) {
    let since = lab.ca.mark();
    let holding = lab.hold(&lab.home);
    let began = Instant::now();
    lab.vps.power_cycle();
    lab.expect_another_apache();
    assert!(
        began.elapsed() < DEADLINE,
        "this host is too slow for this scenario: {:?}",
        began.elapsed()
    );
    until_within("the holder's return", DEADLINE, || {
        !lab.vps.processes("certbaton serve --as home").is_empty()
    });
    let status = lab.status();
    assert!(status.contains(&holding.token.to_string()), "{status}");
    holding.succeed();
    lab.expect_issued(since, 1);
}

fn holder_power_cut(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    assert_eq!(lab.ca.answers(&NAMES), ["vps", "vps", "vps", "home"]);
    let since = lab.ca.mark();
    let waiting = lab.wait_and_pause(&lab.vps);
    let began = Instant::now();
    lab.home.power(false);
    lab.granted(&cursor, &lab.vps, GRACE + SLACK);
    expect_within("the grace", began.elapsed(), GRACE_LEAST, GRACE + SLACK);
    lab.home.power(true);
    holding.certbot.ended();
    until("the boot unit's work", || lab.ca.answers(&NAMES) == ["vps"; 4]);
    lab.expect_another_apache();
    lab.vps.await_pause();
    lab.vps.go_on();
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 1);
}

fn arbiter_power_cut(lab: &Lab) {
    let mut last = 0;
    for _ in 0..2 {
        let waiting = lab.renew().with(&ONE).start();
        until("the arbiter's process", || {
            !lab.vps.processes("certbaton serve --as home").is_empty()
        });
        lab.vps.power(false);
        lab.vps.power(true);
        waiting.ended();
        lab.expect_another_apache();
        let holding = lab.hold(&lab.home);
        assert!(holding.token > last, "{} after {last}", holding.token);
        last = holding.token;
        holding.succeed();
    }
}

/// The arbiter's own lines show no overlap.
pub(crate) fn expect_no_overlap(lab: &Lab, cursor: &str) {
    let events = lab.events(cursor);
    assert_eq!(crate::checker::overlaps(&events, &[]), Vec::<String>::new(), "{events:?}");
}
