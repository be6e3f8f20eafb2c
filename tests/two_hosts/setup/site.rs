//! flow: one lab, one rule after another, each from machines without certbaton and back to them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;

use crate::host::{Host, Output};
use crate::lab::{Lab, programs, until};
use crate::trials::{Act, Part, told};
use support::apache::snapshot::{Snapshot, differing, taken, timeless};

/// A rule that holds on the machines.
pub(crate) type Rule = (&'static str, fn(&Site));

/// Two machines, and what was on them before.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) lab: Lab,
    before: [Snapshot; 2],
}

/// The lab, from the first rule on.
static SITE: Mutex<Option<Site>> = Mutex::new(None);

/// The part of these rules.
pub(crate) fn part(rules: &[Rule]) -> Part {
    let trial = |&rule: &Rule| {
        let act: Act = Box::new(move || one(rule));
        (rule.0.to_owned(), act)
    };
    Part { name: "setup", trials: rules.iter().map(trial).collect(), down }
}

fn down() {
    if let Some(site) = SITE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        site.lab.down();
    }
}

fn one((_, act): Rule) -> Result<(), Failed> {
    let mut guard = SITE.lock().unwrap_or_else(PoisonError::into_inner);
    let site = &*guard.get_or_insert_with(Site::new);
    let done = catch_unwind(AssertUnwindSafe(|| {
        act(site);
        site.is_as_before();
    }));
    let Err(panic) = done else { return Ok(()) };
    site.clear();
    Err(told(&*panic).into())
}

impl Site {
    fn new() -> Self {
        let lab = Lab::bare();
        for host in [&lab.home, &lab.vps] {
            for program in ["", "-pre-hook", "-deploy-hook", "-post-hook"] {
                copy(host, &format!("certbaton{program}"));
            }
            copy(host, "renew-coordinate");
            // What certbot makes at its first renewal.
            host.sh("rm -rf /etc/letsencrypt/renewal-hooks/deploy /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-");
        }
        let before = [&lab.home, &lab.vps].map(tree);
        Self { lab, before }
    }

    pub(crate) fn hosts(&self) -> [&Host; 2] {
        [&self.lab.home, &self.lab.vps]
    }

    /// Nothing of certbaton's is left, and nothing else is missing.
    pub(crate) fn is_as_before(&self) {
        for (host, before) in self.hosts().into_iter().zip(&self.before) {
            until("the end of certbaton and ssh", || {
                host.processes("certbaton").is_empty() && host.running("ssh").is_empty()
            });
            let now = tree(host);
            let differing: Vec<PathBuf> = differing(before, &now);
            assert!(differing.is_empty(), "on {}: {differing:?}", host.name);
            let left = host.sh("getent passwd certbaton || true; getent group certbaton || true; systemctl list-units --all --plain --no-legend 'certbaton*'; ls -d /run/certbaton* 2> /dev/null || true");
            assert_eq!(left, "", "on {}", host.name);
        }
    }

    /// After a failure.
    fn clear(&self) {
        for (host, before) in self.hosts().into_iter().zip(&self.before) {
            host.run(&["systemctl", "start", "apache2"]);
            host.run(&["certbaton", "uninstall", "--yes"]);
            host.run(&["userdel", "certbaton"]);
            host.run(&["sh", "-c", "chmod 755 /usr/bin/certbot; rm -rf /run/certbaton /var/lib/certbaton /var/lib/certbaton-ssh /etc/certbaton; [ ! -e /root/renewal ] || { rm -rf /etc/letsencrypt/renewal; mv /root/renewal /etc/letsencrypt/renewal; }; [ ! -e /root/apache2 ] || { rm -rf /etc/apache2; mv /root/apache2 /etc/apache2; systemctl reload apache2; }; rm -f /etc/ssh/sshd_config.d/mine.conf; systemctl reload ssh"]);
            for path in tree(host).keys().filter(|path| !before.contains_key(*path)) {
                host.run(&["rm", "-rf", &Path::new("/").join(path).display().to_string()]);
            }
        }
    }
}

/// What is compared: the configuration, certbaton's places, and those of programs.
fn tree(host: &Host) -> Snapshot {
    let mut all = Snapshot::new();
    let state = fs::read_dir(host.path("/var/lib")).unwrap();
    let state = state.map(|entry| Path::new("var/lib").join(entry.unwrap().file_name()));
    // The lab's packages are this host's, and their list is long.
    let state = state.filter(|path| !path.ends_with("dpkg"));
    let roots = ["etc", "var/www", "usr/local", "root"].map(PathBuf::from);
    for root in roots.into_iter().chain(state) {
        for (path, entry) in taken(&host.path("/").join(&root)) {
            all.insert(root.join(path), entry);
        }
    }
    all.retain(|path, _| !IGNORED.iter().any(|ignored| path.starts_with(ignored)));
    // Written anew with the same bytes.
    let mut anew =
        ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"].map(PathBuf::from).to_vec();
    // A switch replaces a site twice.
    anew.extend(all.keys().filter(|path| path.starts_with("etc/apache2/sites-available")).cloned());
    timeless(&all, &anew)
}

/// What renewals, systemd and the tools for users change by themselves.
const IGNORED: [&str; 12] = [
    "etc/letsencrypt/archive",
    "etc/letsencrypt/live",
    "etc/letsencrypt/renewal",
    "etc/letsencrypt/csr",
    "etc/letsencrypt/keys",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/.pwd.lock",
    "var/lib/systemd/timers/stamp-certbot.timer",
    "var/lib/systemd/random-seed",
];

fn copy(host: &Host, program: &str) {
    let to = host.path("/usr/local/bin").join(program);
    fs::copy(programs().join(program), to).unwrap();
}

impl Output {
    /// It ended so, and said all of this.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, parts: &[&str]) -> String {
        let text = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.code(), code, "{text}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        text
    }
}

/// `certbaton` with these words.
pub(crate) fn certbaton(host: &Host, words: &[&str]) -> Output {
    host.run(&[&["certbaton"], words].concat())
}
