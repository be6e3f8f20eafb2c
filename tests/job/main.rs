//! flow: one host that switches and gives back, whatever dies meanwhile; and what it puts on disk.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

mod adopt;
mod crash;
mod replace;
