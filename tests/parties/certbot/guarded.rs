//! The guard stops real certbots before they ask the CA, unless the worker says that it may be asked.
//!
//! The workers that fail are scripts: no real part does what they do.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use certbaton::base::clock::{Deadline, pause};
use certbaton::base::lock;
use certbaton::base::process::{self, PidFd, Signal};
use nix::unistd::geteuid;

use crate::certbot::real::{Certbot, DirectoryOnly};
use crate::certbot::{CERTBOT, NEWEST, certbot_is_here};

const GUARD: &str = env!("CARGO_BIN_EXE_certbaton-pre-hook");

/// A guard beside a worker that is `script`, or none.
fn guard_with(certbot: &Certbot, script: Option<&str>, mode: u32) -> PathBuf {
    let programs = certbot.path("programs");
    fs::create_dir(&programs).unwrap();
    let guard = programs.join("certbaton-pre-hook");
    fs::copy(GUARD, &guard).unwrap();
    if let Some(script) = script {
        let worker = programs.join("certbaton");
        fs::write(&worker, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(worker, fs::Permissions::from_mode(mode)).unwrap();
    }
    guard
}

/// So that they start where `certbaton` does not.
#[test]
fn the_hooks_need_nothing_but_the_c_library() {
    for hook in [
        GUARD,
        env!("CARGO_BIN_EXE_certbaton-deploy-hook"),
        env!("CARGO_BIN_EXE_certbaton-post-hook"),
    ] {
        let output = Command::new("/usr/bin/ldd").arg(hook).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let is_known = |name: &str| {
            ["linux-vdso.so", "libgcc_s.so", "libc.so", "libm.so", "/lib"]
                .iter()
                .any(|known| name.starts_with(known))
        };
        let other: Vec<_> = names.filter(|name| !is_known(name)).collect();
        assert!(output.status.success() && other.is_empty(), "{hook}: {text}");
    }
}

fn renew(command: &mut Command, pre_hook: &str) -> Output {
    command
        .args(["renew", "--force-renewal", "--no-random-sleep-on-renew", "--pre-hook", pre_hook])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn is_stopped(output: &Output) -> bool {
    output.status.signal() == Some(15)
}

/// Debian's certbot, and the newest where it is.
fn certbots() -> Vec<&'static str> {
    [CERTBOT, NEWEST].into_iter().filter(|program| Path::new(program).exists()).collect()
}

#[test]
fn only_a_worker_that_says_proven_lets_certbot_ask_the_ca() {
    if !certbot_is_here() {
        return;
    }
    // The last says it, so that the test knows what "asked" looks like.
    let cases: [(&str, Option<&str>, u32); 7] = [
        ("missing", None, 0),
        ("not executable", Some("exit 0"), 0o644),
        ("not loadable", Some("echo 'libssl.so.3: cannot open' >&2; exit 127"), 0o755),
        ("killed", Some("kill -9 $$"), 0o755),
        ("refusing", Some("echo refused >&2; exit 75"), 0o755),
        ("succeeding without a word", Some("exit 0"), 0o755),
        ("proving", Some("echo proven >&0"), 0o755),
    ];
    for program in certbots() {
        for (name, script, mode) in cases {
            let ca = DirectoryOnly::start();
            let certbot = Certbot::new(&ca.directory);
            let guard = guard_with(&certbot, script, mode);
            let output = renew(&mut certbot.command_of(program), guard.to_str().unwrap());
            let proven = name == "proving";
            assert_eq!(is_stopped(&output), !proven, "{program}: {name}: {output:?}");
            assert_eq!(ca.asked().is_empty(), !proven, "{program}: {name}: {:?}", ca.asked());
        }
    }
}

#[test]
fn a_worker_that_takes_longer_than_it_said_is_killed_and_certbot_stopped() {
    if !certbot_is_here() {
        return;
    }
    let ca = DirectoryOnly::start();
    let certbot = Certbot::new(&ca.directory);
    let pid = certbot.path("pid");
    let script = format!("echo within 0 >&0; echo $$ > {}; exec sleep 1000", pid.display());
    let guard = guard_with(&certbot, Some(&script), 0o755);
    let output = renew(&mut certbot.command(), guard.to_str().unwrap());
    assert!(is_stopped(&output), "{output:?}");
    assert_eq!(ca.asked(), [""; 0]);
    let worker = fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(worker.trim()).exists(), "the worker is left");
}

/// The directory hook stays when the package's programs are gone or broken, and refuses then.
#[test]
fn the_directory_hook_stops_certbot_where_the_guard_cannot() {
    if !certbot_is_here() {
        return;
    }
    let cases: [(&str, Option<&str>, u32); 5] = [
        ("missing", None, 0),
        ("not executable", Some("exit 0"), 0o644),
        ("not loadable", Some("exit 127"), 0o755),
        ("killed", Some("kill -9 $$"), 0o755),
        ("succeeding", Some("exit 0"), 0o755),
    ];
    for (name, script, mode) in cases {
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        let programs = certbot.path("programs");
        fs::create_dir(&programs).unwrap();
        if let Some(script) = script {
            let guard = programs.join("certbaton-pre-hook");
            fs::write(&guard, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(guard, fs::Permissions::from_mode(mode)).unwrap();
        }
        let hook = include_str!("../../../hooks/pre/certbaton");
        let hook = hook.replace("/usr/bin/", &format!("{}/", programs.display()));
        let path = certbot.path("etc/renewal-hooks/pre/certbaton");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, hook).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = certbot.command();
        command.args(["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let goes_on = name == "succeeding";
        assert_eq!(is_stopped(&output), !goes_on, "{name}: {output:?}");
        assert_eq!(ca.asked().is_empty(), !goes_on, "{name}: {:?}", ca.asked());
    }
}

/// The real worker, with settings of its own.
fn real_guard(certbot: &Certbot) -> String {
    let config = certbot.path("certbaton.toml");
    let text = format!(
        "state-directory = \"{0}/state\"\nruntime-directory = \"{0}/run\"\n",
        certbot.path("").display()
    );
    fs::write(&config, text).unwrap();
    format!("{GUARD} --config {}", config.display())
}

#[test]
fn what_certbaton_does_not_understand_of_certbot_stops_it_all_the_same() {
    if !certbot_is_here() {
        return;
    }
    for case in ["100%x", "a \"quote\"", "cli.ini", "--webroot-map"] {
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        let webroot =
            certbot.path(if case.contains("-map") || case == "cli.ini" { "www" } else { case });
        fs::create_dir_all(&webroot).unwrap();
        let mut command = certbot.command();
        command.args(["certonly", "-n", "--webroot", "-d", "b.example", "--server"]);
        command.arg(&ca.directory);
        if case == "--webroot-map" {
            // To Python a byte of a file's name that is no UTF-8 (PEP 383); to others no JSON.
            fs::create_dir(certbot.path("").join(OsStr::from_bytes(b"www\xff"))).unwrap();
            let map = format!(r#"{{"b.example": "{}www\udcff"}}"#, certbot.path("").display());
            command.arg(case).arg(map);
        } else {
            command.arg("-w").arg(webroot);
        }
        if case == "cli.ini" {
            let ini = certbot.path("cli.ini");
            fs::write(&ini, "key-type = ecdsa\n").unwrap();
            fs::set_permissions(&ini, fs::Permissions::from_mode(0o666)).unwrap();
            command.arg("-c").arg(ini);
        }
        let output = command.arg("--pre-hook").arg(real_guard(&certbot)).output().unwrap();
        assert!(is_stopped(&output), "{case}: {output:?}");
        assert_eq!(ca.asked(), [""; 0], "{case}");
    }
}

/// A server of one bare address, as whatever vhost answers it: the files of `webroot`, or another host's words.
fn serve(listener: TcpListener, webroot: Option<PathBuf>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap_or_default();
            let file = webroot.as_ref().map(|webroot| webroot.join(path.trim_start_matches('/')));
            let body = file.map_or_else(|| Ok("another host".into()), fs::read_to_string);
            let body = body.unwrap_or_default();
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n");
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap_or_default();
        }
    });
}

#[test]
fn a_bare_address_that_is_not_answered_from_its_webroot_is_not_asked_for() {
    if !Path::new(NEWEST).exists() {
        eprintln!("skipped: {NEWEST} is not there, and Debian's knows no addresses");
        return;
    }
    for (address, is_here) in [("127.77.0.1", false), ("127.77.0.2", true)] {
        let Ok(listener) = TcpListener::bind((address, 80)) else {
            eprintln!("skipped: port 80 of {address} is in use");
            continue;
        };
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        let webroot = certbot.path("www");
        serve(listener, is_here.then(|| webroot.clone()));
        let mut command = certbot.command_of(NEWEST);
        command.args(["certonly", "-n", "--webroot", "-w"]).arg(&webroot);
        command.args(["--ip-address", address, "--preferred-profile", "shortlived"]);
        command.arg("--server").arg(&ca.directory);
        let output = command.arg("--pre-hook").arg(real_guard(&certbot)).output().unwrap();
        assert_eq!(is_stopped(&output), !is_here, "{address}: {output:?}");
        assert_eq!(ca.asked().is_empty(), !is_here, "{address}: {:?}", ca.asked());
        let history =
            || fs::read_to_string(certbot.path("state/history.jsonl")).unwrap_or_default();
        let limit = Deadline::after(Duration::from_secs(20));
        while !history().contains("\"ended\"") {
            pause(Duration::from_millis(20), &limit).unwrap();
        }
        let history = history();
        let remedy = "let the vhost that answers a request for the bare address answer the challenge path from there";
        let told = history.contains(&format!("{address} does not answer from"))
            && history.contains(remedy);
        assert_eq!(told, !is_here, "{address}: {history}");
    }
}

/// Asked for alone, the only one that is left, or certbot's options: nothing unsafe is read, and that is what it says.
#[test]
fn a_file_that_others_may_write_is_refused_with_77_where_nothing_else_remains() {
    if !certbot_is_here() {
        return;
    }
    for (file, more) in [
        ("etc/renewal/a.example.conf", &["--cert-name", "a.example"][..]),
        ("etc/renewal/a.example.conf", &[]),
        ("cli.ini", &[]),
    ] {
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        let mut command = certbot.command();
        command.args(["renew", "-n", "--force-renewal", "--no-random-sleep-on-renew"]).args(more);
        let path = certbot.path(file);
        if file == "cli.ini" {
            fs::write(&path, "key-type = ecdsa\n").unwrap();
            command.arg("-c").arg(&path);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let code = certbot.path("code");
        let hook = format!("{}; echo $? > {}", real_guard(&certbot), code.display());
        let output = command.arg("--pre-hook").arg(hook).output().unwrap();
        assert!(is_stopped(&output), "{file} {more:?}: {output:?}");
        assert_eq!(ca.asked(), [""; 0], "{file} {more:?}");
        let deadline = Instant::now() + Duration::from_secs(20);
        // Its shell outlives certbot by a moment.
        while fs::read_to_string(&code).unwrap_or_default().is_empty() {
            assert!(Instant::now() < deadline, "{file} {more:?}: {output:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(fs::read_to_string(&code).unwrap(), "77\n", "{file} {more:?}: {output:?}");
    }
}

#[test]
fn who_sits_at_certbots_terminal_is_told_why_before_it_dies() {
    if !certbot_is_here() {
        return;
    }
    let ca = DirectoryOnly::start();
    let certbot = Certbot::new(&ca.directory);
    fs::remove_dir(certbot.path("www")).unwrap();
    let mut command = certbot.command();
    command.args(["renew", "--force-renewal", "--no-random-sleep-on-renew", "--pre-hook"]);
    command.arg(format!("'{}'", real_guard(&certbot)));
    let text = at_a_terminal(&command, 56);
    let shown = text.find("certbaton-pre-hook: ").and_then(|at| text.get(at..)).unwrap_or_default();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("certbot is stopped before it asks the CA"), "{text}");
    assert!(shown.lines().count() >= 3, "why, and what follows, folded: {text}");
    // What somebody copies stays on one line: where something else has port 80, a line to configure.
    let folded = shown.lines().filter(|line| !line.contains("web-server = "));
    assert!(folded.map(|line| line.trim_end().chars().count()).all(|width| width <= 56), "{text}");
    assert_eq!(ca.asked(), [""; 0]);
}

/// certbot captures what a hook says, and shows it indented.
#[test]
fn what_a_hook_says_fits_on_certbots_terminal() {
    if !certbot_is_here() {
        return;
    }
    let ca = DirectoryOnly::start();
    let certbot = Certbot::new(&ca.directory);
    let mut command = certbot.command();
    command.args(["renew", "--force-renewal", "--no-random-sleep-on-renew", "--post-hook"]);
    let hook = env!("CARGO_BIN_EXE_certbaton-post-hook");
    command.arg(format!("'{hook} --config {}'", certbot.path("none.toml").display()));
    let text = at_a_terminal(&command, 60);
    let begins = text.find(" certbaton-post-hook: ");
    let shown = begins.and_then(|at| text.get(at..)).unwrap_or_default();
    let ours = shown.lines().enumerate();
    let ours = ours.take_while(|(number, line)| *number == 0 || line.starts_with("   "));
    let ours: Vec<&str> = ours.map(|(_, line)| line.trim_end()).collect();
    assert!(ours.len() > 1 && ours.iter().all(|line| line.chars().count() <= 60), "{text}");
    let words = ours.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("/etc/certbaton/config.toml is read if it is there"), "{text}");
}

/// What is shown at a terminal of so many columns of its own, which script(1) makes.
fn at_a_terminal(command: &Command, columns: u16) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let words: Vec<_> = words.into_iter().map(|word| word.to_str().unwrap()).collect();
    let line = format!("stty cols {columns}; {}", words.join(" "));
    let output = Command::new("/usr/bin/script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn started(command: &mut Command, pre_hook: &str) -> Child {
    command
        .args(["-q", "renew", "--force-renewal", "--no-random-sleep-on-renew"])
        .args(["--pre-hook", pre_hook])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// The process below `pid` whose command line starts with `program`.
fn below(pid: u32, program: &str) -> process::Process {
    let deadline = Deadline::after(Duration::from_mins(1));
    loop {
        for found in process::all().unwrap() {
            let argv = process::argv(found).unwrap_or_default();
            let is_it = argv.first().is_some_and(|word| word == program);
            let ancestors = process::ancestors(found).unwrap_or_default();
            if is_it && ancestors.iter().any(|above| u32::try_from(above.pid) == Ok(pid)) {
                return process::identify(found).unwrap();
            }
        }
        pause(Duration::from_millis(20), &deadline).unwrap();
    }
}

/// The lease is another's, so all wait; then the guard, or the worker, is killed.
#[test]
fn a_guard_or_worker_that_is_killed_while_it_waits_takes_certbot_along() {
    if !certbot_is_here() {
        return;
    }
    for victim in [GUARD, env!("CARGO_BIN_EXE_certbaton")] {
        let ca = DirectoryOnly::start();
        let certbot = Certbot::new(&ca.directory);
        let hook = real_guard(&certbot);
        fs::create_dir(certbot.path("run")).unwrap();
        let held = lock::attempt(&certbot.path("run/lease.lock")).unwrap().unwrap();
        let mut child = started(&mut certbot.command(), &hook);
        // It has begun to work.
        below(child.id(), env!("CARGO_BIN_EXE_certbaton"));
        let victim = PidFd::open(below(child.id(), victim)).unwrap();
        victim.signal(Signal::KILL).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(15), "{victim:?}");
        assert_eq!(ca.asked(), [""; 0]);
        drop(held);
    }
}

#[test]
fn a_certbot_that_only_an_interrupt_ends_is_stopped_though_that_kills_its_hook() {
    let home = crate::certbot::home_with_directories();
    let lock = home.path().join("etc/.certbot.lock");
    let programs = home.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let guard = programs.join("certbaton-pre-hook");
    fs::copy(GUARD, &guard).unwrap();
    // As certbot is from the first new certificate of a run on, and as its misc.py runs hooks.
    let script = "import fcntl, os, signal, subprocess, sys\n\
        signal.signal(15, signal.SIG_IGN)\n\
        fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)\n\
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
        subprocess.run(sys.argv[2], shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n\
        print('asks the CA')\n";
    let output = Command::new(crate::certbot::PYTHON)
        .args(["-c", script])
        .args([&lock, &guard])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    assert_eq!(output.stdout, b"");
}

fn in_a_group_of_its_own(certbot: &Certbot, program: &str, pre_hook: &str) -> Output {
    let mut command = certbot.command_of(program);
    // Or this test ends with it.
    renew(command.process_group(0), pre_hook)
}

#[test]
fn a_guard_that_cannot_see_who_runs_it_lets_no_certbot_go_on() {
    if !certbot_is_here() {
        return;
    }
    if !geteuid().is_root() {
        return eprintln!("skipped in part: only root can take /proc away");
    }
    // The worker is content, so that nothing else stops certbot.
    let proving = Some("echo proven >&0");
    for program in certbots() {
        for (hook, goes_on) in [
            ("ulimit -S -n 4; exec GUARD", true),
            ("ulimit -n 4; exec setpriv --bounding-set=-sys_resource GUARD", false),
            ("exec unshare --mount sh -c 'umount --lazy /proc; exec GUARD'", false),
            ("unshare --mount sh -c 'umount --lazy /proc; GUARD; exit 0'; true", false),
        ] {
            let ca = DirectoryOnly::start();
            let certbot = Certbot::new(&ca.directory);
            let guard = guard_with(&certbot, proving, 0o755);
            let script = certbot.path("hook");
            let text = hook.replace("GUARD", guard.to_str().unwrap());
            fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            let output = in_a_group_of_its_own(&certbot, program, script.to_str().unwrap());
            assert_eq!(is_stopped(&output), !goes_on, "{program}: {hook}: {output:?}");
            assert_eq!(ca.asked().is_empty(), !goes_on, "{program}: {hook}: {output:?}");
        }
    }
}

#[test]
fn a_process_of_a_user_that_holds_certbots_lock_is_stopped_and_not_believed() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can run a certbot of somebody else");
    }
    let home = crate::certbot::home_with_directories();
    let lock = home.path().join("etc/.certbot.lock");
    let programs = home.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let guard = programs.join("certbaton-pre-hook");
    fs::copy(GUARD, &guard).unwrap();
    let worker = programs.join("certbaton");
    let asked = home.path().join("asked");
    fs::write(&worker, format!("#!/bin/sh\ntouch {}\necho proven >&0\n", asked.display())).unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
    // Its child is root's, as under sudo.
    let script = "import fcntl, os, sys\n\
        fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)\n\
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
        wait, go = os.pipe()\n\
        hook = os.fork()\n\
        if hook == 0:\n\
        \x20   os.close(go); os.read(wait, 1); os.execv(sys.argv[2], sys.argv[2:])\n\
        os.setresuid(65534, 65534, 65534)\n\
        os.close(go); os.waitpid(hook, 0)\n\
        print('asks the CA')\n";
    let output = Command::new(crate::certbot::PYTHON)
        .args(["-c", script])
        .args([&lock, &guard])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(is_stopped(&output), "{output:?}");
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is not root's but uid 65534's"), "{said}");
    assert!(!asked.exists(), "the worker was asked on its word");
}
