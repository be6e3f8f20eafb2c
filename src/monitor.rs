//! Telling people and monitoring what is wrong: once per change, whoever notices it.
//!
//! | module | knows |
//! | --- | --- |
//! | [`told`] | what was said, and what is therefore to be said |
//! | [`message`] | the message itself |
//! | [`deliver`] | a program, a URL |
//! | [`metrics`], [`exposition`] | a status as metrics, and their format |
//! | [`round`] | all of it, each time there may be news |

pub mod deliver;
pub mod exposition;
pub mod message;
pub mod metrics;
pub mod round;
pub mod told;

/// Why nothing was looked at, or nobody was told. It is for the log alone: whatever failed, the
/// next run tries again.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// This could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Failed {
    what: String,
    source: Error,
}

fn failed(what: String, source: impl Into<Error>) -> Error {
    Failed { what, source: source.into() }.into()
}
