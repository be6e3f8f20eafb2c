//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes below are the complete list of owners.

#[expect(clippy::disallowed_methods, reason = "owns the clock and the sleep")]
pub mod clock;
pub mod exchange;
pub mod handshake;
pub mod names;
pub mod probe;
pub mod redirect;
pub mod resolve;
pub mod validation;
pub mod webroot;
