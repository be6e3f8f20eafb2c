//! What this host did: every run leaves a record, from which people are told what happened, when and why.
//!
//! `record` and `runs` are pure; `file` owns the file.

#[expect(clippy::disallowed_methods, reason = "owns the file of the history")]
pub mod file;
pub mod record;
pub mod runs;
