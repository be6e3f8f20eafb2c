//! certbot's pre-hook: the guard.

use std::process::ExitCode;

use certbaton::base::signals;
use certbaton::renewal::guard::hooks;

fn main() -> ExitCode {
    signals::reset();
    hooks::pre().into()
}
