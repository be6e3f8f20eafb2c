//! test: a return that cannot be done is said, holds the lease for a stated time, and is done once it can be.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use certbaton::base::lock;
use certbaton::base::process::Signal;

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::keepers::{Client, as_before_soon, config, keeper, pre, until};
use crate::crash::on_a_bench;
use support::ensure;

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");

fn certbaton(config: &Path, words: &[&str]) -> Output {
    Command::new(PROGRAM).arg("--config").arg(config).args(words).output().unwrap()
}

/// What nobody can write to until it is unmounted.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn at(path: std::path::PathBuf) -> Self {
        for words in [&["--bind"][..], &["-o", "remount,bind,ro"]] {
            let mut command = Command::new("/bin/mount");
            command.args(words).arg(&path);
            if words[0] == "--bind" {
                command.arg(&path);
            }
            assert!(command.status().unwrap().success(), "{words:?}");
        }
        Self(path)
    }

    fn lift(self) {
        assert!(Command::new("/bin/umount").arg(&self.0).status().unwrap().success());
    }
}

/// A run whose client was killed in the middle, and whose return the file system refuses.
fn stuck(bench: &Bench, config: &Path) -> Result<ReadOnly, String> {
    let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, config));
    let mut client = Client::script(bench, &script);
    client.hear("held")?;
    let barred = ReadOnly::at(bench.file("sites-available"));
    drop(client);
    Ok(barred)
}

fn is_held(bench: &Bench) -> bool {
    lock::attempt(&bench.lease_lock()).unwrap().is_none()
}

fn lines_in(bench: &Bench) -> bool {
    let of = |site: &str| fs::read(bench.file(site)).unwrap();
    SITES.iter().any(|site| String::from_utf8_lossy(&of(site)).contains("certbaton"))
}

#[test]
fn a_keeper_whose_certbot_has_ended_tries_again_when_recover_is_run_and_says_why_not() {
    on_a_bench(|bench| {
        let config = config(bench, "stuck.toml", "[lease]\ngrace = \"10m\"\n");
        let barred = stuck(bench, &config)?;
        for _ in 0..2 {
            let output = certbaton(&config, &["recover"]);
            let said = told(&output);
            ensure!(output.status.code() == Some(70), "{said}");
            ensure!(said.contains("Read-only file system"), "{said}");
        }
        ensure!(is_held(bench) && lines_in(bench), "it is not stuck");
        let status = certbaton(&config, &["status"]);
        let said = told(&status);
        ensure!(!status.status.success() && !said.contains("all is well"), "{said}");
        ensure!(said.contains("which has ended"), "{said}");
        barred.lift();
        let output = certbaton(&config, &["recover"]);
        ensure!(output.status.success(), "{}", told(&output));
        bench.expect_as_before()?;
        as_before_soon(bench)
    });
}

#[test]
fn a_return_that_cannot_be_done_holds_the_lease_for_a_stated_time_and_is_recovers_then() {
    on_a_bench(|bench| {
        let config = config(bench, "brief.toml", "[lease]\ngrace = \"2s\"\n");
        let barred = stuck(bench, &config)?;
        until("let go of", || !is_held(bench))?;
        ensure!(lines_in(bench), "they are out");
        let output = certbaton(&config, &["recover"]);
        let said = told(&output);
        ensure!(output.status.code() == Some(70), "{said}");
        ensure!(said.contains("Read-only file system"), "{said}");
        let status = certbaton(&config, &["status"]);
        let said = told(&status);
        ensure!(status.status.code() == Some(2), "{said}");
        ensure!(said.contains("challenge path is still local"), "{said}");
        barred.lift();
        let output = certbaton(&config, &["recover"]);
        ensure!(output.status.success(), "{}", told(&output));
        bench.expect_as_before()
    });
}

#[test]
fn a_keeper_that_is_stopped_while_its_run_lives_is_told_of_by_recover() {
    on_a_bench(|bench| {
        let config = config(bench, "still.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        client.hear("held")?;
        bench.done(Goal::Recover)?;
        bench.expect_local()?;
        let keeper = keeper(&config);
        keeper.signal(Signal::STOP).unwrap();
        let output = certbaton(&config, &["recover"]);
        let said = told(&output);
        ensure!(output.status.code() == Some(70) && said.contains("kill -CONT"), "{said}");
        keeper.signal(Signal::CONT).unwrap();
        drop(client);
        as_before_soon(bench)
    });
}
