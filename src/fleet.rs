//! All hosts as values: how one is asked, and what it answers.

pub mod budget;
pub mod inspection;
pub mod judged;
pub mod link;
pub mod mismatch;
pub mod plant;
pub mod relay;
pub mod report;
pub mod whose;
pub mod wire;
