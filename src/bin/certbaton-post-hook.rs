//! certbot's post-hook.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::signals::reset();
    certbaton::cli::post_hook().into()
}
