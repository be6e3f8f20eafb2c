//! pure: what of Apache's configuration, or of what Apache says about it, cannot be read.

use crate::apache::dump::Origin;
use crate::base::exit::{CarriesExit, Exit};

/// Why it cannot be read; what does not need it goes on without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Apache drops the rest of its read buffer at a NUL: lines come and go with buffer sizes.
    #[error("line {0} contains a NUL byte, which Apache reads unpredictably; remove it")]
    Nul(u32),
    /// A section that does not close as Apache requires.
    #[error("the section opened on line {0} is not closed where it should be")]
    Unclosed(u32),
    /// `mod_info` is not there, or printed nothing.
    #[error(
        "Apache did not list its directives (is mod_info.so installed beside its other modules?)"
    )]
    NoDirectives,
    /// An entry has no place in the tree.
    #[error("Apache's list of directives is not understood near its entry for {0}")]
    Entry(Origin),
}

impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}
