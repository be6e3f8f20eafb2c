//! The ground: what the machine offers, and the words that everyone shares.
//!
//! | file | owns, or means |
//! | --- | --- |
//! | [`files`], [`own_directories`] | reading what root may trust, and replacing it in one step |
//! | [`lock`], [`clock`], [`threads`], [`signals`] | what can block, fail to start or be interrupted |
//! | [`process`], [`sockets`], [`session`], [`inherited`], [`host`] | facts of this machine and its processes |
//! | [`command`], [`caller`] | programs that are started, and who started this one |
//! | [`trust`] | what root relies on, each with its check |
//! | [`syslog`], [`cause`], [`text`], [`harmless`], [`redacted`] | what people and the log are told |
//! | [`names`], [`exit`], [`finding`], [`codes`], [`fingerprint`], [`certificate`] | the types that everyone uses |

pub mod caller;
pub mod cause;
pub mod certificate;
#[expect(clippy::disallowed_methods, reason = "owns the clock")]
pub mod clock;
pub mod codes;
pub mod columns;
#[expect(clippy::disallowed_methods, reason = "owns the starting of programs")]
pub mod command;
pub mod exit;
#[expect(clippy::disallowed_methods, reason = "owns files")]
pub mod files;
pub mod finding;
pub mod fingerprint;
pub mod harmless;
pub mod host;
#[expect(clippy::disallowed_methods, reason = "owns what is inherited of limits")]
pub mod inherited;
pub mod lock;
pub mod names;
pub mod own_directories;
#[expect(clippy::disallowed_methods, reason = "owns the facts about processes")]
pub mod process;
pub mod redacted;
pub mod session;
#[expect(clippy::disallowed_methods, reason = "owns what is inherited of signals")]
pub mod signals;
#[expect(clippy::disallowed_methods, reason = "owns the facts about sockets")]
pub mod sockets;
pub mod syslog;
pub mod terminal;
pub mod text;
pub mod threads;
pub mod trust;
