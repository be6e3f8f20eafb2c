//! flow: what the documents for contributors call by its name is there: files, functions, types, tests.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::documents::text;
use support::source;

/// Each with the most lines that somebody reads of it.
const PAGES: [(&str, usize); 3] =
    [("ARCHITECTURE.md", 200), ("CONTRIBUTING.md", 100), ("SECURITY.md", 120)];

/// Columns.
const WIDTH: usize = 100;

/// What a name in backticks is.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// `src/base/files.rs`, `tests/variants`
    Path(&'a str),
    /// `switch::commit::perform()`: where it is, and what it is called.
    Function(Vec<&'a str>, &'a str),
    /// `probe::a_link_below_the_webroot_is_refused`
    Test(&'a str, &'a str),
    /// `CarriesExit`, `STEPS`
    Item(&'a str),
}

/// Commands, options and the words of others are none.
fn named(code: &str) -> Option<Name<'_>> {
    let is = |pattern: &str| Regex::new(pattern).unwrap().is_match(code);
    if is(r"^\.?\w[\w.-]*(/[\w.-]+)+/?$") || is(r"^[\w-]+\.(md|toml|rs)$") {
        return Some(Name::Path(code));
    }
    if let Some(path) = code.strip_suffix("()").filter(|_| is(r"^\w+(::\w+)*\(\)$")) {
        let mut place: Vec<&str> = path.split("::").collect();
        let name = place.pop()?;
        return Some(Name::Function(place, name));
    }
    if is(r"^[a-z_]+::[a-z0-9_]+$") {
        return code.split_once("::").map(|(target, name)| Name::Test(target, name));
    }
    (is(r"^([A-Z][a-z]+){2,}$") || is(r"^[A-Z]{3,}$")).then_some(Name::Item(code))
}

/// All that is in backticks, but for blocks.
fn codes(markdown: &str) -> Vec<String> {
    let fence = Regex::new(r"(?ms)^```.*?^```$").unwrap();
    let rest = fence.replace_all(markdown, "");
    let code = Regex::new("`([^`]+)`").unwrap();
    code.captures_iter(&rest).map(|found| found[1].to_owned()).collect()
}

/// The Rust files at or below `path`, each with its text.
fn files(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.flat_map(|path| files(&path)).collect();
    }
    let is_rust = path.extension().is_some_and(|end| end == "rs");
    let read = || vec![(path.to_owned(), fs::read_to_string(path).unwrap())];
    if is_rust && path.is_file() { read() } else { Vec::new() }
}

/// Whether `path` leads through all of `place`, in this order: a file that is split keeps its name as a folder.
fn is_in(path: &Path, place: &[&str]) -> bool {
    let path = path.strip_prefix(source("src")).unwrap().with_extension("");
    let mut parts = path.iter();
    place.iter().all(|wanted| parts.any(|part| part == *wanted))
}

fn exists(name: &Name<'_>, sources: &[(PathBuf, String)]) -> bool {
    let found = |before: &str, name: &str| Regex::new(&format!(r"{before}{name}\b")).unwrap();
    let any = |word: Regex| sources.iter().any(|(_, text)| word.is_match(text));
    match name {
        Name::Path(path) => source(path).exists(),
        Name::Function(place, name) => {
            let word = found(r"\bfn ", name);
            let mut there = sources.iter().filter(|(path, _)| is_in(path, place));
            there.any(|(_, text)| word.is_match(text))
        }
        Name::Test("unit", name) => any(found(r"#\[test\]\s+fn ", name)),
        Name::Test(target, name) => {
            // Of a target with scenarios, a string.
            let word = found(r#"(#\[test\]\s+fn |")"#, name);
            let targets = fs::read_dir(source("tests")).unwrap().map(|entry| entry.unwrap().path());
            let places =
                targets.flat_map(|path| [path.join(target), path.join(format!("{target}.rs"))]);
            places.flat_map(|place| files(&place)).any(|(_, text)| word.is_match(&text))
        }
        Name::Item(name) => any(found(r"\b(struct|enum|trait|type|const) ", name)),
    }
}

#[test]
fn what_contributors_are_told_of_is_there() {
    let sources = files(&source("src"));
    let (mut found, mut missing) = ([0; 4], Vec::new());
    for (page, _) in PAGES {
        for code in codes(&text(page)) {
            let Some(name) = named(&code) else { continue };
            if !exists(&name, &sources) {
                missing.push(format!("{page}: {code}"));
            }
            found[match name {
                Name::Path(_) => 0,
                Name::Function(..) => 1,
                Name::Test(..) => 2,
                Name::Item(_) => 3,
            }] += 1;
        }
    }
    assert!(missing.is_empty(), "not there, or not there any more: {missing:#?}");
    // That no name is found would be the failure of this test.
    assert!(found.iter().zip([30, 40, 40, 2]).all(|(found, least)| *found >= least), "{found:?}");
}

#[test]
fn a_name_is_missed_wherever_it_is_not() {
    let sources = files(&source("src"));
    for (code, is_there) in [
        ("src/base/files.rs", true),
        ("src/base/no.rs", false),
        (".ci/run", true),
        ("CHANGELOG.md", true),
        ("switch::commit::perform()", true),
        ("switch::journal::perform()", false),
        ("commit::switch::perform()", false),
        ("probe::a_link_below_the_webroot_is_refused_and_its_target_untouched", true),
        ("machines::nothing_due_is_nothing_done", true),
        ("probe::nothing_due_is_nothing_done", false),
        ("replace::what_others_may_write_is_refused", true),
        ("unit::nothing_that_plays_with_a_terminal_is_left", true),
        ("unit::nothing_that_plays", false),
        ("CarriesExit", true),
        ("CarriesEntrance", false),
        ("STEPS", true),
    ] {
        assert_eq!(exists(&named(code).unwrap(), &sources), is_there, "{code}");
    }
    for code in ["certbot", "tests/run --full", "/proc", "RENEWED_LINEAGE", "lease.grace", "A"] {
        assert_eq!(named(code), None, "{code}");
    }
}

#[test]
fn a_page_for_contributors_is_short_and_narrow() {
    for (page, most) in PAGES {
        let text = text(page);
        let lines = text.lines().count();
        assert!(lines <= most, "{page} has {lines} lines");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{page}: {line}");
        }
    }
}
