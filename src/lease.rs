//! The exclusive right to renew: who grants it, and how it is held.
//!
//! The arbiter (`certbaton serve`) runs once per connection on one host; its
//! memory is a directory and the kernel's locks. The holder is the keeper of a
//! run; it speaks to the arbiter through ssh or, on the arbiter's own host,
//! through a socket pair: the same words either way.

mod arbiter;
pub mod connection;
pub mod conversation;
pub mod greeting;
pub mod heartbeat;
pub mod holder;
mod holders;
pub mod lines;
pub mod memory;
mod place;
pub mod question;
pub mod rules;
mod slots;
#[expect(clippy::disallowed_methods, reason = "owns the arbiter's directories")]
pub mod store;
pub mod times;
mod token;
pub mod wire;
