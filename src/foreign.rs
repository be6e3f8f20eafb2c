//! A web server that is not Apache, on a host where nothing is switched: what to write for it, and its reload.

pub mod control;
pub mod known;
pub mod served;
