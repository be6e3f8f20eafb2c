//! flow: `certbaton check` and its agent as programs, on a tree of their own; two machines are in the lab.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::tree::Tree;
use certbaton::base::clock::{Deadline, pause};
use certbaton::ca::sight::Planted;
use certbaton::fleet::protocol::{AgentAnswer, answer};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::schema;

const PLANT: &str = r#"{"version":2,"order":{"plant":{"names":["a.example","b.example"]}}}"#;

fn first_answer(agent: &mut Child) -> AgentAnswer {
    let mut line = Vec::new();
    let mut out = BufReader::new(agent.stdout.take().unwrap());
    out.read_until(b'\n', &mut line).unwrap();
    answer(&line).unwrap()
}

/// What lies below the webroot of `tree`.
fn planted(tree: &Tree) -> Vec<PathBuf> {
    let directory = tree.base().join("www/.well-known/acme-challenge");
    fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_is_planted_is_there_until_the_caller_hangs_up_or_the_agent_is_ended() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    for by_signal in [false, true] {
        let mut agent = tree.agent(PLANT);
        let AgentAnswer::Planted(plantings) = first_answer(&mut agent) else {
            panic!("not planted")
        };
        assert_eq!(plantings.len(), 1, "{plantings:?}");
        let names: Vec<&str> =
            plantings[0].names.iter().map(certbaton::base::names::Hostname::as_str).collect();
        assert_eq!(names, ["a.example"], "only what certbot knows");
        let Planted::Content(content) = &plantings[0].planted else { panic!("{plantings:?}") };
        let nonce = content.nonce();
        let file = tree.base().join("www/.well-known/acme-challenge").join(nonce.token.as_str());
        assert_eq!(fs::read_to_string(file).unwrap(), nonce.content);
        if by_signal {
            let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap());
            kill(pid, Signal::SIGTERM).unwrap();
        } else {
            drop(agent.stdin.take());
        }
        agent.wait().unwrap();
        assert_eq!(planted(&tree), Vec::<PathBuf>::new());
        assert!(!tree.base().join("www/.well-known").exists());
    }
}

/// What a renewal says that is ordered as `sudo -n certbaton agent` starts it for somebody who has
/// started sudo by these words.
fn ordered_through_sudo(tree: &Tree, words: &str) -> String {
    let text = format!("exec {words} env SUDO_UID=999 \"$0\" --config \"$1\" agent");
    let mut agent = Command::new("/bin/sh")
        .args(["-c", &text, env!("CARGO_BIN_EXE_certbaton")])
        .arg(tree.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let order = r#"{"version":2,"order":{"renew":{"cert-names":[],"force":false,"dry-run":true}}}"#;
    writeln!(agent.stdin.as_mut().unwrap(), "{order}").unwrap();
    let mut said = String::new();
    agent.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    agent.wait().unwrap();
    said
}

#[test]
fn nothing_that_a_user_may_set_of_a_process_comes_through_sudo() {
    let certbot = "cat /proc/self/limits > limits; cat /proc/self/oom_score_adj > first
         ps -o cls=,ni= -p $$ > priority; ionice -p $$ >> priority; taskset -p $$ > processors
         umask > mask; head -c 4096 /dev/zero > big";
    let Some(tree) = Tree::plant(certbot) else { return };
    // Soft limits: there are machines where not even root may raise a hard one.
    let limits = "prlimit --fsize=2000: --nofile=64: --cpu=60: --as=3000000000: --stack=1048576:";
    let priorities = "nice -n 19 choom -n 1000 -- ionice -c 3 chrt -i 0 taskset -c 0";
    let mask = "sh -c 'umask 0777; exec \"$@\"' sh";
    let said = ordered_through_sudo(&tree, &[limits, priorities, mask].join(" "));
    let read = |name: &str| {
        let text = fs::read_to_string(tree.base().join(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}; {said}"))
    };
    let limits = read("limits");
    for (name, soft) in [
        ("Max file size", "unlimited"),
        ("Max cpu time", "unlimited"),
        ("Max address space", "unlimited"),
        ("Max stack size", "8388608"),
        ("Max open files", "1024"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(line.split_whitespace().next(), Some(soft), "{limits}");
    }
    assert_eq!(read("first").trim(), "0");
    let priority = read("priority");
    assert_eq!(priority.split_whitespace().take(3).collect::<Vec<_>>(), ["TS", "0", "none:"]);
    assert_eq!(read("mask").trim(), "0022");
    assert_eq!(read("big").len(), 4096);
    let processors = read("processors");
    let mask = u64::from_str_radix(processors.trim().rsplit(' ').next().unwrap(), 16).unwrap();
    let there = std::thread::available_parallelism().unwrap().get();
    assert_eq!(usize::try_from(mask.count_ones()).unwrap(), there, "{processors}");
}

#[test]
fn a_limit_that_is_there_for_good_is_taken_back_or_nothing_is_begun() {
    let Some(tree) = Tree::plant("head -c 4096 /dev/zero > big") else { return };
    let said = ordered_through_sudo(&tree, "prlimit --fsize=2000:2000");
    let big = tree.base().join("big");
    match fs::read(&big) {
        Ok(bytes) => assert_eq!(bytes.len(), 4096, "{said}"),
        Err(_) => assert!(
            said.contains("the caller has limited the size of files to 2000")
                && said.contains("nothing was done"),
            "{said}"
        ),
    }
}

#[test]
fn an_agent_whose_words_nobody_takes_ends_by_itself() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    // Standard error without room, and with somebody at the other end.
    let (_kept, full) = std::io::pipe().unwrap();
    fcntl(&full, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    for size in [4096, 1] {
        while (&full).write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl(&full, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_certbaton"))
        .args(["--config".as_ref(), tree.config().as_os_str(), "agent".as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(full)
        .spawn()
        .unwrap();
    writeln!(agent.stdin.as_mut().unwrap(), r#"{{"version":2,"order":"conquer"}}"#).unwrap();
    let deadline = Deadline::after(Duration::from_secs(20));
    while agent.try_wait().unwrap().is_none() {
        let left = pause(Duration::from_millis(50), &deadline);
        if left.is_err() {
            agent.kill().unwrap();
            panic!("it waits for ever");
        }
    }
}

#[test]
fn an_order_of_the_future_is_refused_in_words() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let mut agent = tree.agent(r#"{"version":2,"order":{"conquer":{}}}"#);
    let AgentAnswer::Failed { why, .. } = first_answer(&mut agent) else { panic!("not refused") };
    assert!(why.contains("not understood"), "{why}");
    agent.wait().unwrap();
}

#[test]
fn a_host_alone_is_checked_and_the_report_is_as_its_schema_says() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let check = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certbaton"));
        command.args(["--config".as_ref(), tree.config().as_os_str(), "check".as_ref()]);
        let output = command.args(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = check(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    schema::expect("check", &report);
    assert_eq!((code, report["exit"].as_u64()), (Some(1), Some(1)), "{report:#}");
    assert_eq!(report["names"][0]["name"], "a.example");
    let findings = report["findings"].as_array().unwrap();
    let codes: Vec<&str> = findings.iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"no-address") && codes.contains(&"apache-not-running"), "{codes:?}");
    assert_eq!(planted(&tree), Vec::<PathBuf>::new());
}

#[test]
fn a_peer_has_nothing_looked_at_that_is_this_hosts_alone() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    // Nobody's name here, at this host's loopback; and the same a thousand times over.
    let name = format!("[\"localhost\",[{}0]]", "0,".repeat(1000));
    let order = format!(
        r#"{{"version":2,"order":{{"probe":{{"nonces":[{{"host":"home","content":"a.b"}}],"names":[{name}]}}}}}}"#
    );
    let mut agent = tree.agent(&order);
    let mut out = BufReader::new(agent.stdout.take().unwrap());
    let sights = loop {
        let mut line = Vec::new();
        out.read_until(b'\n', &mut line).unwrap();
        match answer(&line).unwrap() {
            AgentAnswer::Alive => {}
            AgentAnswer::Seen(sights) => break sights,
            other => panic!("{other:?}"),
        }
    };
    agent.wait().unwrap();
    let sight = &sights[0];
    assert!(sight.addresses.is_empty(), "{sight:?}");
    assert!(sight.validated.is_empty() && sight.fetched.is_empty() && sight.presented.is_empty());
}
