//! pure: telling people and monitoring what is wrong.

pub mod deliver;
pub mod message;
pub mod told;
