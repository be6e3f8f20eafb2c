//! Debian's certbot with an expired lineage and a CA that knows its directory only.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use certbaton::base::names::Hostname;
use certbaton::base::process;
use certbaton::certbot::invocation::invocation;
use certbaton::certbot::lineages;
use certbaton::certbot::running;
use certbaton::certbot::scope;
use certbaton::renewal::guard::ladder;
use serde_json::Value;

use crate::certbot::{CERTBOT, certbot_is_here, home_with_directories, python};

/// A directory of certbot's with an account and one expired lineage.
pub(crate) struct Certbot {
    home: tempfile::TempDir,
}

/// A lineage to be made.
pub(crate) struct Lineage<'a> {
    /// The names of its certificate; it is called by the first.
    pub(crate) names: &'a [&'a str],
    /// How long that lasts from now.
    pub(crate) days: u32,
    /// Where it is proven; none: certbot has lost it.
    pub(crate) webroot: Option<&'a Path>,
}

const ACCOUNT: &str = r"
import json, sys, josepy
from cryptography.hazmat.primitives.asymmetric import rsa
key = josepy.JWKRSA(key=josepy.ComparableRSAKey(rsa.generate_private_key(65537, 2048)))
json.dump(key.to_json(), sys.stdout)
";

impl Certbot {
    /// `server` is the URL of the CA's directory.
    pub(crate) fn new(server: &str) -> Self {
        let certbot = Self { home: home_with_directories() };
        let below = |path: &str| {
            let path = certbot.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let account = format!("etc/accounts/{}/0123", server.strip_prefix("http://").unwrap());
        let key = python(ACCOUNT, &Value::Null).to_string();
        fs::write(below(&format!("{account}/private_key.json")), key).unwrap();
        let resource = serde_json::json!({ "body": {}, "uri": format!("{server}/acct/1") });
        fs::write(below(&format!("{account}/regr.json")), resource.to_string()).unwrap();
        let meta = r#"{"creation_dt": "2026-01-01T00:00:00Z", "creation_host": "h"}"#;
        fs::write(below(&format!("{account}/meta.json")), meta).unwrap();

        fs::create_dir(certbot.path("www")).unwrap();
        let names = ["a.example", "www.a.example", "*.a.example"];
        let webroot = certbot.path("www");
        certbot.add(server, &Lineage { names: &names, days: 1, webroot: Some(&webroot) });
        certbot
    }

    /// Gives it one more lineage.
    pub(crate) fn add(&self, server: &str, lineage: &Lineage<'_>) {
        let below = |path: &str| {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let name = lineage.names[0];
        let all: Vec<String> = lineage.names.iter().map(|name| format!("DNS:{name}")).collect();
        let archive = format!("etc/archive/{name}");
        let new = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", &lineage.days.to_string(), "-subj", &format!("/CN={name}")])
            .arg("-addext")
            .arg(format!("subjectAltName={}", all.join(",")))
            .arg("-keyout")
            .arg(below(&format!("{archive}/privkey1.pem")))
            .arg("-out")
            .arg(below(&format!("{archive}/cert1.pem")))
            .stderr(Stdio::null())
            .status();
        assert!(new.unwrap().success());
        let pem = fs::read(self.path(&format!("{archive}/cert1.pem"))).unwrap();
        fs::write(below(&format!("{archive}/chain1.pem")), &pem).unwrap();
        fs::write(below(&format!("{archive}/fullchain1.pem")), pem.repeat(2)).unwrap();
        let live = self.path(&format!("etc/live/{name}"));
        fs::create_dir_all(&live).unwrap();
        let mut text = format!("archive_dir = {}\n", self.path(&archive).display());
        for kind in ["cert", "privkey", "chain", "fullchain"] {
            let link = live.join(format!("{kind}.pem"));
            symlink(format!("../../archive/{name}/{kind}1.pem"), &link).unwrap();
            writeln!(text, "{kind} = {}", link.display()).unwrap();
        }
        write!(
            text,
            "version = 2.1.0\n[renewalparams]\naccount = 0123\nauthenticator = webroot\n\
             server = {server}\nkey_type = ecdsa\n"
        )
        .unwrap();
        if let Some(webroot) = lineage.webroot {
            let www = webroot.display();
            write!(text, "webroot_path = {www},\n[[webroot_map]]\n{name} = {www}\n").unwrap();
        }
        fs::write(below(&format!("etc/renewal/{name}.conf")), text).unwrap();
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    pub(crate) fn command(&self) -> Command {
        self.command_of(CERTBOT)
    }

    /// The same with another certbot.
    pub(crate) fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for directory in ["config", "work", "logs"] {
            let below = if directory == "config" { "etc" } else { directory };
            command.arg(format!("--{directory}-dir")).arg(self.path(below));
        }
        command
    }
}

/// A CA that knows its directory only, for as long as the test process lives.
pub(crate) struct DirectoryOnly {
    /// The URL of the directory.
    pub(crate) directory: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl DirectoryOnly {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let names = ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"];
        let urls = names.map(|name| (name.to_owned(), Value::from(format!("{base}/{name}"))));
        let body = Value::Object(urls.into_iter().collect()).to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while request.read_line(&mut line).unwrap() > 2 {
                    if line.contains(" HTTP/1") {
                        heard.lock().unwrap().push(line.trim_end().to_owned());
                    }
                    line.clear();
                }
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
                .unwrap();
            }
        });
        Self { directory: format!("{base}/directory"), asked }
    }

    /// What was asked of it, beyond its directory, which certbot reads before it runs a hook.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.retain(|line| !line.starts_with("GET /directory "));
        asked
    }
}

#[test]
fn debians_certbot_is_found_understood_and_stopped_while_it_waits_for_a_pre_hook() {
    if !certbot_is_here() {
        return;
    }
    let certbot = Certbot::new(&DirectoryOnly::start().directory);
    let pipe = certbot.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // `true` keeps the shell in between, as a hook with more than one command does.
    let hook = format!("sh -c 'echo $$ >{}; read x'; true", pipe.display());
    let mut child = certbot
        .command()
        .args(["-q", "renew", "--force-renewal", "--no-random-sleep-on-renew", "--pre-hook"])
        .arg(hook)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    File::open(&pipe).unwrap().read_to_string(&mut pid).unwrap();

    let running = running::find(pid.trim().parse().unwrap()).unwrap().unwrap();
    let running = running.believed().unwrap();
    assert_eq!(u32::try_from(running.pid).unwrap(), child.id());
    let run = &invocation(running).unwrap();
    let holder = process::lock_holder(&run.config_dir.join(running::LOCK_FILE)).unwrap();
    assert_eq!(holder, Some(process::LockOwner::Pid(running.pid)));

    let found = lineages::lineages(&run.config_dir).unwrap();
    assert_eq!(found.refused, []);
    let known = scope::Known {
        names: &[],
        webroot: None,
        invocation: Some(run),
        lineages: &found.usable,
        refused: &found.refused,
        needs: &std::collections::BTreeMap::new(),
    };
    let scope = scope::scope(&known).unwrap();
    assert_eq!(scope.origin, scope::NameSource::Renewal);
    let routes = &scope.lineages[0].routes;
    let names: Vec<_> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["a.example", "www.a.example"], "the wildcard is left out");
    assert!(routes.iter().all(|route| route.webroot.as_path() == certbot.path("www")));

    assert!(ladder::stop(running).unwrap());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    drop(child.stdin.take());
    let own = process::own().unwrap();
    let left: Vec<_> = process::children(own.pid).unwrap();
    assert!(!left.contains(&running));
}

#[test]
fn a_lineage_that_certbot_skips_is_told_from_one_it_would_renew() {
    if !certbot_is_here() {
        return;
    }
    let certbot = Certbot::new("http://127.0.0.1:9/directory");
    let renewal = certbot.path("etc/renewal");
    let text = fs::read_to_string(renewal.join("a.example.conf")).unwrap();
    fs::write(renewal.join("broken.conf"), text.replace("[renewalparams]", "[renewalparams"))
        .unwrap();
    fs::write(renewal.join("empty.conf"), "").unwrap();
    fs::write(renewal.join("gone.conf"), text.replace("cert.pem", "no-cert.pem")).unwrap();
    fs::write(renewal.join("odd.conf"), text.replace("/www,", "/w$w,")).unwrap();
    fs::write(renewal.join("open.conf"), &text).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(renewal.join("open.conf"), open).unwrap();
    fs::write(renewal.join("backup.conf~"), "").unwrap();

    let found = lineages::lineages(&certbot.path("etc")).unwrap();
    let usable: Vec<_> = found.usable.iter().map(|lineage| lineage.name.as_str()).collect();
    assert_eq!(usable, ["a.example"]);
    let www = Hostname::parse("www.a.example").unwrap();
    assert!(found.usable[0].webroot_of(&www).is_some(), "by webroot_path");
    let refused: Vec<_> =
        found.refused.iter().map(|r| (r.name.as_str(), r.certbot_skips_it)).collect();
    assert_eq!(
        refused,
        [("broken", true), ("empty", true), ("gone", true), ("odd", false), ("open", false)]
    );
    assert!(found.refused[0].reason.contains("broken.conf:7: "), "{}", found.refused[0].reason);

    // certbot's own opinion: it names the lineages it could read.
    let output = certbot.command().arg("certificates").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for (name, skipped) in refused {
        let listed = text.contains(&format!("Certificate Name: {name}\n"));
        assert_eq!(listed, !skipped, "{name} in {text}");
    }
}
