//! pure: all programs as clap knows them: to parse their arguments, and for manual pages and completions.

use clap::{Command, CommandFactory};

use super::{Certbaton, HookWords, coordinate};
use crate::renewal::guard::handover::{self, Hook};

/// One of certbot's hooks.
#[derive(Debug, Clone, Copy)]
pub(super) struct HookProgram {
    pub(super) hook: Hook,
    about: &'static str,
}

pub(super) const PRE: HookProgram = HookProgram {
    hook: handover::PRE,
    about: "certbot's pre-hook: takes the lease, routes the challenge path to this host and proves it, or stops certbot",
};

pub(super) const DEPLOY: HookProgram = HookProgram {
    hook: handover::DEPLOY,
    about: "certbot's deploy-hook: gives the renewed lineage's names back and proves that its certificate is served",
};

pub(super) const POST: HookProgram = HookProgram {
    hook: handover::POST,
    about: "certbot's post-hook: gives everything else back, proves it and releases the lease",
};

impl HookProgram {
    pub(super) fn command(self) -> Command {
        HookWords::command().name(self.hook.name).about(self.about)
    }
}

/// The five programs, with all that they understand.
pub fn commands() -> [Command; 5] {
    let [pre, deploy, post] = [PRE, DEPLOY, POST].map(HookProgram::command);
    [Certbaton::command(), pre, deploy, post, coordinate::command()]
}
