//! flow: a lineage that cannot be renewed costs itself alone, however a coordination or an order asks for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output};

use certbaton::fleet::protocol::AgentAnswer;
use serde_json::Value;

use crate::tree::{Tree, certificate};

/// Renews the lineage that it is told, of those that are not rehearsed.
const RENEWS: &str = r#"for word; do [ "$last" = --cert-name ] && name=$word; last=$word; done
case " $* " in *" --dry-run "*) exit 0 ;; esac
cp next.pem le/archive/$name/cert2.pem
ln -sf ../../archive/$name/cert2.pem le/live/$name/cert.pem"#;

impl Tree {
    /// A host with a lineage `a` that can be renewed, and a lineage `b` of the same names.
    fn of_two() -> Option<Self> {
        let tree = Self::plant(RENEWS)?;
        let base = tree.base().display().to_string();
        let config = fs::read_to_string(tree.config()).unwrap();
        let config = config.replace(&format!("[apache]\npid-file = \"{base}/no.pid\"\n"), "");
        let server = "[web-server]\ntest = [\"/bin/true\"]\nreload = [\"/bin/true\"]\n";
        fs::write(tree.config(), config + server).unwrap();
        let webroot = fs::read_to_string(tree.base().join("le/renewal/a.conf")).unwrap();
        tree.renews_by_dns();
        for directory in ["le/live/b", "le/archive/b"] {
            fs::create_dir(tree.base().join(directory)).unwrap();
        }
        fs::copy(tree.base().join("next.pem"), tree.base().join("le/archive/b/cert1.pem")).unwrap();
        symlink("../../archive/b/cert1.pem", tree.base().join("le/live/b/cert.pem")).unwrap();
        let other = webroot.replace("/live/a", "/live/b");
        fs::write(tree.base().join("le/renewal/b.conf"), other).unwrap();
        Some(tree)
    }

    /// What is wrong is told to a file `told`.
    fn tells(&self) {
        let base = self.base().display();
        let tell = self.base().join("tell");
        fs::write(&tell, format!("#!/bin/sh\ncat >> {base}/told\n")).unwrap();
        fs::set_permissions(&tell, fs::Permissions::from_mode(0o755)).unwrap();
        let config = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), config + &format!("[notify]\ncommand = [\"{base}/tell\"]\n"))
            .unwrap();
    }

    fn coordinate(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renew-coordinate"));
        command.arg("--config").arg(self.config()).args(words).output().unwrap()
    }
}

#[test]
fn a_lineage_that_cannot_be_proven_is_left_out_with_its_reason_and_the_other_is_asked() {
    for (words, result) in [
        (&["--force-renewal"][..], "renewed"),
        (&["--force-renewal", "--cert-name", "a", "--cert-name", "b"], "renewed"),
        (
            &["--force-renewal", "--cert-name", "a", "--cert-name", "b", "--cert-name", "z"],
            "renewed",
        ),
        (&["--dry-run"], "rehearsed"),
    ] {
        let Some(tree) = Tree::of_two() else { return };
        fs::remove_dir(tree.base().join("www")).unwrap();
        tree.tells();
        let output = tree.coordinate(&[words, &["--json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let [a, b] = &report["hosts"][0]["lineages"].as_array().unwrap()[..] else {
            panic!("{report:#}")
        };
        assert_eq!(
            (&a["result"], &b["result"]),
            (&result.into(), &"not-tried".into()),
            "{words:?}"
        );
        assert!(b["why"].as_str().unwrap().contains("/www"), "{report:#}");
        assert_eq!((output.status.code(), &report["refused"]), (Some(1), &Value::Null));
        let is_typed = words.contains(&"z");
        assert_eq!(report["unknown"].as_array().unwrap().len(), usize::from(is_typed), "{words:?}");
        // What the history keeps is what status tells.
        let history = fs::read_to_string(tree.base().join("state/history.jsonl")).unwrap();
        assert!(history.lines().last().unwrap().contains("/www"), "{history}");
        let told = tree.said("told");
        let of_it = told.lines().any(|line| line.contains("coordination") && line.contains("/www"));
        assert!(of_it, "{words:?}: {told}");
    }
}

#[test]
fn an_order_by_force_leaves_out_what_is_over_the_limit_and_renews_the_rest() {
    let Some(tree) = Tree::of_two() else { return };
    for serial in 2..=5 {
        tree.issue(serial);
    }
    let conf = tree.base().join("le/renewal/b.conf");
    let text = fs::read_to_string(&conf).unwrap() + "server = https://other.example/dir\n";
    fs::write(&conf, text).unwrap();
    for names in ["[]", "[\"a\",\"b\"]"] {
        let order = crate::coordinate::RENEW.replace("[\"a\"]", names);
        let Some(AgentAnswer::Renewed(mut results)) = tree.answers(&order).pop() else {
            panic!("the whole order was refused")
        };
        results.sort_by_key(|result| result.name.clone());
        let [a, b] = &results[..] else { panic!("{results:?}") };
        assert!(a.why.as_ref().is_some_and(|why| why.contains("by force")), "{results:?}");
        assert_eq!((b.name.as_str(), b.status), ("b", Some(0)), "{results:?}");
        assert!(!tree.base().join("le/archive/a/cert6.pem").exists());
    }
}

#[test]
fn what_is_served_is_asked_and_told_of_the_lineages_that_are_asked_for() {
    let Some(tree) = Tree::of_two() else { return };
    // Neither name can be resolved, which is told of each that is looked at.
    let other = certificate(7, "b.example");
    fs::write(tree.base().join("le/archive/b/cert1.pem"), other).unwrap();
    for (words, expected) in [
        (&[][..], &["a.example", "b.example"][..]),
        (&["--cert-name", "a"], &["a.example"]),
        (&["--cert-name", "b"], &["b.example"]),
    ] {
        let output = tree.coordinate(&[words, &["--json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let served = report["served"].as_array().unwrap().iter();
        let names: Vec<&str> = served.map(|served| served["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{words:?}: {report:#}");
        let table = String::from_utf8(tree.coordinate(words).stdout).unwrap();
        for name in ["a.example", "b.example"] {
            assert_eq!(table.contains(name), expected.contains(&name), "{words:?}: {table}");
        }
    }
}
