//! flow: what is derived from the programs and the documentation for a package; `tests/text/documents` reads it too.

pub(crate) mod changelog;
mod completions;
pub(crate) mod keys;
mod manual;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// A file, below the directory of all.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// Manual pages, shell completions, Debian's changelog.
pub(crate) fn documents() -> Result<Vec<Document>, Box<dyn Error>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = manual::pages(source)?;
    documents.extend(completions::completions());
    let changes = fs::read_to_string(source.join("CHANGELOG.md"))?;
    let text = changelog::debian(&changes, env!("CARGO_PKG_VERSION"))?;
    documents.push(Document { path: "changelog.Debian".into(), bytes: text.into_bytes() });
    Ok(documents)
}
