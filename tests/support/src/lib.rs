//! What the tests and benchmarks of certbaton share.
//!
//! | file | gives |
//! | --- | --- |
//! | [`apache`] | a real Apache of a test's own, in a network namespace of its own |
//! | [`lineage`] | a certbot's directory: lineages with certificates, no certbot |
//! | [`schema`] | JSON held against the schemas of `doc/schema` |
//! | [`ensure`] | a check that ends with a message instead of a panic |

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::missing_panics_doc, reason = "that is how a test fails")]

pub mod apache;
mod ensure;
pub mod lineage;
pub mod schema;

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file of the source.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(name)
}

/// Whether everything is wanted, however long it takes.
pub fn full() -> bool {
    std::env::var_os("CERTBATON_FULL").is_some()
}

/// Past the capture of the test runner: what was skipped must be seen.
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}
