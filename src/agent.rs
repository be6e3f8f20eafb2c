//! A host that another one asks: `certbaton agent`, reached by ssh and one sudo rule.
//!
//! `renew-coordinate`, `check` and `status` ask all hosts the same way, the one
//! that they run on included. Nothing here decides what to ask.

pub mod budget;
pub mod carry;
pub mod facts;
pub mod judged;
pub mod link;
pub mod mismatch;
pub mod relay;
pub mod report;
pub mod survey;
pub mod whose;
pub mod wire;
