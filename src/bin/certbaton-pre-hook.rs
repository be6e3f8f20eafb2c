//! certbot's pre-hook.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::cli::pre_hook().into()
}
