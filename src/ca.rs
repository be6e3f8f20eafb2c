//! Asking as the CA asks.

pub mod caa;
pub mod disk;
pub mod dns;
pub mod exchange;
pub mod handshake;
pub mod probe;
pub mod redirect;
pub mod resolve;
pub mod served;
pub mod sight;
pub mod validation;
pub mod webroot;
