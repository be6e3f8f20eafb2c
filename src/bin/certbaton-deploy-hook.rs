//! certbot's deploy-hook.

use std::process::ExitCode;

use certbaton::base::signals;
use certbaton::renewal::guard::hooks;

fn main() -> ExitCode {
    signals::reset();
    hooks::hand_over(hooks::DEPLOY).into()
}
