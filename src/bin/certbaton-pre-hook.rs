//! certbot's pre-hook: the guard.

use std::process::ExitCode;

use certbaton::guard::hooks;
use certbaton::signals;

fn main() -> ExitCode {
    signals::reset();
    hooks::pre().into()
}
