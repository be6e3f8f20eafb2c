//! flow: what the types cannot see of the same promises, read from the source.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files below `directory`.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut files: Vec<PathBuf> =
        files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs")).collect();
    files.extend(directories.iter().flat_map(|directory| self::files(directory)));
    files
}

pub(crate) fn sources() -> Vec<(String, String)> {
    let root = support::source("");
    let name = |file: &Path| file.strip_prefix(&root).unwrap().display().to_string();
    let files = files(&root.join("src"));
    files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect()
}

/// A wildcard would flatten what a new variant means; clippy refuses one where it is asked to.
#[test]
fn no_exit_code_is_guessed_by_a_default_arm() {
    let mut seen = 0;
    for (file, text) in sources() {
        for (at, _) in text.match_indices("impl CarriesExit for ") {
            seen += 1;
            let block = text[at..].split("\n}\n").next().unwrap();
            let guarded = text[..at].ends_with("#[deny(clippy::wildcard_enum_match_arm)]\n");
            assert!(guarded || !block.contains("match "), "{file}: {block}");
        }
        let own = text.matches("fn exit(&self) -> Exit {").count();
        let carried = text.matches("impl CarriesExit for ").count();
        // How a report ends is no failure.
        let is_report =
            ["src/coordinate/final_report.rs", "src/check/summary.rs"].contains(&&*file);
        assert!(own == carried || is_report, "{file}: an exit code outside of CarriesExit");
    }
    assert!(seen > 20, "only {seen} are found");
}

/// Whoever else wrote there would have to think of full disks and readers that left.
#[test]
fn standard_output_is_written_in_one_place() {
    let talks = ["src/cli/output.rs", "src/agent/carry.rs", "src/lease/lines.rs"];
    for (file, text) in sources() {
        let writes = text.contains("stdout().lock()") || text.contains("stdout().write");
        assert!(!writes || talks.contains(&&*file), "{file} writes to standard output");
    }
}

/// Whoever else asked it would have to wait for what is on its way, and not to rely on what it finds out by a pid.
#[test]
fn the_tests_read_the_machines_journal_in_one_place() {
    let root = support::source("tests");
    let asks = ["-q", "--sync"].map(|option| format!("journalctl {option}"));
    for file in files(&root).iter().filter(|file| !file.ends_with("two_hosts/host.rs")) {
        let text = fs::read_to_string(file).unwrap();
        assert!(!asks.iter().any(|ask| text.contains(ask)), "{} asks journald", file.display());
    }
}

/// The strings of a source, without its tests and comments.
fn said(text: &str) -> Vec<String> {
    let own = text.split("#[cfg(test)]").next().unwrap();
    let lines = own.lines().filter(|line| !line.trim_start().starts_with("//"));
    let own: String = lines.map(|line| line.to_owned() + "\n").collect();
    let mut all = Vec::new();
    let mut rest = own.as_str();
    while let Some((_, inside)) = rest.split_once('"') {
        let mut before = ' ';
        let end = inside.find(|c| {
            let is_end = c == '"' && before != '\\';
            before = if before == '\\' { ' ' } else { c };
            is_end
        });
        let Some(end) = end else { break };
        all.push(inside[..end].to_owned());
        rest = &inside[end + 1..];
    }
    all
}

/// Programs (`apache2`), units, keys (`[apache]`) and codes keep their spelling; in a sentence it is a name.
#[test]
fn apache_is_a_name_wherever_it_stands_in_a_sentence() {
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.ends_with("/tests.rs")) {
        for text in said(&text).iter().filter(|text| text.contains(' ')) {
            for word in text.split([' ', '(', ')', ',', ';', '\n']) {
                let word = word.trim_end_matches([':', '.']).trim_end_matches("'s");
                assert!(!["apache", "apaches"].contains(&word), "{file}: {text:?}");
            }
        }
    }
}
