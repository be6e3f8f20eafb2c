//! certbot's post-hook.

use std::process::ExitCode;

use certbaton::base::signals;
use certbaton::renewal::guard::handover;

fn main() -> ExitCode {
    signals::reset();
    handover::hand_over(handover::POST).into()
}
