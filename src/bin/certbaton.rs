//! The program for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::base::signals::reset();
    certbaton::cli::certbaton().into()
}
