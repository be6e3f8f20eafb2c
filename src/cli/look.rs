//! system: when a program is done, what it needs to look at all hosts and to tell.

use crate::base::signals;
use crate::config::context::Context;
use crate::monitor::round;
use crate::status::asking::gather;

/// Looks at all hosts, if anybody wants to know, and tells what has changed.
pub(super) fn look(context: &Context) {
    round::look(&context.settings, || {
        // systemd ends a keeper with its certbot; a signal more ends this at once.
        signals::obey();
        Some(gather(context))
    });
}
