//! flow: what every program promises, whatever its work is: help, version, flags, configuration, rights, exit codes,
//! an output that cannot be written,
//! and that a signal ends it. The programs and their verbs come from clap's own list.

mod ends;
mod layers;
mod place;
mod rows;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use place::{Place, closed, ended, full, is_root, list, program, verbs};
use rows::{Config, Output, ROWS, Row, Who};

#[test]
fn every_program_and_verb_has_a_row() {
    let known: BTreeSet<Vec<String>> = verbs().into_iter().collect();
    let rows: Vec<Vec<String>> = ROWS.iter().map(|row| list(row.path)).collect();
    let once: BTreeSet<Vec<String>> = rows.iter().cloned().collect();
    assert_eq!(once, known, "left: rows, right: what clap knows");
    assert_eq!(once.len(), rows.len(), "a row is there twice");
    for row in ROWS {
        assert!(!row.waits.is_empty() || row.path == ["certbaton", "keep"], "{:?}", row.path);
    }
}

/// Also of what only groups verbs (`certbaton`, `certbaton lease`).
fn with_groups() -> BTreeSet<Vec<String>> {
    verbs().iter().flat_map(|path| (1..=path.len()).map(|n| path[..n].to_vec())).collect()
}

#[test]
fn help_is_on_standard_output_and_fits_eighty_columns() {
    for path in with_groups() {
        for flag in ["--help", "-h"] {
            let assert = program(&path).arg(flag).env("COLUMNS", "200").assert().code(0).stderr("");
            let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
            assert!(text.contains("Usage: "), "{path:?}: {text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{path:?} {flag}: {line}");
            }
        }
    }
}

#[test]
fn every_program_says_its_version() {
    for command in certbaton::cli::commands() {
        let name = command.get_name().to_owned();
        let text = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        program(&[name]).arg("--version").assert().code(0).stdout(text).stderr("");
    }
}

#[test]
fn words_that_are_wrong_end_with_two_and_print_nothing() {
    let wrong = |words: &[String]| {
        let assert = program(words).assert().code(2).stdout("");
        let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(said.contains("--help"), "{words:?} tells no way out: {said}");
    };
    for path in with_groups() {
        wrong(&[&path[..], &list(&["--no-such-flag"])].concat());
        wrong(&[&path[..], &list(&["--config"])].concat());
    }
    wrong(&list(&["certbaton", "no-such-verb"]));
    for group in [&["certbaton"][..], &["certbaton", "lease"]] {
        program(&list(group)).assert().code(2).stdout("");
    }
}

fn command(row: &Row, place: &Place, config: &str) -> assert_cmd::Command {
    let mut command = program(&list(row.path));
    command.args(row.given).arg("--config").arg(place.file(config));
    command
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_78_and_says_where() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    // Who only gives back does that all the same, at the places that are named.
    let at = |name: &str| place.file(name).display().to_string();
    let places = format!(
        "state-directory = \"{}\"\nruntime-directory = \"{}\"\napache.pid-file = \"{}\"\n",
        at("state"),
        at("run"),
        at("no.pid")
    );
    place.write("wrong.toml", &format!("{places}[lease]\narbiter = 3\n"));
    let other = "[lease]\n  arbiter = \"vsp\"\n[[host]]\nname = \"vps\"\n";
    place.write("other.toml", &format!("{places}{other}"));
    let latin = [places.as_bytes(), b"name = \"caf\xe9\"\n"].concat();
    fs::write(place.file("latin.toml"), latin).unwrap();
    for row in ROWS {
        let said = |config: &str, part: &str| {
            let assert = command(row, &place, config).assert().code(78);
            let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
            assert!(said.contains(part), "{:?} {config}: {said}", row.path);
        };
        said("wrong.toml", "wrong.toml:5:11: ");
        said("other.toml", "other.toml:5:13: ");
        said("latin.toml", "latin.toml");
        said("missing.toml", "missing.toml");
    }
}

#[test]
fn a_configuration_that_others_may_write_or_that_is_no_file_ends_with_77() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write("open.toml", "");
    place.mode("open.toml", 0o666);
    for row in ROWS {
        command(row, &place, "open.toml").assert().code(77);
        // A directory, as anything that is no file.
        command(row, &place, "").assert().code(77);
    }
}

#[test]
fn what_only_root_may_do_ends_with_77_for_others() {
    if !is_root() {
        return;
    }
    let place = Place::for_everyone();
    for row in ROWS {
        let words = list(&[row.path, row.given].concat());
        let assert = place.as_nobody(&words).assert();
        let code = assert.get_output().status.code();
        assert_eq!(code == Some(77), row.who == Who::Root, "{:?}: {code:?}", row.path);
    }
}

/// With help and version, which every program prints.
fn printing(place: &Place) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    for path in with_groups() {
        all.push([&path[..], &list(&["--help"])].concat());
    }
    for command in certbaton::cli::commands() {
        all.push(list(&[command.get_name(), "--version"]));
    }
    let description = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/gateway.example.toml");
    all.push(list(&["certbaton", "render", description]));
    all.push(list(&[
        "certbaton",
        "render",
        description,
        "--to",
        &place.file("to").to_string_lossy(),
    ]));
    if !is_root() {
        return all;
    }
    for row in ROWS {
        let Output::Printed(words) = row.output else { continue };
        let mut words = list(&[row.path, words].concat());
        if row.config == Config::Read {
            words.extend(list(&["--config", &place.file("good.toml").to_string_lossy()]));
        }
        all.push(words);
    }
    all
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    place.write("good.toml", &place.settings());
    for words in printing(&place) {
        let input = Place::input(&words);
        // Or the rest proves nothing.
        let whole = ended(&words, &input, Stdio::piped());
        assert!(!whole.stdout.is_empty(), "{words:?} prints nothing: {whole:?}");
        let usual = whole.status.code().unwrap();
        for (what, output) in [("full", full()), ("closed", closed())] {
            let ended = ended(&words, &input, output);
            let said = String::from_utf8_lossy(&ended.stderr);
            let code = ended.status.code().unwrap_or_else(|| panic!("{words:?}: {ended:?}"));
            assert!(code != 0 && code < 100, "{what}: {words:?} ended with {code}: {said}");
            assert!(
                usual == 0 || code == usual || code == 3,
                "{what}: {words:?}: {code}, else {usual}"
            );
            // A coordinator has gone, for all that an agent knows.
            let is_agent = words[1..].first().is_some_and(|verb| verb == "agent");
            if what == "full" && (is_agent && !words.contains(&"--help".to_owned())) {
                assert!(!said.is_empty(), "{words:?}");
            } else if what == "full" {
                assert!(said.contains("No space left on device"), "{words:?}: {said}");
            } else {
                assert!(!said.contains("panicked"), "{words:?}: {said}");
            }
        }
    }
}

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    let wrong = program(&list(&["certbaton", "no-such-verb"]));
    assert_eq!(place::code(&wrong, full()), Some(2));
    if is_root() {
        let place = Place::new();
        for row in ROWS {
            let words = command(row, &place, "missing.toml");
            assert_eq!(place::code(&words, full()), Some(78), "{:?}", row.path);
        }
    }
}
