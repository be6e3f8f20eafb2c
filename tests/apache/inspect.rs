//! flow: `inspect` on every variant of Apache's configuration, held against who really answers.
//!
//! Where Apache or root is missing this says so on stderr and skips.

mod expected;
mod served;
mod traps;
mod variants;
