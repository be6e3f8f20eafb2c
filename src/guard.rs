//! The small programs that certbot calls, and how certbot is stopped.

pub mod ladder;
