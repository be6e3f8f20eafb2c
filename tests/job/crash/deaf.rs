//! test: nobody reads what the programs tell the log.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::crash::bench::{Bench, Goal};
use crate::crash::keepers::{as_before_soon, config, pre};
use crate::crash::on_a_bench;
use support::ensure;

/// A journal's socket that is full, and how to run `then` where it is the journal's.
fn beside_a_deaf_log(bench: &Bench, then: &str) -> (UnixDatagram, Command) {
    let directory = bench.layout.base().join("journal");
    fs::create_dir_all(&directory).unwrap();
    let socket = directory.join("socket");
    fs::remove_file(&socket).ok();
    let daemon = UnixDatagram::bind(&socket).unwrap();
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"MESSAGE=x\n", &socket).is_ok() {}
    // In a mount namespace of its own; a machine without systemd has no such directory.
    let text = format!(
        "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&\n\
         mount --bind '{}' /run/systemd/journal && {then}",
        directory.display()
    );
    // A script is a client by itself (`sh -c` is not).
    let script = bench.layout.base().join("beside");
    fs::write(&script, text).unwrap();
    let mut command = Command::new("/usr/bin/timeout");
    command.args(["--signal=KILL", "60", "/usr/bin/unshare", "--mount", "/bin/sh"]).arg(script);
    (daemon, command)
}

#[test]
fn a_log_that_is_not_read_keeps_no_route_local() {
    on_a_bench(|bench| {
        let words = |bench: &Bench, goal| bench.arguments(goal).join(" ");
        for goal in [Goal::Peer, Goal::Recover] {
            bench.done(Goal::Local)?;
            let (_daemon, mut command) = beside_a_deaf_log(bench, &words(bench, goal));
            let output = command.output().unwrap();
            ensure!(output.status.success(), "{goal:?}: {output:?}");
            bench.expect_as_before()?;
        }
        // A whole run, whose keeper gives back by itself.
        let config = config(bench, "deaf.toml", "");
        let client = format!("{} && test -e {}", pre(bench, &config), bench.journal().display());
        let (_daemon, mut command) = beside_a_deaf_log(bench, &client);
        let output = command.output().unwrap();
        ensure!(output.status.success(), "{output:?}");
        as_before_soon(bench)
    });
}
