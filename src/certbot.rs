//! certbot's own files, command line and process.

pub mod account;
pub mod accounts;
pub mod arguments;
pub mod configobj;
pub mod due;
pub mod failures;
pub mod halfway;
pub mod ini;
pub mod installed;
pub mod invocation;
#[expect(clippy::disallowed_methods, reason = "owns certbot's renewal directory")]
pub mod lineages;
pub mod log;
pub mod old_hook;
mod options;
pub mod renewal_file;
pub mod running;
pub mod saved_hooks;
pub mod scope;
pub mod unusable;
pub mod version;
