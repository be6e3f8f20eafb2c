//! flow: writes what is derived for a package: manual pages, shell completions, Debian's changelog.
//!
//! `cargo run --example documents DIRECTORY`; `packaging/build-deb` does it. An example and no verb, so that the
//! programs do not carry what only a packager needs.

#![expect(clippy::disallowed_methods, reason = "writes files, and is no part of the programs")]

mod derive;

use std::error::Error;
use std::fs;
use std::path::Path;

use derive::{Document, documents};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: documents DIRECTORY")?;
    let directory = Path::new(&directory);
    let documents = documents()?;
    // A page of a verb that is no more would be packaged too.
    for old in ["man", "completions"].map(|name| directory.join(name)) {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    for Document { path, bytes } in documents {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
