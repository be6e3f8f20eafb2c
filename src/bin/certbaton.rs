//! The program for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::signals::reset();
    certbaton::cli::certbaton().into()
}
