//! test: the mini validator, the webroot and the handshake, against real sockets and files.
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
