//! flow: every program and verb has a manual page that groff takes without a word, that names every flag, and that a
//! reader of the README comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use certbaton::base::exit::Exit;
use certbaton::cli::commands;
use clap::Command as Clap;
use regex::Regex;

use crate::documents::{derived, text};

/// As `man` shows it, in one column of 80 characters.
fn shown(page: &Path) -> String {
    let output = Command::new("man")
        .args(["--warnings=w", "-E", "UTF-8", "-P", "cat", "-l"])
        .arg(page)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("MANWIDTH", "80"), ("LC_ALL", "C.UTF-8")])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", page.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Each page by its name and section, as others refer to it: `certbaton-status(1)`.
fn pages() -> Option<BTreeMap<String, String>> {
    if !Path::new("/usr/bin/man").exists() {
        println!("skipped: man is not installed (Debian: man-db)");
        return None;
    }
    let directory = derived();
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(directory.path().join("man")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let (name, section) = file.rsplit_once('.').unwrap();
        pages.insert(format!("{name}({section})"), shown(&path));
    }
    Some(pages)
}

/// A program or verb: the words that start it, and what it understands.
fn verbs() -> Vec<(Vec<String>, Clap)> {
    fn walk(words: &[String], command: &Clap, all: &mut Vec<(Vec<String>, Clap)>) {
        let words = [words, &[command.get_name().to_owned()]].concat();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            walk(&words, verb, all);
        }
        all.push((words, command.clone()));
    }
    let mut all = Vec::new();
    for command in commands() {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        walk(&[], &command, &mut all);
    }
    all
}

#[test]
fn every_flag_is_in_the_help_and_on_the_page() {
    let Some(pages) = pages() else { return };
    let mut expected = BTreeSet::from(["certbaton.toml(5)".to_owned()]);
    for (words, command) in verbs() {
        let name = format!("{}(1)", words.join("-"));
        let page = pages.get(&name).unwrap_or_else(|| panic!("there is no page {name}"));
        let program = Path::new(env!("CARGO_BIN_EXE_certbaton")).with_file_name(&words[0]);
        let output = Command::new(program).args(&words[1..]).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?} --help");
        let usage = format!("Usage: {}", words.join(" "));
        assert!(help.contains(&usage), "{words:?} --help does not say `{usage}`: {help}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let sign = match (argument.get_long(), argument.get_value_names()) {
                (Some(long), _) => format!("--{long}"),
                (None, Some([value, ..])) => value.to_string(),
                (None, _) => argument.get_id().to_string().to_uppercase(),
            };
            let word = Regex::new(&format!(r"(?m)(^|[^\w-]){sign}($|[^\w-])")).unwrap();
            assert!(word.is_match(&help), "{words:?} --help is silent about {sign}: {help}");
            assert!(word.is_match(page), "{name} is silent about {sign}: {page}");
            assert!(argument.get_help().is_some(), "{words:?} does not explain {sign}");
        }
        expected.insert(name);
    }
    assert_eq!(pages.into_keys().collect::<BTreeSet<_>>(), expected, "pages of nothing");
}

#[test]
fn a_reader_of_the_readme_comes_to_every_page() {
    let Some(pages) = pages() else { return };
    let reference = Regex::new(r"[a-z][a-z.-]*\([15]\)").unwrap();
    let referred = |text: &str| -> Vec<String> {
        reference.find_iter(text).map(|found| found.as_str().to_owned()).collect()
    };
    let mut reached = BTreeSet::new();
    let mut next = referred(&text("README.md"));
    while let Some(name) = next.pop() {
        if let Some(page) = pages.get(&name) {
            if reached.insert(name) {
                // A name that is broken at the end of a line is put together again.
                next.extend(referred(&page.replace("\u{2010}\n", "").replace("-\n       ", "-")));
            }
        } else {
            assert!(!name.starts_with("certbaton"), "{name} is referred to, and is not there");
        }
    }
    let lost: Vec<_> = pages.keys().filter(|name| !reached.contains(*name)).collect();
    assert!(lost.is_empty(), "neither the README nor a page that it leads to names {lost:?}");
}

#[test]
fn exit_codes_are_the_same_everywhere() {
    let codes: BTreeSet<u8> = (0..=255).map(|code| Exit::from_code(code).code()).collect();
    let of = |pattern: &str, text: &str| -> BTreeSet<u8> {
        let pattern = Regex::new(pattern).unwrap();
        pattern.captures_iter(text).map(|found| found[1].parse().unwrap()).collect()
    };
    assert_eq!(of(r"(?m)^\.B (\d+)$", &text("doc/man/exit-status.roff")), codes);
    let page = text("doc/configuration.md");
    let sentence = page.split("\nExit codes:").nth(1).unwrap().split_once(". ").unwrap().0;
    assert_eq!(of(r"(?:^|·)\s*(\d+) ", sentence), codes, "{sentence}");
}
