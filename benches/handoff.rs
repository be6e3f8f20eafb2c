//! flow: from one holder's release to the next one's grant, against flock(1), through one real sshd.
//!
//! `cargo bench --bench handoff [-- TURNS]`. By turns in one run; says the
//! medians and their ratio, and exits with 1 if that is above 1.5.

#![expect(clippy::disallowed_methods, reason = "a benchmark owns its processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may be blunt")]

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";
const LIMIT: f64 = 1.5;

fn main() -> ExitCode {
    let numbers = std::env::args().skip(1).filter(|word| word != "--bench");
    let turns = numbers.map(|word| word.parse().unwrap()).next().unwrap_or(25);
    if !Path::new(SSHD).exists() || !nix::unistd::geteuid().is_root() {
        println!("cannot run: it takes root and {SSHD}");
        return ExitCode::from(2);
    }
    let server = Server::start();
    let (mut lease, mut flock) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        lease.push(server.handoff(
            &server.lease(),
            |who| acquire(turn, who),
            "\"release\"\n",
            "granted",
        ));
        flock.push(server.handoff(&server.flock(), |_| String::new(), "done\n", "granted"));
    }
    let (lease, flock) = (median(lease), median(flock));
    let ratio = lease / flock;
    println!("{turns} turns: certbaton {:.2} ms, flock {:.2} ms", lease * 1e3, flock * 1e3);
    println!("ratio {ratio:.2}");
    ExitCode::from(u8::from(ratio > LIMIT))
}

fn acquire(turn: u32, who: u32) -> String {
    let purpose = r#"{"host":"h","pid":1,"why":"bench"}"#;
    format!(
        "{{\"acquire\":{{\"request\":\"{turn}-{who}\",\"floor\":0,\"held\":null,\"purpose\":{purpose}}}}}\n"
    )
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    f64::midpoint(numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2])
}

/// An sshd of our own, on a port of its own, with keys of its own.
struct Server {
    directory: tempfile::TempDir,
    port: u16,
    sshd: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.sshd.kill().ok();
        self.sshd.wait().ok();
    }
}

/// One connection.
struct Caller {
    ssh: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Caller {
    fn hear(&mut self, word: &str) {
        while !self.output.next().unwrap().unwrap().contains(word) {}
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.ssh.kill().ok();
        self.ssh.wait().ok();
    }
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for key in ["host", "key"] {
            let made = Command::new("/usr/bin/ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key))
                .status();
            assert!(made.unwrap().success());
        }
        fs::create_dir_all("/run/sshd").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = directory.path().display();
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {root}/host\nAuthorizedKeysFile {root}/key.pub\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        );
        fs::write(at("sshd_config"), text).unwrap();
        let text =
            format!("state-directory = \"{root}/state\"\nruntime-directory = \"{root}/run\"\n");
        fs::write(at("config.toml"), text).unwrap();
        let sshd = Command::new(SSHD)
            .args(["-D", "-f"])
            .arg(at("sshd_config"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "sshd does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Self { directory, port, sshd }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn lease(&self) -> String {
        let program = env!("CARGO_BIN_EXE_certbaton");
        format!("exec {program} --config {} serve --as bench", self.path("config.toml").display())
    }

    fn flock(&self) -> String {
        let lock = self.path("flock");
        format!("exec flock {} sh -c 'echo granted; read word'", lock.display())
    }

    fn connect(&self, command: &str) -> Caller {
        let mut ssh = Command::new("/usr/bin/ssh")
            .args(["-T", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i"])
            .arg(self.path("key"))
            .args(["-p", &self.port.to_string(), "root@127.0.0.1", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
        Caller { ssh, input, output: BufReader::new(output).lines() }
    }

    /// One holds, one waits; seconds from the word of the one to the grant of the other.
    fn handoff(&self, command: &str, ask: impl Fn(u32) -> String, done: &str, word: &str) -> f64 {
        let mut holder = self.connect(command);
        holder.input.write_all(ask(0).as_bytes()).unwrap();
        holder.hear(word);
        let mut next = self.connect(command);
        next.input.write_all(ask(1).as_bytes()).unwrap();
        // flock(1) does not say that it waits.
        thread::sleep(Duration::from_millis(500));
        let begin = Instant::now();
        holder.input.write_all(done.as_bytes()).unwrap();
        next.hear(word);
        let taken = begin.elapsed().as_secs_f64();
        next.input.write_all(done.as_bytes()).unwrap();
        next.output.next();
        taken
    }
}
