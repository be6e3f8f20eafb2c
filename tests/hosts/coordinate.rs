//! flow: the agent and the coordinator as programs, on a tree of their own; two machines are in `machines`.
//!
//! certbot is played by a script here: it is the fault that is under test.

mod alone;
mod called_off;
mod clean;
mod hostile;
mod peer;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::tree::{Tree, certificate};
use certbaton::fleet::host_report::{Due, HostReport};
use certbaton::fleet::protocol::{AgentAnswer, answer};
use rustix::fs::FlockOperation;

const SURVEY: &str = r#"{"version":2,"order":{"look":"survey"}}"#;
const RENEW: &str =
    r#"{"version":2,"order":{"renew":{"cert-names":["a"],"force":true,"dry-run":false}}}"#;

impl Tree {
    /// All that the agent says to one order.
    fn answers(&self, order: &str) -> Vec<AgentAnswer> {
        let mut agent = self.agent(order);
        let out = BufReader::new(agent.stdout.take().unwrap());
        let answers = out.split(b'\n').map(|line| answer(&line.unwrap()).unwrap()).collect();
        agent.wait().unwrap();
        answers
    }

    fn survey(&self) -> HostReport {
        match self.answers(SURVEY).pop() {
            Some(AgentAnswer::Report(report)) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// It got its certificate once more, today.
    pub(crate) fn issue(&self, serial: u32) {
        let path = format!("le/archive/a/cert{serial}.pem");
        fs::write(self.base().join(path), certificate(serial, "a.example")).unwrap();
    }

    /// Its lineage can be renewed without a web server that anybody reaches.
    pub(crate) fn renews_by_dns(&self) {
        // certbot is a script here, which runs none of them.
        for hook in ["pre", "deploy", "post"] {
            let path = self.base().join(format!("le/renewal-hooks/{hook}/certbaton"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Nothing here could be validated by http, and so would not be asked for.
        let renewal = self.base().join("le/renewal/a.conf");
        let text = fs::read_to_string(&renewal).unwrap();
        fs::write(&renewal, text.replace("= webroot", "= dns-rfc2136")).unwrap();
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.base().join(file)).unwrap_or_default()
    }
}

#[test]
fn a_survey_tells_what_is_there_and_changes_nothing() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let report = tree.survey();
    let [lineage] = &report.lineages[..] else { panic!("{report:?}") };
    assert_eq!((lineage.name.as_str(), lineage.serial.as_str()), ("a", "01"));
    assert_eq!(lineage.survey.issued.len(), 1);
    assert!(matches!(lineage.due(report.at), Due::From(_)), "{lineage:?}");
    assert_eq!(lineage.obstacle, None);
    assert!(report.apache.unwrap().contains("not running"));
    let certbot = report.survey.certbot.unwrap();
    assert_eq!((report.versions.certbot.as_deref(), certbot.traps.len()), (Some("2.1.0"), 1));
    assert!(certbot.hooks.is_empty() && !report.under_way && !report.survey.disks.is_empty());
    fs::remove_dir(tree.base().join("www")).unwrap();
    assert!(tree.survey().lineages[0].obstacle.as_ref().unwrap().contains("/www"));
    assert_eq!(fs::read_dir(tree.base().join("state")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(tree.base().join("run")).unwrap().count(), 0);
}

#[test]
fn files_tell_whether_a_lineage_was_renewed() {
    let issue = "echo \"$*\" > arguments; echo working; echo oops >&2\n\
                 cp next.pem le/archive/a/cert2.pem; ln -sf ../../archive/a/cert2.pem le/live/a/cert.pem; exit 3";
    let Some(tree) = Tree::plant(issue) else { return };
    let answers = tree.answers(RENEW);
    let Some(AgentAnswer::Renewed(results)) = answers.last() else { panic!("{answers:?}") };
    assert_eq!(results.len(), 1);
    assert_eq!(
        (results[0].before.as_deref(), results[0].after.as_deref()),
        (Some("01"), Some("02"))
    );
    assert_eq!(results[0].status, Some(3));
    assert!(answers.contains(&AgentAnswer::Line { text: "working".into() }), "{answers:?}");
    let arguments = format!(
        "renew --non-interactive --no-random-sleep-on-renew --cert-name a --force-renewal --config-dir {}/le\n",
        tree.base().display()
    );
    assert_eq!(tree.said("arguments"), arguments);
}

#[test]
fn an_unknown_lineage_or_order_starts_no_certbot() {
    let Some(tree) = Tree::plant("touch started") else { return };
    for order in [&RENEW.replace("\"a\"", "\"b\""), &RENEW.replace(":2", ":9"), "junk"] {
        let answers = tree.answers(order);
        assert!(
            matches!(answers[..], [AgentAnswer::Failed { exit: 1, .. }]),
            "{order}: {answers:?}"
        );
    }
    assert!(!tree.base().join("started").exists());
}

#[test]
fn whoever_orders_it_by_force_the_weeks_limit_of_the_same_names_is_held() {
    let Some(tree) = Tree::plant("touch started") else { return };
    for serial in 2..=5 {
        tree.issue(serial);
    }
    let all = RENEW.replace("[\"a\"]", "[]");
    for order in [RENEW, &all] {
        let answers = tree.answers(order);
        let [AgentAnswer::Failed { exit: 1, why }] = &answers[..] else { panic!("{answers:?}") };
        assert!(why.contains("a is not renewed by force") && why.contains(" 5 "), "{why}");
    }
    assert!(!tree.base().join("started").exists());
    let unforced = RENEW.replace("true", "false");
    assert!(matches!(tree.answers(&unforced).last(), Some(AgentAnswer::Renewed(_))));
    assert!(tree.base().join("started").exists(), "what is due is asked for all the same");
    fs::remove_file(tree.base().join("le/archive/a/cert5.pem")).unwrap();
    assert!(matches!(tree.answers(RENEW).last(), Some(AgentAnswer::Renewed(_))), "the fifth");
}

#[test]
fn hanging_up_interrupts_certbot_and_the_agent_waits_for_its_end() {
    let long =
        "trap 'echo interrupted > end; exit 9' INT\necho started\nwhile :; do /bin/sleep 0.1; done";
    let Some(tree) = Tree::plant(long) else { return };
    let mut agent = tree.agent(RENEW);
    let mut out = BufReader::new(agent.stdout.take().unwrap());
    let mut line = Vec::new();
    out.read_until(b'\n', &mut line).unwrap();
    assert_eq!(answer(&line).unwrap(), AgentAnswer::Line { text: "started".into() });
    drop(agent.stdin.take());
    assert_eq!(agent.wait().unwrap().code(), Some(1));
    assert_eq!(tree.said("end"), "interrupted\n");
}

#[test]
fn two_coordinators_run_certbot_in_turn() {
    let long = "mkdir busy || echo two >> overlaps; /bin/sleep 0.3; rmdir busy; echo one >> runs";
    let Some(tree) = Tree::plant(long) else { return };
    let both = [tree.agent(RENEW), tree.agent(RENEW)];
    for mut agent in both {
        let answers: Vec<_> = BufReader::new(agent.stdout.take().unwrap())
            .split(b'\n')
            .map(|line| answer(&line.unwrap()).unwrap())
            .collect();
        assert!(matches!(answers.last(), Some(AgentAnswer::Renewed(_))), "{answers:?}");
        assert!(agent.wait().unwrap().success());
    }
    assert_eq!(tree.said("runs"), "one\none\n");
    assert_eq!(tree.said("overlaps"), "");
}

#[test]
fn a_certbot_that_comes_second_after_all_waits_for_its_turn_again() {
    // What certbot does when it finds the lock taken, which the agent just saw free.
    let second = "echo run >> runs; [ ! -e held ] || exit 0; : > started\n\
                  while [ ! -e held ]; do /bin/sleep 0.02; done\n\
                  echo 'Another instance of Certbot is already running.' >&2; exit 1";
    let Some(tree) = Tree::plant(second) else { return };
    let mut agent = tree.agent(RENEW);
    let lock = fs::File::create(tree.base().join("le/.certbot.lock")).unwrap();
    while !tree.base().join("started").exists() {
        assert_eq!(agent.try_wait().unwrap(), None, "it ended without a certbot");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::write(tree.base().join("held"), "").unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).split(b'\n');
    let mut next = || answer(&lines.next().unwrap().unwrap()).unwrap();
    assert!(matches!(next(), AgentAnswer::Line { text } if text.starts_with("Another instance")));
    let waiting = format!("waiting: another certbot, process {}, runs here", std::process::id());
    assert_eq!(next(), AgentAnswer::Line { text: waiting });
    rustix::fs::fcntl_lock(&lock, FlockOperation::Unlock).unwrap();
    let AgentAnswer::Renewed(results) = next() else { panic!("no result") };
    assert_eq!(results[0].status, Some(0));
    assert!(agent.wait().unwrap().success());
    assert_eq!(tree.said("runs"), "run\nrun\n");
}

#[test]
fn a_host_without_apache_is_passed_over_before_certbot_is_started() {
    let Some(tree) = Tree::plant("touch started") else { return };
    let coordinate = || {
        Command::new(env!("CARGO_BIN_EXE_renew-coordinate"))
            .args(["--config".as_ref(), tree.config().as_os_str()])
            .args(["--force-renewal", "--json"])
            .output()
            .unwrap()
    };
    let output = coordinate();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["version"].as_u64(), report["exit"].as_u64()), (Some(1), Some(1)));
    assert!(report["hosts"][0]["failure"].as_str().unwrap().contains("not running"));
    assert!(!tree.base().join("started").exists());
    let lock = fs::File::open(tree.base().join("run/coordinate.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    assert_eq!(coordinate().status.code(), Some(75), "another coordinator");
}

#[test]
fn the_cas_own_sentence_is_told_of_what_was_not_renewed() {
    let print = "echo '  Domain: a.example'; echo '  Type:   unauthorized'; \
                 echo '  Detail: 203.0.113.5: Invalid response: 404'; \
                 echo 'Failed to renew certificate a with error: Some challenges have failed.'; exit 1";
    let Some(tree) = Tree::plant(print) else { return };
    let Some(AgentAnswer::Renewed(results)) = tree.answers(RENEW).pop() else {
        panic!("not tried")
    };
    let why = "a.example: 203.0.113.5: Invalid response: 404";
    assert_eq!(results[0].why.as_deref(), Some(why), "{results:?}");
}

#[test]
fn what_lasts_is_said_by_one_coordination_and_not_by_the_next() {
    let Some(tree) = Tree::plant("exit 1") else { return };
    let coordinate = || {
        let certbaton = std::path::Path::new(env!("CARGO_BIN_EXE_certbaton"));
        let mut command = Command::new(certbaton.with_file_name("renew-coordinate"));
        let output = command.arg("--config").arg(tree.config()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let trap = "runs directory hooks for `renew` alone";
    let (first, second) = (coordinate(), coordinate());
    assert!(first.contains(trap), "{first}");
    assert!(!second.contains(trap), "{second}");
}
