//! All hosts as values: how one is asked, and what it answers.
//!
//! `renew-coordinate`, `check` and `status` ask all hosts the same way, the one
//! that they run on included. Nothing here decides what to ask.

pub mod duplicates;
pub mod host_report;
pub mod hosts;
pub mod inspection;
pub mod judged;
pub mod last_result;
pub mod link;
pub mod local_since;
pub mod mismatch;
pub mod plant;
pub mod protocol;
pub mod questions;
pub mod relay;
pub mod whose;
pub mod witness;
