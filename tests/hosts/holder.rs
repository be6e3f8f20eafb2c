//! The holder's side of the lease against arbiters that misbehave, and against the real one.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use certbaton::base::clock::{self, Deadline, Stopwatch};
use certbaton::base::command::Program;
use certbaton::base::own_directories::{RuntimeDirectory, StateDirectory};
use certbaton::lease::connection::{ArbiterWay, Connection};
use certbaton::lease::heartbeat::{self, News, Session};
use certbaton::lease::holder::GiveUp;
use certbaton::lease::store;
use certbaton::lease::wire::{ArbiterAnswer, Ask, Hello, Purpose, Token};

const HELLO: &str =
    r#"printf '%s\n' '{"version":1,"host":"vps","caller":"home","grace-millis":30000}'"#;
const GRANT: &str = r#"read acquire; printf '%s\n' '{"granted":{"token":7}}'"#;
/// Answers beats for ever.
const BEATS: &str = r#"while read line; do case $line in
    *beat*) n=${line##*:}; printf '{"beaten":{"number":%s}}\n' "${n%%\}*}";;
    *release*) printf '"released"\n';; esac; done"#;

struct Place {
    directory: tempfile::TempDir,
    state: StateDirectory,
    runtime: RuntimeDirectory,
    grace: Duration,
}

fn place(grace: Duration) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state").into();
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let runtime = directory.path().join("run").into();
    Place { directory, state, runtime, grace }
}

/// An arbiter that is a few lines of shell.
fn scripted(parts: &[&str]) -> ArbiterWay {
    ArbiterWay::program(Program {
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), parts.join("\n").into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
    })
}

fn purpose() -> Purpose {
    Purpose { host: "home".into(), pid: 1, why: "a.example".into() }
}

fn start(place: &Place, way: ArbiterWay) -> Session {
    let seen = heartbeat::token_seen(&place.state);
    Session::start(seen, place.grace, way, purpose(), Duration::from_mins(1)).unwrap()
}

/// The next news that is not about waiting.
fn news(session: &mut Session) -> News {
    let deadline = Deadline::after(Duration::from_secs(30));
    loop {
        let left = deadline.remaining().unwrap();
        clock::ready(&[session.as_fd()], Some(left)).unwrap();
        match session.take() {
            None | Some(News::Waiting(_)) => {}
            Some(news) => return news,
        }
    }
}

#[test]
fn the_lease_is_held_while_beats_are_answered_and_its_token_remembered() {
    let place = place(Duration::from_secs(2));
    let mut session = start(&place, scripted(&[HELLO, GRANT, BEATS]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    let quiet = clock::ready(&[session.as_fd()], Some(Duration::from_secs(4))).unwrap();
    assert_eq!(quiet, [false], "twice its period later it is still held");
    let watch = Stopwatch::start();
    session.release();
    assert!(watch.elapsed() < Duration::from_secs(2), "the arbiter confirms it at once");
    assert_eq!(std::fs::read_to_string(heartbeat::token_seen(&place.state)).unwrap(), "7\n");
}

#[test]
fn an_arbiter_that_falls_silent_loses_the_lease_at_two_thirds_of_the_period() {
    let place = place(Duration::from_secs(3));
    let watch = Stopwatch::start();
    let once = place.directory.path().join("once");
    // Whoever comes again hears nothing at all.
    let deaf = format!("if test -e {0}; then exec sleep 60; fi; touch {0}", once.display());
    let silence = "while read line; do :; done";
    let mut session = start(&place, scripted(&[&deaf, HELLO, GRANT, silence]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    let News::Lost(why) = news(&mut session) else { panic!("not lost") };
    assert!(why.contains("confirmed nothing for 2 s"), "{why}");
    let elapsed = watch.elapsed();
    assert!(
        elapsed > Duration::from_millis(1900) && elapsed < Duration::from_secs(3),
        "{elapsed:?}"
    );
}

#[test]
fn a_lease_under_which_nothing_comes_to_an_end_is_given_up() {
    let place = place(Duration::from_millis(600));
    let mut session = start(&place, scripted(&[HELLO, GRANT, BEATS]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    let watch = Stopwatch::start();
    // Longer than that is no matter, as long as somebody says that he works.
    while watch.elapsed() < Duration::from_secs(14) {
        session.alive();
        let lost = clock::ready(&[session.as_fd()], Some(Duration::from_secs(1))).unwrap();
        assert_eq!(lost, [false]);
    }
    let News::Lost(why) = news(&mut session) else { panic!("not lost") };
    assert!(why.contains("did not come to an end in 12 s"), "{why}");
}

#[test]
fn a_token_that_no_clock_led_to_is_refused_and_forgotten() {
    let place = place(Duration::from_secs(30));
    let seen = place.directory.path().join("state/token-seen");
    let grant = format!(r#"read acquire; printf '%s\n' '{{"granted":{{"token":{}}}}}'"#, u64::MAX);
    let mut session = start(&place, scripted(&[HELLO, &grant, BEATS]));
    let News::GaveUp(why, _) = news(&mut session) else { panic!("it was believed") };
    assert!(matches!(why, GiveUp::Ahead { got: Token(u64::MAX), .. }), "{why}");
    assert!(!seen.exists());
    // One that this host took over before it knew better is not said to anybody.
    std::fs::write(&seen, format!("{}\n", (1_u64 << 62) - 1)).unwrap();
    let grant =
        r#"read line; case $line in *'"floor":0,'*) printf '{"granted":{"token":7}}\n';; esac"#;
    let mut session = start(&place, scripted(&[HELLO, grant, BEATS]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    session.release();
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "7\n");
}

#[test]
fn a_lease_that_is_taken_away_is_lost_at_once() {
    let place = place(Duration::from_secs(30));
    let lost = r#"printf '%s\n' '{"lost":{"why":"broken by hand"}}'; sleep 60"#;
    let mut session = start(&place, scripted(&[HELLO, GRANT, lost]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    assert_eq!(news(&mut session), News::Lost("broken by hand".into()));
}

#[test]
fn a_connection_that_dies_is_made_anew_and_the_lease_goes_on() {
    let place = place(Duration::from_secs(3));
    let once = place.directory.path().join("once");
    // The first connection ends right after the grant; the second must name the token.
    let script = format!(
        "if ! test -e {once}; then touch {once}; {HELLO}; {GRANT}; exit; fi\n{HELLO}\n\
         read line; case $line in *'\"held\":7'*) ;; *) printf '{{\"refused\":{{\"why\":\"no token\"}}}}\\n'; exit;; esac\n\
         printf '{{\"granted\":{{\"token\":7}}}}\\n'\n{BEATS}",
        once = once.display()
    );
    let mut session = start(&place, scripted(&[&script]));
    assert_eq!(news(&mut session), News::Granted(Token(7)));
    let quiet = clock::ready(&[session.as_fd()], Some(Duration::from_secs(4))).unwrap();
    assert_eq!(quiet, [false], "it is still held: {:?}", session.take());
    session.release();
}

#[test]
fn half_lines_garbage_and_a_refusing_ssh_are_no_lease_and_said() {
    let long = "head -c 8192 /dev/zero | tr '\\0' x; sleep 60";
    for (script, said) in [
        ("printf '{\"version\":1,'", "closed the connection"),
        ("echo SSH-2.0-banner; sleep 60", "not understood"),
        (long, "more than 4096 bytes"),
        ("echo 'Permission denied (publickey).' >&2; exit 255", "Permission denied (publickey)."),
    ] {
        let place = place(Duration::from_secs(2));
        let mut session = start(&place, scripted(&[script]));
        let News::GaveUp(GiveUp::Unreachable, why) = news(&mut session) else { panic!("{script}") };
        assert!(why.contains(said), "{script}: {why}");
    }
}

#[test]
fn a_refused_key_is_tried_twice() {
    let place = place(Duration::from_mins(2));
    let tries = place.directory.path().join("tries");
    let script = format!(
        "echo >> {}; echo 'certbaton@vps: Permission denied (publickey).' >&2; exit 255",
        tries.display()
    );
    let mut session = start(&place, scripted(&[&script]));
    // Else only after a minute, and sixty tries.
    assert!(matches!(news(&mut session), News::GaveUp(GiveUp::Unreachable, _)));
    assert_eq!(std::fs::read(tries).unwrap(), b"\n\n");
}

#[test]
fn another_version_is_refused_at_once() {
    let place = place(Duration::from_secs(30));
    let hello = r#"printf '%s\n' '{"version":9,"host":"vps","caller":"home","grace-millis":30000}'; sleep 60"#;
    let mut session = start(&place, scripted(&[hello]));
    assert!(matches!(news(&mut session), News::GaveUp(GiveUp::Version(9), _)));
}

#[test]
fn a_child_ends_with_its_connection() {
    let place = place(Duration::from_secs(30));
    let pid = place.directory.path().join("pid");
    let script = format!("echo $$ > {}; {HELLO}; exec sleep 600", pid.display());
    let mut connection = Connection::open(&scripted(&[&script])).unwrap();
    let _: Hello = connection.word(&Deadline::after(Duration::from_secs(20))).unwrap();
    drop(connection);
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

/// The real arbiter, called as `caller`.
fn real(place: &Place, caller: &str) -> ArbiterWay {
    let config: PathBuf = place.directory.path().join("config.toml");
    let text = format!(
        "name = \"vps\"\nstate-directory = \"{}\"\nruntime-directory = \"{}\"\n\
         [lease]\narbiter = \"vps\"\ngrace = \"3s\"\n[[host]]\nname = \"vps\"\n[[host]]\nname = \"home\"\n",
        place.state.display(),
        place.runtime.display()
    );
    std::fs::write(&config, text).unwrap();
    for directory in
        [store::arbiter_directory(&place.runtime), store::token_directory(&place.state)]
    {
        std::fs::create_dir_all(directory).unwrap();
    }
    let arguments =
        ["--config".into(), config.into(), "serve".into(), "--as".into(), caller.into()];
    ArbiterWay::program(Program {
        path: env!("CARGO_BIN_EXE_certbaton").into(),
        arguments: arguments.into(),
        environment: Vec::new(),
        directory: "/".into(),
    })
}

#[test]
fn two_holders_take_turns_at_the_real_arbiter() {
    let place = place(Duration::from_secs(3));
    let mut home = start(&place, real(&place, "home"));
    let News::Granted(first) = news(&mut home) else { panic!("no grant") };
    let mut vps = start(&place, real(&place, "vps"));
    let early = clock::ready(&[vps.as_fd()], Some(Duration::from_secs(20))).unwrap();
    assert_eq!(early, [true], "it is told that it waits");
    assert!(matches!(vps.take(), Some(News::Waiting(_))));
    home.release();
    let News::Granted(second) = news(&mut vps) else { panic!("no grant") };
    assert!(second > first);
    let quiet = clock::ready(&[vps.as_fd()], Some(Duration::from_secs(5))).unwrap();
    assert_eq!(quiet, [false], "still held after its period: {:?}", vps.take());
    vps.release();
}

#[test]
fn the_real_arbiter_breaks_a_lease_by_its_token() {
    let place = place(Duration::from_secs(3));
    let mut home = start(&place, real(&place, "home"));
    let News::Granted(token) = news(&mut home) else { panic!("no grant") };
    let soon = Deadline::after(Duration::from_secs(20));
    let mut person = Connection::open(&real(&place, "vps")).unwrap();
    let _: Hello = person.word(&soon).unwrap();
    person.say(&Ask::Status).unwrap();
    let ArbiterAnswer::Status(status) = person.word(&soon).unwrap() else { panic!("no status") };
    assert_eq!(status.holder.unwrap().token, token);
    person.say(&Ask::Break { token }).unwrap();
    assert_eq!(person.word::<ArbiterAnswer>(&soon).unwrap(), ArbiterAnswer::Broken);
    assert!(matches!(news(&mut home), News::Lost(_)));
}

#[test]
fn a_person_sees_that_nobody_holds_it() {
    if !Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n") {
        println!("skipped: needs root");
        return;
    }
    let place = place(Duration::from_secs(3));
    real(&place, "vps");
    let config = place.directory.path().join("config.toml");
    let run = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_certbaton");
        Command::new(program).arg("--config").arg(&config).args(arguments).output().unwrap()
    };
    let shown = run(&["lease", "show"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.starts_with("free (arbiter: vps"), "{shown:?}");
    let json = run(&["lease", "show", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json["arbiter"].as_str(), json["holder"].is_null()), (Some("vps"), true));
    let broken = run(&["lease", "break", "12"]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
}
