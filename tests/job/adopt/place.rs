//! system: a host with an old set-up: Apache, one site, certbot's directory, and hooks that are run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use certbaton::apache::server;
use certbaton::config::Settings;
use certbaton::setup::adopt::{self, Adoption};
use certbaton::setup::change::PreparedChange;
use certbaton::setup::ledger::Ledger;
use certbaton::switch::journal::Journal;
use certbaton::switch::observe::{self, Observation};

use support::apache::backend::{Backend, Protocol};
use support::apache::layout::Layout;
use support::apache::snapshot::{Snapshot, differing, taken, timeless};
use support::apache::{self, Network, Server};
use support::lineage;

/// One site with lines that a hook toggles, and one that its owner commented out.
pub(crate) const SITE: &str = "# the door
<VirtualHost *:80>\r
    ServerName one.example.org
    DocumentRoot @ROOT@/www
    ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8081/.well-known/acme-challenge/
    #ProxyPass /old http://127.0.0.1:8082/
\tProxyPass /app http://127.0.0.1:8082/
    ProxyPassReverse /app http://127.0.0.1:8082/
</VirtualHost>";

/// A host; everything of it ends with this.
pub(crate) struct Place<'a> {
    pub(crate) layout: Layout,
    network: &'a Network,
    server: Option<Server>,
    _backends: [Backend; 2],
}

impl<'a> Place<'a> {
    /// The site is linked and served, and certbot renews its name.
    pub(crate) fn new(network: &'a Network) -> Self {
        let layout = Layout::create("event", &["proxy".to_owned(), "proxy_http".to_owned()]);
        let backends = [("127.0.0.1:8081", "VPS"), ("127.0.0.1:8082", "APP")]
            .map(|(address, word)| Backend::on(address, word, Protocol::Http, network));
        layout.place(Path::new("sites-available/site.conf"), SITE.as_bytes());
        layout.enable("sites", "site.conf");
        let mut place = Self { layout, network, server: None, _backends: backends };
        let webroot = place.layout.server_root().join("www");
        lineage::make(&place.certbot(), &["one.example.org".to_owned()], &webroot);
        place.restart();
        place
    }

    pub(crate) fn certbot(&self) -> PathBuf {
        self.layout.base().join("letsencrypt")
    }

    pub(crate) fn renewal(&self) -> PathBuf {
        self.certbot().join("renewal/one.example.org.conf")
    }

    pub(crate) fn enabled(&self) -> PathBuf {
        self.layout.server_root().join("sites-enabled/site.conf")
    }

    pub(crate) fn available(&self) -> PathBuf {
        self.layout.server_root().join("sites-available/site.conf")
    }

    pub(crate) fn tree(&self) -> Snapshot {
        taken(&self.layout.server_root())
    }

    /// What of Apache's files is not as in `before`, but for the time at which a link was made.
    pub(crate) fn differing(&self, before: &Snapshot) -> Vec<PathBuf> {
        let link = [PathBuf::from("sites-enabled/site.conf")];
        differing(&timeless(before, &link), &timeless(&self.tree(), &link))
    }

    /// Runs a hook's line as certbot does (`misc.execute_command_status`), `@ROOT@` replaced.
    pub(crate) fn run(&self, line: &str) {
        let done = Command::new("/bin/sh").arg("-c").arg(self.line(line)).status().unwrap();
        assert!(done.success(), "{line}");
    }

    pub(crate) fn line(&self, line: &str) -> String {
        line.replace("@ROOT@", self.layout.server_root().to_str().unwrap())
    }

    /// What the old hook ends with.
    pub(crate) fn restart(&mut self) {
        self.server = None;
        let started = Server::start(&self.layout, "127.0.0.1:80".parse().unwrap(), self.network);
        self.server = Some(started.unwrap());
    }

    /// Saves hooks in the renewal file.
    pub(crate) fn save(&self, lines: &str) {
        let text = fs::read_to_string(self.renewal()).unwrap();
        let saved = format!("[renewalparams]\n{}", self.line(lines));
        fs::write(self.renewal(), text.replace("[renewalparams]\n", &saved)).unwrap();
    }

    /// Writes a script that can be run.
    pub(crate) fn script(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.line(text)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        let base = self.layout.base();
        Settings {
            state_directory: base.join("state").into(),
            runtime_directory: base.join("runtime").into(),
            pid_file: Some(self.layout.pid_file()),
            certbot_directory: self.certbot(),
            ..Settings::default()
        }
    }

    pub(crate) fn observed(&self) -> (server::Server, Observation) {
        let server = server::find(Some(&self.layout.pid_file())).unwrap();
        let observed = observe::observe(&server, Journal::default()).unwrap();
        (server, observed)
    }

    /// What is offered, and told.
    pub(crate) fn adoption(&self) -> Adoption {
        let (_, observed) = self.observed();
        adopt::adoption(&self.settings(), &observed).unwrap()
    }

    /// Does what was offered; Apache's files are not touched.
    pub(crate) fn adopt(&self) -> Adoption {
        let tree = self.tree();
        let adoption = self.adoption();
        let mut ledger = Ledger::open(&self.settings().state_directory).unwrap();
        let changes = adoption.changes.iter().map(|change| PreparedChange::of(change).unwrap());
        ledger.commit(&changes.collect::<Vec<_>>()).unwrap();
        assert_eq!(differing(&tree, &self.tree()), Vec::<PathBuf>::new());
        adoption
    }

    /// `CODE PLACE` of each finding, places below the root.
    pub(crate) fn told(&self, adoption: &Adoption) -> Vec<String> {
        let base = format!("{}/", self.layout.base().display());
        let told = adoption.findings.iter().map(|f| {
            assert!(!f.what.is_empty() && !f.remedy.is_empty());
            format!("{} {}", f.code, f.place.clone().unwrap_or_default().replace(&base, ""))
        });
        told.collect()
    }

    /// The challenge path and the application are answered by the servers behind.
    pub(crate) fn is_proxied(&self) -> bool {
        let door = "127.0.0.1:80".parse().unwrap();
        let says = |path: &str, word: &str| {
            apache::request(door, "one.example.org", path).body.contains(word)
        };
        self.server.is_some()
            && says("/.well-known/acme-challenge/token", "VPS")
            && says("/app", "APP")
    }
}
