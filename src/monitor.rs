//! pure: telling people and monitoring what is wrong.

pub mod deliver;
pub mod exposition;
pub mod message;
pub mod metrics;
pub mod told;
