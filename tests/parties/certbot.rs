//! certbot itself is asked: what it makes of a command line and of a renewal
//! file, and whether it is found, proven and stopped while it waits for a hook.
//!
//! Debian's certbot is used as it is, with directories of its own and a CA that
//! knows its directory only. Where certbot is not installed, this says so.
mod ancestry;
mod broken;
mod guarded;
mod inherited;
mod real;
mod words;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Debian's.
pub(crate) const CERTBOT: &str = "/usr/bin/certbot";

/// The newest, where the lab has made its image (`tests/lab/parts/packages.sh`).
pub(crate) const NEWEST: &str = "/var/cache/certbaton-lab/certbot-newest/bin/certbot";

pub(crate) fn certbot_is_here() -> bool {
    let here = Path::new(CERTBOT).exists();
    if !here {
        support::say(&format!("skipped: {CERTBOT} is not installed (apt-get install certbot)"));
    }
    here
}

/// Runs a Python program on JSON and takes its JSON.
pub(crate) fn python(program: &str, input: &Value) -> Value {
    let mut child = Command::new(PYTHON)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn home_with_directories() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for directory in ["etc", "work", "logs"] {
        fs::create_dir(home.path().join(directory)).unwrap();
    }
    home
}
