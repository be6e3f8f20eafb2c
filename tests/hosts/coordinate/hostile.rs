//! flow: a peer that does whatever it likes, behind a real sshd: every program that asks it ends in time, with the right exit code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tree::Tree;

/// The first line of an arbiter.
const HELLO: &str = r#"{"version":1,"host":"vps","caller":"home","grace-millis":30000}"#;

/// What the other side does, as the forced command of a key.
const PEERS: [(&str, &str); 11] = [
    ("never ends", "exec sleep 1000"),
    ("hears nothing", "echo \"$hello\"; exec sleep 1000"),
    ("is alive for ever", "echo \"$hello\"; while echo '\"alive\"'; do sleep 0.2; done"),
    (
        "waits for ever",
        "echo \"$hello\"; while echo '{\"waiting\":{\"reason\":{\"grace\":{\"millis\":9}}}}'; do sleep 0.2; done",
    ),
    ("drips", "echo \"$hello\"; while printf x; do sleep 0.2; done"),
    ("fills", "echo \"$hello\"; exec cat /dev/zero"),
    ("floods", "echo \"$hello\"; exec yes '\"alive\"'"),
    ("complains for ever", "echo \"$hello\"; exec yes no >&2"),
    ("ends half-way", "echo \"$hello\"; read order; printf '{\"status\":'"),
    (
        "lies",
        "echo \"$hello\"; read order; echo '{\"status\":{}}'; echo '{\"report\":7}'; sleep 1000",
    ),
    (
        "grants twice",
        "echo \"$hello\"; while echo '{\"granted\":{\"token\":7}}'; do sleep 0.2; done",
    ),
];

/// One host of the configuration under test, and an sshd that plays the other.
pub(crate) struct Lair {
    pub(crate) tree: Tree,
    sshd: Child,
}

impl Drop for Lair {
    fn drop(&mut self) {
        self.sshd.kill().ok();
        self.sshd.wait().ok();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `None` where this cannot be tried.
pub(crate) fn lair(peer: &str) -> Option<Lair> {
    lair_of(peer, "exit 1")
}

/// The same with a certbot of its own.
pub(crate) fn lair_of(peer: &str, certbot: &str) -> Option<Lair> {
    if !Path::new("/usr/sbin/sshd").exists() {
        println!("skipped: no sshd");
        return None;
    }
    let tree = Tree::plant(certbot)?;
    let at = |name: &str| tree.base().join(name);
    for key in ["host-key", "key"] {
        let made = Command::new("/usr/bin/ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(at(key))
            .status();
        assert!(made.unwrap().success());
    }
    let base = tree.base().display();
    let forced = format!("#!/bin/sh\nhello='{HELLO}'\n{peer}\n");
    write(&at("peer"), &forced, 0o755);
    write(&at("tell"), &format!("#!/bin/sh\ncat >> {base}/told\n"), 0o755);
    let old = fs::read_to_string(tree.config()).unwrap();
    let old = old.replace(&format!("[apache]\npid-file = \"{base}/no.pid\"\n"), "");
    let text = format!(
        "name = \"home\"\nssh-config = \"{base}/ssh_config\"\n{old}\
         [web-server]\ntest = [\"/bin/true\"]\nreload = [\"/bin/true\"]\n\
         [lease]\narbiter = \"vps\"\ngrace = \"2s\"\nwait = \"4s\"\n\
         [[host]]\nname = \"home\"\n[[host]]\nname = \"vps\"\nssh = \"vps\"\n"
    );
    fs::write(tree.config(), &text).unwrap();
    // The others would look at all hosts once more at their end.
    let text = format!("{text}[notify]\ncommand = [\"{base}/tell\"]\n");
    write(&at("notify.toml"), &text, 0o644);
    let sshd = listening(&tree);
    Some(Lair { tree, sshd })
}

/// sshd on a port that nobody else has taken since it was found free.
fn listening(tree: &Tree) -> Child {
    let at = |name: &str| tree.base().join(name);
    let base = tree.base().display();
    fs::create_dir_all("/run/sshd").unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {base}/host-key\nAuthorizedKeysFile {base}/key.pub\n\
             PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nForceCommand {base}/peer\n"
        );
        write(&at("sshd_config"), &config, 0o600);
        let host_key = fs::read_to_string(at("host-key.pub")).unwrap();
        write(&at("known"), &format!("[127.0.0.1]:{port} {host_key}"), 0o600);
        let client = format!(
            "Host vps\nHostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {base}/key\n\
             IdentitiesOnly yes\nUserKnownHostsFile {base}/known\n"
        );
        write(&at("ssh_config"), &client, 0o600);
        let log = fs::File::create(at("sshd.log")).unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        // It says when it listens, and ends if it cannot.
        loop {
            if tree.said("sshd.log").contains("Server listening") {
                return sshd;
            }
            if sshd.try_wait().unwrap().is_some() {
                let said = tree.said("sshd.log");
                assert!(said.contains("Address already in use"), "{said}");
                break;
            }
            thread::yield_now();
        }
    }
}

impl Lair {
    pub(crate) fn program(&self, program: &str, words: &[&str]) -> Command {
        let own = PathBuf::from(env!("CARGO_BIN_EXE_certbaton"));
        let mut command = Command::new(own.with_file_name(program));
        let tells = words == ["recover"];
        let config = if tells { self.tree.base().join("notify.toml") } else { self.tree.config() };
        command.arg("--config").arg(config).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// How a program ended, how long it took, and the most memory that it had, in KiB.
struct Run {
    output: Output,
    time: Duration,
    memory: u64,
}

fn run(mut command: Command) -> Run {
    let began = Instant::now();
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = thread::spawn(move || {
        let mut most = 0;
        while let Ok(text) = fs::read_to_string(&status) {
            let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A zombie has none.
            let Some(peak) = peak else { break };
            most = most.max(peak.trim().trim_end_matches(" kB").parse().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let output = child.wait_with_output().unwrap();
    Run { output, time: began.elapsed(), memory: watch.join().unwrap() }
}

#[test]
fn whatever_a_peer_does_every_program_ends_in_time_and_tells_what_is_wrong_here() {
    let tried = PEERS.map(|(what, peer)| thread::spawn(move || try_all(what, peer)));
    for thread in tried {
        thread.join().unwrap();
    }
}

/// What a look at a host may take (`agent::link`), and a busy machine: all of them run at once.
pub(crate) const STATED: Duration = Duration::from_mins(2);

fn try_all(what: &str, peer: &str) {
    let Some(lair) = lair(peer) else { return };
    // This host's own trouble: its webroot is gone.
    fs::remove_dir(lair.tree.base().join("www")).unwrap();
    let expect = |name: &str, words: &[&str], codes: &[i32]| {
        let done = run(lair.program(name, words));
        let of = format!("a peer that {what}: {name} {words:?}: {:?}", done.output);
        let code = done.output.status.code();
        assert!(code.is_some_and(|code| codes.contains(&code)), "{of}");
        assert!(done.time < STATED, "{:?}: {of}", done.time);
        assert!(done.memory < 300 * 1024, "{} KiB: {of}", done.memory);
    };
    thread::scope(|scope| {
        let expect = &expect;
        scope.spawn(|| expect("certbaton", &["status"], &[1, 2]));
        scope.spawn(|| expect("certbaton", &["lease", "show"], &[1, 75]));
        scope.spawn(|| expect("certbaton", &["recover"], &[0]));
        // certbot that is not there is not stopped; the exit code says that the lease was not had.
        let names = ["--name", "a.example", "--webroot", "/srv"];
        scope.spawn(move || expect("certbaton-pre-hook", &names, &[1, 75]));
        // Those that say that they are alive have longer there: a signal ends it.
        if !peer.contains("alive") || support::full() {
            scope.spawn(|| expect("certbaton", &["check", "a.example"], &[1]));
            scope.spawn(|| expect("renew-coordinate", &[], &[1]));
        }
    });
    let told = lair.tree.said("told");
    assert!(told.contains("webroot") || told.contains("/www"), "a peer that {what}: {told:?}");
}

#[test]
fn a_signal_ends_every_program_that_waits_for_a_peer() {
    let Some(lair) =
        lair("echo \"$hello\"; echo $$ >> $0.pids; while echo '\"alive\"'; do sleep 0.2; done")
    else {
        return;
    };
    for (name, words) in [
        ("certbaton", vec!["status"]),
        ("certbaton", vec!["check", "a.example"]),
        ("certbaton", vec!["lease", "show"]),
        ("renew-coordinate", vec![]),
    ] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            fs::write(lair.tree.base().join("peer.pids"), "").unwrap();
            let mut child = lair.program(name, &words).spawn().unwrap();
            // It is asked.
            while lair.tree.said("peer.pids").is_empty() {
                if name == "certbaton" && words == ["lease", "show"] {
                    break;
                }
                assert_eq!(child.try_wait().unwrap(), None, "{name} {words:?}");
                thread::yield_now();
            }
            let began = Instant::now();
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            child.wait().unwrap();
            let time = began.elapsed();
            assert!(time < Duration::from_secs(2), "{name} {words:?} {signal}: {time:?}");
        }
    }
}
