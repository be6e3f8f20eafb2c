//! system: a real Apache of a test's own, in a network namespace of its own.
//!
//! Nothing of the machine's own web server is read or touched: `ServerRoot`,
//! pid file, logs and port 80 are private, and whatever was started is stopped
//! by pid. Needs root, Debian's apache2 and `ip`; [`unavailable`] says what is
//! missing.

pub mod backend;
pub mod layout;
pub mod snapshot;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::fd::AsFd;

use layout::Layout;

/// Debian's binary.
pub const APACHE: &str = "/usr/sbin/apache2";

/// Debian's modules.
pub const MODULES: &str = "/usr/lib/apache2/modules";

/// Why these tests cannot run here; `None` when they can.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root: no network namespace, no port 80".into());
    }
    if !Path::new(APACHE).exists() {
        return Some(format!("{APACHE} is missing: apt-get install apache2"));
    }
    let alone = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("no network namespace: {e}"))?;
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).output();
        match up {
            Ok(up) if up.status.success() => Ok(()),
            Ok(up) => Err(format!("ip link: {}", String::from_utf8_lossy(&up.stderr))),
            Err(e) => Err(format!("ip is missing: apt-get install iproute2 ({e})")),
        }
    });
    alone.join().unwrap().err()
}

/// Proof that the calling thread is in a network namespace of its own.
///
/// Threads and programs it starts are in it too; the kernel removes it when
/// the last of them has ended.
pub struct Network(());

/// Runs `work` on a new thread in a new network namespace with `lo` up.
pub fn in_private_network<T: Send>(work: impl FnOnce(&Network) -> T + Send) -> T {
    let entered = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success(), "ip link set lo up: {up}");
        work(&Network(()))
    };
    thread::scope(|scope| match scope.spawn(entered).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The same, where that is possible; else says why `what` is skipped.
pub fn on_a_network(what: &str, work: impl FnOnce(&Network) + Send) {
    match unavailable() {
        Some(reason) => crate::say(&format!("skipped: {what}: {reason}")),
        None => in_private_network(work),
    }
}

/// A running Apache; stopped when dropped.
pub struct Server {
    parent: Child,
    pid_file: PathBuf,
    error_log: PathBuf,
}

impl Server {
    /// Starts Apache on `layout` as Debian's `apache2ctl` does, but in the
    /// foreground, and waits until it accepts connections on `ready`.
    ///
    /// The error is what Apache said when it ended instead.
    pub fn start(layout: &Layout, ready: SocketAddr, _network: &Network) -> Result<Self, String> {
        let parent = layout
            .tethered()
            .args(["-k", "start", "-DFOREGROUND"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server =
            Self { parent, pid_file: layout.pid_file(), error_log: layout.error_log() };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect_timeout(&ready, ANSWER_LIMIT).is_err() || !server.pid_file.exists()
        {
            if server.ended_within(Duration::from_millis(2)) || Instant::now() > deadline {
                let mut said = String::new();
                server.parent.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                return Err(format!("{said}{}", server.errors()));
            }
        }
        Ok(server)
    }

    /// The pid of the parent process.
    pub fn pid(&self) -> u32 {
        self.parent.id()
    }

    /// True as long as the process that was started is the running server.
    pub fn is_the_same(&mut self) -> bool {
        let named = fs::read_to_string(&self.pid_file).unwrap_or_default();
        named.trim() == self.pid().to_string() && self.parent.try_wait().unwrap().is_none()
    }

    /// What the error log holds.
    pub fn errors(&self) -> String {
        fs::read(&self.error_log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let pid = rustix::process::Pid::from_child(&self.parent);
        let watched =
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let mut waited = [PollFd::new(watched.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap();
        poll(&mut waited, limit).unwrap_or(0) > 0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child is ours and not yet reaped, so its pid (and group, see
        // `Layout::tethered`) cannot be somebody else's.
        if self.parent.try_wait().unwrap().is_some() {
            return;
        }
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        if !self.ended_within(STOP_LIMIT) {
            killpg(pid, Signal::SIGKILL).unwrap();
        }
        self.parent.wait().unwrap();
    }
}

/// One HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code; 0 when there was no answer.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
}

/// Asks `address` for `path` of `host` on a new connection.
///
/// HTTP/1.0, so that the answer is never chunked. No answer is status 0 with
/// the reason as body.
pub fn request(address: SocketAddr, host: &str, path: &str) -> Answer {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(bytes) => parsed(&String::from_utf8_lossy(&bytes)),
        Err(e) => Answer { status: 0, location: None, content_type: None, body: e.to_string() },
    }
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let field = |wanted: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    Answer {
        status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0),
        location: field("location"),
        content_type: field("content-type"),
        body: body.to_owned(),
    }
}

/// Runs Apache's own check of `layout`.
pub fn configtest(layout: &Layout) -> Output {
    layout.command().arg("-t").output().unwrap()
}

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
