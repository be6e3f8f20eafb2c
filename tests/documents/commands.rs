//! pure: which test runs which command of the README. Add a line here with each command there.

use Run::{ByHand, In};

/// What proves that a command works.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    /// This file of the source runs it; the second is in that file, where it does.
    In(&'static str, &'static str),
    /// No test does, and why.
    ByHand(&'static str),
}

pub(crate) const COMMANDS: &[(&str, Run)] = &[
    ("tests/run", In(".ci/run", "tests/run 2>&1")),
    ("tests/run --full", ByHand("takes hours, and is tests/run with more rounds")),
    ("tests/lab/see-it-work", ByHand("what tests/machines proves, shown to a person")),
    ("cargo build --release", ByHand("what packaging/build-deb does, which tests/package runs")),
    ("cargo bench --bench pre_hook", In("benches/pre_hook.rs", "fn smoke()")),
    ("cargo bench --bench handoff", ByHand("measures, and proves nothing")),
    (
        "certbot certonly --webroot -w /var/www/html -d www.example.org --pre-hook certbaton-pre-hook --deploy-hook certbaton-deploy-hook --post-hook certbaton-post-hook",
        In("tests/machines/hooks.rs", "certonly_for_a_new_name_just_works_on_home"),
    ),
    ("certbot renew", In("tests/machines/renewals.rs", "certbot_on(&lab.vps, \"renew\")")),
    (
        r"certbaton switch local\|peer [NAME…]",
        In("tests/status/main.rs", "&[\"switch\", \"local\", \"a.example\"]"),
    ),
    ("certbaton recover", In("tests/machines/kills.rs", "&[\"certbaton\", \"recover\"]")),
    ("certbaton status", In("tests/check/transcripts.rs", "&[\"certbaton\", \"status\"]")),
    ("certbaton check", In("tests/check/transcripts.rs", "&[\"certbaton\", \"check\"]")),
    (
        r"certbaton lease show\|break TOKEN",
        In("tests/faults/state.rs", "&[\"certbaton\", \"lease\", \"break\""),
    ),
    ("certbaton serve", In("tests/lab/parts/certbaton.sh", "command=\"/usr/bin/certbaton serve")),
    ("ssh -F", In("src/agent/link.rs", "\"-F\"")),
    ("journalctl -t certbaton", In("tests/package/check", "journalctl --quiet -t certbaton")),
    ("systemctl edit", ByHand("systemd's own editor")),
];
