//! flow: the state that every scenario starts from, must end in, and is brought back to if it did not.
//!
//! Of the configuration: bytes, links, modes, owners, and the times of all files but those that a switch replaces.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::host::Host;
use super::lab::{Lab, until};
use support::apache::snapshot::{Snapshot, differing, taken, timeless};

/// The names of the lab.
pub(crate) const NAMES: [&str; 4] =
    ["cloud.example.org", "www.cloud.example.org", "git.example.org", "wiki.example.org"];

/// Their lineages.
pub(crate) const LINEAGES: [&str; 3] = ["cloud.example.org", "git.example.org", "wiki.example.org"];

/// What the machines are to look like at the end of the scenario.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    trees: BTreeMap<(&'static str, &'static str), Snapshot>,
    parents: Vec<Option<String>>,
    untouched: bool,
    answers: Vec<String>,
}

/// For a keeper to give the lease back, also to an arbiter that does not answer.
const SETTLED: Duration = Duration::from_secs(30);

const TREES: [&str; 2] = ["/etc/apache2", "/var/www"];

impl Lab {
    /// Tells the machines apart on the challenge path, and keeps a copy of everything.
    pub(crate) fn furnish(&self) {
        for host in [&self.home, &self.vps] {
            let name = host.name;
            host.sh(&format!(
                "for root in /var/www/*/; do
                     mkdir -p $root/.well-known/acme-challenge
                     echo {name} > $root/.well-known/acme-challenge/who
                 done
                 mkdir -p /root/before /etc/letsencrypt/renewal-hooks/pre \\
                     /etc/letsencrypt/renewal-hooks/deploy /etc/letsencrypt/renewal-hooks/post
                 cp -a /etc/apache2 /var/www /etc/letsencrypt/renewal /root/before/"
            ));
        }
    }

    /// Notes what the machines are to look like: now, and again after an administrator's edit.
    pub(crate) fn note(&self) {
        let mut expected = self.expected.lock().unwrap();
        expected.trees = self.trees();
        expected.parents = self.parents();
        expected.answers = self.ca.answers(&NAMES);
    }

    /// A clean state, asserted.
    pub(crate) fn begin(&self) {
        *self.expected.lock().unwrap() = Expected::default();
        self.note();
        assert_eq!(self.expected.lock().unwrap().answers, ["vps"; 4], "routes before");
    }

    /// Not even the times of the vhosts' files may change in this scenario.
    pub(crate) fn expect_untouched(&self) {
        self.expected.lock().unwrap().untouched = true;
    }

    /// Apache was started anew by the scenario itself.
    pub(crate) fn expect_another_apache(&self) {
        self.expected.lock().unwrap().parents = self.parents();
    }

    /// Waits for what ends by itself after a scenario, as a keeper that has answered its last hook; what does not end,
    /// `problems` tells.
    pub(crate) fn wait_for_ends(&self) {
        let deadline = Instant::now() + SETTLED;
        let is_settled = || [&self.home, &self.vps].into_iter().all(|h| left_behind(h).is_empty());
        while !is_settled() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that is not as it is to be.
    pub(crate) fn problems(&self) -> Vec<String> {
        let expected = self.expected.lock().unwrap();
        let mut problems = Vec::new();
        for ((host, root), now) in self.trees() {
            let before = &expected.trees[&(host, root)];
            let switched: Vec<PathBuf> = now
                .keys()
                .filter(|p| {
                    host == "home" && p.starts_with("sites-available")
                        || p.starts_with("sites-enabled")
                })
                .cloned()
                .collect();
            let timed = if expected.untouched { &[][..] } else { &switched };
            let changed = differing(&timeless(before, timed), &timeless(&now, timed));
            problems
                .extend(changed.iter().map(|p| format!("{host}: {root}/{} differs", p.display())));
        }
        if self.parents() != expected.parents {
            problems.push("apache is another process".to_owned());
        }
        if self.ca.answers(&NAMES) != expected.answers {
            problems
                .push(format!("the challenge path is answered by {:?}", self.ca.answers(&NAMES)));
        }
        for host in [&self.home, &self.vps] {
            problems.extend(left_behind(host));
        }
        problems
    }

    fn trees(&self) -> BTreeMap<(&'static str, &'static str), Snapshot> {
        let mut trees = BTreeMap::new();
        for host in [&self.home, &self.vps] {
            trees.extend(TREES.map(|tree| ((host.name, tree), taken(&host.path(tree)))));
        }
        trees
    }

    fn parents(&self) -> Vec<Option<String>> {
        [&self.home, &self.vps].map(Host::apache).to_vec()
    }

    /// Brings back what every scenario starts from; `failed` ends what a failed one left running.
    pub(crate) fn reset(&self, failed: bool) {
        self.ca.release();
        for host in [&self.home, &self.vps] {
            if failed {
                fs::write(host.path("/sys/fs/cgroup/lab-on/cgroup.kill"), "1").ok();
                host.run(&["pkill", "-CONT", "apache2"]);
                host.run(&["systemctl", "stop", "certbot.service"]);
                host.run(&["certbaton", "recover"]);
            }
        }
        if failed {
            // What is killed has its files open for a while.
            self.wait_for_ends();
        }
        for host in [&self.home, &self.vps] {
            restore(host);
        }
        until("the routes of before", || self.ca.answers(&NAMES) == ["vps"; 4]);
    }
}

/// What a run must not leave behind, but has.
fn left_behind(host: &Host) -> Vec<String> {
    let mut left = Vec::new();
    let said = host.sh(
        "[ ! -e /run/certbaton/lease.lock ] || flock -n /run/certbaton/lease.lock true || echo the lease is held
         [ ! -e /run/certbaton/switch.lock ] || flock -n /run/certbaton/switch.lock true || echo the switch is locked
         ! ls -A /var/lib/certbaton 2> /dev/null | grep -vxe last-switch.json -e arbiter -e token-seen -e history.jsonl -e peers -e said.json || echo the above in /var/lib/certbaton
         [ ! -e /run/certbaton/keeper.sock ] || echo a socket of the keeper",
    );
    left.extend(said.lines().map(|line| format!("{}: {line}", host.name)));
    for program in ["certbaton", "/usr/bin/certbot", "/opt/certbot"] {
        let alive = host.processes(program);
        left.extend(alive.iter().map(|pid| format!("{}: {program} runs as {pid}", host.name)));
    }
    left
}

fn restore(host: &Host) {
    let tree = |path: &str| timeless_tree(&host.path(path));
    let mut reload = false;
    for (path, copy) in [("/etc/apache2", "/root/before/apache2"), ("/var/www", "/root/before/www")]
    {
        if tree(path) != tree(copy) {
            host.sh(&format!("rm -rf {path} && cp -a {copy} {path}"));
            reload = path == "/etc/apache2";
        }
    }
    host.sh("rm -rf /run/armed /run/paused /run/routes /root/scenario /etc/certbaton
         find /var/lib/certbaton -mindepth 1 ! -path '*/arbiter*' -delete
         find /etc/letsencrypt/renewal-hooks -type f -delete
         cd /etc/letsencrypt
         for conf in renewal/*.conf; do
             name=$(basename $conf .conf)
             [ -e /root/before/renewal/$name.conf ] || rm -rf live/$name archive/$name $conf
         done
         cp -a /root/before/renewal/. renewal/
         systemctl reset-failed
         systemctl start apache2");
    if reload {
        host.reload();
    }
}

fn timeless_tree(root: &Path) -> Snapshot {
    let tree = taken(root);
    let all: Vec<PathBuf> = tree.keys().cloned().collect();
    timeless(&tree, &all)
}
