//! flow: full disks, damaged files, old backups, other versions: refused or waited out, never guessed.

use std::time::{Duration, Instant};

use crate::faults::deaths::expect_no_overlap;
use crate::lab::Lab;
use crate::lease::{GRACE, GRACE_LEAST, ONE, acquire, expect_within};
use crate::scenario::Certbots::{Debians, Full};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "17_a_full_disk_of_the_arbiter_refuses_and_recovers",
        Debians,
        arbiters_disk_full,
    ),
    Scenario::new(
        "18_a_full_disk_of_the_holder_stops_certbot_and_releases",
        Full,
        holders_disk_full,
    ),
    Scenario::new("23_a_duplicate_request_is_one_request", Debians, duplicate),
    Scenario::new("25_state_from_a_backup_never_lowers_the_token", Full, backup),
    Scenario::new("26_an_empty_record_is_held_by_unknown_for_one_grace", Debians, damaged::<true>),
    Scenario::new("26_a_corrupt_record_is_held_by_unknown_for_one_grace", Full, damaged::<false>),
    Scenario::new("27_an_unknown_version_is_refused_with_both_named", Debians, version),
    Scenario::new("28_a_wedged_holder_is_named_and_broken_by_its_token_alone", Debians, broken),
];

fn arbiters_disk_full(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.home.cursor();
    lab.vps.sh("cp -a /var/lib/certbaton/arbiter /run/tokens
        mount -t tmpfs -o size=16k,mode=700,uid=$(id -u certbaton),gid=$(id -g certbaton) full /var/lib/certbaton/arbiter
        cp -a /run/tokens/. /var/lib/certbaton/arbiter/; rm -r /run/tokens
        head -c 100k /dev/zero > /var/lib/certbaton/arbiter/full || true");
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    assert!(told.contains("No space left"), "{told}");
    assert!(!lab.status().contains("wait"), "{}", lab.status());
    lab.vps.sh("rm /var/lib/certbaton/arbiter/full");
    lab.renew().with(&ONE).succeed();
    lab.expect_issued(since, 1);
    lab.expect_free();
    lab.vps.sh("cp -a /var/lib/certbaton/arbiter /run/tokens; umount /var/lib/certbaton/arbiter
        cp -a /run/tokens/. /var/lib/certbaton/arbiter/; rm -r /run/tokens");
}

fn holders_disk_full(lab: &Lab) {
    let since = lab.ca.mark();
    lab.home.sh("mount -t tmpfs -o size=16k,mode=711 full /var/lib/certbaton
        head -c 100k /dev/zero > /var/lib/certbaton/full || true");
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    lab.expect_free();
    lab.home.sh("umount /var/lib/certbaton");
    lab.renew().with(&ONE).succeed();
    lab.expect_issued(since, 1);
}

fn duplicate(lab: &Lab) {
    let request = acquire("twice");
    let cursor = lab.vps.cursor();
    let said = lab.vps.by_hand(
        "home",
        &[&request, &request, "\"release\"", &request],
        Duration::from_secs(10),
    );
    let granted: Vec<&str> = said.lines().filter(|line| line.contains("granted")).collect();
    assert_eq!(granted.len(), 2, "{said}");
    assert_eq!(granted[0], granted[1], "{said}");
    assert!(said.contains("refused"), "a request that is over: {said}");
    // On another connection, too.
    let said = lab.vps.by_hand("home", &[&request], Duration::from_secs(10));
    assert!(said.contains("refused"), "a request that is over: {said}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn backup(lab: &Lab) {
    lab.vps.sh("cp -a /var/lib/certbaton/arbiter /root/tokens");
    let before = lab.token();
    lab.vps.sh("rm -rf /var/lib/certbaton/arbiter; mv /root/tokens /var/lib/certbaton/arbiter");
    let after = lab.token();
    assert!(after > before, "{after} after {before}");
    // And with a machine that is new but for the backup.
    lab.vps.sh("cp -a /var/lib/certbaton/arbiter /root/tokens");
    let before = lab.token();
    lab.vps.sh("rm -rf /var/lib/certbaton/arbiter; mv /root/tokens /var/lib/certbaton/arbiter");
    lab.vps.power_cycle();
    lab.expect_another_apache();
    let after = lab.token();
    assert!(after > before, "{after} after {before}");
}

fn damaged<const EMPTY: bool>(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.vps.cursor();
    let damage = if EMPTY { "" } else { "{\"token\":" };
    lab.vps.sh(&format!("printf '%s' '{damage}' > /run/certbaton/arbiter/grant"));
    let began = Instant::now();
    let holding = lab.hold(&lab.home);
    expect_within("the quarantine", began.elapsed(), GRACE_LEAST, GRACE + Duration::from_secs(15));
    holding.succeed();
    lab.expect_issued(since, 1);
    let told = lab.vps.journal(&cursor);
    assert_eq!(told.matches("no record of who holds").count(), 1, "{told}");
    lab.expect_free();
}

fn version(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.home.cursor();
    lab.forced_command("printf '%s\\n' '{\"version\":99,\"host\":\"vps\",\"caller\":\"home\"}'; exec cat > /dev/null");
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    assert!(told.contains("99") && told.contains("version 1"), "{told}");
    lab.expect_free();
}

fn broken(lab: &Lab) {
    let cursor = lab.vps.cursor();
    let holding = lab.hold(&lab.home);
    let waiting = lab.wait_for_lease(&lab.vps);
    let shown = lab.status();
    for word in ["home", &holding.token.to_string(), "lease break"] {
        assert!(shown.contains(word), "no {word:?} in {shown}");
    }
    let wrong = lab.vps.run(&["certbaton", "lease", "break", &(holding.token - 1).to_string()]);
    assert_ne!(wrong.code(), 0, "another token: {wrong:?}");
    let began = Instant::now();
    let done = lab.home.run(&["certbaton", "lease", "break", &holding.token.to_string()]);
    assert_eq!(done.code(), 0, "{done:?}");
    holding.be_stopped(began);
    lab.granted(&cursor, &lab.vps, Duration::from_secs(45));
    let done = waiting.ended();
    assert_eq!(done.code(), 0, "{done:?}");
    expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

impl Lab {
    /// Has the lease by hand; its token.
    fn token(&self) -> u64 {
        let cursor = self.vps.cursor();
        let patience = GRACE + Duration::from_secs(10);
        let said = self.vps.by_hand("home", &[&acquire("token"), "\"release\""], patience);
        assert!(said.contains("granted"), "{said}");
        self.granted(&cursor, &self.home, Duration::from_secs(5))
    }
}
