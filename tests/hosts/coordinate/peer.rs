//! flow: a peer that answers every question, and says what concerns nobody here: its part is its own, this host renews.

use std::fs;
use std::time::Instant;

use certbaton::base::names::Hostname;
use certbaton::fleet::host_report::{HostReport, LineageReport, LocalRoute};
use certbaton::fleet::protocol::{AgentAnswer, line};
use serde_json::Value;

use crate::coordinate::hostile::{Lair, STATED, lair_of};

/// Answers with what the test wrote down.
const ANSWERS: &str = r#"echo "$hello"; read order
case $order in
*survey*) cat $0.survey ;;
*renew*) echo '{"renewed":[]}' ;;
*) echo '{"failed":{"exit":1,"why":"not that"}}' ;;
esac"#;

const RENEWS: &str =
    "cp next.pem le/archive/a/cert2.pem; ln -sf ../../archive/a/cert2.pem le/live/a/cert.pem";

impl Lair {
    /// A host whose turn comes after a peer's, which answers as `peer` does.
    pub(crate) fn second_after(peer: &str) -> Option<Self> {
        let lair = lair_of(peer, RENEWS)?;
        lair.tree.renews_by_dns();
        let text = fs::read_to_string(lair.tree.config()).unwrap();
        let own = "[[host]]\nname = \"home\"\n";
        fs::write(lair.tree.config(), text.replace(own, "") + own).unwrap();
        Some(lair)
    }

    /// What the peer says of itself: what this host would, but for `change`.
    pub(crate) fn says(&self, change: impl FnOnce(&mut HostReport)) {
        let mut report = self.tree.survey();
        if let Some(certbot) = &mut report.survey.certbot {
            certbot.traps.clear();
        }
        change(&mut report);
        let said = line(&AgentAnswer::Report(Box::new(report))).unwrap();
        fs::write(self.tree.base().join("peer.survey"), said).unwrap();
    }

    /// The exit code and the report of a coordination, and what it said meanwhile.
    pub(crate) fn coordinated(&self) -> (i32, Value, String) {
        let words = ["--force-renewal", "--json"];
        let output = self.program("renew-coordinate", &words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{said}")), said)
    }
}

/// What became of this host's lineage.
fn own(report: &Value) -> (&Value, &Value) {
    let lineage = &report["hosts"][1]["lineages"][0];
    (&lineage["result"], &lineage["serial"])
}

#[test]
fn names_that_a_peer_alone_says_are_local_cost_its_own_part() {
    let Some(lair) = Lair::second_after(ANSWERS) else { return };
    let local = |n| {
        let name = Hostname::parse(&format!("n{n}.example.net")).unwrap();
        LocalRoute { name, since: None, run: None, by: None }
    };
    lair.says(|report| report.local = (0..5000).map(local).collect());
    let (exit, report, said) = lair.coordinated();
    assert_eq!(own(&report), (&"renewed".into(), &"02".into()), "{report:#}");
    assert_eq!((exit, &report["stopped"]), (1, &Value::Null), "{report:#}");
    let failure = report["hosts"][0]["failure"].as_str().unwrap();
    assert!(failure.contains("n1.example.net") && failure.ends_with("more"), "{failure}");
    assert!(said.len() < 8000, "{said}");
}

#[test]
fn a_giant_report_costs_its_bound_and_this_host_renews() {
    let Some(lair) = Lair::second_after(ANSWERS) else { return };
    lair.says(|report| {
        let one = report.lineages[0].clone();
        let lineage = |n: usize| {
            let name = Hostname::parse(&format!("n{n}.example.net")).unwrap();
            let names = vec![name.to_string()];
            let mut survey = one.survey.clone();
            (survey.hostnames, survey.issued) = (vec![name], Vec::new());
            LineageReport { name: format!("n{n}"), names, survey, ..one.clone() }
        };
        report.lineages = (0..5000).map(lineage).collect();
        report.notes = (0..20_000).map(|n| format!("note {n}")).collect();
        // The name of this host's own loopback, which nobody asked to see.
        report.lineages[0].survey.hostnames = vec![Hostname::parse("localhost").unwrap()];
    });
    let began = Instant::now();
    let (_, report, said) = lair.coordinated();
    assert_eq!(own(&report), (&"renewed".into(), &"02".into()), "{report:#}");
    assert!(began.elapsed() < STATED, "{:?}", began.elapsed());
    assert!(said.contains("3000 more are not") && said.contains("19980 more are not"), "{said}");
    let notes = said.lines().filter(|line| line.contains(": note ")).count();
    assert_eq!(notes, 20, "{said}");
    let served = report["served"].as_array().unwrap();
    let of_loopback = served.iter().find(|served| served["name"] == "localhost");
    assert_eq!(of_loopback.unwrap()["verdict"], "unknown", "it was dialled");
    assert!(served.len() < 300 && said.contains("are too many"), "{}: {said}", served.len());
}

#[test]
fn a_peer_that_does_not_end_its_renewal_is_called_off_and_this_host_renews() {
    for (what, renews) in [
        ("is alive for ever", "while echo '\"alive\"'; do sleep 0.2; done"),
        ("hangs", "exec sleep 1000"),
        ("dies", "printf '{\"rene'"),
    ] {
        let peer = ANSWERS.replace("echo '{\"renewed\":[]}'", renews);
        assert_ne!(peer, ANSWERS, "it renews");
        let Some(lair) = Lair::second_after(&peer) else { return };
        // The wait is four seconds there.
        let text = fs::read_to_string(lair.tree.config()).unwrap();
        let text = text.replace("[lease]\n", "[lease]\nrenewal = \"1s\"\n");
        fs::write(lair.tree.config(), text).unwrap();
        lair.says(|_| ());
        let (exit, report, said) = lair.coordinated();
        let of = format!("a peer that {what}: {report:#}\n{said}");
        assert_eq!((exit, own(&report)), (1, (&"renewed".into(), &"02".into())), "{of}");
        assert!(report["hosts"][0]["failure"].is_string(), "{of}");
        assert_eq!(report["stopped"], Value::Null, "{of}");
    }
}
