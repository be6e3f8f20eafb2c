//! flow: the table of keys in doc/configuration.md is that of the program, and every example is one that the program takes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use certbaton::config::{Error, Settings};
use regex::Regex;

use crate::documents::derive::keys;
use crate::documents::readme::blocks;
use crate::documents::{PAGES, text};

/// What the program expects where it finds a key that it does not know.
fn expected(table: &str) -> Vec<String> {
    let text = format!("{table}\nkey-of-a-test = 1\n");
    let Err(Error { message, .. }) = Settings::parse("test", &text) else { return vec![] };
    let Some((_, list)) = message.split_once(", expected ") else { return vec![] };
    let name = Regex::new("`([^`]+)`").unwrap();
    name.captures_iter(list).map(|found| found[1].to_owned()).collect()
}

/// All keys, as they are written there.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for key in expected("") {
        let below = expected(&format!("[{key}]"));
        if !below.is_empty() {
            known.extend(below.iter().map(|below| format!("{key}.{below}")));
            continue;
        }
        let of_each = expected(&format!("[[{key}]]"));
        if of_each.is_empty() {
            known.insert(key);
        } else {
            known.extend(of_each.iter().map(|below| format!("[[{key}]].{below}")));
        }
    }
    known
}

#[test]
fn every_key_is_explained_and_no_other() {
    let name = Regex::new("`([^`]+)`").unwrap();
    let rows = keys::keys(&text("doc/configuration.md"));
    let told: Vec<String> = rows
        .iter()
        .flat_map(|row| name.captures_iter(&row.names))
        .map(|found| found[1].to_owned())
        .collect();
    let once: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(once.len(), told.len(), "a key is there twice: {told:?}");
    assert_eq!(once, known());
}

#[test]
fn every_example_is_one_that_the_program_takes() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root's configuration is read");
        return;
    }
    // The program takes nothing from below a directory that others may write.
    let directory =
        tempfile::Builder::new().prefix("certbaton-test-").tempdir_in("/var/lib").unwrap();
    let mut examples: Vec<String> = PAGES
        .iter()
        .flat_map(|file| blocks(&text(file)))
        .filter_map(|block| (block.language == "toml").then_some(block.text))
        .collect();
    let page = text("doc/man/certbaton.toml.roff");
    examples
        .extend(page.split("\n.EX\n").skip(1).map(|e| e.split("\n.EE").next().unwrap().to_owned()));
    assert!(examples.len() >= 3, "no examples are found");
    let take = |text: &str| {
        let file = directory.path().join("config.toml");
        // Of this host's own history and locks nothing is read.
        let own = format!(
            "state-directory = \"{0}/state\"\nruntime-directory = \"{0}/run\"\n",
            directory.path().display()
        );
        fs::write(&file, own + text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_certbaton"));
        command.args(["status", "--history", "--config"]).arg(&file).output().unwrap()
    };
    for example in examples {
        let output = take(&example);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}\n{example}");
    }
    assert_eq!(take("nmae = \"home\"\n").status.code(), Some(78), "nothing is checked");
}
