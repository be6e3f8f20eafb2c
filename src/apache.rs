//! What Apache's configuration means, and the server that runs it.

pub mod by_hand;
pub mod claims;
pub mod complaint;
pub mod condition;
pub mod dead;
pub mod directories;
pub mod document;
pub mod dump;
pub mod expression;
pub mod foreign;
pub mod generated;
pub mod htaccess;
pub mod likelihood;
pub mod managed_domain;
pub mod mapping;
pub mod misread;
pub mod obstacles;
pub mod oracle;
pub mod pattern;
pub mod port;
pub mod proxying;
pub mod refusal;
pub mod request;
pub mod rewrite;
pub mod rulebook;
#[cfg(test)]
pub(crate) mod sample;
pub mod sections;
pub mod server;
pub mod survey;
pub mod vhosts;

/// How deep sections may stand in sections, and brackets in brackets, of what is read here.
///
/// A user may have written them (`.htaccess`), and each is a call of its own.
const DEEPEST: usize = 100;
