//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes below are the complete list of owners.

pub mod document;
pub mod dump;
pub mod names;
pub mod pattern;
pub mod request;
pub mod rewrite;
pub mod sections;
pub mod vhosts;
