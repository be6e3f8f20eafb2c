//! flow: every way in which people write Apache's configuration: switched, inspected, and varied.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

mod fixture;
mod inspect;
mod properties;
mod variants;
