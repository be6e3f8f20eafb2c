//! flow: certbot's directory, broken in one way at a time; no Apache runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use certbaton::base::codes::Code;
use certbaton::base::finding::{Finding, Severity};
use certbaton::check::inspect::inspect;
use certbaton::config::Settings;
use certbaton::fleet::inspection::Answerer;
use tempfile::TempDir;

use support::lineage;

/// A certbot's directory with one lineage, a webroot, and hooks of certbaton's.
struct Place {
    base: TempDir,
}

impl Place {
    fn new() -> Self {
        let builder = tempfile::Builder::new().prefix("certbaton-test-").tempdir_in("/var/lib");
        // Not root: the temporary directory has to do.
        let base = builder.unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let place = Self { base };
        fs::create_dir(place.webroot()).unwrap();
        lineage::make(
            &place.directory(),
            &["a.example.org".into(), "b.example.org".into()],
            &place.webroot(),
        );
        for stage in ["pre", "deploy", "post"] {
            let text = format!("#!/bin/sh\nexec /usr/bin/certbaton-{stage}-hook\n");
            place.script(&format!("renewal-hooks/{stage}/certbaton"), &text);
        }
        place
    }

    fn directory(&self) -> PathBuf {
        self.base.path().join("letsencrypt")
    }

    fn webroot(&self) -> PathBuf {
        self.base.path().join("www")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.directory().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn script(&self, file: &str, text: &str) {
        self.write(file, text);
        fs::set_permissions(self.directory().join(file), fs::Permissions::from_mode(0o755))
            .unwrap();
    }

    fn edit(&self, from: &str, to: &str) {
        let file = self.directory().join(RENEWAL);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// What is found, without what the absence of an Apache and this machine's own timers come to.
    fn findings(&self) -> Vec<Finding> {
        let base = self.base.path();
        let settings = Settings {
            state_directory: base.join("state").into(),
            runtime_directory: base.join("runtime").into(),
            pid_file: Some(base.join("apache2.pid")),
            certbot_directory: self.directory(),
            ..Settings::default()
        };
        let found = inspect(&settings, &[]);
        assert!(found.names.iter().all(|name| name.answerer == Answerer::Nobody));
        let others = [
            Code::ApacheNotRunning,
            Code::TwoTimers,
            Code::TwoCertbots,
            Code::NobodyRenews,
            Code::CertbotMissing,
            Code::Certonly,
            Code::NoRecovery,
            Code::NoDropIn,
        ];
        found.findings.into_iter().filter(|f| !others.contains(&f.code)).collect()
    }

    /// What is found: `!CODE PLACE` for a problem, `CODE PLACE` for a warning.
    fn told(&self) -> Vec<String> {
        let base = format!("{}/", self.directory().display());
        let told = |found: Finding| {
            assert!(!found.what.is_empty() && !found.remedy.is_empty());
            let sign = if found.severity == Severity::Problem { "!" } else { "" };
            let place = found.place.unwrap_or_default().replace(&base, "");
            format!("{sign}{} {place}", found.code)
        };
        self.findings().into_iter().map(told).collect()
    }

    /// `FILE:LINE` of the first line with `text`.
    fn line(&self, file: &str, text: &str) -> String {
        let all = fs::read_to_string(self.directory().join(file)).unwrap();
        let at = all.lines().position(|line| line.contains(text)).unwrap();
        format!("{file}:{}", at + 1)
    }
}

const RENEWAL: &str = "renewal/a.example.org.conf";

#[test]
fn a_healthy_directory_is_silent() {
    let place = Place::new();
    assert_eq!(place.told(), Vec::<String>::new());
    place.script("renewal-hooks/deploy/reload-postfix", "#!/bin/sh\nsystemctl reload postfix\n");
    place.edit("[renewalparams]", "[renewalparams]\nrenew_hook = systemctl reload apache2");
    place.write("cli.ini", "max-log-backups = 0\npreconfigured-renewal = True\n");
    assert_eq!(place.told(), Vec::<String>::new());
}

#[test]
fn each_key_of_a_renewal_file_is_told_by_its_line() {
    let params = |text: &'static str| ("[renewalparams]", text);
    let cases = [
        ("authenticator = webroot", "authenticator = standalone", "!not-webroot", "authenticator"),
        ("authenticator = webroot", "authenticator = apache", "not-webroot", "authenticator"),
        ("authenticator = webroot", "authenticator = manual", "not-webroot", "authenticator"),
        ("acme-v02", "acme-staging-v02", "!staging", "server ="),
        (params("").0, "[renewalparams]\nautorenew = False", "autorenew-off", "autorenew"),
        ("webroot_path = ", "webroot_path = /nowhere", "!webroot-missing", "webroot_path"),
    ];
    for (from, to, code, key) in cases {
        let place = Place::new();
        place.edit(from, to);
        if code == "!webroot-missing" {
            // Names without a place of their own take that of all.
            place.edit("[[webroot_map]]", "[[other_map]]");
        }
        assert_eq!(place.told(), [format!("{code} {}", place.line(RENEWAL, key))], "{to}");
    }
    let place = Place::new();
    place.edit("authenticator = webroot", "authenticator = dns-rfc2136");
    assert_eq!(place.told(), Vec::<String>::new());
}

#[test]
fn a_name_with_a_webroot_of_its_own_is_told_by_its_own_line() {
    let place = Place::new();
    let webroot = place.webroot();
    place.edit(&format!("b.example.org = {}", webroot.display()), "b.example.org = /nowhere");
    let found = place.findings();
    assert_eq!(
        place.told(),
        [format!("!webroot-missing {}", place.line(RENEWAL, "b.example.org = "))]
    );
    assert_eq!(
        found[0].names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["b.example.org"]
    );
}

#[test]
fn hooks_that_certonly_forgets_are_told_unless_files_do_the_same() {
    let place = Place::new();
    let saved = "[renewalparams]\npre_hook = certbaton-pre-hook\npost_hook = certbaton-post-hook";
    place.edit("[renewalparams]", saved);
    assert_eq!(place.told(), Vec::<String>::new());
    fs::remove_dir_all(place.directory().join("renewal-hooks")).unwrap();
    assert_eq!(place.told(), [format!("saved-hooks {}", place.line(RENEWAL, "pre_hook"))]);
}

#[test]
fn hooks_that_switch_restart_or_are_never_run_are_told_by_their_line() {
    let perl = "#!/bin/sh\nperl -pi -e 's/^(\\s*ProxyPass)/#$1/' /etc/apache2/sites-enabled/*.conf\nsystemctl restart apache2\n";
    let cases = [
        ("pre", perl, "other-hook renewal-hooks/pre/x:2"),
        ("deploy", perl, "!deploy-restores renewal-hooks/deploy/x:2"),
        ("post", "#!/bin/sh\na2ensite x\n", "other-hook renewal-hooks/post/x:2"),
        (
            "post",
            "#!/bin/sh\nservice apache2 restart\n",
            "hook-restarts-apache renewal-hooks/post/x:2",
        ),
        ("pre", "#!/bin/sh\nsystemctl stop apache2\n", "!hook-stops-apache renewal-hooks/pre/x:2"),
    ];
    for (stage, text, expected) in cases {
        let place = Place::new();
        place.script(&format!("renewal-hooks/{stage}/x"), text);
        assert_eq!(place.told(), [expected]);
        // A copy that certbot never runs does no harm; `init` leaves old hooks so.
        place.write(&format!("renewal-hooks/{stage}/x~"), text);
        assert_eq!(place.told(), [expected]);
        place.write(&format!("renewal-hooks/{stage}/y~"), "#!/bin/sh\ncp a b\n");
        let harmless = format!("hook-ignored renewal-hooks/{stage}/y~");
        assert!(place.told().contains(&harmless), "{:?}", place.told());
    }
    let place = Place::new();
    let ours = place.directory().join("renewal-hooks/deploy/certbaton");
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o644)).unwrap();
    if nix::unistd::geteuid().is_root() {
        assert_eq!(place.told(), ["!hook-ignored renewal-hooks/deploy/certbaton"]);
    }
}

#[test]
fn a_saved_hook_is_followed_into_the_script_that_it_names() {
    let place = Place::new();
    let script = place.base.path().join("toggle");
    fs::write(
        &script,
        "#!/bin/sh\nsed -i 's/^#ProxyPass/ProxyPass/' /etc/apache2/sites-enabled/a\n",
    )
    .unwrap();
    place
        .edit("[renewalparams]", &format!("[renewalparams]\nrenew_hook = {} on", script.display()));
    assert_eq!(place.told(), [format!("!deploy-restores {}:2", script.display())]);
    let place = Place::new();
    place.edit("[renewalparams]", "[renewalparams]\nrenew_hook = a2ensite proxy");
    assert_eq!(place.told(), [format!("!deploy-restores {}", place.line(RENEWAL, "renew_hook"))]);
}

#[test]
fn several_lineages_are_held_against_each_other() {
    let place = Place::new();
    let second = "renewal/b.example.org.conf";
    let names = ["b.example.org".to_owned(), "a.example.org".to_owned()];
    lineage::make(&place.directory(), &names, &place.webroot());
    assert_eq!(place.told(), [format!("duplicate-lineage {}", place.line(second, "cert ="))]);
    let place = Place::new();
    let names = ["c.example.org".to_owned()];
    let file = lineage::make(&place.directory(), &names, &place.webroot());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("0123456789abcdef", "fedcba9876543210")).unwrap();
    let line = place.line("renewal/c.example.org.conf", "account");
    assert_eq!(place.told(), [format!("another-account {line}")]);
    fs::write(&file, text.replace("https://acme-v02", "https://ca")).unwrap();
    let line = place.line("renewal/c.example.org.conf", "server");
    assert_eq!(place.told(), [format!("another-server {line}")]);
}

#[test]
fn a_broken_file_is_told_by_its_line_and_a_lost_certificate_by_its_path() {
    let place = Place::new();
    place.edit("version = 2.1.0", "<<<<<<< HEAD");
    assert_eq!(place.told(), [format!("!renewal-broken {}", place.line(RENEWAL, "<<<<<<<"))]);
    let place = Place::new();
    fs::remove_file(place.directory().join("archive/a.example.org/cert1.pem")).unwrap();
    let told = place.told();
    assert!(told.len() == 1 && told[0].starts_with("!renewal-broken "), "{told:?}");
}

#[test]
fn an_expired_certificate_is_told() {
    let place = Place::new();
    let archive = place.directory().join("archive/a.example.org");
    lineage::issue_until(&archive, 1, &["a.example.org".into()], "20200101000000Z");
    assert_eq!(place.told(), ["!expired live/a.example.org/cert.pem"]);
}

#[test]
fn settings_of_all_lineages_are_told_by_their_line() {
    let place = Place::new();
    let text =
        "# all\nno-directory-hooks = True\nstaging\ndry-run = true\npost-hook = a2ensite x\n";
    place.write("cli.ini", text);
    let expected =
        ["!hooks-off cli.ini:2", "!staging cli.ini:3", "!dry-run cli.ini:4", "other-hook cli.ini"];
    assert_eq!(place.told(), expected);
    place.write("cli.ini", "no-directory-hooks = false\ndry-run = False\n");
    assert_eq!(place.told(), Vec::<String>::new());
    assert!(Path::new(&place.directory()).exists());
}
