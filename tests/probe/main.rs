//! test: the mini validator, the webroot and the handshake, against real sockets and files.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]
#![expect(clippy::disallowed_methods, reason = "a test makes the world it looks at")]

mod acme;
mod addresses;
mod answers;
mod certificate;
mod dns;
mod handshake;
mod matrix;
mod redirects;
mod rows;
mod server;
mod serving;
mod webroot;
