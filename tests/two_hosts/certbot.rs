//! system: certbot runs on a machine, with the hooks.

use super::ca::{Mark, Work};
use super::host::{Host, Output, Started};
use super::lab::{Lab, until};

/// A certbot about to run.
#[derive(Debug)]
pub(crate) struct Certbot<'a> {
    host: &'a Host,
    words: Vec<String>,
}

impl Lab {
    /// `certbot renew` of everything on home, due or not, with the hooks as flags.
    pub(crate) fn renew(&self) -> Certbot<'_> {
        self.renew_on(&self.home)
    }

    /// The same on one of the hosts.
    pub(crate) fn renew_on<'a>(&self, host: &'a Host) -> Certbot<'a> {
        self.certbot_on(host, "renew").with(&["--force-renewal"]).hooks()
    }

    /// A certbot without hooks.
    pub(crate) fn certbot_on<'a>(&self, host: &'a Host, verb: &str) -> Certbot<'a> {
        Certbot { host, words: vec![self.certbot.to_owned(), verb.to_owned()] }
    }

    /// Installs the hooks where certbot on home looks for them itself.
    pub(crate) fn directory_hooks(&self) {
        self.home.directory_hooks();
    }

    /// A program on home that stops where it is first called, until `go_on`.
    pub(crate) fn pausing(&self) -> &'static str {
        self.home.pausing()
    }

    pub(crate) fn await_pause(&self) {
        self.home.await_pause();
    }

    pub(crate) fn go_on(&self) {
        self.home.go_on();
    }

    /// Waits until the CA has been asked to look, which it cannot while it is held.
    pub(crate) fn await_challenge(&self, since: Mark) {
        until("a challenge", || self.ca.said(since).contains("POST /chalZ/"));
    }

    /// The CA issued this many, and no question of it failed.
    pub(crate) fn expect_issued(&self, since: Mark, count: usize) {
        let Work { issued, invalid, .. } = self.ca.work(since);
        assert_eq!((issued, invalid), (count, 0), "issued, invalid");
    }

    /// The CA was not asked for anything.
    pub(crate) fn expect_not_asked(&self, since: Mark) {
        assert_eq!(self.ca.work(since), Work { orders: 0, valid: 0, invalid: 0, issued: 0 });
    }

    /// home serves what it has on disk.
    pub(crate) fn expect_served(&self, lineages: &[&str]) {
        for lineage in lineages {
            assert_eq!(
                self.ca.served("2001:db8::20", lineage),
                self.home.serial(lineage),
                "{lineage}"
            );
        }
    }
}

impl Host {
    /// Installs the hooks where its certbot looks for them itself.
    pub(crate) fn directory_hooks(&self) {
        for kind in ["pre", "deploy", "post"] {
            let hook = support::source(&format!("hooks/{kind}/certbaton"));
            let text = std::fs::read_to_string(hook).unwrap();
            self.script(&format!("/etc/letsencrypt/renewal-hooks/{kind}/certbaton"), &text);
        }
    }

    /// A program that stops where it is first called, until `go_on`.
    pub(crate) fn pausing(&self) -> &'static str {
        let text = "#!/bin/sh\nrm /run/armed 2> /dev/null || exit 0\n\
                    : > /run/paused\nwhile [ -e /run/paused ]; do sleep 0.02; done\n";
        self.script("/run/pause", text);
        self.write("/run/armed", "");
        "/run/pause"
    }

    pub(crate) fn await_pause(&self) {
        until("the pause", || self.path("/run/paused").exists());
    }

    pub(crate) fn go_on(&self) {
        self.sh("rm -f /run/paused");
    }
}

impl Certbot<'_> {
    pub(crate) fn with(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(ToString::to_string));
        self
    }

    /// The three hooks as flags.
    pub(crate) fn hooks(self) -> Self {
        self.pre("certbaton-pre-hook").deploy("certbaton-deploy-hook").post("certbaton-post-hook")
    }

    pub(crate) fn pre(self, command: &str) -> Self {
        self.flag("--pre-hook", command)
    }

    pub(crate) fn deploy(self, command: &str) -> Self {
        self.flag("--deploy-hook", command)
    }

    pub(crate) fn post(self, command: &str) -> Self {
        self.flag("--post-hook", command)
    }

    /// The last one given is what certbot takes.
    fn flag(self, flag: &str, command: &str) -> Self {
        self.with(&[flag, command])
    }

    pub(crate) fn start(&self) -> Started {
        self.host.start(&self.words)
    }

    pub(crate) fn run(&self) -> Output {
        self.start().ended()
    }

    /// Runs it; it must succeed.
    pub(crate) fn succeed(&self) -> Output {
        let done = self.run();
        assert_eq!(done.code(), 0, "{:?}\n{}\n{}", self.words, done.out, done.err);
        done
    }

    /// Runs it; it must be stopped by SIGTERM.
    pub(crate) fn be_stopped(&self) -> Output {
        let done = self.run();
        assert_eq!(done.code(), 143, "{:?}\n{}\n{}", self.words, done.out, done.err);
        done
    }
}
