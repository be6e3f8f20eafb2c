//! flow: wherever a program waits, a signal ends it, whatever its caller blocks and ignores.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fs2::FileExt;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::{Pid, write};

use crate::contract::place::{Place, directory, is_root, list};
use crate::contract::rows::{Config, ROWS, Row, Wait};

/// Two seconds, and as much again for a busy machine.
const ENDING: Duration = Duration::from_secs(4);

/// For a keeper, which gives back first.
const GIVING_BACK: Duration = Duration::from_secs(30);

#[test]
fn a_signal_ends_each_verb_wherever_it_waits_whatever_its_caller_left() {
    if !is_root() {
        return;
    }
    thread::scope(|scope| {
        for row in ROWS {
            for &(wait, words) in row.waits {
                for signal in [Signal::SIGTERM, Signal::SIGINT] {
                    scope.spawn(move || try_one(row, wait, words, signal));
                }
            }
        }
    });
}

fn try_one(row: &Row, wait: Wait, words: &[&str], signal: Signal) {
    let place = Place::new();
    place.write("good.toml", &settings(&place, wait));
    place.write("ssh_config", "Host there\n    ProxyCommand /bin/sleep 1000\n");
    let mut words = list(&[row.path, words].concat());
    if row.config == Config::Read || wait != Wait::Unread {
        words.extend(list(&["--config", &place.file("good.toml").to_string_lossy()]));
    }
    let of = format!("{words:?}, {wait:?}, {signal}");
    let (reader, writer) = std::io::pipe().unwrap();
    // What it waits for never comes as long as these live.
    let mut kept: Vec<OwnedFd> = vec![writer.into()];
    let mut command = carelessly(&words);
    command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
    match wait {
        Wait::Silence | Wait::Arbiter => {}
        Wait::Unread => {
            let (reader, writer) = std::io::pipe().unwrap();
            fill(&writer);
            command.stdout(writer.try_clone().unwrap()).stderr(writer);
            kept.push(reader.into());
        }
        Wait::Keeper => {
            kept.push(locked(&place).into());
            kept.push(UnixListener::bind(place.file("run/keeper.sock")).unwrap().into());
        }
    }
    let mut child = spawned(&mut command);
    await_rest(&mut child, &of);
    let began = Instant::now();
    kill(pid(&child), signal).unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() < ENDING => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{of}: it goes on");
            }
        }
    };
    assert!(!status.success(), "{of}: {status}");
    drop(kept);
    let at = place.file("").display().to_string();
    // A program that is being started has no words for a moment (execve(2)), and its parent may have
    // ended by then: nothing twice is nothing.
    let (mut nothing, mut left) = (0, of_place(&at));
    while nothing < 2 && began.elapsed() < GIVING_BACK {
        thread::sleep(Duration::from_millis(50));
        left = of_place(&at);
        nothing = if left.is_empty() { nothing + 1 } else { 0 };
    }
    assert_eq!(left, [""; 0], "{of}: left");
}

/// Of a host that is its own arbiter, or of one whose arbiter does not answer.
fn settings(place: &Place, wait: Wait) -> String {
    let own = place.settings();
    if wait != Wait::Arbiter {
        return own;
    }
    let ssh = format!("ssh-config = \"{}\"\n", place.file("ssh_config").display());
    let hosts = "[[host]]\nname = \"vps\"\n";
    let other = own
        .replace(hosts, "[[host]]\nname = \"here\"\n[[host]]\nname = \"vps\"\nssh = \"there\"\n");
    // Who tells of what is wrong looks at all hosts for that.
    let tells = "[notify]\ncommand = [\"/bin/true\"]\n";
    ssh + &other.replacen("name = \"vps\"", "name = \"here\"", 1) + tells
}

fn locked(place: &Place) -> fs::File {
    fs::create_dir(place.file("run")).unwrap();
    let lock = fs::File::create(place.file("run").join("lease.lock")).unwrap();
    lock.try_lock_exclusive().unwrap();
    lock
}

/// Until nothing more goes in (pipe(7)).
fn fill(pipe: &std::io::PipeWriter) {
    let flags = OFlag::from_bits_truncate(fcntl(pipe.as_fd(), FcntlArg::F_GETFL).unwrap());
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    while write(pipe.as_fd(), &[b'x'; 4096]).is_ok() {}
    while write(pipe.as_fd(), b"x").is_ok() {}
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(flags)).unwrap();
}

/// Below a shell that ignores what can be ignored.
fn carelessly(words: &[String]) -> Command {
    let mut shell = Command::new("/bin/sh");
    let ignoring = "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD TSTP; exec \"$@\"";
    shell.args(["-c", ignoring, "sh"]).arg(directory().join(&words[0])).args(&words[1..]);
    shell
}

/// With every signal blocked.
fn spawned(command: &mut Command) -> Child {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
    let child = command.spawn();
    before.thread_set_mask().unwrap();
    child.unwrap()
}

/// Until it has slept for a while, and its threads with it.
fn await_rest(child: &mut Child, of: &str) {
    let programs = directory();
    let of_process = PathBuf::from(format!("/proc/{}", child.id()));
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut calm, mut before) = (0, String::new());
    while calm < 25 {
        thread::sleep(Duration::from_millis(20));
        assert_eq!(child.try_wait().unwrap(), None, "{of}: it did not wait");
        assert!(Instant::now() < deadline, "{of}: it never rests");
        let stat = fs::read_to_string(of_process.join("stat")).unwrap();
        // After the name in brackets: the state, and times as 14 and 15 (proc_pid_stat(5)).
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let now = fields[11..=12].join(" ");
        // A hook becomes certbaton.
        let is_it =
            fs::read_link(of_process.join("exe")).is_ok_and(|exe| exe.parent() == Some(programs));
        let is_calm = is_it && fields[0] == "S" && now == before;
        calm = if is_calm { calm + 1 } else { 0 };
        before = now;
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The command lines of all processes that were told of the directory `at`.
fn of_place(at: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let words = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let words = words.map(|words| String::from_utf8_lossy(&words).replace('\0', " "));
    words.filter(|words| words.contains(at)).collect()
}
