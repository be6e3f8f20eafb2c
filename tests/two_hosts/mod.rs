//! flow: the lab's two hosts and its CA, as the tests of several targets see them; and the order in which scenarios run.

pub(crate) mod ca;
pub(crate) mod certbot;
pub(crate) mod clean;
pub(crate) mod host;
pub(crate) mod lab;
pub(crate) mod scenario;
pub(crate) mod trials;
