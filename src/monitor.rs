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

use crate::base::files;
use crate::base::process;

/// Why nothing was looked at, or nobody was told. It is for the log alone: whatever failed, the
/// next run tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file of ours, the program, a file with header lines.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The program did not start.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// This could not be done.
    #[error("{what}")]
    Failed {
        /// What.
        what: String,
        /// Why.
        source: Cause,
    },
    /// Somebody did not do this, or not in time.
    #[error("{0}")]
    Refused(String),
}

/// Why something could not be done.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    fn because(what: String, source: impl Into<Cause>) -> Self {
        Self::Failed { what, source: source.into() }
    }
}
