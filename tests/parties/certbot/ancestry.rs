//! Which ancestors are certbot: real processes with real locks, of a stand-in.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use certbaton::base::process::{self, Process};
use certbaton::certbot::running;
use certbaton::renewal::guard::ladder;

use crate::certbot::{PYTHON, home_with_directories};

/// A process that waits for its standard input to close, and its children too.
struct Waiting {
    child: Child,
    /// The pid of the hook at the end of the chain.
    hook: i32,
}

impl Waiting {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, hook: line.trim().parse().unwrap() }
    }

    fn process(&self) -> Process {
        process::identify(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// Takes locks as certbot's `lock.py` does and runs a hook as its `misc.py` does.
const LIKE_CERTBOT: &str = r#"
import fcntl, os, signal, subprocess, sys
for number in [1, 2, 15] if "deaf" in sys.argv[0] else []: signal.signal(number, signal.SIG_IGN)
for path in os.environ["LOCKS"].split():
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
if os.environ.get("DELETE"): os.remove(os.environ["DELETE"])
subprocess.run('sh -c "echo \$\$; read x" && true', shell=True)
"#;

/// Starts it under `name`, with its configuration directory in `home`.
fn like_certbot(home: &Path, name: &str, locks: &str, delete: &str) -> Waiting {
    let script = home.join(name);
    fs::write(&script, LIKE_CERTBOT).unwrap();
    let mut command = Command::new(PYTHON);
    command.arg(script).args(["-q", "renew", "--config-dir"]).arg(home.join("etc"));
    command.arg("--work-dir").arg(home.join("work")).arg("--logs-dir").arg(home.join("logs"));
    Waiting::start(command.env("LOCKS", locks).env("DELETE", delete))
}

#[test]
fn an_ancestor_that_holds_certbots_lock_is_found_and_stopped() {
    let home = home_with_directories();
    let lock = home.path().join("work/.certbot.lock");
    let waiting = like_certbot(home.path(), "certbot", lock.to_str().unwrap(), "");
    let certbot = running::find(waiting.hook).unwrap().unwrap().believed().unwrap();
    assert_eq!(certbot, waiting.process());
    assert!(ladder::stop(certbot).unwrap());
    assert!(ladder::stop(certbot).unwrap(), "ended already");
    assert_eq!(process::lock_holder(&lock).unwrap(), None, "the kernel freed the lock");
}

#[test]
fn a_deleted_lock_file_and_any_name_or_directory_hide_no_certbot() {
    let home = home_with_directories();
    let lock = home.path().join("etc/.certbot.lock");
    let lock = lock.to_str().unwrap();
    for (name, deleted) in [("certbot", lock), ("acme.py", lock), ("acme.py", "")] {
        let waiting = like_certbot(home.path(), name, lock, deleted);
        let certbot = running::find(waiting.hook).unwrap().unwrap();
        assert_eq!(certbot.believed(), Ok(waiting.process()), "{name}");
    }
}

#[test]
fn an_ancestor_whose_lock_another_holds_is_not_the_certbot() {
    let home = home_with_directories();
    let lock = home.path().join("logs/.certbot.lock");
    let _holder = like_certbot(home.path(), "other", lock.to_str().unwrap(), "");
    let waiting = like_certbot(home.path(), "certbot", "", "");
    assert_eq!(running::find(waiting.hook).unwrap(), None);
}

#[test]
fn an_open_file_without_a_lock_another_locked_file_or_no_certbot_is_nothing_to_stop() {
    let home = home_with_directories();
    let other = home.path().join("etc/certbot.lock");
    let waiting = like_certbot(home.path(), "certbot", other.to_str().unwrap(), "");
    assert_eq!(running::find(waiting.hook).unwrap(), None);
    let lock = home.path().join("etc/.certbot.lock");
    let open = format!("exec 9>>'{}'; sh -c 'echo $$; read x'; true", lock.display());
    let shell = Waiting::start(Command::new("sh").args(["-c", &open]));
    assert_eq!(running::find(shell.hook).unwrap(), None);
}

#[test]
fn a_certbot_that_ignores_what_can_be_ignored_is_killed() {
    let home = home_with_directories();
    let lock = home.path().join("etc/.certbot.lock");
    let waiting = like_certbot(home.path(), "deaf", lock.to_str().unwrap(), "");
    let certbot = running::find(waiting.hook).unwrap().unwrap().believed().unwrap();
    assert!(ladder::stop(certbot).unwrap());
    assert_eq!(process::lock_holder(&lock).unwrap(), None, "the kernel freed the lock");
}
