//! flow: the codes of findings: one table in the program, the same in the document, and each is said somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use certbaton::base::codes::{Code, SaidBy};
use regex::Regex;

use crate::documents::text;
use support::source;

#[test]
fn the_document_has_each_code_and_no_other() {
    let word = |is: bool| if is { "yes" } else { "" };
    let rows = Code::ALL.iter().filter_map(|code| code.row().ok()).map(|row| {
        let check = word(matches!(row.said_by, SaidBy::Check | SaidBy::Both));
        let status = word(matches!(row.said_by, SaidBy::Status | SaidBy::Both));
        format!("| `{}` | {check} | {status} | {} |", row.word, row.meaning)
    });
    let document = text("doc/schema/findings.md");
    let shown: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(shown, rows.collect::<Vec<_>>());
}

#[test]
fn each_code_is_said_somewhere() {
    let written = Regex::new(r"\bCode::(\w+)").unwrap();
    let mut found = BTreeSet::new();
    let mut directories = vec![source("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with(Path::new("tests.rs")) {
                let whole = std::fs::read_to_string(&path).unwrap();
                let code = whole.split("#[cfg(test)]").next().unwrap();
                found.extend(written.captures_iter(code).map(|c| c[1].to_owned()));
            }
        }
    }
    let silent: Vec<&Code> =
        Code::ALL.iter().filter(|code| !found.contains(&format!("{code:?}"))).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
