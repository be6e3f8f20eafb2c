//! One renewal: the hooks, the keeper, the lease.

pub mod certificates;
pub mod client;
pub mod guard;
pub mod hook;
pub mod keep;
pub mod keeper;
pub mod messages;
pub mod recover;
pub mod right;
mod stopped;
mod unfinished;
