//! system: the lab of `tests/lab`, brought up once, and taken down however this process ends.
//!
//! What happens on it is in `host`, `ca` and `certbot`.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::ca::Ca;
use super::clean::Expected;
use super::host::Host;

/// The lab of this process, beside whatever else is up.
struct Claim {
    name: String,
    /// Nobody else has it as long as this is locked.
    file: File,
}

static CLAIM: OnceLock<Claim> = OnceLock::new();

/// Has the first lab that no other process has.
///
/// What is found up then was left by one that was killed: nobody's lab is taken down below their feet.
fn claim() -> &'static Claim {
    CLAIM.get_or_init(|| {
        let claims = (1..).map(|number| {
            let name = format!("certbaton-lab-tests-{number}");
            let file = File::create(format!("/run/lock/{name}")).unwrap();
            Claim { name, file }
        });
        claims.into_iter().find(|claim| claim.file.try_lock().is_ok()).unwrap()
    })
}

/// Where it keeps its logs and files.
pub(crate) fn state() -> PathBuf {
    Path::new("/run").join(&claim().name)
}

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

/// Both machines, the CA, and what they are to look like after the scenario.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) home: Host,
    pub(crate) vps: Host,
    pub(crate) ca: Ca,
    /// The certbot of this scenario.
    pub(crate) certbot: &'static str,
    pub(crate) expected: Mutex<Expected>,
    guard: Child,
}

/// The tool, for our own lab.
pub(crate) fn tool() -> Command {
    let mut tool = Command::new(TOOL);
    tool.env("CERTBATON_LAB", &claim().name);
    tool
}

/// Debian's, which certbot.service runs.
pub(crate) const DEBIANS: &str = "/usr/bin/certbot";

/// From PyPI.
pub(crate) const NEWEST: &str = "/opt/certbot-newest/bin/certbot";

/// Why there can be no lab here, if so.
pub(crate) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = ["ID=debian", "VERSION_ID=\"12\""].iter().all(|line| system.contains(line));
    if !debian {
        return Some("not Debian 12".to_owned());
    }
    for program in ["/usr/sbin/apache2", "/usr/bin/pebble", "/usr/bin/systemd-nspawn", DEBIANS] {
        if !Path::new(program).exists() {
            return Some(format!("no {program}: run tests/install-packages"));
        }
    }
    None
}

impl Lab {
    /// Brings it up with the programs just built, installed as a package does.
    pub(crate) fn up() -> Self {
        let lab = Self::bare();
        install();
        lab.furnish();
        lab
    }

    /// Brings it up; what a killed test run left goes first.
    pub(crate) fn bare() -> Self {
        if state().exists() {
            assert!(tool().arg("down").status().unwrap().success(), "an earlier lab stays up");
        }
        let up = tool().arg("up").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&up.stderr);
        assert!(up.status.success(), "lab up: {said}");
        let guard = guard();
        Self {
            home: Host::new("home"),
            vps: Host::new("vps"),
            ca: Ca::new(&state()),
            certbot: DEBIANS,
            expected: Mutex::default(),
            guard,
        }
    }

    /// The end of the guard's input is what it waits for.
    pub(crate) fn down(mut self) {
        drop(self.guard.stdin.take());
        let done = self.guard.wait().unwrap();
        assert!(done.success(), "lab down: {done}");
    }
}

/// Installs the programs just built on both machines, as a package does.
pub(crate) fn install() {
    let installed = tool().arg("install").arg(programs()).status().unwrap();
    assert!(installed.success());
}

/// Where the programs just built are.
pub(crate) fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_certbaton")).parent().unwrap()
}

/// Takes the lab down when this process ends, by whatever; the claim ends with that.
fn guard() -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' INT TERM HUP; read -r _; exec \"$0\" down 2> /dev/null", TOOL]);
    shell.env("CERTBATON_LAB", &claim().name);
    shell.stdin(Stdio::piped()).stdout(claim().file.try_clone().unwrap()).stderr(Stdio::null());
    // Out of the group that an interrupt or a time limit ends.
    shell.process_group(0);
    shell.spawn().unwrap()
}

/// Waits until `condition` holds, or fails.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(what, Duration::from_mins(1), condition);
}

/// The same, with its own limit.
pub(crate) fn until_within(what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {time:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
