//! Switching routes: what to insert, how to install it, how it is proven and undone.

pub mod apply;
pub mod asked;
pub mod certificate_proof;
pub mod challenge_proof;
pub mod commit;
pub mod difference;
pub mod edited_lines;
pub mod foreign_reload;
pub mod foreign_served;
pub mod give_back;
pub mod guess;
pub mod insertion;
pub mod journal;
pub mod loadable;
pub mod marked_lines;
pub mod observe;
pub mod oddity;
pub mod order;
pub mod plan;
pub mod prepare;
pub mod public;
pub mod report;
pub mod said;
pub mod taken;
pub mod unswitched;
pub mod watched;
