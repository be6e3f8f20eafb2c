//! flow: `renew-coordinate` is ended by a signal while certbot runs: at once, and its report is what is on the disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::coordinate::hostile::Lair;
use crate::tree::Tree;

/// A certbot that ends of an interrupt, and writes down that it did.
const WAITS: &str = "trap 'echo interrupted > end; exit 1' INT\n: > started\n\
                     while :; do /bin/sleep 0.05; done";

/// The report of a run that was ended by `signal` once certbot is at its loop.
fn ended_by(signal: Signal, certbot: &str) -> Option<(Tree, Value)> {
    let tree = Tree::plant(certbot)?;
    let base = tree.base().display().to_string();
    let config = fs::read_to_string(tree.config()).unwrap();
    let config = config.replace(&format!("[apache]\npid-file = \"{base}/no.pid\"\n"), "");
    tree.renews_by_dns();
    let server = "[web-server]\ntest = [\"/bin/true\"]\nreload = [\"/bin/true\"]\n";
    fs::write(tree.config(), config + server).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_renew-coordinate"));
    command.args(["--config".as_ref(), tree.config().as_os_str()]);
    command.args(["--force-renewal", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while !tree.base().join("started").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended without certbot");
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let time = began.elapsed();
    assert!(time < Duration::from_secs(2), "{signal}: {time:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(tree.said("end"), "interrupted\n", "certbot was ended by an interrupt");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["stopped"], "called off by a signal", "{report:#}");
    Some((tree, report))
}

#[test]
fn it_ends_at_once_and_tells_that_the_certificate_is_the_old_one() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let Some((_tree, report)) = ended_by(signal, WAITS) else { return };
        let lineage = &report["hosts"][0]["lineages"][0];
        assert_eq!((&lineage["result"], &lineage["serial"]), (&"failed".into(), &"01".into()));
        assert!(lineage["why"].as_str().unwrap().contains("still the old one"), "{report:#}");
    }
}

#[test]
fn what_certbot_wrote_before_is_told_although_nobody_heard_of_it() {
    let writes = format!(
        "cp next.pem le/archive/a/cert2.pem; ln -sf ../../archive/a/cert2.pem le/live/a/cert.pem\n{WAITS}"
    );
    let Some((tree, report)) = ended_by(Signal::SIGINT, &writes) else { return };
    let lineage = &report["hosts"][0]["lineages"][0];
    assert_eq!((&lineage["result"], &lineage["serial"]), (&"renewed".into(), &"02".into()));
    let history = fs::read_to_string(tree.base().join("state/history.jsonl")).unwrap();
    assert!(history.contains("\"renewed\":[\"a\"]"), "one account: {history}");
}

/// A peer that renews until it is called off, and says what is on its disk when it may.
const PEER: &str = r#"echo "$hello"; read order
case $order in
*survey*) if [ -e $0.started ]; then LAST; fi; cat $0.survey ;;
*renew*) : > $0.started; exec sleep 1000 ;;
*) echo '{"failed":{"exit":1,"why":"not that"}}' ;;
esac"#;

/// The report of a run that is ended while such a peer renews, and by `more` while it is asked
/// for its disk, which it says by `last`.
fn while_a_peer_renews(last: &str, more: Option<Signal>) -> Option<Value> {
    let lair = Lair::second_after(&PEER.replace("LAST", last))?;
    lair.says(|_| ());
    let base = lair.tree.base();
    let now = fs::read_to_string(base.join("peer.survey")).unwrap();
    fs::write(base.join("peer.now"), now.replace("\"serial\":\"01\"", "\"serial\":\"02\""))
        .unwrap();
    let mut child =
        lair.program("renew-coordinate", &["--force-renewal", "--json"]).spawn().unwrap();
    while !base.join("peer.started").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended without an order");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let asked = said.by_ref().find(|line| line.contains("another signal ends that"));
    assert!(asked.is_some(), "nothing is said of the last look");
    let began = Instant::now();
    if let Some(more) = more {
        kill(pid, more).unwrap();
    }
    said.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert!(more.is_none() || began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn what_a_peer_renewed_before_is_told_although_its_disk_takes_longer_to_look_at() {
    let last = "sleep 3; cat $0.now; exit";
    let Some(report) = while_a_peer_renews(last, None) else { return };
    assert_eq!(report["hosts"][0]["lineages"][0]["result"], "renewed", "{report:#}");
    let own = &report["hosts"][1]["lineages"][0];
    let called_off = "called off by a signal";
    assert_eq!((&own["result"], &own["why"]), (&"not-tried".into(), &called_off.into()));
}

#[test]
fn a_second_signal_ends_the_look_and_what_nobody_saw_is_unknown() {
    let Some(report) = while_a_peer_renews("exec sleep 1000", Some(Signal::SIGTERM)) else {
        return;
    };
    assert_eq!(report["hosts"][0]["lineages"][0]["result"], "unknown", "{report:#}");
}
