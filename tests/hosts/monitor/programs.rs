//! test: the program of `[notify] command`.

use std::time::{Duration, Instant};

use certbaton::config::notify::Command;
use certbaton::monitor::{Error, deliver};

use super::*;

const COMMAND: &str = "[notify]\ncommand = [\"@/tell\", \"a b\", \"$HOME;x\"]";

/// Keeps what it gets in files beside it.
const KEEPS: &str = "cd \"$(dirname \"$0\")\" && cat > \"body.$$\" && env > environment && printf '%s\\n' \"$@\" > arguments && mv \"body.$$\" \"$(date +%s%N).json\"";

fn told(host: &Host) -> Vec<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(host.scratch.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .collect()
}

#[test]
fn a_program_gets_each_change_once() {
    let host = Host::with(COMMAND);
    host.script("tell", KEEPS);
    host.finds(&[]);
    assert!(told(&host).is_empty());
    host.finds(&["route/home"]);
    host.finds(&["route/home"]);
    assert_eq!(told(&host).len(), 1);
    host.finds(&["route/home", "apache/home"]);
    host.finds(&[]);
    host.finds(&[]);
    let told: Vec<_> = told(&host).iter().map(changes).collect();
    let expected = [
        vec![change("failure", "route/home")],
        vec![change("failure", "apache/home")],
        vec![change("recovery", "apache/home"), change("recovery", "route/home")],
    ];
    assert_eq!(told, expected);
    let arguments = fs::read_to_string(host.path("arguments")).unwrap();
    assert_eq!(arguments, "a b\n$HOME;x\n", "no shell");
    let environment = fs::read_to_string(host.path("environment")).unwrap();
    assert!(environment.contains("CERTBATON_EVENT=recovery\n"), "{environment}");
    assert!(environment.contains("CERTBATON_TEXT=over: home: apache/home is wrong\n"));
    assert!(!environment.contains("CARGO"), "nothing of ours: {environment}");
}

#[test]
fn what_a_program_did_not_take_is_kept_with_its_time() {
    let host = Host::with(COMMAND);
    host.script("tell", "echo no way >&2; exit 3");
    host.finds(&["route/home"]);
    host.finds(&[]);
    host.script("tell", KEEPS);
    host.finds(&[]);
    host.finds(&[]);
    let told = told(&host);
    assert_eq!(told.len(), 1);
    let expected = [change("failure", "route/home"), change("recovery", "route/home")];
    assert_eq!(changes(&told[0]), expected);
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at(&told[0]["changes"][0]["at"]) < at(&told[0]["changes"][1]["at"]));
    assert!(at(&told[0]["changes"][1]["at"]) < at(&told[0]["at"]));
}

#[test]
fn a_program_that_others_may_change_is_not_run() {
    let host = Host::with(COMMAND);
    host.script("tell", KEEPS);
    fs::set_permissions(host.path("tell"), fs::Permissions::from_mode(0o757)).unwrap();
    host.finds(&["route/home"]);
    assert!(told(&host).is_empty());
    fs::set_permissions(host.path("tell"), fs::Permissions::from_mode(0o755)).unwrap();
    host.finds(&["route/home"]);
    assert_eq!(told(&host).len(), 1);
}

fn run(host: &Host, patience: Duration) -> Result<(), Error> {
    let command = Command { program: host.path("tell"), arguments: Vec::new() };
    // More than a pipe holds.
    deliver::run(&command, &vec![b' '; 300_000], &[("CERTBATON_EVENT", "failure".into())], patience)
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    let host = Host::with("");
    host.script("tell", "echo $$ > \"$0.pid\"; sleep 1000; true");
    let began = Instant::now();
    let failure = run(&host, Duration::from_secs(2)).unwrap_err();
    assert!(failure.to_string().ends_with("did not take it in 2 s"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let group = fs::read_to_string(host.path("tell.pid")).unwrap().trim().to_owned();
    // Until its new parent has waited for it, the killed one is still listed.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !alive(&group).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", alive(&group));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes of a group that are no zombies (proc(5), `stat`).
fn alive(group: &str) -> Vec<String> {
    let stats = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let is_alive = |stat: &String| {
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields.get(2) == Some(&group) && fields[0] != "Z"
    };
    stats.filter(is_alive).collect()
}

#[test]
fn a_program_need_not_read_and_may_leave_something_running() {
    let host = Host::with("");
    host.script("tell", "sleep 5 & exit 0");
    let began = Instant::now();
    run(&host, Duration::from_mins(1)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5) + Duration::from_secs(15));
}

#[test]
fn a_program_that_fails_says_why() {
    let host = Host::with("");
    host.script("tell", "echo first >&2; echo mailbox full >&2; exit 3");
    let failure = run(&host, Duration::from_secs(20)).unwrap_err().to_string();
    assert!(failure.contains("mailbox full") && failure.contains('3'), "{failure}");
}
