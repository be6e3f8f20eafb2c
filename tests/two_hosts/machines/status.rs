//! flow: `certbaton status` tells what became of each run, and ends as monitoring reads it.

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::clean::LINEAGES;
use crate::host::Host;
use crate::lab::Lab;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;
use support::schema;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("status_tells_a_run_event_by_event", Debians, timeline),
    Scenario::new("status_warns_of_a_renewal_that_was_stopped_and_why", Debians, stopped),
    Scenario::new("status_warns_of_a_lineage_that_got_no_certificate", Debians, one_fails),
    Scenario::new("status_tells_that_a_keeper_died", Debians, died),
    Scenario::new(
        "a_history_that_cannot_be_written_fails_no_renewal_status_goes_on",
        Debians,
        unwritable,
    ),
    Scenario::new(
        "that_no_timer_renews_is_critical_to_status_and_a_finding_of_check",
        Debians,
        no_timer,
    ),
    Scenario::new("status_is_critical_where_nobody_owns_a_route", Debians, abandoned),
];

/// What `certbaton status --json` prints, and its exit code.
fn status(host: &Host) -> (i32, Value) {
    let done = host.run(&["certbaton", "status", "--json"]);
    let told = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    schema::expect("status", &told);
    (done.code(), told)
}

/// What `certbaton status` prints with these words.
fn json(host: &Host, words: &[&str]) -> Value {
    let done = host.run(&[&["certbaton", "status", "--json"], words].concat());
    assert_eq!(done.code(), 0, "{done:?}");
    serde_json::from_str(&done.out).unwrap()
}

/// The keys of what is wrong.
fn wrong(told: &Value) -> Vec<&str> {
    let list = told["wrong"].as_array().unwrap();
    list.iter().map(|wrong| wrong["key"].as_str().unwrap()).collect()
}

fn last_run(told: &Value) -> &Value {
    &told["hosts"][0]["found"]["last-run"]
}

fn timeline(lab: &Lab) {
    lab.renew().succeed();
    lab.home.at_rest();
    let (code, told) = status(&lab.home);
    assert_eq!((code, wrong(&told)), (0, vec![]), "{told}");
    let found = &told["hosts"][0]["found"];
    for (lineage, name) in found["lineages"].as_array().unwrap().iter().zip(LINEAGES) {
        assert_eq!(lineage["name"], name);
        let serial = lineage["serial"].as_str().unwrap();
        assert_eq!(lab.home.serial(name), format!("serial={serial}"));
        let end = lab.home.sh(&format!(
            "date -u +%Y-%m-%dT%H:%M:%SZ -d \"$(openssl x509 -noout -enddate \
             -in /etc/letsencrypt/live/{name}/cert.pem | cut -d = -f 2)\""
        ));
        assert_eq!(lineage["not-after"], end.as_str());
        assert_eq!(lineage["last"]["result"], "renewed");
    }
    assert_eq!(found["versions"]["certbot"], "2.1.0");
    let id = last_run(&told)["id"].as_str().unwrap();
    let one = lab.home.run(&["certbaton", "status", "--run", id]);
    assert_eq!(one.code(), 0, "{one:?}");
    let steps = [
        "began, by certbot renew",
        "asked for this host's lock",
        "lock granted",
        "local: cloud.example.org",
        "reload",
        "prove",
        "cloud.example.org: new certificate",
        "served, proven in",
        "wiki.example.org: new certificate",
        "lease released",
        "ended",
        "renewed cloud.example.org git.example.org wiki.example.org",
    ];
    // Where a line is folded depends on its width alone.
    let unfolded = one.unfolded();
    let mut rest = unfolded.as_str();
    for step in steps {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step:?} in {}", one.out));
        rest = &rest[at..];
    }
    schema::expect("run", &json(&lab.home, &["--run", id]));
    schema::expect("history", &json(&lab.home, &["--history"]));
    let list = lab.home.run(&["certbaton", "status", "--history"]).out;
    assert!(list.contains(id) && list.contains("done"), "{list}");
    let plain = lab.home.run(&["certbaton", "status"]);
    assert!(!plain.out.contains('\x1b'), "{}", plain.out);
    assert!(plain.out.contains("all is well"), "{}", plain.out);
}

fn stopped(lab: &Lab) {
    lab.expect_untouched();
    lab.home.site("mine", "<VirtualHost *:80>\n  ProxyPas / http://x/\n</VirtualHost>\n");
    lab.note();
    lab.renew().be_stopped();
    lab.home.at_rest();
    let (code, told) = status(&lab.home);
    assert_eq!(code, 2, "{told}");
    assert_eq!(wrong(&told), ["apache/home", "last-run/home"]);
    let run = last_run(&told);
    assert_eq!(run["outcome"], "failed");
    assert!(run["text"].as_str().unwrap().contains("ProxyPas"), "{run}");
    let lineage = &told["hosts"][0]["found"]["lineages"][0];
    assert_eq!(lineage["last"]["result"], "failed");
}

fn one_fails(lab: &Lab) {
    let held = lab.ca.hold();
    let since = lab.ca.mark();
    let certbot = lab.renew().with(&["--cert-name", "wiki.example.org"]).start();
    lab.await_challenge(since);
    // The token is gone when the CA looks: its answer is no.
    lab.home.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
    drop(held);
    assert_eq!(certbot.ended().code(), 1);
    lab.home.at_rest();
    let (code, told) = status(&lab.home);
    // Said once: by the run, which was to renew it and has failed.
    assert_eq!((code, wrong(&told)), (1, vec!["last-run/home"]), "{told}");
    let text = last_run(&told)["text"].as_str().unwrap();
    let heard = ["wiki.example.org: ", "Non-200 status code", "returned 404"];
    assert!(heard.iter().all(|words| text.contains(words)), "the CA's own sentence: {text}");
    let told_of_it = told["wrong"][0]["text"].as_str().unwrap();
    assert!(told_of_it.contains(text), "{told_of_it}");
    assert_eq!(told["hosts"][0]["found"]["lineages"][2]["last"]["result"], "failed", "{told}");
}

fn died(lab: &Lab) {
    let certbot = lab.renew().pre(&format!("certbaton-pre-hook && {}", lab.pausing())).start();
    lab.await_pause();
    let (code, told) = status(&lab.home);
    assert_eq!((code, &last_run(&told)["outcome"]), (0, &Value::from("under-way")), "{told}");
    kill(lab.home.keeper(), Signal::SIGKILL).unwrap();
    certbot.signal(Signal::SIGKILL);
    lab.go_on();
    certbot.ended();
    lab.home.sh("certbaton recover");
    let (code, told) = status(&lab.home);
    assert_eq!((code, &last_run(&told)["outcome"]), (1, &Value::from("died")), "{told}");
    let list = lab.home.run(&["certbaton", "status", "--history"]).out;
    // What does not fit on a line goes on below, indented.
    let runs: Vec<&str> = list.lines().filter(|line| !line.starts_with(' ')).collect();
    schema::expect("history", &json(&lab.home, &["--history", "5"]));
    assert_eq!(runs.len(), 2, "{list}");
    assert!(runs[0].contains("DIED") && runs[1].contains("recovery"), "{list}");
}

fn abandoned(lab: &Lab) {
    lab.home.sh("certbaton switch local wiki.example.org");
    let (code, told) = status(&lab.home);
    assert_eq!(code, 2, "{told}");
    let route = &told["hosts"][0]["found"]["local"][0];
    assert_eq!(route["name"], "wiki.example.org");
    assert_eq!(route["by"], "certbaton switch local wiki.example.org (root)");
    assert!(route["since"].is_string(), "{route}");
    lab.home.sh("certbaton switch peer");
    assert_eq!(status(&lab.home).0, 0);
}

fn no_timer(lab: &Lab) {
    let timers = "certbot.timer certbaton-renew.timer snap.certbot.renew.timer";
    let were = lab
        .home
        .sh(&format!("for t in {timers}; do ! systemctl --quiet is-active $t || echo $t; done"));
    let were = were.lines().collect::<Vec<_>>().join(" ");
    assert!(!were.is_empty(), "nothing renews in the lab");
    lab.home.sh(&format!("systemctl --quiet disable --now {were} 2> /dev/null"));
    let (code, told) = status(&lab.home);
    let checked = lab.home.run(&["certbaton", "check", "--json"]);
    lab.home.sh(&format!("systemctl --quiet enable --now {were} 2> /dev/null"));
    let is_it = |value: &Value| value["code"] == "nobody-renews";
    assert!(code == 2 && told["wrong"].as_array().unwrap().iter().any(is_it), "{told}");
    let checked: Value = serde_json::from_str(&checked.out).unwrap();
    assert!(checked["findings"].as_array().unwrap().iter().any(is_it), "{checked}");
    assert_eq!(status(&lab.home).0, 0);
}

fn unwritable(lab: &Lab) {
    let cursor = lab.home.cursor();
    lab.home.sh("mkdir -p -m 711 /var/lib/certbaton; mkdir /var/lib/certbaton/history.jsonl");
    lab.renew().with(&["--cert-name", "wiki.example.org"]).succeed();
    lab.home.at_rest();
    let told = lab.home.journal(&cursor);
    assert_eq!(told.matches("no whole record of this run").count(), 1, "{told}");
    let (code, told) = status(&lab.home);
    assert_eq!(code, 0, "{told}");
    let notes = told["hosts"][0]["found"]["notes"].to_string();
    assert!(notes.contains("history.jsonl"), "{told}");
}
