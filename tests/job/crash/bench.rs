//! system: three sites on a running Apache, `certbaton` on them, and what must hold in the end.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use certbaton::base::names::{Hostname, Route, Webroot};
use certbaton::config::Settings;
use certbaton::history;
use certbaton::lease::heartbeat;
use certbaton::lease::store;
use certbaton::renewal::right;
use certbaton::switch::{guess, journal, said};

use support::apache::backend::{Backend, Protocol};
use support::apache::layout::Layout;
use support::apache::snapshot::{Snapshot, differing, taken, timeless};
use support::apache::{Network, Server, request};
use support::ensure;

/// A server with sites that proxy the challenge path, and everything to tell whether it is as it was.
pub(crate) struct Bench {
    /// Its files.
    pub(crate) layout: Layout,
    server: Option<Server>,
    /// What a switch in this process uses; the programs use the same.
    pub(crate) settings: Settings,
    pub(crate) config: PathBuf,
    tree: Snapshot,
    _vps: Backend,
    _app: Backend,
}

/// The names that are switched.
pub(crate) const NAMES: [&str; 2] = ["one.example.org", "two.example.org"];

/// Files that a switch of both changes.
pub(crate) const SITES: [&str; 2] = ["sites-available/one.conf", "sites-available/two.conf"];

impl Bench {
    /// Everything up, nothing switched.
    pub(crate) fn set(network: &Network) -> Self {
        let modules = ["proxy", "proxy_http", "rewrite"].map(str::to_owned);
        let layout = Layout::create("prefork", &modules);
        for (name, text) in [("one", ONE), ("two", TWO), ("three", THREE)] {
            let file = format!("sites-available/{name}.conf");
            layout.place(Path::new(&file), text.as_bytes());
            layout.enable("sites", &format!("{name}.conf"));
        }
        let token = layout.server_root().join("www").join(&CHALLENGE[1..]);
        fs::create_dir_all(token.parent().unwrap()).unwrap();
        fs::write(token, "LOCAL").unwrap();
        let base = layout.base();
        let settings = Settings {
            state_directory: base.join("state").into(),
            runtime_directory: base.join("runtime").into(),
            pid_file: Some(layout.pid_file()),
            ..Settings::default()
        };
        let config = layout.configure("");
        let vps = Backend::on("127.0.0.1:8001", "VPS", Protocol::Http, network);
        let app = Backend::on("127.0.0.1:8002", "APP", Protocol::Http, network);
        let server = Server::start(&layout, ADDRESS.parse().unwrap(), network).unwrap();
        let tree = taken(&layout.server_root());
        Self { layout, server: Some(server), settings, config, tree, _vps: vps, _app: app }
    }

    /// The journal of a switch under way.
    pub(crate) fn journal(&self) -> PathBuf {
        journal::path(&self.settings.state_directory)
    }

    /// What is written down of its runs.
    pub(crate) fn history(&self) -> PathBuf {
        history::file::path(&self.settings.state_directory)
    }

    /// What was said to the log already.
    pub(crate) fn said(&self) -> PathBuf {
        said::path(&self.settings.state_directory)
    }

    /// The lock of its host.
    pub(crate) fn lease_lock(&self) -> PathBuf {
        right::lease_lock(&self.settings.runtime_directory)
    }

    /// A file below the `ServerRoot`.
    pub(crate) fn file(&self, relative: &str) -> PathBuf {
        self.layout.server_root().join(relative)
    }

    /// The routes that are switched.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let webroot = Webroot::parse(self.file("www").to_str().unwrap()).unwrap();
        let route = |name| Route { name: Hostname::parse(name).unwrap(), webroot: webroot.clone() };
        NAMES.into_iter().map(route).collect()
    }

    /// The command that makes `goal` so, to be run as it is or under something else.
    pub(crate) fn arguments(&self, goal: Goal) -> Vec<String> {
        let mut arguments = vec![PROGRAM.to_owned(), "--config".into()];
        arguments.push(self.config.to_str().unwrap().into());
        match goal {
            Goal::Local => {
                let webroot = self.file("www").to_str().unwrap().to_owned();
                arguments.extend(["switch".into(), "local".into(), "--webroot".into(), webroot]);
                arguments.extend(NAMES.map(str::to_owned));
            }
            Goal::Peer => arguments.extend(["switch".into(), "peer".into()]),
            Goal::Recover => arguments.push("recover".into()),
        }
        arguments
    }

    /// Runs `certbaton`.
    pub(crate) fn run(&self, goal: Goal) -> Output {
        let arguments = self.arguments(goal);
        Command::new(&arguments[0]).args(&arguments[1..]).output().unwrap()
    }

    /// Runs `certbaton`, which must succeed.
    pub(crate) fn done(&self, goal: Goal) -> Result<(), String> {
        let output = self.run(goal);
        ensure!(output.status.success(), "{goal:?}: {}", told(&output));
        Ok(())
    }

    /// Runs `certbaton` under strace, which does `what` to it.
    pub(crate) fn meddled(&self, goal: Goal, what: &[&str]) -> Output {
        self.meddling(goal, what).output().unwrap()
    }

    /// The command for that.
    pub(crate) fn meddling(&self, goal: Goal, what: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/strace");
        command.args(["-qq", "-o", "/dev/null"]).args(what).arg("--");
        command.args(self.arguments(goal));
        command
    }

    /// Runs `certbaton` and kills it at the `nth` call of `syscall`; false if there are less.
    pub(crate) fn killed_at(&self, goal: Goal, syscall: &str, nth: usize) -> Result<bool, String> {
        let trace = format!("trace={syscall}");
        let inject = format!("inject={syscall}:signal=SIGKILL:when={nth}");
        let mut what = vec!["-e", &trace, "-e", &inject];
        if syscall == "mount" {
            // Only a thread of its own mounts.
            what.push("-f");
        }
        let output = self.meddled(goal, &what);
        let killed = output.status.signal() == Some(9);
        ensure!(killed || output.status.success(), "{goal:?} under strace: {}", told(&output));
        Ok(killed)
    }

    /// This host's webroot answers, and each file says so.
    pub(crate) fn expect_local(&self) -> Result<(), String> {
        ensure!(answers() == ["LOCAL", "LOCAL"], "not local: {:?}", answers());
        for site in SITES {
            let bytes = fs::read(self.file(site)).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            ensure!(text.contains("# certbaton: end"), "no block in {site}: {text}");
        }
        ensure!(self.journal().exists(), "local without a journal");
        Ok(())
    }

    /// Every byte is the user's, the answers are the peer's, and nothing of ours is left.
    pub(crate) fn expect_as_before(&mut self) -> Result<(), String> {
        self.expect_files_as_before()?;
        for (name, answer) in NAMES.iter().zip(answers()) {
            ensure!(answer.starts_with("VPS "), "{name} is answered by {answer:?}");
        }
        ensure!(!self.journal().exists(), "the journal is left");
        self.expect_same_server()
    }

    /// Apache was reloaded perhaps, but never restarted.
    pub(crate) fn expect_same_server(&mut self) -> Result<(), String> {
        let server = self.server.as_mut().unwrap();
        ensure!(server.is_the_same(), "not the same Apache: {}", server.errors());
        Ok(())
    }

    /// Stops Apache.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Starts Apache as somebody does who found it stopped.
    pub(crate) fn start(&mut self, network: &Network) -> Result<(), String> {
        self.server = Some(Server::start(&self.layout, ADDRESS.parse().unwrap(), network)?);
        Ok(())
    }

    /// The tree, down to the attribute, and no leftovers of ours anywhere.
    pub(crate) fn expect_files_as_before(&self) -> Result<(), String> {
        let sites = SITES.map(PathBuf::from);
        let mut now = taken(&self.layout.server_root());
        // A probe that is killed cannot take its file away; the next one does not look for it.
        now.retain(|path, _| {
            !path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"certbaton-"))
        });
        let other = differing(&timeless(&self.tree, &sites), &timeless(&now, &sites));
        ensure!(other.is_empty(), "not as it was: {other:?}");
        let left = |path: &Path| -> Vec<PathBuf> {
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let mut left = left(&self.settings.state_directory);
        let state = &self.settings.state_directory;
        // The lease's memory stays where there is an arbiter.
        let lease = [heartbeat::token_seen(state), store::token_directory(state)];
        let kept = [self.journal(), guess::last_switch(state), self.history(), self.said()];
        let kept = [&kept[..], &lease].concat();
        left.retain(|path| !kept.contains(path));
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }

    /// Whatever state it is in, back to the beginning.
    pub(crate) fn reset(&mut self) -> Result<(), String> {
        self.done(Goal::Recover)?;
        self.expect_as_before()
    }
}

/// What `certbaton` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Both names local.
    Local,
    /// All back.
    Peer,
    /// All back, as at boot.
    Recover,
}

/// Who answers the challenges of each name.
fn answers() -> [String; 2] {
    NAMES.map(|name| request(ADDRESS.parse().unwrap(), name, CHALLENGE).body)
}

/// What a run said.
pub(crate) fn told(output: &Output) -> String {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, said(&output.stdout), said(&output.stderr))
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");
const ADDRESS: &str = "127.0.0.1:80";
const CHALLENGE: &str = "/.well-known/acme-challenge/crash_token";

/// An exclusion, in a file with CR LF and no final newline.
const ONE: &str = "<VirtualHost *:80>\r
    ServerName one.example.org\r
    ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8001/.well-known/acme-challenge/\r
    ProxyPass / http://127.0.0.1:8002/\r
</VirtualHost>";

/// An override.
const TWO: &str = "<VirtualHost *:80>
    ServerName two.example.org
    RewriteEngine On
    RewriteRule ^/\\.well-known/acme-challenge/(.*) http://127.0.0.1:8001/.well-known/acme-challenge/$1 [P]
    Redirect permanent / https://two.example.org/
</VirtualHost>
";

/// Never touched.
const THREE: &str = "<VirtualHost *:80>
    ServerName three.example.org
    ProxyPass / http://127.0.0.1:8002/
</VirtualHost>
";
