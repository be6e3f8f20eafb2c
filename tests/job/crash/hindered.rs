//! test: a keeper that cannot go on, or whose hook says nothing more: the routes come back.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use certbaton::base::clock;
use certbaton::base::process;
use certbaton::config::context::Context;
use certbaton::renewal::keeper;
use certbaton::renewal::messages::{Extent, Names, Task};

use crate::crash::keepers::{Client, Traced, as_before_soon, config, keeper, pre};
use crate::crash::{on_a_bench, without_strace};
use support::ensure;

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");

#[test]
fn a_keeper_that_cannot_wait_any_more_gives_back_while_its_client_lives_on() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let config = config(bench, "blind.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        client.hear("held")?;
        bench.expect_local()?;
        let keeper = keeper(&config);
        // The next time that it waits for its run; not when it gives back.
        let inject = "inject=poll,ppoll:error=ENOMEM:when=1";
        let traced = Traced::with(keeper.process().pid, &["-e", "trace=poll,ppoll", "-e", inject])?;
        // It waits already, and until something happens.
        keeper.signal(process::Signal::TERM).unwrap();
        ensure!(keeper.wait_exit(Duration::from_mins(1)).unwrap(), "the keeper goes on");
        drop(traced);
        as_before_soon(bench)?;
        drop(client);
        Ok(())
    });
}

#[test]
fn a_call_that_cannot_be_taken_hides_no_end_of_the_run() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let config = config(bench, "full.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        client.hear("held")?;
        let keeper = keeper(&config);
        let inject = "inject=accept,accept4:error=EMFILE";
        let how = ["-e", "trace=accept,accept4", "-e", inject];
        let traced = Traced::with(keeper.process().pid, &how)?;
        // This call waits to be taken when the client ends.
        let call = UnixStream::connect(keeper::socket(&bench.settings.runtime_directory)).unwrap();
        drop(client);
        ensure!(keeper.wait_exit(Duration::from_mins(1)).unwrap(), "the keeper goes on");
        drop((traced, call));
        as_before_soon(bench)
    });
}

#[test]
fn a_hook_that_stops_before_its_run_has_begun_holds_no_route() {
    on_a_bench(|bench| {
        let config = config(bench, "silent.toml", "");
        let owner = Client::script(bench, "read word\n");
        let task = Task {
            owner: owner.process(),
            stoppable: false,
            forced: false,
            dry_run: false,
            names: Names::Proxied(Some(bench.routes()[0].webroot.clone())),
            extent: Extent::Part,
            left_out: Vec::new(),
        };
        let (settings, program) = (bench.settings.clone(), PROGRAM.into());
        let context = Context { settings, program, config: Some(config.clone()) };
        let mut hook = keeper::start(&context).unwrap();
        hook.send(&task).unwrap();
        // It is told that its run has begun, and does not answer.
        let told = clock::ready(&[hook.as_fd()], Some(Duration::from_mins(1))).unwrap();
        ensure!(told == [true], "the run does not begin");
        ensure!(bench.journal().exists(), "nothing is switched");
        let keeper = keeper(&config);
        drop(owner);
        ensure!(keeper.wait_exit(Duration::from_mins(1)).unwrap(), "the keeper goes on");
        drop(hook);
        ensure!(!bench.journal().exists(), "the journal is left");
        Ok(())
    });
}
