//! flow: what is written for people holds: the README, the manual pages, the completions, the changelog.

mod commands;
mod completions;
mod configuration;
#[path = "../../examples/documents/derive/mod.rs"]
mod derive;
mod findings;
mod pages;
mod picture;
mod readme;
mod tree;

use std::fs;
use std::path::Path;

use regex::Regex;
use support::source;

/// What a reader comes to from the README, and that.
pub(crate) const PAGES: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "doc/check.md",
    "doc/configuration.md",
    "doc/glossary.md",
    "doc/how-it-works.md",
    "doc/other-ways.md",
    "doc/programs.md",
    "doc/render.md",
    "doc/security.md",
    "doc/troubleshooting.md",
];

pub(crate) fn text(name: &str) -> String {
    let path = source(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All that is derived, below a directory of its own.
pub(crate) fn derived() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for derive::Document { path, bytes } in derive::documents().unwrap() {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

/// `doc/render.md` is what README, manual and help call it, and so it is below /usr/share/doc/certbaton.
#[test]
fn the_package_has_each_page_where_it_is_said_to_be() {
    let manifest = text("Cargo.toml");
    let asset =
        Regex::new(r#"\["(doc/[^"]+)", "usr/share/doc/certbaton/([^"]*)", "644"\]"#).unwrap();
    let assets: Vec<(String, String)> = asset
        .captures_iter(&manifest)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect();
    let mut directories = vec![source("doc")];
    let mut pages = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(source("")).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                // The sources of the manual.
                directories.extend((name != "doc/man").then_some(path));
                continue;
            }
            let place = format!("{}/", Path::new(&name).parent().unwrap().display());
            let has_it = |(glob, to): &&(String, String)| {
                let (head, tail) = glob.split_once('*').unwrap_or((glob, ""));
                let is_it = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
                is_it.is_some_and(|rest| !rest.contains('/')) && *to == place
            };
            assert!(assets.iter().any(|asset| has_it(&asset)), "{name} is not in the package");
            pages += 1;
        }
    }
    assert!(pages > 8, "{pages}");
    // The README leads to those beside it.
    for page in PAGES.iter().filter(|page| !page.contains('/')) {
        let asset = format!(r#"["{page}", "usr/share/doc/certbaton/", "644"]"#);
        assert!(manifest.contains(&asset), "{page} is not in the package");
    }
}

#[test]
fn the_changelog_tells_of_this_version_first() {
    let version = env!("CARGO_PKG_VERSION");
    let debian = derive::changelog::debian(&text("CHANGELOG.md"), version).unwrap();
    assert!(debian.starts_with(&format!("certbaton ({version}-1) ")), "{debian}");
}
