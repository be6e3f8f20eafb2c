//! A host that another one asks: `certbaton agent`, reached by ssh and one sudo rule.
//!
//! `renew-coordinate`, `check` and `status` ask all hosts the same way, the one
//! that they run on included. Nothing here decides what to ask.

pub mod carry;
