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
    (".ci/run", ByHand("runs all of this")),
    ("tests/run --help", ByHand("says how it is used")),
    ("tests/install-packages", In("tests/run", "tests/install-packages || installed")),
    ("tests/lab/check", In("tests/run", "tests/{package,quickstart,lab}/check")),
    ("tests/package/check", In("tests/run", "tests/{package,quickstart,lab}/check")),
    ("tests/quickstart/check", In("tests/run", "tests/{package,quickstart,lab}/check")),
    ("cargo build", In("tests/run", "cargo test --locked --no-run")),
    ("cargo test --locked --lib --bins", In("tests/run", "'--lib --bins'")),
    ("cargo test --locked --test parties", In("tests/run", "cargo test --locked --no-fail-fast")),
    (
        "cargo test --locked --test parties -- certbot::",
        In("tests/parties/main.rs", "mod certbot;"),
    ),
    (
        "cargo test --locked --test parties -- a_command_line_means_what_it_means_to_certbot",
        In("tests/parties/certbot/words.rs", "fn a_command_line_means_what_it_means_to_certbot"),
    ),
    (
        "cargo clippy --all-targets --locked -- -D warnings",
        In(".ci/run", "cargo clippy --all-targets --locked -- -D warnings"),
    ),
    ("cargo fmt", In(".ci/run", "cargo fmt --check")),
    ("certbaton --version", In("tests/text/contract.rs", "arg(\"--version\")")),
    ("tests/run --full", ByHand("takes hours, and is tests/run with more rounds")),
    (
        "tests/run --full table",
        ByHand("takes hours; tests/two_hosts/table has a sample of it run each time"),
    ),
    ("tests/lab/see-it-work", ByHand("what tests/two_hosts/machines proves, shown to a person")),
    ("packaging/build-deb", In("tests/package/build.sh", "packaging/build-deb")),
    ("cargo build --release", ByHand("what packaging/build-deb does, which tests/package runs")),
    ("cargo bench --bench pre_hook", In("benches/pre_hook.rs", "fn smoke()")),
    ("cargo bench --bench handoff", ByHand("measures, and proves nothing")),
    (
        "certbot certonly --webroot -w /var/www/html -d www.example.org --pre-hook certbaton-pre-hook --deploy-hook certbaton-deploy-hook --post-hook certbaton-post-hook",
        In("tests/two_hosts/machines/hooks.rs", "certonly_for_a_new_name_just_works_on_home"),
    ),
    (
        "apt install ./certbaton_0.2.0-1_amd64.deb",
        In("tests/quickstart/check", "Set up both hosts in ten minutes"),
    ),
    ("apt purge certbaton", In("tests/quickstart/check", "Take it all back")),
    ("certbaton init --role vps", In("tests/quickstart/check", "Set up both hosts in ten minutes")),
    (
        "certbaton init --role home --vps vps.example.org --host-key SHA256:…",
        In("tests/quickstart/check", "Set up both hosts in ten minutes"),
    ),
    (
        "certbaton init --role vps --home-key 'ssh-ed25519 …'",
        In("tests/quickstart/check", "Set up both hosts in ten minutes"),
    ),
    (
        "certbaton init --role home --vps vps.example.org --ssh root@vps.example.org",
        In("tests/quickstart/check", "--ssh root@vps.example.org"),
    ),
    ("renew-coordinate --dry-run", In("tests/quickstart/check", "renew-coordinate --dry-run")),
    (
        "renew-coordinate --force-renewal",
        In("tests/quickstart/check", "renew-coordinate --force-renewal"),
    ),
    ("certbaton init --role home", In("tests/quickstart/check", "certbaton init --role home")),
    ("certbaton init", In("tests/two_hosts/setup/pair.rs", "\"init\"")),
    ("certbaton render", In("tests/text/render.rs", "render")),
    ("certbaton install", In("tests/two_hosts/setup/installed.rs", "\"install\"")),
    ("certbaton uninstall", In("tests/quickstart/check", "Take it all back")),
    (
        "certbaton render gateway.toml --to gateway",
        In("tests/text/render.rs", "gateway.example.toml"),
    ),
    ("certbaton render --check", In("tests/two_hosts/gateway/layouts.rs", "\"--check\"")),
    (
        "certbaton render --check gateway.toml",
        In("tests/two_hosts/gateway/layouts.rs", "\"--check\""),
    ),
    (
        "certbaton render gateway.toml --to gateway --layout stateless --thumbprint \"$(ssh root@vps certbaton thumbprint)\"",
        In(
            "tests/two_hosts/gateway/layouts.rs",
            "lab.render(&[\"--layout\", \"stateless\", \"--thumbprint\", &thumbprint])",
        ),
    ),
    ("certbaton agent", In("tests/hosts/agent.rs", "agent")),
    ("certbaton serve --as home", In("tests/two_hosts/lease.rs", "home")),
    ("certbaton lease show", In("tests/two_hosts/faults/state.rs", "\"lease\"")),
    (
        "certbaton lease break TOKEN",
        In("tests/two_hosts/faults/state.rs", "&[\"certbaton\", \"lease\", \"break\""),
    ),
    ("certbaton lease break", In("tests/job/crash/keepers.rs", "&[\"lease\", \"break\"]")),
    ("certbot certonly --webroot", In("tests/two_hosts/machines/hooks.rs", "certonly")),
    ("certbot revoke", ByHand("certbot's own, after a loss")),
    ("systemctl reload apache2", In("tests/two_hosts/host.rs", "systemctl reload apache2")),
    (
        "rustup target add x86_64-unknown-linux-musl",
        ByHand("no other toolchain is fetched by a test"),
    ),
    (
        "cargo build --release --features static --target x86_64-unknown-linux-musl",
        ByHand("needs that toolchain"),
    ),
    (
        "cargo run --example documents target/documents",
        In(
            "packaging/build-deb",
            "cargo run --quiet --locked --example documents target/documents",
        ),
    ),
    (
        "certbot renew",
        In("tests/two_hosts/machines/renewals.rs", "certbot_on(&lab.vps, \"renew\")"),
    ),
    (
        r"certbaton switch local\|peer [NAME…]",
        In("tests/hosts/status.rs", "&[\"switch\", \"local\", \"a.example\"]"),
    ),
    ("certbaton recover", In("tests/two_hosts/machines/kills.rs", "&[\"certbaton\", \"recover\"]")),
    (
        "certbaton status",
        In("tests/two_hosts/check/transcripts.rs", "&[\"certbaton\", \"status\"]"),
    ),
    ("certbaton check", In("tests/two_hosts/check/transcripts.rs", "&[\"certbaton\", \"check\"]")),
    (
        r"certbaton lease show\|break [TOKEN]",
        In("tests/two_hosts/faults/state.rs", "&[\"certbaton\", \"lease\", \"break\""),
    ),
    ("certbaton serve", In("tests/lab/parts/certbaton.sh", "command=\"/usr/bin/certbaton serve")),
    ("ssh -N", In("tests/two_hosts/setup/people.rs", "-N certbaton@vps.example.org")),
    ("ssh -F", In("src/base/command/ssh.rs", "\"-F\"")),
    ("journalctl -t certbaton", In("tests/package/check", "journalctl --quiet -t certbaton")),
    ("systemctl edit", ByHand("systemd's own editor")),
];
