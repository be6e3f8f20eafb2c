//! test: metrics, alerting rules and dashboard fit each other, and Prometheus accepts them.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use super::*;

const EXAMPLE: &str = include_str!("../../../doc/monitoring/example.prom");
const RULES: &str = include_str!("../../../doc/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../../doc/monitoring/dashboard.json");

/// Runs promtool in `doc/monitoring`; `false` if it is not there.
fn promtool(arguments: &[&str], input: &str) -> bool {
    let directory = support::source("doc/monitoring");
    let child = Command::new("promtool")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: promtool is not installed (Debian: prometheus)");
        return false;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    true
}

#[test]
fn promtool_accepts_the_metrics() {
    promtool(&["check", "metrics"], EXAMPLE);
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules", "alerts.yml"], "");
}

#[test]
fn the_rules_fire_when_they_should() {
    promtool(&["test", "rules", "alerts.test.yml"], "");
}

#[test]
fn a_look_writes_the_metrics_for_everybody() {
    let host = Host::with("[metrics]\ntextfile = \"@/collected/certbaton.prom\"");
    // As the collector's package makes it for its own user.
    fs::create_dir(host.path("collected")).unwrap();
    fs::set_permissions(host.path("collected"), fs::Permissions::from_mode(0o777)).unwrap();
    let path = host.path("collected/certbaton.prom");
    for (keys, count) in [(&["route/home", "apache/home"][..], 2), (&[], 0)] {
        host.finds(keys);
        let text = fs::read_to_string(&path).unwrap();
        let line = format!("certbaton_status_problems{{severity=\"critical\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
        if !promtool(&["check", "metrics"], &text) {
            return;
        }
    }
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(host.path("collected")).unwrap().count(), 1);
}

#[test]
fn metrics_that_cannot_be_written_do_not_keep_a_person_from_being_told() {
    let host =
        Host::with("[metrics]\ntextfile = \"@/none/c.prom\"\n[notify]\ncommand = [\"@/tell\"]");
    host.script("tell", "cat > \"$0.got\"");
    host.finds(&["route/home"]);
    assert!(host.path("tell.got").exists());
}

/// The metrics that are written.
fn written() -> BTreeSet<&'static str> {
    let types = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap()).collect()
}

/// The metrics that a text speaks of.
fn spoken_of(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("certbaton_")).collect()
}

/// Every string under a key `expr`, however deep.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn what_rules_and_dashboard_ask_for_is_written_and_all_that_is_written_is_asked_for() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    let asked = asked.join("\n");
    let known = written();
    for (what, text) in [("rules", RULES), ("dashboard", &asked)] {
        let unknown: Vec<_> = spoken_of(text).difference(&known).copied().collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
    let of_both = [RULES, &asked].join("\n");
    let unused: Vec<_> = known.difference(&spoken_of(&of_both)).copied().collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// `promtool check rules` reads the dashboard's expressions as if they were rules.
#[test]
fn prometheus_understands_the_dashboard() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 10);
    let rule = |(n, expression): (usize, &String)| {
        format!("  - record: panel:{n}\n    expr: {}\n", Value::from(expression.as_str()))
    };
    let rules: String = asked.iter().enumerate().map(rule).collect();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("panels.yml");
    fs::write(&path, format!("groups:\n- name: panels\n  rules:\n{rules}")).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()], "");
}

#[test]
fn panels_do_not_overlap_and_have_numbers_of_their_own() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{}", panel["title"]);
        for x in of("x")..of("x") + of("w") {
            for y in of("y")..of("y") + of("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
