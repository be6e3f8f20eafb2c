//! What Apache's tests inherit, looked at while one of them stands still: the caller blocks and ignores every signal
//! that it can, and leaks a pipe and a variable.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::Mode;

use support::apache::layout::Layout;
use support::apache::{self, Server};

const SITE: &str = "<VirtualHost *:80>
    ServerName a.example.org
    ProxyPass / http://127.0.0.1:8002/
</VirtualHost>
";

/// The process that has Apache print what it makes of the files of `base`.
fn asked(base: &str) -> Option<PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    entries.into_iter().find(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(base) && line.contains("DUMP_") && !line.contains("certbaton ")
    })
}

/// The mask of `name` in a `/proc/PID/status`, without the two signals of the C library.
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & !(3 << 31)
}

#[test]
fn apaches_test_below_a_careless_caller_has_clean_signals_and_descriptors() {
    apache::on_a_network("what an Apache inherits", |network| {
        let modules = ["proxy", "proxy_http", "rewrite"].map(str::to_owned);
        let layout = Layout::create("prefork", &modules);
        layout.place(Path::new("sites-available/a.conf"), SITE.as_bytes());
        layout.enable("sites", "a.conf");
        let _server = Server::start(&layout, "127.0.0.1:80".parse().unwrap(), network).unwrap();
        let base = layout.base().display().to_string();
        let config = layout.configure("");
        // Apache opens it, waits for somebody who writes, and then takes no such file.
        let fifo = layout.server_root().join("sites-enabled/b.conf");
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();

        let (leaked, _writer) = nix::unistd::pipe().unwrap();
        let mut shell = Command::new("/bin/sh");
        let ignoring = "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD TSTP; exec \"$@\"";
        shell.args(["-c", ignoring, "sh", env!("CARGO_BIN_EXE_certbaton"), "--config"]);
        shell.arg(&config).args(["switch", "local", "a.example.org", "--dry-run", "--webroot"]);
        shell.arg(layout.server_root().join("www")).env("LEAKED", leaked.as_raw_fd().to_string());
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
        let child = shell.spawn();
        before.thread_set_mask().unwrap();
        let mut child = child.unwrap();

        let deadline = Instant::now() + Duration::from_secs(20);
        let process = loop {
            if let Some(process) = asked(&base) {
                break process;
            }
            assert!(Instant::now() < deadline, "{:?}", child.wait_with_output());
            std::thread::yield_now();
        };
        let status = fs::read_to_string(process.join("status")).unwrap();
        let environment = fs::read_to_string(process.join("environ")).unwrap();
        let open = fs::read_dir(process.join("fd")).unwrap().flatten();
        let open: Vec<PathBuf> = open.filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
        // It goes on, as soon as it waits there.
        let release = || {
            let mut options = fs::OpenOptions::new();
            options.write(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo)
        };
        while child.try_wait().unwrap().is_none() {
            drop(release());
            std::thread::yield_now();
        }
        let said = child.wait_with_output().unwrap();
        assert_ne!(said.status.code(), Some(0), "{said:?}");
        assert_eq!((mask(&status, "SigBlk:"), mask(&status, "SigIgn:")), (0, 0), "{status}");
        // Of the caller's, and of the keeper's own.
        for name in ["LEAKED", "SSL_CERT_FILE", "GLIBC_TUNABLES"] {
            assert!(!environment.contains(name), "{environment}");
        }
        let ours = fs::read_link(format!("/proc/self/fd/{}", leaked.as_raw_fd())).unwrap();
        assert!(!open.contains(&ours), "{open:?}");
    });
}
