//! One renewal: the hooks, the keeper, the lease.

pub mod client;
pub mod due;
pub mod guard;
pub mod hook;
pub mod keep;
pub mod keeper;
pub mod lease;
pub mod messages;
mod stopped;
mod unfinished;
