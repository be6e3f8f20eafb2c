//! Switching routes: what to insert, how to install it, how it is proven and undone.

pub mod apply;
pub mod asked;
pub mod block;
pub mod commit;
pub mod difference;
pub mod foreign_reload;
pub mod foreign_served;
pub mod give_back;
pub mod guess;
pub mod insertion;
pub mod journal;
pub mod loadable;
pub mod observe;
pub mod oddity;
pub mod order;
pub mod plan;
pub mod proof;
pub mod public;
pub mod report;
pub mod said;
pub mod serving;
pub mod taken;
pub mod unswitched;
pub mod watched;
