//! flow: `inspect` on every variant of Apache's configuration, held against who really answers.
//!
//! Where Apache or root is missing this says so on stderr and skips.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

mod expected;
#[expect(dead_code, reason = "shared with tests that need more")]
#[path = "../fixture/mod.rs"]
mod fixture;
mod served;
mod traps;
mod variants;
