//! flow: an old set-up, whose hooks really ran, is adopted: the files are as their owner wrote them, and Apache serves them.
//!
//! Where Apache or root is missing this says so on stderr and skips.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

mod place;
mod restored;
mod told;
