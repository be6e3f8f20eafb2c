//! Switching routes: what to insert, how to install it, how it is proven and undone.

pub mod block;
pub mod difference;
pub mod guess;
pub mod insertion;
pub mod install;
pub mod journal;
pub mod observe;
pub mod oddity;
pub mod order;
pub mod plan;
pub mod proof;
pub mod public;
pub mod report;
pub mod serving;
pub mod stopped;
pub mod switch;
pub mod unswitched;
