//! flow: the hooks as certbot calls them: small programs that hand over to `certbaton`.
//!
//! certbot ignores how a hook ends. So the pre-hook, the guard, stops certbot
//! unless the worker that it starts says that the challenge path is proven: also
//! if that cannot be loaded, is killed or hangs. It therefore needs no more than
//! the C library, and no configuration.
//!
//! What is left: killed by SIGKILL before it has started the worker, or not
//! loadable itself when certbot calls it by a flag, it stops nothing; nor, where
//! there is no `/proc`, a certbot whose hook leads a process group of its own.

pub mod blind;
#[expect(clippy::disallowed_methods, reason = "owns its arguments and environment")]
pub mod handover;
pub mod ladder;
pub mod line;
pub mod permit;
pub mod stopper;
pub mod voice;
pub mod words;
#[expect(clippy::disallowed_methods, reason = "owns the worker")]
pub mod worker;
