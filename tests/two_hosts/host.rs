//! system: one machine of the lab: programs run on it, its files, its processes, its journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lab::{tool, until};

/// A machine.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: &'static str,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A program under way on a machine.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
}

impl Host {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// Starts a program, its words as they are.
    pub(crate) fn start(&self, words: &[impl AsRef<str>]) -> Started {
        let mut on = tool();
        on.args(["on", self.name]).args(words.iter().map(AsRef::as_ref));
        on.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Started { child: on.spawn().unwrap() }
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, words: &[impl AsRef<str>]) -> Output {
        self.start(words).ended()
    }

    /// Runs a shell's text, which must succeed; what it prints.
    pub(crate) fn sh(&self, text: &str) -> String {
        let done = self.run(&["sh", "-euc", text]);
        assert!(done.status.success(), "on {}: {text}\n{done:?}", self.name);
        done.out.trim_end().to_owned()
    }

    /// Its root directory; links in it that are absolute lead out.
    pub(crate) fn root(&self) -> PathBuf {
        let root = tool().args(["root", self.name]).output().unwrap();
        assert!(root.status.success(), "{root:?}");
        String::from_utf8(root.stdout).unwrap().trim_end().into()
    }

    /// A power cut, and what follows.
    pub(crate) fn power_cycle(&self) {
        self.power(false);
        self.power(true);
    }

    /// Cuts its power, or gives it back and waits for its boot.
    pub(crate) fn power(&self, on: bool) {
        let verb = if on { "boot" } else { "cut" };
        let done = tool().args([verb, self.name]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// One of its files.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Replaces text in a file, as an editor does.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from}");
        self.write(path, &text.replace(from, to));
    }

    /// Writes a program.
    pub(crate) fn script(&self, path: &str, text: &str) {
        self.write(path, text);
        self.sh(&format!("chmod 755 {path}"));
    }

    /// Adds a site as an administrator does, not yet loaded.
    pub(crate) fn site(&self, name: &str, text: &str) {
        self.write(&format!("/etc/apache2/sites-available/{name}.conf"), text);
        self.sh(&format!("a2ensite -q {name} > /dev/null"));
    }

    /// Has Apache load what the files say.
    pub(crate) fn reload(&self) {
        let before = self.reloads();
        self.sh("systemctl reload apache2");
        until("apache's reload", || self.reloads() > before);
    }

    /// How often Apache was reloaded since its log began.
    pub(crate) fn reloads(&self) -> usize {
        self.read("/var/log/apache2/error.log").matches("Doing graceful restart").count()
    }

    /// Apache's parent process, as the machine numbers it.
    pub(crate) fn apache(&self) -> Option<String> {
        let pid = fs::read_to_string(self.path("/run/apache2/apache2.pid")).ok()?;
        let pid = pid.trim().to_owned();
        self.root().join("proc").join(&pid).exists().then_some(pid)
    }

    /// The serial of the certificate on disk.
    pub(crate) fn serial(&self, lineage: &str) -> String {
        self.sh(&format!(
            "openssl x509 -noout -serial -in /etc/letsencrypt/live/{lineage}/cert.pem"
        ))
    }

    /// Its live processes whose command line contains `text`, as this host numbers them.
    pub(crate) fn processes(&self, text: &str) -> Vec<Pid> {
        let words = |pid: &Pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = |pid: &Pid| String::from_utf8_lossy(&words(pid)).replace('\0', " ");
        self.alive().into_iter().filter(|pid| line(pid).contains(text)).collect()
    }

    /// Its live processes that run this program, or are called so: a hook becomes `certbaton`.
    pub(crate) fn running(&self, program: &str) -> Vec<Pid> {
        let runs = |pid: &Pid| {
            let link = fs::read_link(format!("/proc/{pid}/exe"));
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
            link.is_ok_and(|exe| exe.ends_with(program)) || first == program.as_bytes()
        };
        self.alive().into_iter().filter(runs).collect()
    }

    /// Waits until nothing of certbaton's is at work there: what it logs and writes by then is all.
    ///
    /// The end of certbot is not that of the keeper, nor of who saw it stopped and says so.
    pub(crate) fn at_rest(&self) {
        let hooks = ["certbaton-pre-hook", "certbaton-deploy-hook", "certbaton-post-hook"];
        let what = format!("the end of all that is certbaton's on {}", self.name);
        until(&what, || {
            self.running("certbaton").is_empty()
                && hooks.iter().all(|hook| self.running(hook).is_empty())
        });
    }

    fn alive(&self) -> Vec<Pid> {
        let namespace = fs::read_link(self.root().with_file_name("ns/pid")).unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let here = entries.filter(|e| {
            fs::read_link(e.path().join("ns/pid")).is_ok_and(|found| found == namespace)
        });
        here.filter_map(|e| e.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
    }

    /// The one process that runs this program, as soon as there is one.
    pub(crate) fn process(&self, program: &str) -> Pid {
        let mut found = Vec::new();
        until(program, || {
            found = self.running(program);
            found.len() == 1
        });
        found[0]
    }

    /// The keeper of the run under way.
    pub(crate) fn keeper(&self) -> Pid {
        let mut found = Vec::new();
        until("the keeper", || {
            found = self.keepers();
            found.len() == 1
        });
        found[0]
    }

    /// All keepers; each pre-hook that waits has `certbaton` running too.
    pub(crate) fn keepers(&self) -> Vec<Pid> {
        let named = self.processes("certbaton keep");
        let mut found = self.running("certbaton");
        found.retain(|pid| named.contains(pid));
        found
    }

    /// Where the journal ends now.
    pub(crate) fn cursor(&self) -> String {
        let shown = self.sh("journalctl --sync; journalctl -q -n 0 --show-cursor");
        shown.trim().trim_start_matches("-- cursor: ").to_owned()
    }

    /// What certbaton said in the journal since.
    pub(crate) fn journal(&self, cursor: &str) -> String {
        let said: Vec<String> = self.entries(cursor).into_iter().map(|(_, text)| text).collect();
        said.join("\n")
    }

    /// The same, with the microsecond of each.
    pub(crate) fn entries(&self, cursor: &str) -> Vec<(u64, String)> {
        self.logged(cursor, "SYSLOG_IDENTIFIER", |by| by.starts_with("certbaton"))
    }

    /// What was logged since with a field that is as it has to be, and the microsecond of each.
    ///
    /// journalctl is asked for all of it: with a match, `--after-cursor` leaves out the first one. The field is one that
    /// the program itself sends. What journald adds by the pid, the unit above all, it cannot know of a program that has
    /// ended by the time it reads (systemd.journal-fields(7), trusted fields).
    pub(crate) fn logged(
        &self,
        cursor: &str,
        field: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> Vec<(u64, String)> {
        let text = self.sh(&format!(
            "journalctl --sync; journalctl -q --no-pager -o json --after-cursor '{cursor}' \
             --output-fields=MESSAGE,{field}"
        ));
        let entries = text.lines().map(serde_json::from_str::<serde_json::Value>);
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let at = entry["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
                let said = entry["MESSAGE"].as_str()?.to_owned();
                is_it(entry[field].as_str()?).then_some((at, said))
            })
            .collect()
    }
}

impl Started {
    /// The program itself, as this host numbers it.
    pub(crate) fn pid(&self) -> Pid {
        let entered = self.child.id();
        let path = PathBuf::from(format!("/proc/{entered}/task/{entered}/children"));
        let mut pid = None;
        until("the program to start", || {
            let children = fs::read_to_string(&path).unwrap_or_default();
            pid = children.split_whitespace().next().and_then(|child| child.parse().ok());
            // nsenter's child has become the program when env has run.
            pid.is_some_and(|pid: i32| {
                let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
                !["nsenter", "setpriv", "env"]
                    .iter()
                    .any(|n| program == Path::new("/usr/bin").join(n))
            })
        });
        Pid::from_raw(pid.unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the program's end and that of all who hold its pipes.
    pub(crate) fn ended(self) -> Output {
        // nsenter stops with the program that it waits for, and does not go on with it.
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGCONT).ok();
        let output = self.child.wait_with_output().unwrap();
        Output {
            status: output.status,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Output {
    /// The exit code, or 128 and the signal, as a shell says it.
    pub(crate) fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().or_else(|| self.status.signal().map(|s| 128 + s)).unwrap()
    }

    /// What it printed, wherever a terminal's width folded it.
    pub(crate) fn unfolded(&self) -> String {
        self.out.split_whitespace().collect::<Vec<&str>>().join(" ")
    }
}
