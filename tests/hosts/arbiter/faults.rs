//! flow: what the arbiter does about bad words, bad files, full disks, and processes that stop.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::time::{Duration, Instant};

use certbaton::lease::wire::{ArbiterAnswer, Ask, MAX_LINE, Token, Waiting};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::arbiter::caller::{Caller, Place};

/// Neither root nor anybody else (Debian).
const NOBODY: u32 = 65_534;

#[test]
fn words_that_are_none_end_the_conversation() {
    let place = Place::with("30s");
    let long = vec![b'x'; MAX_LINE + 1];
    for bad in [&b"GET / HTTP/1.1\r\n"[..], b"\"renew\"\n", b"\n", b"\xff\xfe\n", &long] {
        let mut caller = place.connect("home");
        assert!(caller.write(bad));
        let ArbiterAnswer::Refused { why } = caller.hear() else { panic!("it was understood") };
        assert!(why.contains("version 1"), "{why}");
        assert!(caller.ended());
    }
    let mut caller = place.connect("home");
    caller.acquire("../r", None);
    assert!(matches!(caller.hear(), ArbiterAnswer::Refused { .. }));
    caller.say(&Ask::Release);
    assert!(matches!(caller.hear(), ArbiterAnswer::Refused { .. }), "nothing is held");
    caller.hang_up();
    assert!(caller.ended());
}

#[test]
fn an_arbiter_that_root_starts_leaves_roots_rights_and_terminal() {
    if !geteuid().is_root() {
        return support::say("skipped: an arbiter that root starts: only root can");
    }
    let place = Place::with("30s");
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for directory in ["run/arbiter", "state/arbiter"].map(|name| place.path(name)) {
        fs::create_dir_all(&directory).unwrap();
        chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut caller = place.connect("home");
    caller.say(&Ask::Status);
    let ArbiterAnswer::Status(_) = caller.hear() else { panic!("no status") };
    let pid = caller.child.id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t")), "{status}");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // State, parent, group, session (proc_pid_stat(5)).
    let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(session, pid.to_string(), "{stat}");
}

#[test]
fn a_floor_that_no_clock_led_to_binds_nobody() {
    let place = Place::with("30s");
    for floor in [(1 << 62) - 1, u64::MAX] {
        let mut liar = place.connect("home");
        liar.acquire_above("r", None, Token(floor));
        let ArbiterAnswer::Refused { why } = liar.hear() else { panic!("it was believed") };
        assert!(why.contains("clock of the arbiter says"), "{why}");
    }
    assert!(!place.path("state/arbiter/token").exists(), "nothing lasts of it");
    let (mut holder, token) = place.held("vps", "s");
    holder.release();
    // Nor does what was on the disk before: one grace, then the clock counts.
    let place = Place::with("2s");
    fs::create_dir_all(place.path("state/arbiter")).unwrap();
    fs::write(place.path("state/arbiter/token"), format!("{}\n", (1_u64 << 62) - 1)).unwrap();
    let begin = Instant::now();
    let (mut holder, after) = place.held("home", "r");
    assert!(begin.elapsed() > Duration::from_millis(1_900), "{:?}", begin.elapsed());
    assert!(after > token && after.0 < token.0 * 2, "{after:?}");
    holder.release();
    let begin = Instant::now();
    assert!(place.held("home", "s").1 > after);
    assert!(begin.elapsed() < Duration::from_millis(1_900), "once is enough");
}

#[test]
fn who_is_silent_is_gone_and_loses_the_lease() {
    let place = Place::with("2s");
    let (mut silent, token) = place.held("home", "r");
    let mut waiter = place.acquire("vps", "s");
    let begin = Instant::now();
    assert!(waiter.granted() > token);
    assert!(begin.elapsed() > Duration::from_millis(1_500), "too early");
    assert!(silent.ended());
    let mut back = place.connect("home");
    back.acquire("r", Some(token));
    assert!(matches!(back.hear(), ArbiterAnswer::Lost { .. }));
}

#[test]
fn the_usual_grace_is_half_a_minute() {
    let place = Place::with("30s");
    let (mut holder, token) = place.held("home", "r");
    let mut waiter = place.acquire("vps", "s");
    let begin = Instant::now();
    holder.kill();
    assert!(waiter.granted() > token);
    let waited = begin.elapsed();
    assert!((28..33).contains(&waited.as_secs()), "{waited:?}");
}

fn send(caller: &Caller, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(caller.child.id()).unwrap()), signal).unwrap();
}

#[test]
fn a_stopped_arbiter_of_the_holder_blocks_for_a_grace_and_knows_it_when_it_wakes() {
    let place = Place::with("2s");
    let (mut holder, token) = place.held("home", "r");
    let mut waiter = place.acquire("vps", "s");
    send(&holder, Signal::SIGSTOP);
    let next = waiter.granted();
    assert!(next > token);
    holder.beat(1);
    send(&holder, Signal::SIGCONT);
    assert!(matches!(holder.hear(), ArbiterAnswer::Lost { .. }));
    waiter.beat(2);
    assert_eq!(waiter.outcome(), ArbiterAnswer::Beaten { number: 2 });
    // The stopped one keeps the lock that wakes the next one; that must not matter for long.
    let mut third = place.acquire("home", "t");
    assert!(matches!(third.hear(), ArbiterAnswer::Waiting { .. }));
    waiter.release();
    assert!(third.granted() > next);
}

#[test]
fn a_stopped_arbiter_of_a_waiter_lets_the_next_one_pass() {
    let place = Place::with("2s");
    let (mut holder, token) = place.held("home", "r");
    let mut stopped = place.acquire("vps", "s");
    assert!(matches!(stopped.hear(), ArbiterAnswer::Waiting { .. }));
    send(&stopped, Signal::SIGSTOP);
    let mut next = place.acquire("home", "t");
    assert!(matches!(next.hear(), ArbiterAnswer::Waiting { .. }));
    holder.release();
    let next_token = next.granted();
    assert!(next_token > token);
    stopped.beat(1);
    send(&stopped, Signal::SIGCONT);
    next.beat(2);
    assert_eq!(next.outcome(), ArbiterAnswer::Beaten { number: 2 });
    let told = [stopped.hear(), stopped.hear()];
    assert!(told.contains(&ArbiterAnswer::Beaten { number: 1 }), "{told:?}");
    assert!(told.iter().any(|word| matches!(word, ArbiterAnswer::Waiting { .. })), "{told:?}");
}

/// What a damage does to the files, and whether the holder may still go on.
type Damage = (&'static str, fn(&Place), bool);

const DAMAGES: [Damage; 6] = [
    ("no grant", |place| fs::remove_file(place.memory("grant")).unwrap(), true),
    ("empty grant", |place| fs::write(place.memory("grant"), "").unwrap(), true),
    ("half a grant", |place| truncate(place, 30), true),
    ("another boot", other_boot, true),
    ("no grant, bad token", bad_token, false),
    ("no grant, empty token", empty_token, false),
];

fn truncate(place: &Place, length: usize) {
    let bytes = fs::read(place.memory("grant")).unwrap();
    fs::write(place.memory("grant"), &bytes[..length]).unwrap();
}

fn other_boot(place: &Place) {
    let text = fs::read_to_string(place.memory("grant")).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()));
    fs::write(place.memory("grant"), text.replace(boot.trim(), "another")).unwrap();
}

fn bad_token(place: &Place) {
    fs::remove_file(place.memory("grant")).unwrap();
    fs::write(place.path("state/arbiter/token"), "12345").unwrap();
}

fn empty_token(place: &Place) {
    fs::remove_file(place.memory("grant")).unwrap();
    fs::write(place.path("state/arbiter/token"), "").unwrap();
}

#[test]
fn damaged_files_cost_a_grace_and_no_more() {
    for (what, damage, _) in DAMAGES {
        let place = Place::with("1s");
        let (mut holder, token) = place.held("home", "r");
        holder.release();
        damage(&place);
        let begin = Instant::now();
        let mut next = place.acquire("vps", "s");
        let first = next.hear();
        let grace = matches!(first, ArbiterAnswer::Waiting { reason: Waiting::Grace { .. } });
        assert!(grace, "{what}: {first:?}");
        assert!(next.granted() > token, "{what}");
        assert!(begin.elapsed() > Duration::from_millis(900), "{what}: too early");
    }
}

#[test]
fn a_holder_is_confirmed_from_the_last_token_alone() {
    for (what, damage, confirmed) in DAMAGES {
        let place = Place::with("5s");
        let (mut holder, token) = place.held("home", "r");
        damage(&place);
        holder.beat(1);
        assert!(matches!(holder.hear(), ArbiterAnswer::Lost { .. }), "{what}: its record is gone");
        let waiter = place.acquire("vps", "s");
        assert!(matches!(waiter.hear(), ArbiterAnswer::Waiting { .. }), "{what}");
        let mut back = place.connect("home");
        back.acquire("r", Some(token));
        let answer = back.hear();
        assert_eq!(answer == ArbiterAnswer::Granted { token }, confirmed, "{what}: {answer:?}");
        assert!(confirmed || matches!(answer, ArbiterAnswer::Lost { .. }), "{what}: {answer:?}");
    }
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let place = Place::with("30s");
    drop(place.held("home", "r"));
    Command::new("/bin/chmod").arg("777").arg(place.path("run/arbiter")).status().unwrap();
    let mut caller = place.connect("home");
    assert!(matches!(caller.hear(), ArbiterAnswer::Refused { .. }));
    assert!(caller.ended());
    assert_eq!(caller.child.wait().unwrap().code(), Some(77));
}

#[test]
fn whatever_cannot_be_answered_for_now_is_refused_and_the_conversation_goes_on() {
    let place = Place::with("30s");
    drop(place.held("home", "r"));
    let mut caller = place.connect("home");
    let mode = |mode: &str| {
        let directory = place.path("run/arbiter");
        Command::new("/bin/chmod").arg(mode).arg(directory).status().unwrap();
    };
    // At its start it would refuse the directory, and end.
    caller.say(&Ask::Status);
    assert!(matches!(caller.hear(), ArbiterAnswer::Status(_)));
    for ask in [Ask::Status, Ask::Break { token: Token(1) }] {
        mode("777");
        caller.say(&ask);
        assert!(matches!(caller.hear(), ArbiterAnswer::Refused { .. }), "{ask:?}");
        mode("700");
        caller.say(&Ask::Status);
        assert!(matches!(caller.hear(), ArbiterAnswer::Status(_)), "after {ask:?}");
    }
}

/// A small disk, mounted until this is dropped.
struct Disk(std::path::PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("/bin/umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_refuses_and_changes_nothing() {
    if !geteuid().is_root() {
        return support::say("skipped: a full disk: only root can mount one");
    }
    let place = Place::with("30s");
    fs::create_dir(place.path("run")).unwrap();
    let mount = Command::new("/bin/mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs"])
        .arg(place.path("run"))
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        return support::say("skipped: a full disk: tmpfs cannot be mounted here");
    }
    let _disk = Disk(place.path("run"));
    let (mut holder, token) = place.held("home", "r");
    let ballast = place.path("run/ballast");
    let full = || {
        let too_much = fs::write(&ballast, vec![0; 128 * 1024]);
        assert!(too_much.is_err());
    };
    full();
    let before = place.files();
    let mut waiter = place.acquire("vps", "s");
    assert!(matches!(waiter.hear(), ArbiterAnswer::Refused { .. }));
    holder.beat(1);
    assert!(matches!(holder.hear(), ArbiterAnswer::Refused { .. }), "it could not be recorded");
    holder.say(&Ask::Release);
    assert!(matches!(holder.hear(), ArbiterAnswer::Refused { .. }));
    assert_eq!(place.files(), before, "something was left");
    fs::remove_file(&ballast).unwrap();
    holder.beat(2);
    assert_eq!(holder.hear(), ArbiterAnswer::Beaten { number: 2 });
    waiter.acquire("s", None);
    assert!(matches!(waiter.hear(), ArbiterAnswer::Waiting { .. }));
    full();
    holder.say(&Ask::Release);
    assert!(matches!(holder.hear(), ArbiterAnswer::Refused { .. }));
    fs::remove_file(&ballast).unwrap();
    holder.release();
    assert!(waiter.granted() > token);
    assert_ne!(token, Token(0));
}
