//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! The folders are layers: each imports from those above it in this table, and in its own row from
//! those left of it; outside parties do not know each other (a test holds this).
//!
//! | layer | folder | knows |
//! | --- | --- | --- |
//! | ground | [`base`] | what the machine offers; the words that everyone shares; certificates |
//! | parties | [`apache`] | what Apache's configuration means, and the server that runs it |
//! | | [`certbot`] | certbot's files, command line and process |
//! | | [`ca`] | asking as the CA asks |
//! | | [`config`] | what is written in `config.toml` |
//! | right | [`lease`] | the exclusive right to renew: arbiter, holder, their words |
//! | job | [`switch`] | switching: what to insert, how it is installed, proven and undone |
//! | | [`history`] | what this host did: every run leaves a record |
//! | | [`renewal`] | one renewal: the guard, the hooks, the keeper |
//! | hosts | [`fleet`] | all hosts as values: how one is asked, and what it answers |
//! | judgement | [`check`] | this host looked at; what the CA sees of each name, and why |
//! | | [`coordinate`] | `renew-coordinate`: all hosts, one after another |
//! | | [`status`] | all hosts as they are now, and what is wrong with them |
//! | | [`monitor`] | telling people and monitoring what is wrong |
//! | set-up | [`setup`] | setting a host up and taking it back |
//! | | [`render`] | a whole gateway, as files for both machines, from one small description |
//! | front | [`agent`] | a host that another one asks: what is done for it |
//! | | [`cli`] | the programs: words in, words out |
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes here and where folders list their files are the complete list of owners.

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
