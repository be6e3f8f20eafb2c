//! certbot's pre-hook.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::signals::reset();
    certbaton::cli::pre_hook().into()
}
