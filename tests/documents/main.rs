//! flow: what is written for people holds: the README, the manual pages, the completions, the changelog.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod commands;
mod completions;
mod configuration;
#[path = "../../examples/documents/derive/mod.rs"]
mod derive;
mod findings;
mod pages;
mod readme;

use std::fs;
use std::path::{Path, PathBuf};

/// What a reader comes to from the README, and that.
pub(crate) const PAGES: [&str; 6] = [
    "README.md",
    "doc/check.md",
    "doc/configuration.md",
    "doc/how-it-works.md",
    "doc/other-ways.md",
    "doc/security.md",
];

/// A file of the source.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

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

#[test]
fn the_changelog_tells_of_this_version_first() {
    let version = env!("CARGO_PKG_VERSION");
    let debian = derive::changelog::debian(&text("CHANGELOG.md"), version).unwrap();
    assert!(debian.starts_with(&format!("certbaton ({version}-1) ")), "{debian}");
}
