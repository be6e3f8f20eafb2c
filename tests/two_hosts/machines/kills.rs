//! flow: whatever dies, at whatever moment, the routes come back and the lease is free.

use nix::sys::signal::{Signal, kill};

use crate::clean::NAMES;
use crate::host::Started;
use crate::lab::{Lab, until};
use crate::scenario::Certbots::{Debians, Full, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("certbot_terminated_while_the_lease_is_waited_for", Full, waiting::<TERM>),
    Scenario::new("certbot_interrupted_while_the_lease_is_waited_for", Full, waiting::<INT>),
    Scenario::new("certbot_killed_while_the_lease_is_waited_for", Sampled, waiting::<KILL>),
    Scenario::new("certbot_terminated_in_the_middle_of_the_switch", Sampled, switching::<TERM>),
    Scenario::new("certbot_interrupted_in_the_middle_of_the_switch", Full, switching::<INT>),
    Scenario::new("certbot_killed_in_the_middle_of_the_switch", Full, switching::<KILL>),
    Scenario::new("certbot_terminated_in_the_pre_hook", Full, in_pre_hook::<TERM>),
    Scenario::new("certbot_interrupted_in_the_pre_hook", Sampled, in_pre_hook::<INT>),
    Scenario::new("certbot_killed_in_the_pre_hook", Sampled, in_pre_hook::<KILL>),
    Scenario::new("certbot_terminated_in_the_challenge", Sampled, in_challenge::<TERM>),
    Scenario::new("certbot_interrupted_in_the_challenge", Sampled, in_challenge::<INT>),
    Scenario::new("certbot_killed_in_the_challenge", Sampled, in_challenge::<KILL>),
    Scenario::new("certbot_terminated_between_deploy_and_post", Sampled, deployed::<TERM>),
    Scenario::new("certbot_interrupted_between_deploy_and_post", Full, deployed::<INT>),
    Scenario::new("certbot_killed_between_deploy_and_post", Sampled, deployed::<KILL>),
    Scenario::new("the_keeper_killed_in_the_middle_of_the_switch", Sampled, keeper_in_switch),
    Scenario::new("the_keeper_killed_in_the_challenge", Sampled, keeper_in_challenge),
    Scenario::new("the_keeper_killed_between_deploy_and_post", Sampled, keeper_deployed),
    Scenario::new(
        "the_keeper_and_certbot_killed_is_a_case_for_recover",
        Sampled,
        keeper_and_certbot,
    ),
    Scenario::new("the_pre_hook_killed_while_it_waits_stops_certbot", Sampled, pre_hook_waiting),
    Scenario::new("the_pre_hook_killed_in_the_switch_stops_certbot", Sampled, pre_hook_in_switch),
    Scenario::new("a_power_cut_is_a_case_for_recover", Debians, power_cut),
];

const TERM: i32 = Signal::SIGTERM as i32;
const INT: i32 = Signal::SIGINT as i32;
const KILL: i32 = Signal::SIGKILL as i32;

/// Holds a lock of ours on home until it is dropped.
struct Locked(Started);

impl Locked {
    fn new(lab: &Lab, lock: &str) -> Self {
        lab.home.sh("mkdir -p /run/certbaton");
        let path = format!("/run/certbaton/{lock}");
        let held = lab.home.start(&["flock", &path, "sleep", "1000"]);
        until("the lock", || !lab.home.run(&["flock", "-n", &path, "true"]).status.success());
        Self(held)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let flock = self.0.pid();
        // The lock is its child's as well.
        let children = std::fs::read_to_string(format!("/proc/{flock}/task/{flock}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            kill(nix::unistd::Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).ok();
        }
    }
}

/// Apache's parent stands still: a reload does not happen.
struct Frozen<'a>(&'a Lab);

impl<'a> Frozen<'a> {
    fn new(lab: &'a Lab) -> Self {
        lab.home.sh("kill -STOP $(cat /run/apache2/apache2.pid)");
        Self(lab)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.home.sh("kill -CONT $(cat /run/apache2/apache2.pid)");
    }
}

/// The files have our lines, and nothing is proven yet.
fn await_installed(lab: &Lab) {
    let site = "/etc/apache2/sites-available/wiki.example.org.conf";
    until("our lines", || lab.home.read(site).contains("# certbaton: begin"));
}

fn waiting<const SIGNAL: i32>(lab: &Lab) {
    lab.expect_untouched();
    let since = lab.ca.mark();
    let lease = Locked::new(lab, "lease.lock");
    let certbot = lab.renew().start();
    lab.home.keeper();
    certbot.signal(Signal::try_from(SIGNAL).unwrap());
    certbot.ended();
    lab.home.at_rest();
    drop(lease);
    lab.expect_not_asked(since);
}

fn switching<const SIGNAL: i32>(lab: &Lab) {
    let since = lab.ca.mark();
    let frozen = Frozen::new(lab);
    let certbot = lab.renew().start();
    await_installed(lab);
    certbot.signal(Signal::try_from(SIGNAL).unwrap());
    drop(frozen);
    certbot.ended();
    lab.home.at_rest();
    lab.expect_not_asked(since);
}

fn in_pre_hook<const SIGNAL: i32>(lab: &Lab) {
    let since = lab.ca.mark();
    let pre = format!("certbaton-pre-hook && {}", lab.pausing());
    let certbot = lab.renew().pre(&pre).start();
    lab.await_pause();
    assert_eq!(lab.ca.answers(&NAMES), ["home"; 4]);
    certbot.signal(Signal::try_from(SIGNAL).unwrap());
    lab.home.at_rest();
    lab.go_on();
    certbot.ended();
    lab.expect_not_asked(since);
}

fn in_challenge<const SIGNAL: i32>(lab: &Lab) {
    let since = lab.ca.mark();
    let held = lab.ca.hold();
    let certbot = lab.renew().start();
    lab.await_challenge(since);
    certbot.signal(Signal::try_from(SIGNAL).unwrap());
    certbot.ended();
    lab.home.at_rest();
    drop(held);
    lab.home.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
}

fn deployed<const SIGNAL: i32>(lab: &Lab) {
    let deploy = format!("certbaton-deploy-hook && {}", lab.pausing());
    let certbot = lab.renew().deploy(&deploy).start();
    lab.await_pause();
    assert_eq!(lab.ca.answers(&NAMES), ["vps", "vps", "home", "home"]);
    certbot.signal(Signal::try_from(SIGNAL).unwrap());
    // From its first new certificate on, certbot keeps SIGTERM to itself and goes on: `ErrorHandler.__exit__`
    // (error_handler.py) leaves its handler in place after `update_all_links_to` (storage.py).
    if SIGNAL != TERM {
        lab.home.at_rest();
    }
    lab.go_on();
    certbot.ended();
    lab.home.at_rest();
    lab.expect_served(&["cloud.example.org"]);
}

fn keeper_in_switch(lab: &Lab) {
    let since = lab.ca.mark();
    let frozen = Frozen::new(lab);
    let certbot = lab.renew().start();
    await_installed(lab);
    kill(lab.home.keeper(), Signal::SIGKILL).unwrap();
    drop(frozen);
    assert_eq!(certbot.ended().code(), 143);
    lab.home.at_rest();
    lab.expect_not_asked(since);
}

fn keeper_in_challenge(lab: &Lab) {
    let since = lab.ca.mark();
    let held = lab.ca.hold();
    let certbot = lab.renew().start();
    lab.await_challenge(since);
    kill(lab.home.keeper(), Signal::SIGKILL).unwrap();
    drop(held);
    let done = certbot.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 3);
    lab.expect_served(&crate::clean::LINEAGES);
}

fn keeper_deployed(lab: &Lab) {
    let since = lab.ca.mark();
    let deploy = format!("certbaton-deploy-hook && {}", lab.pausing());
    let certbot = lab.renew().with(&["--cert-name", "cloud.example.org"]).deploy(&deploy).start();
    lab.await_pause();
    kill(lab.home.keeper(), Signal::SIGKILL).unwrap();
    lab.go_on();
    let done = certbot.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 1);
}

fn keeper_and_certbot(lab: &Lab) {
    let pre = format!("certbaton-pre-hook && {}", lab.pausing());
    let certbot = lab.renew().pre(&pre).start();
    lab.await_pause();
    kill(lab.home.keeper(), Signal::SIGKILL).unwrap();
    certbot.signal(Signal::SIGKILL);
    lab.go_on();
    certbot.ended();
    assert_eq!(lab.ca.answers(&NAMES), ["home"; 4]);
    let done = lab.home.run(&["certbaton", "recover"]);
    assert_eq!((done.code(), done.out.as_str(), done.err.as_str()), (0, "", ""));
    assert_eq!(lab.home.run(&["certbaton", "recover"]).code(), 0);
}

fn pre_hook_waiting(lab: &Lab) {
    lab.expect_untouched();
    let since = lab.ca.mark();
    let lease = Locked::new(lab, "lease.lock");
    let certbot = lab.renew().start();
    lab.home.keeper();
    kill(lab.home.process("certbaton-pre-hook"), Signal::SIGKILL).unwrap();
    assert_eq!(certbot.ended().code(), 143);
    lab.home.at_rest();
    drop(lease);
    lab.expect_not_asked(since);
}

fn pre_hook_in_switch(lab: &Lab) {
    let since = lab.ca.mark();
    let frozen = Frozen::new(lab);
    let certbot = lab.renew().start();
    await_installed(lab);
    kill(lab.home.process("certbaton-pre-hook"), Signal::SIGKILL).unwrap();
    assert_eq!(certbot.ended().code(), 143);
    drop(frozen);
    lab.home.at_rest();
    lab.expect_not_asked(since);
}

fn power_cut(lab: &Lab) {
    let pre = format!("certbaton-pre-hook && {}", lab.pausing());
    let certbot = lab.renew().pre(&pre).start();
    lab.await_pause();
    lab.home.power_cycle();
    certbot.ended();
    assert_eq!(lab.ca.answers(&NAMES), ["home"; 4]);
    let done = lab.home.run(&["certbaton", "recover"]);
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_another_apache();
}
