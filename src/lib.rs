//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes below are the complete list of owners.

pub mod apache;
pub mod block;
#[expect(clippy::disallowed_methods, reason = "owns the clock")]
pub mod clock;
#[expect(clippy::disallowed_methods, reason = "owns the starting of programs")]
pub mod command;
pub mod document;
pub mod dump;
pub mod exchange;
#[expect(clippy::disallowed_methods, reason = "owns files")]
pub mod files;
pub mod handshake;
pub mod htaccess;
pub mod lock;
pub mod names;
pub mod obstacles;
pub mod oracle;
pub mod pattern;
pub mod plan;
pub mod probe;
#[expect(clippy::disallowed_methods, reason = "owns the facts about processes")]
pub mod process;
pub mod proxying;
pub mod redirect;
pub mod refusal;
pub mod request;
pub mod resolve;
pub mod rewrite;
pub mod sections;
#[expect(clippy::disallowed_methods, reason = "owns the facts about sockets")]
pub mod sockets;
pub mod validation;
pub mod vhosts;
pub mod webroot;
