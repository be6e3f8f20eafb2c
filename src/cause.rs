//! pure: an error as a person reads it: one line, with its causes, whoever had a say in it.

use crate::harmless;

/// An error and its causes on one line, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    harmless::text(&text)
}
