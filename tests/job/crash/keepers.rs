//! test: runs whose keeper is stopped, killed, refused, or bound to a person's shell.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use certbaton::base::clock::{Deadline, pause};
use certbaton::base::lock;
use certbaton::base::process::{self, PidFd, Signal};
use certbaton::switch::apply;

use crate::crash::bench::{Bench, NAMES, told};
use crate::crash::{on_a_bench, without_strace};
use support::ensure;

const PROGRAM: &str = env!("CARGO_BIN_EXE_certbaton");
const PRE: &str = env!("CARGO_BIN_EXE_certbaton-pre-hook");
const DEPLOY: &str = env!("CARGO_BIN_EXE_certbaton-deploy-hook");
const POST: &str = env!("CARGO_BIN_EXE_certbaton-post-hook");

/// The bench's configuration with more in it.
pub(crate) fn config(bench: &Bench, name: &str, more: &str) -> PathBuf {
    let path = bench.layout.base().join(name);
    let text = fs::read_to_string(&bench.config).unwrap();
    let certbot = bench.layout.base().join("certbot");
    fs::create_dir_all(&certbot).unwrap();
    let directory = format!("[certbot]\nconfig-directory = \"{}\"\n", certbot.display());
    fs::write(&path, format!("{text}{directory}{more}")).unwrap();
    path
}

/// The pre-hook as another client calls it.
pub(crate) fn pre(bench: &Bench, config: &Path) -> String {
    let names: Vec<_> = NAMES.iter().map(|name| format!("--name {name}")).collect();
    let webroot = bench.file("www");
    let (config, webroot) = (config.display(), webroot.display());
    format!("{PRE} --config {config} --webroot {webroot} {}", names.join(" "))
}

/// A script, or a shell at a terminal, that says and is told lines.
pub(crate) struct Client {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Client {
    /// A client that is a script, as dehydrated is.
    pub(crate) fn script(bench: &Bench, text: &str) -> Self {
        let path = bench.layout.base().join("client");
        fs::write(&path, text).unwrap();
        Self::start(Command::new("/bin/sh").arg(path))
    }

    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    pub(crate) fn process(&self) -> process::Process {
        process::identify(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads on to a line that holds `word`.
    pub(crate) fn hear(&mut self, word: &str) -> Result<String, String> {
        self.hear_all(word).map(|(_, line)| line)
    }

    /// The same with what was said before it.
    fn hear_all(&mut self, word: &str) -> Result<(String, String), String> {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let count = self.said.read_line(&mut line).unwrap();
            ensure!(count > 0, "no {word:?} in {all}");
            if line.contains(word) {
                return Ok((all, line));
            }
            all += &line;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Deadline::after(Duration::from_mins(1));
    while !is_so() {
        pause(Duration::from_millis(20), &deadline).map_err(|_| format!("not {what}"))?;
    }
    Ok(())
}

/// The keeper that was started with `config`.
pub(crate) fn keeper(config: &Path) -> PidFd {
    let is_it = |pid: &i32| {
        let argv = process::argv(*pid).unwrap_or_default();
        argv.iter().any(|word| word == config) && argv.last().is_some_and(|word| word == "keep")
    };
    let pid = process::all().unwrap().into_iter().find(is_it).unwrap();
    PidFd::open(process::identify(pid).unwrap()).unwrap()
}

fn shell(line: &str) -> Output {
    Command::new("/bin/sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap()
}

fn certbaton(config: &Path, words: &[&str]) -> Output {
    Command::new(PROGRAM).arg("--config").arg(config).args(words).output().unwrap()
}

pub(crate) fn as_before_soon(bench: &mut Bench) -> Result<(), String> {
    let journal = bench.journal();
    let lock = bench.lease_lock();
    until("given back", || !journal.exists() && lock::attempt(&lock).unwrap().is_some())?;
    bench.expect_as_before()
}

#[test]
fn a_keeper_that_is_stopped_holds_nobody_up_for_longer_than_was_said() {
    on_a_bench(|bench| {
        let long = config(bench, "long.toml", "");
        let short =
            config(bench, "short.toml", "[lease]\nwait = \"1s\"\n[proof]\ntime = \"100ms\"\n");
        let (hook, brief) = (pre(bench, &long), short.display());
        let mut client = Client::script(
            bench,
            &format!(
                "{hook} || exit 9\necho held\nread word\n\
                 {DEPLOY} --config {brief} 2>&1; echo deploy $?\n\
                 {POST} --config {brief} 2>&1; echo post $?\n\
                 timeout 1 {POST} --config {long}; echo ended $?\nread word\n",
                long = long.display()
            ),
        );
        client.hear("held")?;
        bench.expect_local()?;
        let keeper = keeper(&long);
        keeper.signal(Signal::STOP).unwrap();

        let since = Instant::now();
        let other = shell(&pre(bench, &short));
        let (waited, said) = (since.elapsed(), told(&other));
        ensure!(other.status.code() == Some(75), "{said}");
        ensure!(said.contains("has not answered for 1 s"), "{said}");
        ensure!(waited > Duration::from_secs(1) && waited < Duration::from_secs(20), "{waited:?}");

        client.tell("");
        client.hear("deploy 75")?;
        client.hear("post 75")?;
        // timeout(1) says so of what it ended by SIGTERM.
        client.hear("ended 124")?;
        keeper.signal(Signal::CONT).unwrap();
        drop(client);
        as_before_soon(bench)
    });
}

#[test]
fn a_keeper_that_is_stopped_is_ended_by_lease_break_and_by_recover_once_its_run_is_over() {
    on_a_bench(|bench| {
        let config = config(bench, "stuck.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        for word in ["break", "recover"] {
            let mut client = Client::script(bench, &script);
            client.hear("held")?;
            let keeper = keeper(&config);
            keeper.signal(Signal::STOP).unwrap();
            // Its owner lives: a live renewal, which only a person ends.
            let output = certbaton(&config, &["recover"]);
            ensure!(output.status.code() == Some(70), "{}", told(&output));
            bench.expect_local()?;
            ensure!(!keeper.wait_exit(Duration::ZERO).unwrap(), "recover has ended a live run");
            let since = Instant::now();
            let output = if word == "break" {
                certbaton(&config, &["lease", "break"])
            } else {
                drop(client);
                certbaton(&config, &["recover"])
            };
            let (waited, said) = (since.elapsed(), told(&output));
            ensure!(output.status.success(), "{word}: {said}");
            ensure!(waited < Duration::from_secs(30), "{word}: {waited:?}");
            ensure!(keeper.wait_exit(Duration::ZERO).unwrap(), "{word}: it lives: {said}");
            as_before_soon(bench).map_err(|why| format!("{word}: {why}: {said}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_lease_that_is_broken_is_free_and_the_run_recorded_when_that_is_said() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let config = config(bench, "broken.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        client.hear("held")?;
        // Whatever it removes or syncs takes a while.
        let slow = "inject=unlink,unlinkat,fsync,fdatasync:delay_enter=200000";
        let slow = Traced::with(keeper(&config).process().pid, &["-f", "-e", slow])?;
        let broken = certbaton(&config, &["lease", "break"]);
        ensure!(broken.status.success(), "{}", told(&broken));
        ensure!(lock::attempt(&bench.lease_lock()).unwrap().is_some(), "it is held");
        let history = fs::read_to_string(bench.history()).unwrap();
        ensure!(history.lines().last().is_some_and(|l| l.contains("ended")), "{history}");
        drop((slow, client));
        bench.expect_as_before()
    });
}

#[test]
fn a_keeper_killed_while_the_post_hook_waits_has_its_work_done_by_that() {
    on_a_bench(|bench| {
        let config = config(bench, "killed.toml", "");
        for turn in 0..4 {
            let script = format!(
                "{} || exit 9\necho held\nread word\n{POST} --config {} 2>&1; echo post $?\nread word\n",
                pre(bench, &config),
                config.display()
            );
            let mut client = Client::script(bench, &script);
            client.hear("held")?;
            let keeper = keeper(&config);
            keeper.signal(Signal::STOP).unwrap();
            client.tell("");
            until("waited for", || {
                let all = process::all().unwrap();
                all.iter().any(|pid| {
                    let argv = process::argv(*pid).unwrap_or_default();
                    argv.first().is_some_and(|word| word == "certbaton-post-hook")
                        && argv.iter().any(|word| *word == *config)
                })
            })?;
            // As if the kernel were slow to close what the keeper had open.
            let lock = bench.lease_lock();
            let slow = std::thread::spawn(move || {
                let held = lock::wait(&lock).unwrap();
                pause(Duration::from_millis(100), &Deadline::after(Duration::from_mins(1)))
                    .unwrap();
                drop(held);
            });
            keeper.signal(Signal::KILL).unwrap();
            let said = client.hear("post ")?;
            ensure!(said.contains("post 0"), "turn {turn}: {said}");
            bench.expect_as_before().map_err(|why| format!("turn {turn}: {why}"))?;
            slow.join().unwrap();
        }
        Ok(())
    });
}

#[test]
fn a_signal_to_all_of_a_service_that_ends_apaches_test_too_is_no_reason_to_stay() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let config = config(bench, "service.toml", "");
        let script = format!("{} || exit 9\necho held\nread word\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        client.hear("held")?;
        let keeper = keeper(&config);
        // Whatever it starts waits a second before its first own step, so that it is seen.
        let slow = Traced::with(
            keeper.process().pid,
            &["-f", "-e", "trace=execve", "-e", "inject=execve:delay_exit=1000000"],
        )?;
        drop(client);
        // systemd has signalled the keeper already, and does it once more; as often as it likes.
        for _ in 0..3 {
            let test = apaches_test(keeper.process().pid)?;
            keeper.signal(Signal::TERM).unwrap();
            test.signal(Signal::TERM).unwrap();
            ensure!(test.wait_exit(Duration::from_mins(1)).unwrap(), "the test goes on");
        }
        drop(slow);
        as_before_soon(bench)
    });
}

/// Apache's test waits for whoever writes into a file that it includes.
fn slow_to_read(bench: &Bench) -> String {
    let fifo = bench.file("slow.conf");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let three = bench.file("sites-available/three.conf");
    let good = fs::read_to_string(&three).unwrap();
    fs::write(&three, format!("{good}Include {}\n", fifo.display())).unwrap();
    good
}

#[test]
fn a_keeper_that_plans_hears_whatever_ends_its_run_and_leaves_nothing() {
    on_a_bench(|bench| {
        let config = config(bench, "planning.toml", "");
        let good = slow_to_read(bench);
        let script = format!("{} 2>&1; echo ended $?\nread word\n", pre(bench, &config));
        let time_is_up = support::full();
        for way in ["a signal", "a person", "its time"] {
            if way == "its time" && !time_is_up {
                continue;
            }
            let since = Instant::now();
            let mut client = Client::script(bench, &script);
            let planning = || {
                let all = process::all().unwrap();
                all.iter().any(|pid| {
                    let argv = process::argv(*pid).unwrap_or_default();
                    argv.iter().any(|word| *word == *config)
                        && argv.last().is_some_and(|word| word == "keep")
                })
            };
            until("planning", planning)?;
            let keeper = keeper(&config);
            apaches_test(keeper.process().pid)?;
            let why = match way {
                "a signal" => {
                    keeper.signal(Signal::TERM).unwrap();
                    "the keeper was told to end; nothing was changed"
                }
                "a person" => {
                    let broken = certbaton(&config, &["lease", "break"]);
                    ensure!(broken.status.success(), "{}", told(&broken));
                    "a person broke the lease on this host; nothing was changed"
                }
                _ => "the switch was not planned within 60 s",
            };
            client.hear(why).map_err(|heard| format!("{way}: {heard}"))?;
            client.hear("ended 1").map_err(|heard| format!("{way}: {heard}"))?;
            let waited = since.elapsed();
            ensure!(time_is_up || waited < Duration::from_secs(30), "{way}: {waited:?}");
            ensure!(keeper.wait_exit(Duration::from_secs(30)).unwrap(), "{way}: it stays");
            let lock = bench.lease_lock();
            ensure!(lock::attempt(&lock).unwrap().is_some(), "{way}: the lease is held");
        }
        fs::remove_file(bench.file("slow.conf")).unwrap();
        fs::write(bench.file("sites-available/three.conf"), good).unwrap();
        Ok(())
    });
}

#[test]
fn a_keeper_that_is_called_off_removes_the_candidate_that_it_asks_about() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let config = config(bench, "candidate.toml", "");
        fs::create_dir_all(&*bench.settings.runtime_directory).unwrap();
        let before =
            lock::attempt(&apply::switch_lock(&bench.settings.runtime_directory)).unwrap().unwrap();
        let script = format!("{} 2>&1; echo ended $?\n", pre(bench, &config));
        let mut client = Client::script(bench, &script);
        until("a keeper", || lock::holder(&bench.lease_lock()).is_some())?;
        let keeper = keeper(&config);
        // Each question begins late, so that it is under way when the signal comes.
        let slow = ["-f", "-e", "trace=execve", "-e", "inject=execve:delay_enter=300000"];
        let traced = Traced::with(keeper.process().pid, &slow)?;
        drop(before);
        let has_candidate = || {
            let names = fs::read_dir(&*bench.settings.state_directory).into_iter().flatten();
            let names: Vec<_> = names.flatten().map(|name| name.file_name()).collect();
            names.iter().any(|name| name.as_encoded_bytes().starts_with(b"candidate."))
        };
        until("a candidate", has_candidate)?;
        keeper.signal(Signal::TERM).unwrap();
        client.hear("the keeper was told to end; nothing was changed")?;
        client.hear("ended 1")?;
        ensure!(keeper.wait_exit(Duration::from_secs(30)).unwrap(), "it stays");
        drop(traced);
        ensure!(!has_candidate(), "its candidate stays");
        as_before_soon(bench)
    });
}

/// Apache's test of the configuration, asked by `keeper`.
fn apaches_test(keeper: i32) -> Result<PidFd, String> {
    let is_it = |process: &process::Process| {
        let argv = process::argv(process.pid).unwrap_or_default();
        argv.iter().any(|word| word == "-t")
    };
    let deadline = Deadline::after(Duration::from_mins(1));
    loop {
        let children = process::children(keeper).unwrap_or_default();
        if let Some(test) = children.into_iter().find(is_it) {
            return PidFd::open(test).map_err(|error| error.to_string());
        }
        pause(Duration::from_millis(5), &deadline).map_err(|_| "Apache's test is not seen")?;
    }
}

/// A process whose system calls strace meddles with.
pub(crate) struct Traced(Child);

impl Traced {
    pub(crate) fn with(pid: i32, how: &[&str]) -> Result<Self, String> {
        let mut strace = Command::new("/usr/bin/strace");
        strace.args(["-qq", "-o", "/dev/null"]).args(how).args(["-p", &pid.to_string()]);
        let traced = Self(strace.spawn().unwrap());
        let deadline = Deadline::after(Duration::from_mins(1));
        let is_traced = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains(&format!("TracerPid:\t{}\n", traced.0.id()))
        };
        while !is_traced() {
            pause(Duration::from_millis(5), &deadline).map_err(|_| "strace does not attach")?;
        }
        Ok(traced)
    }
}

impl Drop for Traced {
    /// It lets go of what it traces when it is told to end (strace(1)).
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_lease_that_is_refused_at_once_is_refused_in_its_own_words() {
    on_a_bench(|bench| {
        let path = leased(bench);
        let state = &*bench.settings.state_directory;
        fs::create_dir_all(state).unwrap();
        let mode = |mode| fs::set_permissions(state, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        // It used to be a matter of who was quicker.
        for _ in 0..5 {
            let output = shell(&pre(bench, &path));
            let said = told(&output);
            ensure!(output.status.code() == Some(77), "{said}");
            ensure!(said.contains("may be written by others"), "{said}");
        }
        mode(0o700);
        bench.expect_files_as_before()
    });
}

/// The bench's host is its own arbiter.
fn leased(bench: &Bench) -> PathBuf {
    let more = "[lease]\narbiter = \"home\"\n[[host]]\nname = \"home\"\n";
    let path = config(bench, "leased.toml", more);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("name = \"home\"\n{text}")).unwrap();
    path
}

/// What a person types at a shell, until its end is seen.
fn at_a_shell(bench: &Bench, config: &Path) -> Result<(Client, String), String> {
    let mut shell = Client::start(
        // It gives the shell a terminal.
        Command::new("/usr/bin/script").args([
            "-q",
            "-c",
            "bash --norc --noprofile -i",
            "/dev/null",
        ]),
    );
    shell.tell(&format!("{}; echo pre $?", pre(bench, config)));
    let (said, _) = shell.hear_all("pre 0")?;
    // It is folded to the width of the terminal.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(said.contains("certbaton-pre-hook: this host holds the lease"), "{said}");
    Ok((shell, said))
}

#[test]
fn a_hook_typed_at_a_shell_says_what_it_holds_and_is_ended_as_it_says() {
    on_a_bench(|bench| {
        let plain = config(bench, "plain.toml", "");
        let (mut shell, said) = at_a_shell(bench, &plain)?;
        bench.expect_local()?;
        for name in NAMES {
            ensure!(said.contains(name), "{said}");
        }
        ensure!(said.contains("until this shell, process "), "{said}");
        ensure!(said.trim_end().ends_with("certbaton lease break"), "no arbiter, no token: {said}");
        let status = told(&certbaton(&plain, &["status"]));
        let words: Vec<&str> = status.split_whitespace().collect();
        ensure!(words.join(" ").contains("a shell at which the hook was called"), "{status}");
        shell.tell(&format!("{POST} --config {}; echo post $?", plain.display()));
        shell.hear("post 0")?;
        as_before_soon(bench)?;

        let (shell, _) = at_a_shell(bench, &plain)?;
        let broken = certbaton(&plain, &["lease", "break"]);
        ensure!(broken.status.success(), "{}", told(&broken));
        bench.expect_as_before()?;
        let again = certbaton(&plain, &["lease", "break"]);
        ensure!(told(&again).contains("no run is under way"), "{}", told(&again));
        drop(shell);

        let path = leased(bench);
        let (shell, said) = at_a_shell(bench, &path)?;
        bench.expect_local()?;
        let token = said.trim_end().rsplit_once("certbaton lease break ").unwrap().1.to_owned();
        let broken = certbaton(&path, &["lease", "break", &token]);
        ensure!(broken.status.success(), "{}", told(&broken));
        // While the shell lives on.
        as_before_soon(bench)?;
        drop(shell);
        Ok(())
    });
}
