//! flow: what hosts say to each other, as programs on trees of their own; two machines are in `two_hosts`.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod agent;
mod arbiter;
mod coordinate;
mod holder;
mod model;
mod monitor;
mod status;
mod tree;
