//! flow: writes what is derived for a package: manual pages, shell completions, Debian's changelog.
//!
//! `cargo run --example documents DIRECTORY`; `packaging/build-deb` does it. An example and no verb, so that the
//! programs do not carry what only a packager needs.

#![expect(clippy::disallowed_methods, reason = "writes files, and is no part of the programs")]

mod changelog;
mod completions;
mod keys;
mod manual;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// A file, as it is written below the directory.
struct Document {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: documents DIRECTORY")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = manual::pages(source)?;
    documents.extend(completions::completions());
    let changes = fs::read_to_string(source.join("CHANGELOG.md"))?;
    documents.push(Document {
        path: "changelog.Debian".into(),
        bytes: changelog::debian(&changes, env!("CARGO_PKG_VERSION"))?.into_bytes(),
    });
    // What an earlier version had, and this one has not, would be packaged too.
    let directory = Path::new(&directory);
    if directory.join("man").exists() {
        fs::remove_dir_all(directory.join("man"))?;
    }
    for Document { path, bytes } in documents {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
