//! flow: what the programs promise by their words, and what is written for people.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod contract;
mod documents;
mod render;
