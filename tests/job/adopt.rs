//! flow: an old set-up, whose hooks really ran: they are put out of use, and what they left is told by file and line.
//!
//! Where Apache or root is missing this says so on stderr and skips.

mod disabled;
mod place;
mod told;
