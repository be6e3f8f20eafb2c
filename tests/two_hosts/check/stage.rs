//! system: brings the machines into a set-up's state, and back to what they were.

use std::fs;
use std::path::Path;

use crate::check::setup::{Change, On, Setup};
use crate::host::{Host, Started};
use crate::lab::state;
use crate::lab::{Lab, tool, until};

/// The lab, set up as its administrator did, and what makes more of the Internet.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    names: String,
    _elsewhere: Started,
}

/// Addresses of others: one with a web server, one that refuses, one that swallows.
const INTERNET: &str = "
    ip address add 2001:db8::66/64 dev eth0 nodad preferred_lft 0
    ip address add 2001:db8::67/64 dev eth0 nodad preferred_lft 0
    ip address add 2001:db8::68/64 dev eth0 nodad preferred_lft 0
    ip address add 192.0.2.66/24 dev eth0 preferred_lft 0
    nft add table inet internet
    nft 'add chain inet internet in { type filter hook input priority 0; }'
    nft add rule inet internet in ip6 daddr 2001:db8::67 'tcp flags & (syn | ack) == syn' reject with tcp reset
    nft add rule inet internet in ip6 daddr 2001:db8::68 drop";

/// Knows no page, on every address of the Internet's.
const ELSEWHERE: &str = "
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Nothing(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(404)
    def log_message(self, *_): pass
Server(('::', 80), Nothing).serve_forever()";

impl Stage {
    /// Two hosts with one lease and the hooks where certbot looks for them.
    pub(crate) fn new() -> Self {
        let lab = Lab::up();
        let done = tool().arg("lease").output().unwrap();
        assert!(done.status.success(), "lab lease: {done:?}");
        let internet = lab.ca.start(&["sh", "-euc", INTERNET]).ended();
        assert!(internet.status.success(), "{internet:?}");
        let elsewhere = lab.ca.start(&["python3", "-c", ELSEWHERE]);
        for host in [&lab.home, &lab.vps] {
            host.directory_hooks();
            host.sh("rm -rf /root/before /var/www/*/.well-known
                 mkdir -p /root/before
                 cp -a --parents /etc/apache2 /etc/letsencrypt /etc/certbaton /var/www /root/before/");
        }
        let names = fs::read_to_string(names_file()).unwrap();
        let stage = Self { lab, names, _elsewhere: elsewhere };
        // The first lease of an arbiter is granted after a grace.
        stage.lab.vps.sh("certbaton switch peer");
        stage
    }

    pub(crate) fn host(&self, on: On) -> &Host {
        match on {
            On::Home => &self.lab.home,
            On::Vps => &self.lab.vps,
        }
    }

    /// Makes the changes.
    pub(crate) fn set(&self, setup: &Setup) {
        let mut restart = Vec::new();
        for change in setup.changes {
            if let Some(on) = self.make(*change) {
                restart.push(on);
            }
        }
        for on in [On::Home, On::Vps] {
            if restart.contains(&on) {
                self.host(on).sh("systemctl restart apache2");
            }
        }
    }

    /// Makes one change; whose Apache has to know.
    fn make(&self, change: Change) -> Option<On> {
        let (on, file) = match change {
            Change::Edit(on, file, from, to) => {
                self.edit(on, file, |text| {
                    assert!(text.contains(from), "{file} has no {from}");
                    text.replace(from, to)
                });
                (on, file)
            }
            Change::Before(on, file, before, text) => {
                self.edit(on, file, |old| {
                    let at = old.find(before).unwrap_or_else(|| panic!("{file} has no {before}"));
                    let at = old[..at].rfind('\n').map_or(0, |end| end + 1);
                    [&old[..at], text, "\n", &old[at..]].concat()
                });
                (on, file)
            }
            Change::Write(on, file, text) => {
                let directory = Path::new(file).parent().unwrap().display().to_string();
                self.host(on).sh(&format!("mkdir -p {directory}"));
                self.host(on).write(file, text);
                (on, file)
            }
            Change::Run(on, text) => {
                self.host(on).sh(text);
                return None;
            }
            Change::Address(name, addresses) => {
                self.address(name, addresses);
                return None;
            }
            Change::Dnsmasq(option) => {
                dnsmasq(&[option]);
                return None;
            }
        };
        file.starts_with("/etc/apache2/").then_some(on)
    }

    /// As an editor does, through links of the machine's own.
    fn edit(&self, on: On, file: &str, change: impl FnOnce(&str) -> String) {
        let host = self.host(on);
        let real = host.sh(&format!("realpath {file}"));
        host.write(&real, &change(&host.read(&real)));
    }

    fn address(&self, name: &str, addresses: &[&str]) {
        let mine = |line: &&str| line.split(' ').nth(1) == Some(name);
        let mut lines: Vec<String> =
            read_names().lines().filter(|line| !mine(line)).map(str::to_owned).collect();
        lines.extend(addresses.iter().map(|address| format!("{address} {name}")));
        fs::write(names_file(), lines.join("\n") + "\n").unwrap();
        self.await_names(name, addresses);
    }

    /// The name server notices a changed file by itself.
    fn await_names(&self, name: &str, addresses: &[&str]) {
        let mut expected: Vec<&str> = addresses.to_vec();
        expected.sort_unstable();
        until("the name server", || {
            let said = self.lab.ca.start(&["getent", "ahosts", name]).ended().out;
            let stream = said.lines().filter(|line| line.contains("STREAM"));
            let mut found: Vec<&str> =
                stream.filter_map(|line| line.split_whitespace().next()).collect();
            found.sort_unstable();
            found == expected
        });
    }

    /// Undoes whatever a set-up can do.
    pub(crate) fn restore(&self, setup: &Setup) {
        if read_names() != self.names {
            fs::write(names_file(), &self.names).unwrap();
        }
        let mut names = Vec::new();
        for change in setup.changes {
            match change {
                Change::Dnsmasq(_) => dnsmasq(&[]),
                Change::Address(name, _) => names.push(*name),
                _ => {}
            }
        }
        for name in names {
            let own = |line: &&str| line.split(' ').nth(1) == Some(name);
            let addresses: Vec<&str> =
                self.names.lines().filter(own).filter_map(|line| line.split(' ').next()).collect();
            self.await_names(name, &addresses);
        }
        std::thread::scope(|scope| {
            for host in [&self.lab.home, &self.lab.vps] {
                scope.spawn(|| host.sh(RESTORE));
            }
        });
    }
}

/// Everything, whether it was touched or not: a restart takes Apache a tenth of a second.
const RESTORE: &str = "
    nft flush ruleset
    systemctl start ssh.socket 2> /dev/null || systemctl start ssh
    for tree in /etc/apache2 /etc/letsencrypt /etc/certbaton /var/www; do
        rm -rf $tree
        cp -a /root/before$tree $tree
    done
    find /var/lib/certbaton -mindepth 1 ! -path '*/arbiter*' -delete
    rm -rf /srv/* /var/spool/cron /var/lib/apache2/md /root/scenario
    systemctl reset-failed
    systemctl restart apache2";

fn names_file() -> std::path::PathBuf {
    state().join("dns/hosts")
}

fn read_names() -> String {
    fs::read_to_string(names_file()).unwrap()
}

fn dnsmasq(options: &[&str]) {
    let done = tool().arg("dns").args(options).output().unwrap();
    assert!(done.status.success(), "lab dns: {done:?}");
}
