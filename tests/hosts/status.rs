//! flow: `certbaton status` as a program, on a tree of its own; two machines are in `machines` and `faults`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::tree::Tree;
use certbaton::fleet::host_report::Hold;
use serde_json::Value;
use support::schema;

fn run(tree: &Tree, program: &str, words: &[&str]) -> Output {
    let certbaton = std::path::Path::new(env!("CARGO_BIN_EXE_certbaton"));
    let mut command = Command::new(certbaton.with_file_name(program));
    command.args(["--config".as_ref(), tree.config().as_os_str()]).args(words);
    command.output().unwrap()
}

fn status(tree: &Tree, words: &[&str]) -> (i32, String) {
    let output = run(tree, "certbaton", &[&["status"], words].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn json(tree: &Tree, schema: &str, words: &[&str]) -> (i32, Value) {
    let (code, text) = status(tree, &[&["--json"], words].concat());
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code}: {text}"));
    schema::expect(schema, &value);
    (code, value)
}

fn configure(tree: &Tree, more: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(tree.config()).unwrap();
    file.write_all(more.as_bytes()).unwrap();
}

#[test]
fn a_host_without_apache_is_critical_and_its_certificates_are_told() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let (code, told) = json(&tree, "status", &[]);
    assert_eq!((code, told["exit"].as_i64()), (2, Some(2)), "{told:#}");
    assert_eq!(told["wrong"][0]["code"], "apache-not-running", "the code of check");
    assert!(told["wrong"][0]["key"].as_str().unwrap().starts_with("apache/"), "{told:#}");
    let lineage = &told["hosts"][0]["found"]["lineages"][0];
    assert_eq!((lineage["name"].as_str(), lineage["serial"].as_str()), (Some("a"), Some("01")));
    let left = lineage["days-left"].as_i64().unwrap();
    assert!((88..=90).contains(&left), "{left}");
    assert_eq!(told["hosts"][0]["found"]["versions"]["certbot"], "2.1.0");
    // To look is to change nothing.
    assert_eq!(fs::read_dir(tree.base().join("state")).unwrap().count(), 0);
    let (_, text) = status(&tree, &[]);
    assert!(text.contains("CRITICAL: ") && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_terminal_that_is_narrower_than_80_columns_is_not_overrun() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let program = env!("CARGO_BIN_EXE_certbaton");
    for (columns, verb) in [(50, "status"), (50, "check"), (132, "status")] {
        let line =
            format!("stty cols {columns}; {program} --config {} {verb}", tree.config().display());
        // script(1) makes a terminal.
        let output = Command::new("/usr/bin/script")
            .args(["--quiet", "--command", &line, "/dev/null"])
            .env("NO_COLOR", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let widest = text.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
        let most = columns.min(80);
        assert!(widest <= most && widest > most - 20, "{widest} of {columns}: {text}");
    }
}

#[test]
fn days_of_the_configuration_decide() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    configure(&tree, "[status]\nwarning-days = 200\ncritical-days = 100\n");
    let (code, told) = json(&tree, "status", &[]);
    assert_eq!(code, 2);
    assert!(told["wrong"][0]["key"].as_str().unwrap().starts_with("expiry/"), "{told:#}");
}

#[test]
fn a_peer_that_cannot_be_reached_and_was_never_seen_is_said_and_one_without_a_way_is_no_fault() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let text = fs::read_to_string(tree.config()).unwrap();
    let hosts = "[[host]]\nname = \"here\"\n[[host]]\nname = \"silent\"\n[[host]]\nname = \"there\"\nssh = \"nobody@there.invalid\"\n";
    fs::write(tree.config(), format!("name = \"here\"\n{text}{hosts}")).unwrap();
    let (code, told) = json(&tree, "status", &[]);
    assert_eq!(code, 2);
    let keys: Vec<&str> =
        told["wrong"].as_array().unwrap().iter().map(|w| w["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["apache/here", "unreachable/there"], "{told:#}");
    for host in [&told["hosts"][1], &told["hosts"][2]] {
        assert_eq!((&host["found"], &host["seen"]), (&Value::Null, &Value::Null));
    }
    assert!(status(&tree, &[]).1.contains("there: not reached, never seen"));
}

#[test]
fn what_runs_did_is_listed_and_told() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let (code, none) = json(&tree, "history", &["--history"]);
    assert_eq!((code, none["runs"].as_array().unwrap().len()), (0, 0));
    let switched = run(&tree, "certbaton", &["switch", "local", "a.example"]);
    assert_eq!(switched.status.code(), Some(1), "{switched:?}");
    let coordinated = run(&tree, "renew-coordinate", &["--json"]);
    schema::expect("coordinate", &serde_json::from_slice(&coordinated.stdout).unwrap());
    let (_, told) = json(&tree, "history", &["--history"]);
    let kinds: Vec<&str> =
        told["runs"].as_array().unwrap().iter().map(|run| run["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["switch", "coordination"]);
    assert_eq!(told["runs"][0]["outcome"], "failed");
    let id = told["runs"][0]["id"].as_str().unwrap();
    let (_, one) = json(&tree, "run", &["--run", id]);
    let events: Vec<&str> =
        one["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["began", "not-switched", "ended"]);
    let (_, last) = json(&tree, "history", &["--history", "1"]);
    assert_eq!(last["runs"].as_array().unwrap().len(), 1);
    assert_eq!(status(&tree, &["--run", "20200101T000000.000-1"]).0, 1);
    assert_eq!(status(&tree, &["--run", "../x"]).0, 2);
}

#[test]
fn a_torn_history_is_told_of_and_goes_on() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    run(&tree, "certbaton", &["switch", "local", "a.example"]);
    let path = tree.base().join("state/history.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let (code, told) = json(&tree, "history", &["--history"]);
    assert_eq!((code, told["damaged"].as_u64()), (0, Some(1)), "{told:#}");
    assert_eq!(told["runs"][0]["outcome"], "died", "its end is what was torn");
    run(&tree, "certbaton", &["switch", "local", "a.example"]);
    let (_, told) = json(&tree, "history", &["--history"]);
    assert_eq!((told["runs"].as_array().unwrap().len(), told["damaged"].as_u64()), (2, Some(1)));
}

/// The codes of what is wrong, by `certbaton status` and by `certbaton check`.
fn codes(tree: &Tree) -> (Vec<String>, Vec<String>) {
    let list = |value: &Value| -> Vec<String> {
        let all = value.as_array().unwrap().iter();
        all.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    let (_, told) = json(tree, "status", &[]);
    let checked = run(tree, "certbaton", &["check", "--json"]);
    let checked = serde_json::from_slice(&checked.stdout).unwrap();
    schema::expect("check", &checked);
    (list(&told["wrong"]), list(&checked["findings"]))
}

#[test]
fn a_certbot_that_is_gone_is_told_by_status_and_check_and_no_hooks_are() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    fs::remove_file(tree.base().join("certbot")).unwrap();
    let (status, check) = codes(&tree);
    assert!(status.contains(&"certbot-missing".to_owned()), "{status:?}");
    assert!(check.contains(&"certbot-missing".to_owned()), "{check:?}");
    assert!(!check.contains(&"hooks-missing".to_owned()), "{check:?}");
}

#[test]
fn a_certbot_that_is_suspended_is_told_by_status_and_check() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let lock = tree.base().join("le/.certbot.lock");
    let script = "import fcntl, os, signal, sys\n\
                  f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True)\n\
                  os.kill(os.getpid(), signal.SIGSTOP)\n";
    let mut held = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .arg(&lock)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0];
    std::io::Read::read_exact(held.stdout.as_mut().unwrap(), &mut line).unwrap();
    let stat = format!("/proc/{}/stat", held.id());
    let is_stopped = || fs::read_to_string(&stat).unwrap().contains(") T ");
    while !is_stopped() {
        std::thread::yield_now();
    }
    let (told, checked) = codes(&tree);
    held.kill().unwrap();
    held.wait().unwrap();
    assert!(told.contains(&"certbot-stopped".to_owned()), "{told:?}");
    assert!(checked.contains(&"certbot-stopped".to_owned()), "{checked:?}");
    let (told, checked) = codes(&tree);
    assert!(![told, checked].concat().contains(&"certbot-stopped".to_owned()));
}

/// Of status and of check, each below a shell that has mounts of its own.
fn codes_after(tree: &Tree, prepare: &str) -> (Vec<String>, Vec<String>) {
    let certbaton = env!("CARGO_BIN_EXE_certbaton");
    let base = tree.base().display().to_string();
    let list = |verb: &str, list: &str| -> Vec<String> {
        let script = format!("{prepare}\nexec \"$@\"");
        let output = Command::new("/usr/bin/unshare")
            .args(["--mount", "/bin/sh", "-euc", &script, &base, certbaton, "--config"])
            .arg(tree.config())
            .args([verb, "--json"])
            .output()
            .unwrap();
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let all = told[list].as_array().unwrap().iter();
        all.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    (list("status", "wrong"), list("check", "findings"))
}

#[test]
fn a_disk_that_is_full_or_read_only_is_told_by_status_and_check() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    // Its files would be gone below the new disk.
    let full = "head -c 1M /dev/zero > $at/fill 2> /dev/null || true";
    for (what, prepare) in [
        ("state", format!("at=$0/state; mount -t tmpfs -o size=64k none $at; {full}")),
        (
            "certbot's log",
            format!(
                "at=/var/log; mount -t tmpfs -o size=64k none $at; mkdir $at/letsencrypt; {full}"
            ),
        ),
        (
            "certbot's log, elsewhere",
            format!(
                "at=$0/logs; mkdir -p $at; mount -t tmpfs -o size=64k none $at; {full}; \
                 echo logs-dir = $at > $0/le/cli.ini"
            ),
        ),
        ("certbot's", "mount --bind -o ro $0/le $0/le; mount -o remount,ro,bind $0/le".to_owned()),
    ] {
        let (told, checked) = codes_after(&tree, &prepare);
        assert!(told.contains(&"disk-full".to_owned()), "{what}: {told:?}");
        assert!(checked.contains(&"disk-full".to_owned()), "{what}: {checked:?}");
        fs::remove_file(tree.base().join("le/cli.ini")).ok();
    }
    let (told, checked) = codes_after(&tree, "");
    assert!(![told, checked].concat().contains(&"disk-full".to_owned()));
}

/// As after a year of a dead battery: the certificates are from what the clock calls the future.
#[test]
fn a_clock_that_is_behind_is_told_by_status_and_check() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let (told, checked) = codes(&tree);
    assert!(![told, checked].concat().contains(&"clock-behind".to_owned()));
    let later = crate::tree::certificate_from(401, 2, "a.example");
    fs::write(tree.base().join("le/archive/a/cert1.pem"), later).unwrap();
    let (told, checked) = codes(&tree);
    assert!(told.contains(&"clock-behind".to_owned()), "{told:?}");
    assert!(checked.contains(&"clock-behind".to_owned()), "{checked:?}");
    let words = "clock is 400 days behind";
    let text = status(&tree, &[]).1.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "{text}");
}

/// A run that is under way is seldom looked at: each key of it that status may tell is in its schema.
#[test]
fn whoever_holds_the_lock_is_told_as_the_schema_says() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let (_, mut told) = json(&tree, "status", &[]);
    told["hosts"][0]["found"]["hold"] = serde_json::to_value(Hold::default()).unwrap();
    schema::expect("status", &told);
}

#[test]
fn what_certbot_cannot_read_is_critical_and_expires_all_the_same() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let path = tree.base().join("le/renewal/a.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("renew_before_expiry = 89 days, 23 hours\n{text}")).unwrap();
    let (code, told) = json(&tree, "status", &[]);
    assert_eq!(code, 2, "{told:#}");
    assert_eq!(told["wrong"][0]["code"], "renewal-broken", "{told:#}");
    let lineage = &told["hosts"][0]["found"]["lineages"][0];
    assert_eq!((lineage["name"].as_str(), lineage["serial"].as_str()), (Some("a"), Some("01")));
}

#[test]
fn a_secret_that_every_user_can_read_is_told_by_status_and_check_until_its_file_is_roots_alone() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let plain = fs::read_to_string(tree.config()).unwrap();
    let mode = |mode| {
        fs::set_permissions(tree.config(), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (notify, bits, is_told) in [
        ("url = \"https://ntfy.example/a-topic-that-is-a-password\"", 0o644, true),
        ("url = \"https://ntfy.example/a-topic-that-is-a-password\"", 0o640, false),
        ("url = \"https://ntfy.example/a-topic-that-is-a-password\"", 0o600, false),
        ("url = \"https://ntfy.example/\"", 0o644, false),
        ("command = [\"/bin/true\", \"--token\", \"0123456789abcdef\"]", 0o644, true),
        ("command = [\"/bin/true\", \"root\"]", 0o644, false),
    ] {
        fs::write(tree.config(), format!("{plain}[notify]\n{notify}\n")).unwrap();
        mode(bits);
        let (status, check) = codes(&tree);
        for (who, codes) in [("status", status), ("check", check)] {
            let found = codes.contains(&"exposed-secret".to_owned());
            assert_eq!(found, is_told, "{who}: {notify}, {bits:o}: {codes:?}");
        }
    }
}

/// A umask of 002 gives everything to its owner's group, which is root's own.
#[test]
fn what_roots_own_group_may_write_is_roots() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let before = codes(&tree);
    let le = tree.base().join("le");
    let changed = |words: &[&str]| {
        assert!(Command::new(words[0]).args(&words[1..]).arg(&le).status().unwrap().success());
    };
    changed(&["chmod", "-R", "g+w"]);
    let (_, told) = json(&tree, "status", &[]);
    assert_eq!(told["hosts"][0]["found"]["lineages"][0]["serial"], "01", "{told:#}");
    assert_eq!(codes(&tree), before);
    // Another group is somebody else.
    changed(&["chgrp", "-R", "33"]);
    assert_ne!(codes(&tree), before);
}

#[test]
fn an_arbiter_that_cannot_be_reached_is_told_by_status_and_check() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let text = fs::read_to_string(tree.config()).unwrap();
    let hosts = "[lease]\narbiter = \"there\"\n[[host]]\nname = \"here\"\n[[host]]\nname = \"there\"\nssh = \"nobody@there.invalid\"\n";
    fs::write(tree.config(), format!("name = \"here\"\n{text}{hosts}")).unwrap();
    let (told, checked) = codes(&tree);
    assert!(told.contains(&"arbiter-unreachable".to_owned()), "{told:?}");
    assert!(checked.contains(&"arbiter-unreachable".to_owned()), "{checked:?}");
}
