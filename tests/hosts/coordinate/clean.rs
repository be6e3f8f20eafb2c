//! flow: what a caller leaves behind of signals and descriptors reaches neither the programs nor their children.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid;

use crate::coordinate::RENEW;
use crate::tree::Tree;

/// Writes down what it inherited, as certbot.
const LOOK: &str = "cat /proc/self/status > status; ls /proc/self/fd > fd; env > environment";

/// Starts `program` as a caller does that blocks every signal, ignores what can be ignored, and
/// leaks a pipe.
fn carelessly(program: &mut Command) -> Child {
    let leaked = nix::unistd::pipe().unwrap();
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
    let child = program.env("LEAKED", leaked.0.as_raw_fd().to_string()).spawn();
    before.thread_set_mask().unwrap();
    child.unwrap()
}

/// The agent of `tree`, below a shell that ignores all that it may.
fn agent(tree: &Tree) -> Command {
    let program = env!("CARGO_BIN_EXE_certbaton");
    let config = tree.config().display().to_string();
    let mut shell = Command::new("/bin/sh");
    let ignoring = "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD TSTP; exec \"$@\"";
    shell.args(["-c", ignoring, "sh", program, "--config", &config, "agent"]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    shell
}

/// The mask of `name` in a `/proc/PID/status`, without the two signals of the C library.
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & !(3 << 31)
}

#[test]
fn certbot_below_a_careless_caller_has_clean_signals_descriptors_and_environment() {
    let Some(tree) = Tree::plant(LOOK) else { return };
    let mut agent = carelessly(&mut agent(&tree));
    writeln!(agent.stdin.as_mut().unwrap(), "{RENEW}").unwrap();
    // Closed, it would call the order off.
    let _stdin = agent.stdin.take();
    let output = agent.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let status = tree.said("status");
    // `cat` is two below, and a shell hands on what it got.
    assert_eq!((mask(&status, "SigBlk:"), mask(&status, "SigIgn:")), (0, 0), "{status}");
    assert_eq!(tree.said("fd"), "0\n1\n2\n3\n");
    assert!(!tree.said("environment").contains("LEAKED"));
}

#[test]
fn what_its_caller_ignores_and_blocks_ends_a_program_all_the_same() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut agent = carelessly(&mut agent(&tree));
        let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap());
        let program = env!("CARGO_BIN_EXE_certbaton");
        while fs::read_link(format!("/proc/{pid}/exe")).unwrap() != Path::new(program) {
            std::thread::yield_now();
        }
        // It waits for an order. What comes before it unblocks is kept for it (signal(7)).
        let began = Instant::now();
        kill(pid, signal).unwrap();
        agent.wait().unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{signal}: {:?}", began.elapsed());
    }
}

#[test]
fn the_program_of_notify_below_a_careless_caller_starts_as_clean() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let base = tree.base().display().to_string();
    let tell = tree.base().join("tell");
    fs::write(&tell, format!("#!/bin/sh\ncat > /dev/null\ncd {base}\n{LOOK}\n")).unwrap();
    fs::set_permissions(&tell, PermissionsExt::from_mode(0o755)).unwrap();
    let notify = format!("\n[notify]\ncommand = [\"{base}/tell\"]\n");
    let config = fs::read_to_string(tree.config()).unwrap() + &notify;
    fs::write(tree.config(), config).unwrap();
    // No Apache runs here, which is worth a word.
    let mut shell = Command::new("/bin/sh");
    let ignoring = "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD TSTP; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_certbaton");
    let config = tree.config().display().to_string();
    shell.args(["-c", ignoring, "sh", program, "--config", &config, "recover"]);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = carelessly(&mut shell).wait_with_output().unwrap();
    assert!(tree.base().join("status").exists(), "nobody was told: {output:?}");
    let status = tree.said("status");
    assert_eq!((mask(&status, "SigBlk:"), mask(&status, "SigIgn:")), (0, 0), "{status}");
    assert_eq!(tree.said("fd"), "0\n1\n2\n3\n");
    let environment = tree.said("environment");
    assert!(environment.contains("CERTBATON_EVENT="), "{environment}");
    assert!(!environment.contains("LEAKED"), "{environment}");
}
