//! All hosts renew, one after another.

use std::process::ExitCode;

fn main() -> ExitCode {
    certbaton::base::signals::reset();
    certbaton::cli::renew_coordinate().into()
}
