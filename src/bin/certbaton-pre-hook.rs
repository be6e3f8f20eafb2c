//! certbot's pre-hook: the guard.

use std::process::ExitCode;

use certbaton::base::signals;
use certbaton::renewal::guard::handover;

fn main() -> ExitCode {
    signals::reset();
    handover::pre().into()
}
