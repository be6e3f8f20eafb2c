//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! | folder | knows |
//! | --- | --- |
//! | [`apache`] | what Apache's configuration means, and the server that runs it |
//! | [`foreign`] | a web server that is not Apache, on a host where nothing is switched |
//! | [`route`] | switching: what to insert, how it is installed, proven and undone |
//! | [`ca`] | asking as the CA asks |
//! | [`certbot`] | certbot's files, command line and process |
//! | [`lease`] | the exclusive right to renew: arbiter, holder, their words |
//! | [`guard`] | the small programs that certbot calls: who it is, and how it is stopped |
//! | [`run`] | one renewal: hooks and keeper |
//! | [`agent`] | a host that another one asks: what may be asked, how, and what is done for it |
//! | [`coordinate`] | `renew-coordinate`: all hosts, one after another |
//! | [`check`] | what the CA sees of each name, and why |
//! | [`history`] | what this host did: every run leaves a record |
//! | [`status`] | all hosts as they are now, and what is wrong with them |
//! | [`monitor`] | telling people and monitoring what is wrong |
//! | [`render`] | a whole gateway, as files for both machines, from one small description |
//! | [`setup`] | setting a host up and taking it back |
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes here, in `certbot.rs`, `history.rs` and `lease.rs` are the complete list of owners.

pub mod agent;
pub mod apache;
pub mod base;
pub mod ca;
pub mod certbot;
pub mod check;
#[expect(clippy::disallowed_methods, reason = "owns the environment")]
pub mod cli;
pub mod config;
pub mod coordinate;
pub mod fleet;
pub mod history;
pub mod lease;
pub mod monitor;
pub mod render;
pub mod renewal;
pub mod setup;
pub mod status;
pub mod switch;
