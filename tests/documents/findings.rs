//! flow: the codes of findings: one table in the program, the same in the document, and no code that is in neither.

use std::collections::BTreeSet;
use std::path::Path;

use certbaton::base::codes::{CODES, is_known};
use regex::Regex;

use crate::{source, text};

#[test]
fn the_document_has_each_code_and_no_other() {
    let word = |is: bool| if is { "yes" } else { "" };
    let rows = CODES.iter().map(|c| {
        format!("| `{}` | {} | {} | {} |", c.code, word(c.check), word(c.status), c.meaning)
    });
    let document = text("doc/schema/findings.md");
    let shown: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(shown, rows.collect::<Vec<_>>());
}

/// As they are written in the sources: behind a severity, or first in a call of what makes a finding.
#[test]
fn each_code_of_the_sources_is_in_the_table() {
    let written = Regex::new(
        r#"(?:Severity::\w+|severity|problem|warning\(|problem\(|add\()\s*,?\s*\(?"([a-z0-9]+(?:-[a-z0-9]+)*)","#,
    )
    .unwrap();
    let mut found = BTreeSet::new();
    let mut directories = vec![source("src/check"), source("src/setup"), source("src/status")];
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
    assert!(found.len() > 40, "the sources are written otherwise by now: {found:?}");
    let unknown: Vec<&String> = found.iter().filter(|code| !is_known(code)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
