//! flow: Apache as others than Debian lay it out, each for real: found, switched, reloaded, given back.
//!
//! Each test is in pid, mount and network namespaces of its own, so that its
//! Apache is the only one there and is found without a word in the configuration.
//! Where Apache or root is missing this says so on stderr and skips.

mod container;
mod fedora;
mod prefix;
mod stranger;
mod tree;

use std::process::Command;

use support::apache;
use support::apache::Network;

/// Runs `work` where nothing else of this host is: this program once more, as the first process of its namespaces.
fn alone(test: &str, work: fn(&Network)) {
    if std::env::var_os(INSIDE).is_some() {
        return apache::in_private_network(work);
    }
    if let Some(reason) = apache::unavailable() {
        return support::say(&format!("skipped: {test}: {reason}"));
    }
    let this = std::env::current_exe().unwrap();
    let mut inside = Command::new("/usr/bin/unshare");
    inside.args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    inside.arg(this).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    let done = inside.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

const INSIDE: &str = "CERTBATON_TEST_INSIDE";
