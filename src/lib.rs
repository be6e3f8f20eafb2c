//! certbaton: two web servers, one name, and certificates that renew on both.
//!
//! Three kinds of module, told apart by the first line of each file:
//! **pure** (values in, values out), **system** (one outside thing each, no
//! decisions) and **flow** (the order of steps). The `disallowed-methods` of
//! `clippy.toml` keep the pure and flow modules away from the system; the
//! `expect` attributes below are the complete list of owners.

pub mod apache;
pub mod block;
pub mod certbot_arguments;
pub mod certbot_ini;
mod certbot_options;
pub mod certbot_process;
pub mod certificate;
#[expect(clippy::disallowed_methods, reason = "owns the environment")]
pub mod cli;
#[expect(clippy::disallowed_methods, reason = "owns the clock")]
pub mod clock;
#[expect(clippy::disallowed_methods, reason = "owns the starting of programs")]
pub mod command;
pub mod complaint;
pub mod config;
pub mod configobj;
pub mod dead;
pub mod difference;
pub mod directories;
pub mod document;
pub mod dump;
pub mod exchange;
pub mod exit;
pub mod expression;
#[expect(clippy::disallowed_methods, reason = "owns files")]
pub mod files;
pub mod generated;
pub mod handshake;
pub mod hook;
pub mod hopeless;
pub mod htaccess;
pub mod insertion;
pub mod install;
pub mod journal;
pub mod keep;
pub mod keeper;
pub mod lease;
pub mod likelihood;
#[expect(clippy::disallowed_methods, reason = "owns certbot's renewal directory")]
pub mod lineages;
pub mod lock;
pub mod mapping;
pub mod names;
pub mod observe;
pub mod obstacles;
pub mod oracle;
pub mod pattern;
pub mod plan;
pub mod probe;
#[expect(clippy::disallowed_methods, reason = "owns the facts about processes")]
pub mod process;
pub mod proof;
pub mod proxying;
pub mod redirect;
pub mod refusal;
pub mod renewal;
pub mod renewal_run;
pub mod report;
pub mod request;
pub mod resolve;
pub mod responder;
pub mod rewrite;
pub mod rulebook;
#[cfg(test)]
mod sample;
pub mod scope;
pub mod sections;
#[expect(clippy::disallowed_methods, reason = "owns the facts about sockets")]
pub mod sockets;
pub mod stopped;
pub mod switch;
pub mod syslog;
pub mod validation;
pub mod vhosts;
pub mod webroot;
