//! flow: the folders of `src` are layers: each imports from those above it alone.
//!
//! Read from the sources, as every path that begins at the crate's root; test code may import
//! what it likes. Since all arrows lead up, no two folders can import each other, however many
//! are between them.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::sources::sources;

/// From the ground up. A folder imports from the rows before its own, and in its own row from
/// those left of it; outside parties do not know each other.
const ROWS: &[(&[&str], Beside)] = &[
    (&["base"], Beside::None),
    (&["apache", "certbot", "ca", "config"], Beside::None),
    (&["lease"], Beside::None),
    (&["switch", "history", "renewal"], Beside::Left),
    (&["fleet"], Beside::None),
    (&["check", "coordinate", "status", "monitor"], Beside::Left),
    (&["setup", "render"], Beside::Left),
    (&["agent", "cli", "bin"], Beside::Left),
];

/// What a folder may import of its own row.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    None,
    Left,
}

/// No file is longer, but for its tests.
const LINES: usize = 400;

fn place(folder: &str) -> Option<(usize, usize)> {
    ROWS.iter().enumerate().find_map(|(row, (folders, _))| {
        folders.iter().position(|name| *name == folder).map(|column| (row, column))
    })
}

fn may_import(from: &str, to: &str) -> bool {
    let (Some((row, column)), Some((other, left))) = (place(from), place(to)) else { return false };
    from == to || other < row || (other == row && left < column && ROWS[row].1 == Beside::Left)
}

/// The first folder or file below `src`.
fn folder(file: &str) -> &str {
    let below = file.strip_prefix("src/").unwrap();
    below.split('/').next().unwrap().trim_end_matches(".rs")
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/") || file == "src/status/sample.rs"
}

/// Without comments and without the tests at its end.
fn code(text: &str) -> String {
    let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    own.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|l| l.to_owned() + "\n")
        .collect()
}

/// The folders that a file's paths begin with.
fn imports(file: &str, text: &str) -> BTreeSet<String> {
    let text = code(text);
    let mut roots = vec!["crate::"];
    if file.starts_with("src/bin/") {
        roots.push("certbaton::");
    }
    // The parent of a file directly below `src` is the crate's root.
    let is_top = file.matches('/').count() == 1;
    if is_top {
        roots.push("super::");
    }
    let mut found = BTreeSet::new();
    for root in roots {
        for (at, _) in text.match_indices(root) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if before == ':' || before == '_' || before.is_alphanumeric() {
                continue;
            }
            let rest = &text[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(firsts(group)),
                None => found.extend(first(rest)),
            }
        }
    }
    let climbs = text.contains("super::super::") && file.matches('/').count() <= 2;
    assert!(!climbs, "{file} climbs to the root by super::super");
    found
}

fn first(path: &str) -> Option<String> {
    let end = path.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// The first words of all paths of a group, up to its closing brace.
fn firsts(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.into_iter().filter_map(|part| first(part.trim())).collect()
}

#[test]
fn every_folder_imports_from_the_layers_above_it_alone() {
    let mut wrong = Vec::new();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources().iter().filter(|(file, _)| !is_test(file)) {
        let from = folder(file);
        if from == "lib" {
            continue;
        }
        assert!(place(from).is_some(), "{file} is in no layer");
        for to in imports(file, text).into_iter().filter(|to| to != from) {
            if !may_import(from, &to) {
                wrong.push(format!("{file} imports from {to}"));
            }
            arrows.entry(from.to_owned()).or_default().insert(to);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // That nothing is found would be the failure of this test.
    assert!(arrows.len() >= 15 && arrows["cli"].contains("renewal"), "{arrows:?}");
}

#[test]
fn an_arrow_down_is_seen_however_it_is_written() {
    let of = |file: &str, text: &str| imports(file, text).into_iter().collect::<Vec<String>>();
    assert_eq!(of("src/lease/wire.rs", "use crate::fleet::wire;"), ["fleet"]);
    assert_eq!(of("src/lease/wire.rs", "fn a() { crate::cli::b(); }"), ["cli"]);
    assert_eq!(
        of("src/lease/wire.rs", "use crate::{\n    base::files,\n    fleet::{a, b},\n};"),
        ["base", "fleet"]
    );
    assert_eq!(of("src/lease.rs", "use super::fleet;"), ["fleet"]);
    assert_eq!(of("src/lease/wire.rs", "use super::rules;\n    // crate::cli\n"), [] as [&str; 0]);
    assert_eq!(of("src/bin/a.rs", "certbaton::cli::run()"), ["cli"]);
    assert_eq!(of("src/lease/wire.rs", "/// [`crate::cli`]\n"), [] as [&str; 0]);
    assert!(may_import("renewal", "switch") && !may_import("switch", "renewal"));
    assert!(!may_import("ca", "certbot") && !may_import("lease", "fleet"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = |(file, text): (String, String)| {
        let lines = text.split("\n#[cfg(test)]\nmod tests").next().unwrap().lines().count();
        (lines > LINES && !is_test(&file)).then_some((file, lines))
    };
    let found: Vec<(String, usize)> = sources().into_iter().filter_map(long).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// A file is found by its name, so a name is used once. `cli` has one file a verb, called as it.
#[test]
fn no_file_name_is_used_twice() {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, _) in sources() {
        let name = file.rsplit('/').next().unwrap().to_owned();
        if !is_test(&file) && !file.starts_with("src/cli/") {
            all.entry(name).or_default().push(file);
        }
    }
    let twice: Vec<_> = all.values().filter(|files| files.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// Declared in many modules: what can go wrong there, as std does it (`io::Error`, `fmt::Error`).
const IN_MANY: &[&str] = &["Error"];

/// A type is known by its name wherever it is imported, so a name is used once. Private ones are
/// read next to their declaration.
#[test]
fn no_public_type_name_is_used_twice() {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| !is_test(file)) {
        for name in public_types(&text) {
            all.entry(name).or_default().push(file.clone());
        }
    }
    // That nothing is found would be the failure of this test.
    assert!(all.len() > 300 && all["Error"].len() > 10, "{}", all.len());
    all.retain(|name, files| files.len() > 1 && !IN_MANY.contains(&name.as_str()));
    assert!(all.is_empty(), "{all:#?}");
}

/// The types that can be named outside the module of their declaration.
fn public_types(text: &str) -> Vec<String> {
    let declared = |line: &str| {
        let public = line.trim_start().strip_prefix("pub")?;
        let public = match public.strip_prefix('(') {
            Some(within) => within.split_once(')')?.1,
            None => public,
        };
        let (kind, name) = public.strip_prefix(' ')?.split_once(' ')?;
        ["struct", "enum", "union", "trait", "type"].contains(&kind).then(|| first(name))?
    };
    code(text).lines().filter_map(declared).collect()
}

#[test]
fn a_public_type_is_seen_however_it_is_written() {
    let text = "pub struct A;\nmod a {\n    pub(crate) enum B<T> {}\n}\npub(super) type C = u8;\n\
        pub(in crate::a) trait D: E {}\nstruct F;\npub fn g() {}\n// pub struct H;\n\
        pub use i::I;\npublic struct J;\n#[cfg(test)]\nmod tests {\n    pub struct K;\n}\n";
    assert_eq!(public_types(text), ["A", "B", "C", "D"]);
}
