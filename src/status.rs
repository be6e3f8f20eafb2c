//! `certbaton status`: all hosts as they are now, what is wrong with them, and what they did.
//!
//! `overview`, `judgement`, `thresholds` and `printed` are pure; `asking` looks; `remembered` owns
//! what a peer said last.

pub mod asking;
pub mod doors;
pub mod judgement;
pub mod overview;
pub mod printed;
pub mod remembered;
#[cfg(test)]
pub(crate) mod sample;
pub mod thresholds;
pub mod timeline;
