//! `certbaton status`: all hosts as they are now, what is wrong with them, and what they did.
//!
//! `overview`, `judgement` and `text` are pure; `gather` looks; `remembered` owns
//! what a peer said last.

pub mod doors;
pub mod gather;
pub mod judgement;
pub mod overview;
pub mod remembered;
pub mod result;
#[cfg(test)]
pub(crate) mod sample;
pub mod text;
pub mod timeline;
