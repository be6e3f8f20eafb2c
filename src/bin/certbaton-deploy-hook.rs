//! certbot's deploy-hook.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::signals::reset();
    certbaton::cli::deploy_hook().into()
}
