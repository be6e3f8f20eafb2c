//! `certbaton check`: what the CA sees of each name, from every host, and why.
//!
//! | module | knows |
//! | --- | --- |
//! | [`finding`] | something that is wrong, where, and what to do |
//! | [`inspection`] | what one host can tell of itself |

pub mod finding;
pub mod inspection;
