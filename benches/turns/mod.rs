//! system: turns of `certbaton-pre-hook` and of an administrator's script on one real Apache.
//!
//! A turn routes the challenge path of three names to this host and is timed
//! from the start of the process to its end, as certbot would wait for it. The
//! way back, and the end of every process of an older generation, is not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use certbaton::base::process::{self, PidFd, Process};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tempfile::TempDir;

use support::apache::backend::{Backend, Protocol};
use support::apache::layout::Layout;
use support::apache::{Answer, Network, Server, request};

/// Who takes a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `certbaton-pre-hook`.
    PreHook,
    /// `benches/administrator`.
    Administrator,
}

/// What one turn took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// From start to exit.
    pub(crate) wall: Duration,
    /// User and system time of all its processes, the keeper's too; Apache's own reload is not in it.
    pub(crate) cpu: Duration,
    /// The keeper's resident memory at its highest, in KiB.
    pub(crate) keeper_peak: Option<u64>,
}

/// A running Apache with some vhosts, each proxying the challenge path to another host.
pub(crate) struct Site {
    layout: Layout,
    server: Server,
    names: Vec<String>,
    _runtime: TempDir,
    _peer: Backend,
}

impl Site {
    /// Lays out `vhosts` vhosts and starts Apache on them; the first, the middle and the last will be switched.
    pub(crate) fn set(vhosts: usize, network: &Network) -> Self {
        // Orphans become ours: that is how the keeper is found, and waited for.
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let layout = Layout::create("event", &MODULES.map(str::to_owned));
        layout.place(Path::new("envvars"), envvars(&layout).as_bytes());
        layout.place(Path::new("conf-available/mpm_event.conf"), MPM_EVENT.as_bytes());
        layout.enable("conf", "mpm_event.conf");
        let name = |number: usize| format!("site-{number:04}.example.org");
        for number in 0..vhosts {
            let file = format!("{}.conf", name(number));
            let text = VHOST.replace("@NAME@", &name(number)).replace("@PEER@", PEER);
            layout.place(&Path::new("sites-available").join(&file), text.as_bytes());
            layout.enable("sites", &file);
        }
        layout.place(&Path::new("www").join(&challenge()[1..]), TOKEN.as_bytes());
        let base = layout.base().to_str().unwrap();
        let runtime =
            tempfile::Builder::new().prefix("certbaton-bench-").tempdir_in("/run").unwrap();
        let config = format!(
            "state-directory = \"{base}/state\"\nruntime-directory = \"{}\"\n\
             [apache]\npid-file = \"{}\"\n[certbot]\nconfig-directory = \"{base}/certbot\"\n",
            runtime.path().display(),
            layout.pid_file().display()
        );
        fs::write(layout.base().join("certbaton.toml"), config).unwrap();
        fs::create_dir(layout.base().join("certbot")).unwrap();
        let peer = Backend::on(PEER, "VPS", Protocol::Http, network);
        let server = Server::start(&layout, ADDRESSES[0], network).unwrap();
        let names = [0, vhosts / 2, vhosts - 1].map(name).to_vec();
        Self { layout, server, names, _runtime: runtime, _peer: peer }
    }

    /// One turn and the way back; panics unless each name was answered as it should be, each time.
    pub(crate) fn turn(&self, contender: Contender) -> Turn {
        let before = self.files();
        let (spent, watch) = (cpu_of_children("self"), Instant::now());
        let run = self.run(&self.line(contender));
        let wall = watch.elapsed();
        let mut cpu = cpu_of_children("self").saturating_sub(spent);
        assert!(run.status.success(), "{contender:?}: {run:?}");
        self.expect_answers(contender, |body| body == TOKEN);
        assert_ne!(self.files(), before, "{contender:?} changed nothing");

        let keeper = self.keeper();
        assert_eq!(keeper.is_some(), contender == Contender::PreHook);
        let keeper_peak = keeper.map(|keeper| {
            cpu += cpu_of(&keeper.pid.to_string());
            peak_memory(keeper.pid)
        });
        self.reset(contender, keeper);
        assert_eq!(self.files(), before, "{contender:?} did not put everything back");
        Turn { wall, cpu, keeper_peak }
    }

    /// Back to the peer, with one generation of Apache's processes left.
    fn reset(&self, contender: Contender, keeper: Option<Process>) {
        let server = i32::try_from(self.server.pid()).unwrap();
        let old = process::children(server).unwrap().into_iter().chain(keeper);
        let old: Vec<PidFd> = old.filter_map(|process| PidFd::open(process).ok()).collect();
        let run = self.run(&self.way_back(contender));
        assert!(run.status.success(), "back from {contender:?}: {run:?}");
        for process in old {
            assert!(process.wait_exit(LIMIT).unwrap(), "{} stays", process.process());
        }
        if let Some(keeper) = keeper {
            waitpid(Pid::from_raw(keeper.pid), None).unwrap();
        }
        let from_peer = |body: &str| body.starts_with("VPS ");
        let since = Instant::now();
        // The script's way back proves nothing: its old generation may still answer.
        while contender == Contender::Administrator
            && self.wrong_answer(from_peer).is_some()
            && since.elapsed() < LIMIT
        {}
        self.expect_answers(contender, from_peer);
    }

    /// What certbot would be given as `--pre-hook`.
    fn line(&self, contender: Contender) -> String {
        let webroot = self.layout.server_root().join("www");
        let webroot = webroot.display();
        match contender {
            Contender::PreHook => {
                let names: Vec<_> = self.names.iter().map(|n| format!("--name {n}")).collect();
                format!(
                    "{PRE_HOOK} --config {} --webroot {webroot} {}",
                    self.config(),
                    names.join(" ")
                )
            }
            Contender::Administrator => {
                format!("{ADMINISTRATOR} local {webroot} {}", self.names.join(" "))
            }
        }
    }

    fn way_back(&self, contender: Contender) -> String {
        match contender {
            Contender::PreHook => format!("{POST_HOOK} --config {}", self.config()),
            Contender::Administrator => {
                format!("{ADMINISTRATOR} peer - {}", self.names.join(" "))
            }
        }
    }

    fn config(&self) -> String {
        self.layout.base().join("certbaton.toml").display().to_string()
    }

    /// certbot runs a hook by the shell and reads what it prints.
    fn run(&self, line: &str) -> Output {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(line).env("APACHE_CONFDIR", self.layout.server_root());
        shell.stdin(Stdio::null()).output().unwrap()
    }

    fn expect_answers(&self, contender: Contender, right: impl Fn(&str) -> bool) {
        let wrong = self.wrong_answer(right);
        assert!(wrong.is_none(), "{contender:?}: {wrong:?}");
    }

    fn wrong_answer(&self, right: impl Fn(&str) -> bool) -> Option<(SocketAddr, &str, Answer)> {
        let everywhere = ADDRESSES.into_iter().flat_map(|address| {
            let answer = move |name| (address, name, request(address, name, &challenge()));
            self.names.iter().map(String::as_str).map(answer)
        });
        everywhere.into_iter().find(|(_, _, answer)| answer.status != 200 || !right(&answer.body))
    }

    fn keeper(&self) -> Option<Process> {
        let own = process::own().unwrap();
        let mut children = process::children(own.pid).unwrap().into_iter();
        let config = self.config();
        children.find(|child| {
            let argv = process::argv(child.pid).unwrap_or_default();
            argv.iter().any(|word| *word == *config) && argv.last().is_some_and(|w| w == "keep")
        })
    }

    fn files(&self) -> Vec<Vec<u8>> {
        let sites: PathBuf = self.layout.server_root().join("sites-available");
        self.names
            .iter()
            .map(|name| fs::read(sites.join(format!("{name}.conf"))).unwrap())
            .collect()
    }
}

/// Fields 14 to 17 of `/proc/PID/stat` (proc_pid_stat(5)).
fn times(pid: &str) -> [Duration; 4] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11);
    [(); 4].map(|()| TICK * fields.next().unwrap().parse::<u32>().unwrap())
}

fn cpu_of(pid: &str) -> Duration {
    times(pid).iter().sum()
}

fn cpu_of_children(pid: &str) -> Duration {
    times(pid)[2..].iter().sum()
}

fn peak_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn envvars(layout: &Layout) -> String {
    let base = layout.base().display();
    format!(
        "export APACHE_RUN_USER=www-data APACHE_RUN_GROUP=www-data LANG=C\n\
         export APACHE_PID_FILE={base}/run/apache2.pid APACHE_RUN_DIR={base}/run\n\
         export APACHE_LOCK_DIR={base}/run APACHE_LOG_DIR={base}/logs\n\
         APACHE_ARGUMENTS='-f {base}/apache/httpd.conf'\n"
    )
}

fn challenge() -> String {
    "/.well-known/acme-challenge/bench_token".to_owned()
}

const PRE_HOOK: &str = env!("CARGO_BIN_EXE_certbaton-pre-hook");
const POST_HOOK: &str = env!("CARGO_BIN_EXE_certbaton-post-hook");
const ADMINISTRATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/administrator");
const TOKEN: &str = "bench_token.local\n";
const PEER: &str = "127.0.0.1:8001";
const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80),
    SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 80),
];

/// `USER_HZ` is 100 on every Linux platform that Debian has.
const TICK: Duration = Duration::from_millis(10);

/// For processes of an old generation to end.
const LIMIT: Duration = Duration::from_secs(30);

/// With those of the layout, what Debian enables by default, and a proxy.
const MODULES: [&str; 8] = [
    "autoindex",
    "deflate",
    "filter",
    "negotiation",
    "proxy",
    "proxy_http",
    "reqtimeout",
    "status",
];

/// Debian's mods-available/mpm_event.conf.
const MPM_EVENT: &str = "StartServers 2
MinSpareThreads 25
MaxSpareThreads 75
ThreadLimit 64
ThreadsPerChild 25
MaxRequestWorkers 150
MaxConnectionsPerChild 0
";

const VHOST: &str = r#"<VirtualHost *:80>
    ServerName @NAME@
    ServerAlias www.@NAME@
    ServerAdmin webmaster@example.org
    DocumentRoot @ROOT@/www
    ErrorLog ${APACHE_LOG_DIR}/error.log
    CustomLog ${APACHE_LOG_DIR}/access.log "%v %h %l %u %t \"%r\" %>s %O"
    <Directory @ROOT@/www>
        Options -Indexes +FollowSymLinks
        AllowOverride None
        Require all granted
    </Directory>
    ProxyPass /.well-known/acme-challenge/ http://@PEER@/.well-known/acme-challenge/
    ProxyPassReverse /.well-known/acme-challenge/ http://@PEER@/.well-known/acme-challenge/
</VirtualHost>
"#;
