//! What this host did: every run leaves a record, from which people are told what happened, when and why.
//!
//! `record` and `run` are pure; `log` owns the file.

pub mod record;
pub mod run;
