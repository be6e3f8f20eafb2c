//! system: the files of one Apache that is nobody's package, the Apache on them, and `certbaton` beside it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use support::apache::backend::{Backend, Protocol};
use support::apache::layout::replaced;
use support::apache::{APACHE, MODULES, Network, request};

/// A directory that stands for `/`.
pub(crate) struct Tree {
    base: TempDir,
    /// The program, relative to it.
    program: &'static str,
    /// Arguments that say which configuration.
    arguments: Vec<String>,
    pid_file: &'static str,
    _vps: Backend,
}

impl Tree {
    /// Copies of Debian's program and modules, no links: that is where they are.
    pub(crate) fn lay(
        program: &'static str,
        modules: &str,
        pid_file: &'static str,
        network: &Network,
    ) -> Self {
        let base = tempfile::Builder::new()
            .prefix("certbaton-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/var/lib")
            .unwrap();
        let vps = Backend::on("127.0.0.1:8001", "VPS", Protocol::Http, network);
        let tree = Self { base, program, arguments: Vec::new(), pid_file, _vps: vps };
        for directory in [program, pid_file].map(|file| Path::new(file).parent().unwrap()) {
            fs::create_dir_all(tree.path(directory)).unwrap();
        }
        fs::create_dir_all(tree.path(modules)).unwrap();
        fs::copy(APACHE, tree.path(program)).unwrap();
        for module in fs::read_dir(MODULES).unwrap() {
            let module = module.unwrap();
            fs::copy(module.path(), tree.path(modules).join(module.file_name())).unwrap();
        }
        tree.write("www/.well-known/acme-challenge/token", "LOCAL");
        tree.write("certbaton.toml", CERTBATON);
        tree
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.path().join(path)
    }

    /// Writes a file, `@` in it being this tree.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let base = self.base.path().to_str().unwrap();
        fs::write(&path, replaced(text.as_bytes(), "@", base)).unwrap();
    }

    /// Which configuration its Apache has; `@` being this tree.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        let base = self.base.path().to_str().unwrap().to_owned();
        self.arguments = arguments.iter().map(|word| word.replace('@', &base)).collect();
        self
    }

    /// Its Apache's command line.
    pub(crate) fn command_line(&self) -> String {
        format!("{} {}", self.path(self.program).display(), self.arguments.join(" "))
    }

    /// Its Apache, yet to be told what to do.
    pub(crate) fn apache(&self) -> Command {
        let mut command = Command::new(self.path(self.program));
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .current_dir("/");
        command
    }

    /// Starts it as its own `apachectl` would: it leaves for the background.
    pub(crate) fn start(&self) -> i32 {
        let started = self.apache().args(["-k", "start"]).output().unwrap();
        assert!(started.status.success(), "{started:?}");
        self.await_answer();
        self.pid()
    }

    pub(crate) fn await_answer(&self) {
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(address()).is_err() || !self.path(self.pid_file).exists() {
            let log = fs::read_to_string(self.path(self.pid_file).with_file_name("error_log"));
            assert!(Instant::now() < deadline, "no answer: {log:?}");
            std::thread::yield_now();
        }
    }

    /// The pid of its parent process.
    pub(crate) fn pid(&self) -> i32 {
        fs::read_to_string(self.path(self.pid_file)).unwrap().trim().parse().unwrap()
    }

    /// The program just built, told nothing about Apache.
    pub(crate) fn certbaton(&self, words: &[&str]) -> Output {
        self.finish(Command::new(PROGRAM), words)
    }

    /// The same behind another program.
    pub(crate) fn certbaton_by(&self, before: &[&str], words: &[&str]) -> Output {
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg(PROGRAM);
        self.finish(command, words)
    }

    fn finish(&self, mut command: Command, words: &[&str]) -> Output {
        command.arg("--config").arg(self.path("certbaton.toml")).args(words);
        if words.contains(&"local") {
            command.arg("--webroot").arg(self.path("www"));
        }
        command.output().unwrap()
    }

    /// Who answers the challenge path, and everything else.
    pub(crate) fn answers() -> [String; 2] {
        ["/.well-known/acme-challenge/token", "/"]
            .map(|path| request(address(), NAME, path).body.trim().to_owned())
    }

    /// To this host and back by `certbaton`: proven to the requests and to the byte, of the same process.
    pub(crate) fn expect_switched_and_given_back(
        &self,
        site: &str,
        certbaton: &dyn Fn(&[&str]) -> Output,
    ) {
        let (before, pid) = (fs::read(self.path(site)).unwrap(), self.pid());
        let was = Self::answers();
        assert!(was[0].contains("VPS"), "{was:?}");
        let local = certbaton(&["switch", "local", NAME]);
        assert!(local.status.success(), "{local:?}");
        assert_eq!(String::from_utf8_lossy(&local.stderr), "", "nothing is odd here");
        assert_eq!(Self::answers(), ["LOCAL".to_owned(), was[1].clone()]);
        assert_ne!(fs::read(self.path(site)).unwrap(), before);
        let peer = certbaton(&["switch", "peer"]);
        assert!(peer.status.success(), "{peer:?}");
        assert_eq!(Self::answers(), was);
        assert_eq!(fs::read(self.path(site)).unwrap(), before);
        assert_eq!(self.pid(), pid, "never restarted");
        let log = fs::read_to_string(self.path(self.pid_file).with_file_name("error_log")).unwrap();
        assert_eq!(log.to_lowercase().matches("graceful restart").count(), 2, "{log}");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // In our own pid namespace, which ends with the test anyway.
        let pid =
            fs::read_to_string(self.path(self.pid_file)).ok().and_then(|t| t.trim().parse().ok());
        if let Some(pid) = pid {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
    }
}

/// What a switch is refused with.
pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

pub(crate) const NAME: &str = "one.example.org";

/// A vhost as anybody writes it.
pub(crate) const SITE: &str = "<VirtualHost *:80>
    ServerName one.example.org
    DocumentRoot \"@/www\"
    ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8001/.well-known/acme-challenge/
</VirtualHost>
";

const CERTBATON: &str = "state-directory = \"@/state\"\nruntime-directory = \"@/runtime\"\n";

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");

const LIMIT: Duration = Duration::from_secs(10);
