//! certbot's post-hook.

use std::process::ExitCode;

use certbaton::base::signals;
use certbaton::renewal::guard::hooks;

fn main() -> ExitCode {
    signals::reset();
    hooks::hand_over(hooks::POST).into()
}
