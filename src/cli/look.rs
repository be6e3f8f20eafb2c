//! system: when a program is done, what it needs to look at all hosts and to tell.

use super::Common;
use crate::config::Settings;
use crate::monitor::look;
use crate::run::keeper::Signals;
use crate::status::gather::{Call, gather};

/// Looks at all hosts, if anybody wants to know, and tells what has changed.
pub(super) fn look(settings: &Settings, common: &Common) {
    look::look(settings, || {
        let this = std::env::current_exe().ok()?;
        let call =
            Call { config: common.config.as_deref(), certbaton: this.with_file_name("certbaton") };
        let signals = Signals::catch().ok()?;
        // What was meant for the work that is done by now: systemd ends a keeper with its certbot.
        while signals.take() {}
        let overview = gather(settings, &call, &signals);
        // Called off, so that who did not answer may well be there.
        if signals.take() { None } else { Some(overview) }
    });
}
