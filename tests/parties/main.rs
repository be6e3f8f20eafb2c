//! flow: the outside parties, each for real: certbot, what the CA asks, and Apache as others than Debian lay it out.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod certbot;
mod probe;
mod servers;
