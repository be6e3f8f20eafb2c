//! The program for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::cli::certbaton().into()
}
