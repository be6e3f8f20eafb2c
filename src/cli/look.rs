//! system: when a program is done, what it needs to look at all hosts and to tell.

use super::Common;
use crate::base::signals;
use crate::config::Settings;
use crate::monitor::round;
use crate::status::asking::{StatusCall, gather};

/// Looks at all hosts, if anybody wants to know, and tells what has changed.
pub(super) fn look(settings: &Settings, common: &Common) {
    round::look(settings, || {
        let this = std::env::current_exe().ok()?;
        let call = StatusCall {
            config: common.config.as_deref(),
            certbaton: this.with_file_name("certbaton"),
        };
        // systemd ends a keeper with its certbot; a signal more ends this at once.
        signals::obey();
        Some(gather(settings, &call))
    });
}
