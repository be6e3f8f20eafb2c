//! system: how wide a terminal is.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

use crate::base::columns::Width;

/// How wide what is written to `file` may be, if that is a terminal (`TIOCGWINSZ`).
pub fn width(file: impl AsFd) -> Option<Width> {
    tcgetwinsize(file).ok().map(|size| Width::of_terminal(size.ws_col))
}
