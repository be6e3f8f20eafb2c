//! flow: which certificate Apache serves, and what lies about in its files, on a real Apache.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use certbaton::base::codes::Code;
use certbaton::base::finding::Severity;
use certbaton::check::inspect::inspect;
use certbaton::check::own_report::report;
use certbaton::config::Settings;
use certbaton::fleet::protocol::LookOrder;

use support::apache::layout::Layout;
use support::apache::{Network, Server, on_a_network};
use support::lineage;

/// An Apache with one name on both ports, which certbot renews.
struct Site {
    layout: Layout,
    server: Option<Server>,
}

const SITE: &str = "<VirtualHost *:80>
    ServerName one.example.org
    DocumentRoot @ROOT@/www
</VirtualHost>
Listen 443
<VirtualHost *:443>
    ServerName one.example.org
    DocumentRoot @ROOT@/www
    SSLEngine on
    SSLCertificateFile @LE@/live/one.example.org/fullchain.pem
    SSLCertificateKeyFile @LE@/live/one.example.org/privkey.pem
</VirtualHost>
";

impl Site {
    fn laid_out() -> Self {
        let layout = Layout::create("event", &["ssl".to_owned(), "socache_shmcb".to_owned()]);
        let site = Self { layout, server: None };
        for name in ["one.example.org", "two.example.org"] {
            let webroot = site.layout.server_root().join("www");
            lineage::make(&site.directory(), &[name.to_owned()], &webroot);
        }
        // certbot renews the other one elsewhere.
        fs::remove_file(site.directory().join("renewal/two.example.org.conf")).unwrap();
        site
    }

    fn directory(&self) -> PathBuf {
        self.layout.base().join("letsencrypt")
    }

    /// `SITE` with `from` replaced, served.
    fn serving(from: &str, to: &str, network: &Network) -> Self {
        let mut site = Self::laid_out();
        let directory = site.directory().display().to_string();
        let text = SITE.replace(from, to).replace("@LE@", &directory);
        site.layout.place(Path::new("sites-available/site.conf"), text.as_bytes());
        site.layout.enable("sites", "site.conf");
        site.start(network);
        site.await_tick();
        site
    }

    /// Until a file that is written now is newer than what Apache has loaded: its clock ticks slowly.
    fn await_tick(&self) {
        let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let scratch = self.layout.base().join("scratch");
        loop {
            fs::write(&scratch, "").unwrap();
            if written(&scratch) > written(&self.layout.pid_file()) {
                return;
            }
        }
    }

    fn start(&mut self, network: &Network) {
        let started = Server::start(&self.layout, "127.0.0.1:80".parse().unwrap(), network);
        self.server = Some(started.unwrap());
    }

    fn settings(&self) -> Settings {
        let base = self.layout.base();
        Settings {
            state_directory: base.join("state").into(),
            runtime_directory: base.join("runtime").into(),
            pid_file: Some(self.layout.pid_file()),
            certbot_directory: self.directory(),
            ..Settings::default()
        }
    }

    fn told(&self) -> Vec<String> {
        let others = [
            Code::TwoTimers,
            Code::TwoCertbots,
            Code::NobodyRenews,
            Code::Certonly,
            Code::CertbotMissing,
        ];
        let found = inspect(&self.settings(), &[]).findings.into_iter();
        let found = found.filter(|f| !others.contains(&f.code));
        let root = format!("{}/sites-enabled/", self.layout.server_root().display());
        let told = found.map(|f| {
            let sign = if f.severity == Severity::Problem { "!" } else { "" };
            let place = f.place.unwrap_or_default().replace(&root, "");
            format!("{sign}{} {place}", f.code)
        });
        told.collect()
    }
}

#[test]
fn what_apache_serves_is_held_against_what_certbot_renews() {
    on_a_network("served certificates", |network| {
        let told = |from: &str, to: &str| Site::serving(from, to, network).told();
        let none = Vec::<String>::new();
        assert_eq!(told("", ""), none);
        assert_eq!(told("fullchain.pem", "cert.pem"), ["!incomplete-chain site.conf:10"]);
        let chained = "cert.pem\n    SSLCertificateChainFile @LE@/live/one.example.org/chain.pem";
        assert_eq!(told("fullchain.pem", chained), none);
        assert_eq!(
            told("live/one.example.org", "live/two.example.org"),
            ["!wrong-certificate site.conf:10"]
        );
        let archive =
            told("live/one.example.org/fullchain.pem", "archive/one.example.org/fullchain1.pem");
        assert_eq!(archive, ["archive-file site.conf:10"]);
    });
}

#[test]
fn a_certificate_that_was_renewed_and_never_loaded_is_found() {
    on_a_network("served certificates", |network| {
        let site = Site::serving("", "", network);
        let archive = site.directory().join("archive/one.example.org");
        lineage::issue(&archive, 2, &["one.example.org".to_owned()]);
        for part in ["cert", "privkey", "chain", "fullchain"] {
            let link = site.directory().join(format!("live/one.example.org/{part}.pem"));
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(format!("../../archive/one.example.org/{part}2.pem"), link)
                .unwrap();
        }
        assert_eq!(site.told(), ["!old-certificate site.conf:10"]);
        let other = archive.join("privkey1.pem");
        fs::copy(other, archive.join("privkey2.pem")).unwrap();
        assert_eq!(site.told(), ["!old-certificate site.conf:10", "!key-mismatch site.conf:11"]);
    });
}

/// dnsmasq in the place of this machine's first name server, in a network of its own.
struct NameServer(Child);

impl NameServer {
    /// `None` where it is not installed.
    fn start(record: &str, _network: &Network) -> Option<Self> {
        if !Path::new(DNSMASQ).exists() {
            support::say("skipped: a name that leads here: dnsmasq is not installed");
            return None;
        }
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
        let address = lines.next().map_or("127.0.0.1", str::trim);
        // One of loopback is there already.
        Command::new("ip").args(["address", "add", address, "dev", "lo"]).output().unwrap();
        let mut child = Command::new(DNSMASQ)
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--log-facility=-", "--user=root"])
            .arg(format!("--listen-address={address}"))
            .arg(format!("--host-record={record}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        // Said after it has bound its sockets.
        assert!(said.any(|line| line.contains("started")), "{:?}", child.wait());
        thread::spawn(move || said.count());
        Some(Self(child))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const DNSMASQ: &str = "/usr/sbin/dnsmasq";

#[test]
fn a_name_beside_those_of_the_lineage_is_found_once_it_leads_here() {
    on_a_network("served certificates", |network| {
        let tls = "Listen 443\n<VirtualHost *:443>\n    ServerName one.example.org";
        let more = format!("{tls}\n    ServerAlias extra.example.org");
        let site = Site::serving(tls, &more, network);
        assert_eq!(site.told(), Vec::<String>::new(), "no record leads here");
        let Some(_names) = NameServer::start("extra.example.org,127.0.0.1", network) else {
            return;
        };
        assert_eq!(site.told(), ["!served-not-covered site.conf:11"]);
        let status = report(&site.settings(), LookOrder::Status).findings.into_iter();
        let told: Vec<String> = status
            .filter(|finding| finding.code == Code::ServedNotCovered)
            .map(|finding| finding.names[0].to_string())
            .collect();
        assert_eq!(told, ["extra.example.org"], "the same by status");
    });
}

#[test]
fn copies_and_changes_and_closed_webroots_are_found() {
    on_a_network("served certificates", |network| {
        let site = Site::serving("", "", network);
        let root = site.layout.server_root();
        let enabled = root.join("sites-enabled/site.conf");
        fs::remove_file(&enabled).unwrap();
        fs::copy(root.join("sites-available/site.conf"), &enabled).unwrap();
        assert_eq!(site.told(), ["unloaded-change site.conf", "site-copied site.conf"]);
        drop(site);
        let site = Site::serving("", "", network);
        let enabled = site.layout.server_root().join("sites-enabled");
        fs::write(enabled.join("gone.conf"), "").unwrap();
        fs::remove_file(enabled.join("gone.conf")).unwrap();
        assert_eq!(site.told(), [format!("unloaded-change {}", enabled.display())], "a2dissite");
        drop(site);
        let site = Site::serving("", "", network);
        let www = site.layout.server_root().join("www");
        fs::set_permissions(&www, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(site.told(), [format!("!webroot-unreadable {}", www.display())]);
    });
}

#[test]
fn a_name_that_has_no_vhost_on_port_80_is_told_by_the_one_that_answers() {
    on_a_network("served certificates", |network| {
        let only = (
            "ServerName one.example.org\n    DocumentRoot @ROOT@/www\n</VirtualHost>\nListen",
            "ServerName other.example.org\n    DocumentRoot @ROOT@/other\n</VirtualHost>\nListen",
        );
        assert_eq!(Site::serving(only.0, only.1, network).told(), ["!no-vhost site.conf:1"]);
    });
}
