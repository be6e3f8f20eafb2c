//! Debian's certbot on a real Apache: broken lineages beside healthy ones, due and not.
//!
//! Healthy are `one` and `two`; each way to be broken has a lineage of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certbot::certbot_is_here;
use crate::certbot::real::{Certbot, DirectoryOnly, Lineage};
use support::apache::layout::Layout;
use support::apache::{self, Network, Server};

const HEALTHY: [&str; 2] = ["one.example.org", "two.example.org"];

/// Each with words of its reason.
const BROKEN: [(&str, &str); 5] = [
    ("forgotten.example.org", "no webroot is known for forgotten.example.org"),
    ("gone.example.org", "does not exist"),
    ("nowhere.example.org", "does not exist"),
    ("refused.example.org", "Redirect"),
    ("unreadable.example.org", "may be written by others"),
];

/// Lets the challenge path go to another host, as home does.
const PROXIED: &str = "<VirtualHost *:80>
    ServerName @NAME@
    ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8001/.well-known/acme-challenge/
    ProxyPass / http://127.0.0.1:8002/
</VirtualHost>
";

/// No line overrules it.
const REFUSED: &str = "<VirtualHost *:80>
    ServerName @NAME@
    <Location />
        Redirect permanent https://@NAME@/
    </Location>
</VirtualHost>
";

/// An Apache with a vhost for each name but one, and certbot's lineages.
struct Bench {
    layout: Layout,
    certbot: Certbot,
    ca: DirectoryOnly,
    _server: Server,
}

/// How long a certificate of one day, which is due, and of 90, which is not, lasts.
#[derive(Debug, Clone, Copy)]
struct Days {
    healthy: u32,
    broken: u32,
}

const DUE: u32 = 1;
const NOT_DUE: u32 = 90;

impl Bench {
    fn set(network: &Network, days: Days) -> Self {
        let modules = ["proxy", "proxy_http", "rewrite"].map(str::to_owned);
        let layout = Layout::create("prefork", &modules);
        let names = HEALTHY.into_iter().chain(BROKEN.map(|(name, _)| name));
        // Nobody's vhost is the first one's business.
        for name in names.filter(|name| *name != "nowhere.example.org") {
            let text = if name.starts_with("refused") { REFUSED } else { PROXIED };
            let file = format!("sites-available/{name}.conf");
            layout.place(Path::new(&file), text.replace("@NAME@", name).as_bytes());
            layout.enable("sites", &format!("{name}.conf"));
        }
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        fs::remove_file(certbot.path("etc/renewal/a.example.conf")).unwrap();
        let www = layout.server_root().join("www");
        for name in HEALTHY {
            certbot.add(
                &ca.directory,
                &Lineage { names: &[name], days: days.healthy, webroot: Some(&www) },
            );
        }
        for (name, _) in BROKEN {
            let lost = PathBuf::from("/nonexistent/www");
            let webroot = match name.split('.').next().unwrap() {
                "forgotten" => None,
                "gone" | "nowhere" => Some(&lost),
                _ => Some(&www),
            };
            let webroot = webroot.map(PathBuf::as_path);
            certbot.add(&ca.directory, &Lineage { names: &[name], days: days.broken, webroot });
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let unreadable = certbot.path("etc/renewal/unreadable.example.org.conf");
        fs::set_permissions(unreadable, open).unwrap();
        let base = layout.base().display().to_string();
        let tell = layout.base().join("tell");
        fs::write(&tell, format!("#!/bin/sh\ncat >> {base}/told\n")).unwrap();
        fs::set_permissions(&tell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        layout.configure(&format!("[notify]\ncommand = [\"{base}/tell\"]\n"));
        let server = Server::start(&layout, "127.0.0.1:80".parse().unwrap(), network).unwrap();
        Self { layout, certbot, ca, _server: server }
    }

    /// `certbot renew` with the hooks.
    fn renew(&self) -> Output {
        let mut command: Command = self.certbot.command();
        command.args(["renew", "-n", "--no-random-sleep-on-renew"]);
        let config = self.layout.base().join("certbaton.toml").display().to_string();
        for (option, program) in HOOKS {
            command.arg(option).arg(format!("{program} --config {config}"));
        }
        command.output().unwrap()
    }

    /// The events of the last run.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.layout.base().join("state/history.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What its people were told, which the keeper does when nothing waits for it any more.
    fn told(&self) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        let path = self.layout.base().join("told");
        loop {
            let told = fs::read_to_string(&path).unwrap_or_default();
            if !told.is_empty() {
                return told.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            assert!(Instant::now() < deadline, "nobody is told anything");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn event(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }
}

fn on_a_bench(days: Days, check: impl FnOnce(&Bench) + Send) {
    if !certbot_is_here() {
        return;
    }
    apache::on_a_network("certbot on an Apache", |network| check(&Bench::set(network, days)));
}

/// What certbot and its hooks said.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn sorted(value: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn broken_lineages_that_are_due_cost_themselves_alone_and_are_named() {
    on_a_bench(Days { healthy: DUE, broken: DUE }, |bench| {
        let output = bench.renew();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "certbot itself ends, of its CA: {said}");
        assert!(!bench.ca.asked().is_empty(), "certbot went on: {said}");
        let left: Vec<Value> = bench.event("left-out");
        for (name, why) in BROKEN {
            let told = left.iter().find(|left| left["lineage"] == name);
            let told = told.unwrap_or_else(|| panic!("{name} is not left out: {left:?}"));
            assert!(told["why"].as_str().unwrap().contains(why), "{told}");
            assert_eq!(told["due"], true);
            assert!(said.contains(name), "certbot's person is not told of {name}: {said}");
        }
        assert_eq!(left.len(), BROKEN.len(), "{left:?}");
        let switched = bench.event("switched");
        assert_eq!(sorted(&switched[0]["local"]), HEALTHY, "{switched:?}");
        let ended = bench.event("ended");
        assert_eq!(ended[0]["exit"], 1, "what is left out has failed: {ended:?}");
        let told = bench.told();
        // What is told of a run has a bound, beyond which the last one is.
        for (name, why) in &BROKEN[..4] {
            assert!(told.contains(name) && told.contains(why), "nobody is told of {name}: {told}");
        }
        let sites = fs::read_dir(bench.layout.server_root().join("sites-available")).unwrap();
        for site in sites {
            let text = fs::read_to_string(site.unwrap().path()).unwrap();
            assert!(!text.contains("certbaton"), "not given back: {text}");
        }
    });
}

#[test]
fn broken_lineages_that_are_not_due_are_never_a_reason() {
    on_a_bench(Days { healthy: DUE, broken: NOT_DUE }, |bench| {
        let output = bench.renew();
        assert!(!bench.ca.asked().is_empty(), "certbot went on: {}", said(&output));
        // Whether a file that must not be read is due, nobody can tell.
        let left = bench.event("left-out");
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0]["lineage"], "unreadable.example.org");
        assert_eq!(sorted(&bench.event("switched")[0]["local"]), HEALTHY);
    });
}

#[test]
fn where_nothing_that_is_due_can_be_proven_the_ca_is_not_asked() {
    on_a_bench(Days { healthy: NOT_DUE, broken: DUE }, |bench| {
        let output = bench.renew();
        let said = said(&output);
        assert_eq!(output.status.code(), None, "certbot is stopped: {said}");
        assert!(bench.ca.asked().is_empty(), "the CA was asked: {said}");
        let ended = bench.event("ended");
        let text = ended[0]["text"].as_str().unwrap();
        for (name, _) in BROKEN {
            assert!(text.contains(name), "{name} is not named: {text}");
        }
    });
}

const HOOKS: [(&str, &str); 3] = [
    ("--pre-hook", env!("CARGO_BIN_EXE_certbaton-pre-hook")),
    ("--deploy-hook", env!("CARGO_BIN_EXE_certbaton-deploy-hook")),
    ("--post-hook", env!("CARGO_BIN_EXE_certbaton-post-hook")),
];
