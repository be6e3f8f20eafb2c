//! test: the program killed at any system call, or refused one.

use std::collections::BTreeMap;
use std::fs;

use crate::crash::bench::{Bench, Goal, told};
use crate::crash::{on_a_bench, without_strace};
use support::{ensure, full};

/// What changes something, or tells somebody.
const CALLS: [&str; 17] = [
    "rename",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "openat",
    "write",
    "kill",
    "pidfd_send_signal",
    "mount",
    "unlink",
    "unlinkat",
    "mkdir",
    "fchmod",
    "fchown",
    "fsetxattr",
    "flock",
];

/// What happens to the journal before the next run.
#[derive(Debug, Clone, Copy)]
enum Journal {
    Kept,
    Deleted,
    Cut,
    Garbled,
}

#[test]
fn killed_at_any_call_of_a_switch_to_local_all_comes_back() {
    with_strace(|bench| {
        let calls = chosen(bench, Goal::Local)?;
        bench.reset()?;
        for (index, (call, nth)) in calls.into_iter().enumerate() {
            let context = |e: String| format!("{call} {nth}: {e}");
            bench.killed_at(Goal::Local, call, nth).map_err(context)?;
            let journal = [Journal::Kept, Journal::Deleted, Journal::Cut, Journal::Garbled];
            let journal = journal[index % journal.len()];
            meddle(bench, journal, index);
            if index % 3 == 0 {
                bench.done(Goal::Local).and_then(|()| bench.expect_local()).map_err(context)?;
            }
            let context = |e: String| format!("{call} {nth}, journal {journal:?}: {e}");
            bench.reset().map_err(context)?;
        }
        Ok(())
    });
}

#[test]
fn killed_at_any_call_of_a_switch_back_all_comes_back() {
    with_strace(|bench| {
        bench.done(Goal::Local)?;
        let calls = chosen(bench, Goal::Peer)?;
        bench.reset()?;
        for (index, (call, nth)) in calls.into_iter().enumerate() {
            let context = |e: String| format!("{call} {nth}: {e}");
            bench.done(Goal::Local).map_err(context)?;
            bench.killed_at(Goal::Peer, call, nth).map_err(context)?;
            // Without the journal nothing tells that Apache still serves what the files do not
            // say; what stands in a cut or garbled one does not matter, but that it is there.
            let journal = [Journal::Kept, Journal::Garbled, Journal::Cut][index % 3];
            meddle(bench, journal, index);
            if index % 4 == 0 {
                bench.done(Goal::Local).and_then(|()| bench.expect_local()).map_err(context)?;
            }
            let context = |e: String| format!("{call} {nth}, journal {journal:?}: {e}");
            bench.reset().map_err(context)?;
        }
        Ok(())
    });
}

#[test]
fn a_recovery_that_is_killed_too_is_recovered_from() {
    with_strace(|bench| {
        let step = if full() { 1 } else { 5 };
        let calls = ["write", "fsync", "renameat", "rename", "pidfd_send_signal", "unlink"];
        let all =
            calls.iter().flat_map(|call| [(1, call, 1), (1, call, 2), (2, call, 1), (2, call, 2)]);
        for (first, call, nth) in all.step_by(step) {
            let context = |e: String| format!("{call} {nth} after {first}: {e}");
            for rename in ["renameat", "rename"] {
                bench.killed_at(Goal::Local, rename, first).map_err(context)?;
            }
            bench.killed_at(Goal::Recover, call, nth).map_err(context)?;
            bench.reset().map_err(context)?;
        }
        Ok(())
    });
}

#[test]
fn a_disk_that_is_full_once_leaves_all_or_nothing() {
    with_strace(|bench| {
        for call in ["fsync", "fdatasync", "write", "rename", "renameat2", "mkdir", "fsetxattr"] {
            for goal in [Goal::Local, Goal::Peer] {
                if goal == Goal::Peer {
                    bench.done(Goal::Local)?;
                }
                let most = counted(bench, goal)?.get(call).copied().unwrap_or(0);
                bench.reset()?;
                for nth in (1..=most).rev().step_by(step(most, 2)) {
                    let context = |e: String| format!("{goal:?}, {call} {nth}: {e}");
                    refused_once(bench, goal, call, nth).map_err(context)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_switch_that_fails_forgets_nothing_that_is_pending() {
    with_strace(|bench| {
        // The files are the user's again, and Apache does not know it yet.
        crate::crash::steps::abandon(bench, Goal::Peer, 3)?;
        // The first write is that of the history, which fails no switch.
        for (call, nth) in [("fdatasync", 1), ("write", 2)] {
            let (trace, inject) =
                (format!("trace={call}"), format!("inject={call}:error=ENOSPC:when={nth}"));
            let output = bench.meddled(Goal::Local, &["-e", &trace, "-e", &inject]);
            ensure!(output.status.code() == Some(1), "{call}: {}", told(&output));
        }
        bench.reset()
    });
}

#[test]
fn a_disk_that_stays_full_is_said_and_recovered_from() {
    with_strace(|bench| {
        for call in ["fsync", "fdatasync", "write"] {
            let most = counted(bench, Goal::Local)?.get(call).copied().unwrap_or(0);
            bench.reset()?;
            for nth in (1..=most).step_by(step(most, 2)) {
                let context = |e: String| format!("{call} from {nth} on: {e}");
                let inject = format!("inject={call}:error=ENOSPC:when={nth}+");
                let trace = format!("trace={call}");
                let output = bench.meddled(Goal::Local, &["-e", &trace, "-e", &inject]);
                let code = output.status.code();
                // Standard output may be what is full; then the switch is done.
                let said = matches!(code, Some(0 | 1 | 70));
                ensure!(said, "{call} from {nth} on: {}", told(&output));
                if code == Some(0) {
                    bench.expect_local().map_err(context)?;
                } else if code == Some(1) {
                    bench.expect_as_before().map_err(context)?;
                }
                bench.reset().map_err(context)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_thread_or_program_that_cannot_be_started_is_undone_as_other_failures_are() {
    with_strace(|bench| {
        let mut refused = 0;
        for nth in 1..=16 {
            let context = |e: String| format!("clone3 {nth}: {e}");
            let inject = format!("inject=clone3:error=EAGAIN:when={nth}");
            let output = bench.meddled(Goal::Local, &["-e", "trace=clone3", "-e", &inject]);
            // Without a thread that only hastens things it is done all the same; none aborts.
            match output.status.code() {
                Some(0) => bench.expect_local().map_err(context)?,
                Some(1) => {
                    refused += 1;
                    bench.expect_as_before().map_err(context)?;
                }
                _ => return Err(context(told(&output))),
            }
            bench.reset().map_err(context)?;
        }
        ensure!(refused > 0, "no clone3 was ever needed");
        Ok(())
    });
}

/// Exit 0 and done, or, of a switch to this host, exit 1 and as before.
fn refused_once(bench: &mut Bench, goal: Goal, call: &str, nth: usize) -> Result<(), String> {
    if goal == Goal::Peer {
        bench.done(Goal::Local)?;
    }
    let (trace, inject) =
        (format!("trace={call}"), format!("inject={call}:error=ENOSPC:when={nth}"));
    let output = bench.meddled(goal, &["-e", &trace, "-e", &inject]);
    let code = output.status.code();
    // Standard output may be what is full.
    let is_done = code == Some(0) || told(&output).contains("what was asked for is done");
    ensure!(is_done || (code == Some(1) && goal == Goal::Local), "{}", told(&output));
    let local = (goal == Goal::Local) == is_done;
    let held = if local { bench.expect_local() } else { bench.expect_as_before() };
    held.map_err(|e| format!("{e}\nafter {}", told(&output)))?;
    bench.reset()
}

/// Does to the journal what may happen to a file.
fn meddle(bench: &Bench, how: Journal, seed: usize) {
    let path = bench.journal();
    let Ok(mut bytes) = fs::read(&path) else { return };
    match how {
        Journal::Kept => return,
        Journal::Deleted => return fs::remove_file(&path).unwrap(),
        Journal::Cut => bytes.truncate(seed * 37 % (bytes.len() + 1)),
        Journal::Garbled => {
            if let Some(byte) = bytes.get_mut(seed % 40) {
                *byte ^= 1;
            }
        }
    }
    fs::write(&path, bytes).unwrap();
}

/// Which calls to be killed at: all, or a few of each.
fn chosen(bench: &mut Bench, goal: Goal) -> Result<Vec<(&'static str, usize)>, String> {
    let counted = counted(bench, goal)?;
    let mut chosen = Vec::new();
    for call in CALLS {
        let most = counted.get(call).copied().unwrap_or(0);
        chosen.extend((1..=most).rev().step_by(step(most, 2)).map(|nth| (call, nth)));
    }
    ensure!(chosen.len() > 10, "hardly anything is called: {counted:?}");
    Ok(chosen)
}

/// The step from one call to the next, so that there are `few`, or all.
fn step(most: usize, few: usize) -> usize {
    if full() { 1 } else { most.div_ceil(few).max(1) }
}

/// How often the thread that calls it most calls each.
fn counted(bench: &mut Bench, goal: Goal) -> Result<BTreeMap<String, usize>, String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let trace = format!("trace={}", CALLS.join(","));
    let output = bench.meddled(goal, &["-f", "-o", log.path().to_str().unwrap(), "-e", &trace]);
    ensure!(output.status.success(), "{}", told(&output));
    let text = fs::read_to_string(log.path()).unwrap();
    let main = text.split(' ').next().unwrap_or_default().to_owned();
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut mounts: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call == "mount" {
            *mounts.entry(pid.to_owned()).or_default() += 1;
        } else if pid == main && CALLS.contains(&call) {
            *counted.entry(call.to_owned()).or_default() += 1;
        }
    }
    counted.insert("mount".to_owned(), mounts.into_values().max().unwrap_or(0));
    Ok(counted)
}

fn with_strace(check: impl FnOnce(&mut Bench) -> Result<(), String> + Send) {
    if !without_strace() {
        on_a_bench(check);
    }
}

#[test]
fn the_file_of_a_killed_proof_and_an_empty_place_for_new_files_are_swept() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        // The proof's requests are the first of its socket.
        let inject = "inject=writev:signal=KILL:when=1";
        bench.meddled(Goal::Local, &["-f", "-e", "trace=writev", "-e", inject]);
        let challenges = bench.file("www/.well-known/acme-challenge");
        let left = || {
            let names = fs::read_dir(&challenges).unwrap().flatten().map(|e| e.file_name());
            names.filter(|name| name.as_encoded_bytes().starts_with(b"certbaton-")).count()
        };
        ensure!(left() == 1, "{} files of a probe", left());
        let place = bench.file(".certbaton");
        fs::create_dir(&place).unwrap();
        bench.done(Goal::Recover)?;
        ensure!(left() == 0, "the probe's file is left");
        ensure!(!place.exists(), "the place for new files is left");
        bench.expect_as_before()
    });
}
