//! test: nothing that a return needs before it can begin keeps our lines in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::{on_a_bench, without_strace};
use support::{ensure, full};

/// What stands in the way, and how a return ends all the same.
struct Row {
    what: &'static str,
    set_up: fn(&Bench),
    /// Mounts that only the program sees; `$1` is the base of the bench.
    mounts: &'static str,
    exit: i32,
    says: &'static str,
    put_right: fn(&Bench),
}

const ROW: Row = Row { what: "", set_up: |_| {}, mounts: "", exit: 0, says: "", put_right: |_| {} };

fn runtime(bench: &Bench, name: &str) -> PathBuf {
    bench.settings.runtime_directory.join(name)
}

fn clear(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).ok();
    }
}

fn instead_a_directory(path: &Path) {
    clear(path);
    fs::create_dir(path).unwrap();
}

fn instead_a_link(path: &Path) {
    clear(path);
    symlink("/nowhere/lock", path).unwrap();
}

fn instead_a_file(path: &Path) {
    fs::rename(path, path.with_extension("away")).unwrap();
    fs::write(path, "").unwrap();
}

fn back_again(path: &Path) {
    clear(path);
    fs::rename(path.with_extension("away"), path).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const ROWS: &[Row] = &[
    Row {
        what: "a runtime directory that is read-only",
        mounts: "mount --bind $1/runtime $1/runtime; mount -o remount,bind,ro $1/runtime",
        ..ROW
    },
    Row {
        what: "the same without a lock in it",
        set_up: |bench| {
            clear(&runtime(bench, "lease.lock"));
            clear(&runtime(bench, "switch.lock"));
        },
        mounts: "mount --bind $1/runtime $1/runtime; mount -o remount,bind,ro $1/runtime",
        ..ROW
    },
    Row {
        what: "a runtime directory without room",
        mounts: "mount -t tmpfs -o nr_inodes=1,mode=755 tmpfs $1/runtime",
        ..ROW
    },
    Row {
        what: "a runtime directory that is a file",
        set_up: |bench| instead_a_file(&bench.settings.runtime_directory),
        put_right: |bench| back_again(&bench.settings.runtime_directory),
        ..ROW
    },
    Row {
        what: "a runtime directory that anybody may write",
        set_up: |bench| mode(&bench.settings.runtime_directory, 0o777),
        put_right: |bench| mode(&bench.settings.runtime_directory, 0o755),
        ..ROW
    },
    Row {
        what: "a lock of another user's, who holds it",
        set_up: |bench| {
            mode(&bench.settings.runtime_directory, 0o777);
            let lock = runtime(bench, "lease.lock");
            std::os::unix::fs::chown(&lock, Some(65534), Some(65534)).unwrap();
            // Held for as long as this process lives.
            let file = certbaton::base::lock::open(&lock).unwrap();
            std::mem::forget(certbaton::base::lock::of_file(file, &lock).unwrap().unwrap());
        },
        put_right: |bench| {
            mode(&bench.settings.runtime_directory, 0o755);
            clear(&runtime(bench, "lease.lock"));
        },
        ..ROW
    },
    Row {
        what: "a keeper's socket that is a directory",
        set_up: |bench| instead_a_directory(&runtime(bench, "keeper.sock")),
        put_right: |bench| clear(&runtime(bench, "keeper.sock")),
        ..ROW
    },
    Row {
        what: "a keeper's socket that is a link in a circle",
        set_up: |bench| symlink("keeper.sock", runtime(bench, "keeper.sock")).unwrap(),
        put_right: |bench| clear(&runtime(bench, "keeper.sock")),
        ..ROW
    },
    Row {
        what: "locks that are directories",
        set_up: |bench| {
            instead_a_directory(&runtime(bench, "lease.lock"));
            instead_a_directory(&runtime(bench, "switch.lock"));
        },
        put_right: |bench| {
            clear(&runtime(bench, "lease.lock"));
            clear(&runtime(bench, "switch.lock"));
        },
        ..ROW
    },
    Row {
        what: "locks that are links",
        set_up: |bench| {
            instead_a_link(&runtime(bench, "lease.lock"));
            instead_a_link(&runtime(bench, "switch.lock"));
        },
        put_right: |bench| {
            clear(&runtime(bench, "lease.lock"));
            clear(&runtime(bench, "switch.lock"));
        },
        ..ROW
    },
    Row {
        what: "a state directory that is gone",
        set_up: |bench| {
            let state = &*bench.settings.state_directory;
            fs::rename(state, state.with_extension("away")).unwrap();
        },
        put_right: |bench| {
            fs::remove_dir_all(bench.settings.state_directory.with_extension("away")).unwrap();
        },
        ..ROW
    },
    Row {
        what: "a state directory that is a file",
        set_up: |bench| instead_a_file(&bench.settings.state_directory),
        put_right: |bench| back_again(&bench.settings.state_directory),
        ..ROW
    },
    Row {
        what: "a state directory that anybody may write",
        set_up: |bench| mode(&bench.settings.state_directory, 0o777),
        put_right: |bench| mode(&bench.settings.state_directory, 0o711),
        ..ROW
    },
    Row {
        what: "a state directory that is read-only",
        mounts: "mount --bind $1/state $1/state; mount -o remount,bind,ro $1/state",
        exit: 1,
        says: "every route is given back, and only the journal remains",
        ..ROW
    },
    Row {
        what: "a journal that cannot be removed",
        mounts: "mount --bind $1/state/journal $1/state/journal",
        ..ROW
    },
    Row {
        what: "a state directory without room",
        mounts: "mount -t tmpfs -o nr_inodes=1,mode=711 tmpfs $1/state",
        put_right: |bench| clear(&bench.journal()),
        ..ROW
    },
    Row {
        what: "no program of Apache's",
        mounts: "mount --bind /dev/null $(readlink -f /usr/sbin/apache2)",
        exit: 70,
        says: "the lines of certbaton are out of the files, but Apache has not loaded that yet",
        ..ROW
    },
    Row {
        what: "a history that is a directory",
        set_up: |bench| instead_a_directory(&bench.history()),
        put_right: |bench| clear(&bench.history()),
        ..ROW
    },
    Row {
        what: "no list of what was said",
        set_up: |bench| instead_a_directory(&bench.said()),
        put_right: |bench| clear(&bench.said()),
        ..ROW
    },
    Row {
        what: "a journal of other bytes",
        set_up: |bench| fs::write(bench.journal(), "no journal\n").unwrap(),
        ..ROW
    },
];

/// `words` as a whole command line, below the mounts of `row`.
fn below(bench: &Bench, row: &Row, words: &[String]) -> Output {
    if row.mounts.is_empty() {
        return Command::new(&words[0]).args(&words[1..]).output().unwrap();
    }
    let script = format!("set -e; {}; shift; exec \"$@\"", row.mounts);
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-c", &script, "sh"]).arg(bench.layout.base());
    command.args(words).output().unwrap()
}

fn lines_in(bench: &Bench) -> bool {
    let of = |site: &str| fs::read(bench.file(site)).unwrap();
    SITES.iter().any(|site| String::from_utf8_lossy(&of(site)).contains("certbaton"))
}

#[test]
fn nothing_that_a_return_needs_first_keeps_the_lines_in() {
    on_a_bench(|bench| {
        let post = vec![
            env!("CARGO_BIN_EXE_certbaton-post-hook").to_owned(),
            "--config".to_owned(),
            bench.config.display().to_string(),
        ];
        let mut failures = Vec::new();
        for (number, row) in ROWS.iter().enumerate() {
            let ways = [
                ("recover", bench.arguments(Goal::Recover)),
                ("switch peer", bench.arguments(Goal::Peer)),
                ("post-hook", post.clone()),
            ];

            let chosen = |way: &usize| full() || *way == number % ways.len();
            for (way, words) in (0..ways.len()).filter(chosen).map(|way| &ways[way]) {
                bench.done(Goal::Local)?;
                (row.set_up)(bench);
                let output = below(bench, row, words);
                let said = told(&output);
                let is_in = lines_in(bench);
                (row.put_right)(bench);
                let code = output.status.code();
                if is_in || code != Some(row.exit) || !said.contains(row.says) {
                    failures.push(format!("{}, {way}: {said}", row.what));
                }
                let reset = bench.reset();
                reset.map_err(|why| format!("{}, {way}: {why}\nafter {said}", row.what))?;
            }
        }
        ensure!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
        Ok(())
    });
}

#[test]
fn a_configuration_that_is_refused_keeps_no_lines_in() {
    on_a_bench(|bench| {
        let good = fs::read_to_string(&bench.config).unwrap();
        for (wrong, part) in [
            ("no-such-key = 1\n".to_owned() + &good, "no-such-key"),
            (good.clone() + "[lease]\nwait = 3\n", "wait"),
            (good.clone() + "[lease\n", "certbaton.toml"),
        ] {
            for program in ["certbaton", "post-hook"] {
                bench.done(Goal::Local)?;
                fs::write(&bench.config, &wrong).unwrap();
                let words = if program == "certbaton" {
                    bench.arguments(Goal::Recover)
                } else {
                    let post = env!("CARGO_BIN_EXE_certbaton-post-hook").to_owned();
                    vec![post, "--config".into(), bench.config.display().to_string()]
                };
                let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
                fs::write(&bench.config, &good).unwrap();
                let said = told(&output);
                ensure!(output.status.code() == Some(78), "{part}, {program}: {said}");
                ensure!(said.contains(part), "{part}, {program}: {said}");
                bench.expect_as_before().map_err(|e| format!("{part}, {program}: {e}: {said}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_lock_that_the_kernel_refuses_is_told_by_whether_a_route_is_local() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let refused = ["-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"];
        for goal in [Goal::Recover, Goal::Peer] {
            let output = bench.meddled(goal, &refused);
            ensure!(output.status.code() == Some(1), "{goal:?}: {}", told(&output));
            bench.done(Goal::Local)?;
            let output = bench.meddled(goal, &refused);
            let said = told(&output);
            ensure!(output.status.code() == Some(70), "{goal:?}: {said}");
            ensure!(said.contains("may still be local"), "{goal:?}: {said}");
            bench.reset()?;
        }
        Ok(())
    });
}

#[test]
fn a_lock_that_a_signal_interrupts_is_asked_for_again() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        for nth in 1..=2 {
            bench.done(Goal::Local)?;
            let inject = format!("inject=flock:error=EINTR:when={nth}");
            let output = bench.meddled(Goal::Recover, &["-e", "trace=flock", "-e", &inject]);
            ensure!(output.status.success(), "{nth}: {}", told(&output));
            bench.expect_as_before()?;
        }
        Ok(())
    });
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_kills_nothing() {
    on_a_bench(|bench| {
        let limited = |goal, blocks: u32| {
            let script = format!("ulimit -f {blocks}; exec \"$@\"");
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script, "sh"]).args(bench.arguments(goal)).output().unwrap()
        };
        for blocks in [0, 1] {
            let output = limited(Goal::Local, blocks);
            ensure!(output.status.code().is_some(), "{blocks}: {}", told(&output));
            bench.done(Goal::Recover)?;
            bench.done(Goal::Local)?;
            let output = limited(Goal::Recover, blocks);
            ensure!(output.status.code().is_some(), "{blocks}: {}", told(&output));
            bench.done(Goal::Recover)?;
        }
        bench.expect_as_before()
    });
}

#[test]
fn an_apache_whose_pid_file_is_gone_is_told_all_the_same() {
    on_a_bench(|bench| {
        for stale in [false, true] {
            bench.done(Goal::Local)?;
            fs::remove_file(bench.layout.pid_file()).unwrap();
            if stale {
                // No process has it (proc_sys_kernel(5), pid_max).
                fs::write(bench.layout.pid_file(), "4194304\n").unwrap();
            }
            bench.done(Goal::Recover)?;
            bench.expect_as_before()?;
        }
        Ok(())
    });
}

#[test]
fn journal_and_history_do_not_grow_by_what_stays_as_it_is() {
    on_a_bench(|bench| {
        bench.done(Goal::Local)?;
        // A file that is its own mount point cannot be replaced.
        let site = bench.file(SITES[0]);
        let mut lengths = Vec::new();
        for _ in 0..4 {
            let script = "set -e; mount --bind $1 $1; shift; exec \"$@\"";
            let mut command = Command::new("/usr/bin/unshare");
            command.args(["--mount", "/bin/sh", "-c", script, "sh"]);
            command.arg(&site).args(bench.arguments(Goal::Recover));
            let output = command.output().unwrap();
            ensure!(output.status.code() == Some(70), "{}", told(&output));
            let length = |path: PathBuf| fs::metadata(path).unwrap().len();
            let both = [bench.journal(), bench.history()].map(length);
            lengths.push(both);
        }
        ensure!(lengths[1..].windows(2).all(|two| two[0] == two[1]), "it grows: {lengths:?}");
        bench.reset()
    });
}

/// A program with a log of its own, and that log; `$1` of its mounts is the base of the bench.
fn logging(bench: &Bench, words: Vec<String>) -> Result<(Command, UnixDatagram), String> {
    let base = bench.layout.base();
    let devices = base.join("dev");
    if !devices.exists() {
        fs::create_dir(&devices).unwrap();
        for (name, minor) in [("null", "3"), ("zero", "5"), ("full", "7"), ("urandom", "9")] {
            let path = devices.join(name);
            let node = Command::new("/usr/bin/mknod").arg(path).args(["c", "1", minor]).status();
            ensure!(node.unwrap().success(), "no {name}");
        }
    }
    fs::remove_file(devices.join("log")).ok();
    let log = UnixDatagram::bind(devices.join("log")).unwrap();
    log.set_nonblocking(true).unwrap();
    let script = "set -e; mount --bind $1/dev /dev; \
                  if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi; \
                  shift; exec \"$@\"";
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-c", script, "sh"]).arg(base);
    command.args(words);
    Ok((command, log))
}

/// `certbaton recover` as its timer runs it: what it says goes to the log, which is returned.
fn by_its_timer(bench: &Bench) -> Result<String, String> {
    let (mut command, log) = logging(bench, bench.arguments(Goal::Recover))?;
    let base = bench.layout.base();
    let errors = fs::File::create(base.join("errors")).unwrap();
    let journal = fs::metadata(base.join("errors")).unwrap();
    command.stderr(errors).env("JOURNAL_STREAM", format!("{}:{}", journal.dev(), journal.ino()));
    let status = command.status().unwrap();
    let said = fs::read_to_string(base.join("errors")).unwrap();
    ensure!(status.code() == Some(70), "{status}: {said}");
    ensure!(said.is_empty(), "not in the log: {said}");
    let mut all = String::new();
    let mut event = [0; 16384];
    while let Ok(length) = log.recv(&mut event) {
        all += &String::from_utf8_lossy(&event[..length]);
        all += "\n";
    }
    Ok(all)
}

#[test]
fn what_the_timers_recover_cannot_mend_is_logged_once_until_it_changes() {
    on_a_bench(|bench| {
        let three = bench.file("sites-available/three.conf");
        let good = fs::read_to_string(&three).unwrap();
        let spoil = |word: &str| fs::write(&three, good.replace("ServerName", word)).unwrap();
        bench.done(Goal::Local)?;
        for (word, is_told) in
            [("Wrong", true), ("Wrong", false), ("Wrong", false), ("Other", true), ("Wrong", true)]
        {
            spoil(word);
            let log = by_its_timer(bench)?;
            ensure!(log.contains(word) == is_told, "{word}, {is_told}: {log}");
        }
        // A person sees it each time.
        let by_hand = bench.run(Goal::Recover);
        ensure!(told(&by_hand).contains("Wrong"), "{}", told(&by_hand));
        fs::write(&three, &good).unwrap();
        bench.done(Goal::Recover)
    });
}

#[test]
fn a_log_that_is_full_keeps_no_return_waiting() {
    on_a_bench(|bench| {
        bench.done(Goal::Local)?;
        let words = ["timeout", "--signal=KILL", "60"].map(str::to_owned);
        let words = [&words[..], &bench.arguments(Goal::Recover)].concat();
        let (mut command, log) = logging(bench, words)?;
        let full = UnixDatagram::unbound().unwrap();
        full.set_nonblocking(true).unwrap();
        while full.send_to(b"x", bench.layout.base().join("dev/log")).is_ok() {}
        let output = command.output().unwrap();
        drop(log);
        ensure!(output.status.success(), "{}", told(&output));
        bench.expect_as_before()
    });
}

#[test]
fn the_state_directory_has_one_mode_whoever_makes_it_first() {
    on_a_bench(|bench| {
        let state = bench.settings.state_directory.to_path_buf();
        let textfile = bench.layout.base().join("certbaton.prom");
        let config = crate::crash::keepers::config(
            bench,
            "first.toml",
            &format!("[metrics]\ntextfile = \"{}\"\n", textfile.display()),
        );
        let shown = config.display();
        let hook = |program: &str| format!("{program} --config {shown}");
        let certbaton = |words: &str| format!("{PROGRAM} --config {shown} {words}");
        for first in [
            crate::crash::keepers::pre(bench, &config),
            hook(env!("CARGO_BIN_EXE_certbaton-deploy-hook")),
            hook(env!("CARGO_BIN_EXE_certbaton-post-hook")),
            // It measures, too.
            certbaton("recover"),
            certbaton("switch peer"),
            certbaton("status"),
        ] {
            clear(&state);
            let line = format!("umask 077; {first}");
            let output = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
            if first.contains("pre-hook") {
                // It is held for this very process.
                let end = certbaton("lease break");
                let broken = Command::new("/bin/sh").args(["-c", &end]).output().unwrap();
                ensure!(broken.status.success(), "{}", told(&broken));
            }
            let Ok(made) = fs::metadata(&state) else {
                ensure!(first.ends_with("status"), "{first} made none: {}", told(&output));
                continue;
            };
            let mode = made.mode() & 0o7777;
            ensure!(mode == 0o711, "{first}: {mode:o}: {}", told(&output));
            // The arbiter, another user, comes to its own part.
            let part = state.join("arbiter");
            fs::create_dir_all(&part).unwrap();
            std::os::unix::fs::chown(&part, Some(65534), Some(65534)).unwrap();
            let mut arbiter = Command::new("/usr/bin/touch");
            let touched = arbiter.arg(part.join("token")).uid(65534).gid(65534).status().unwrap();
            ensure!(touched.success(), "{first}: the arbiter is shut out");
        }
        Ok(())
    });
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");
