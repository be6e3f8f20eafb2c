//! certbot's deploy-hook.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::cli::deploy_hook().into()
}
