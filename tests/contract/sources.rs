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

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = |file: &Path| file.strip_prefix(root).unwrap().display().to_string();
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
        let is_report = ["src/coordinate/outcome.rs", "src/check/summary.rs"].contains(&&*file);
        assert!(own == carried || is_report, "{file}: an exit code outside of CarriesExit");
    }
    assert!(seen > 30, "only {seen} are found");
}

/// Whoever else wrote there would have to think of full disks and readers that left.
#[test]
fn standard_output_is_written_in_one_place() {
    let talks =
        ["src/cli/output.rs", "src/agent/carry.rs", "src/lease/serve.rs", "src/lease/lines.rs"];
    for (file, text) in sources() {
        let writes = text.contains("stdout().lock()") || text.contains("stdout().write");
        assert!(!writes || talks.contains(&&*file), "{file} writes to standard output");
    }
}
