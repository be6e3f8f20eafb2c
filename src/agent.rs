//! A host that another one asks: `certbaton agent`, reached by ssh and one sudo rule.
//!
//! `serve` is what an ssh key may call, `carry` what root does for it. Nothing here
//! decides what to ask.

pub mod carry;
pub mod serve;
