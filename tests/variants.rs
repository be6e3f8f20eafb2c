//! flow: every way in which people route the challenge path, on a real Apache.
//!
//! Each directory of `tests/variants/` is one way. Requests are real, before,
//! during and after; the tree is compared to the byte. Set
//! `CERTBATON_VARIANTS` to a part of a fixture's name to run just those.
//! Where Apache or root is missing this says so on stderr and skips.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

#[cfg(test)]
mod apache;
#[cfg(test)]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use apache::layout::Layout;
use apache::snapshot::{Snapshot, differing, taken, timeless};
use apache::{Answer, Network, Server};
use fixture::{Answerer, Backends, Fixture, Insertion, Outcome, PATHS, State, by_hand};

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

#[test]
fn every_row_of_the_table_has_a_fixture() {
    let rows: BTreeSet<u32> = Fixture::all().iter().filter_map(|f| f.expect.row).collect();
    assert_eq!(rows, (1..=51).collect());
}

#[test]
fn before_each_variant_is_accepted_and_answered_as_its_fixture_says() {
    each_fixture(|fixture, backends, network| {
        let mut stage = Stage::set(fixture, backends, network)?;
        let checked = apache::configtest(&stage.layout);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        let accepted = fixture.expect.server != State::Broken;
        ensure!(checked.status.success() == accepted, "configtest: {}: {said}", checked.status);
        stage.expect_before()?;
        stage.expect_same_process()
    });
}

#[test]
fn by_hand_each_switched_variant_can_be_switched() {
    each_fixture(|fixture, backends, network| {
        let expect = &fixture.expect;
        let (Some(by), true) = (expect.by, expect.by_hand) else { return Ok(()) };
        let mut stage = Stage::set(fixture, backends, network)?;
        let before = stage.observed();
        if by == Insertion::Override && fixture.has_proxy() {
            let excluded = stage.observed_with(Insertion::Exclusion, network)?;
            let enough = stage.expect_answerer(&excluded, &Answerer::Local).is_ok();
            ensure!(!enough, "an exclusion is enough here");
        }
        let during = stage.observed_with(by, network)?;
        stage.expect_local_and_otherwise(&before, during)
    });
}

#[test]
fn each_variant_is_switched_and_given_back_or_refused() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else {
        say("SKIPPED: switching of the variants: there is no certbaton binary yet");
        return;
    };
    each_fixture(|fixture, backends, network| {
        let mut stage = Stage::set(fixture, backends, network)?;
        let before = stage.expect_before()?;
        let tree = taken(&stage.layout.server_root());
        let dry = stage.certbaton(program, &["switch", "local", "--dry-run"]);
        ensure!(stage.changes(&tree).is_empty(), "a dry run changed {:?}", stage.changes(&tree));
        let real = stage.certbaton(program, &["switch", "local"]);
        for run in [&dry, &real] {
            let wanted = i32::from(fixture.expect.outcome == Outcome::Refused);
            ensure!(run.status.code() == Some(wanted), "wanted exit {wanted}: {}", told(run));
        }
        match fixture.expect.outcome {
            Outcome::Refused => {
                stage.expect_refusal(&dry)?;
                stage.expect_refusal(&real)?;
            }
            Outcome::AlreadyLocal => {
                ensure!(dry.stdout.is_empty(), "a diff of nothing: {}", told(&dry));
            }
            Outcome::Switched => {
                expect_insertions(&dry)?;
                stage.expect_notes(&real)?;
                stage.expect_marked_only(&tree)?;
                stage.expect_local_and_otherwise(&before, stage.observed())?;
                let switched = taken(&stage.layout.server_root());
                let again = stage.certbaton(program, &["switch", "local"]);
                ensure!(again.status.success(), "a second switch: {}", told(&again));
                let more = stage.changes(&switched);
                ensure!(more.is_empty(), "a second switch changed {more:?}");
                let back = stage.certbaton(program, &["switch", "peer"]);
                ensure!(back.status.success(), "switching back: {}", told(&back));
            }
        }
        let touched = stage.changes(&tree);
        ensure!(
            fixture.expect.outcome == Outcome::Switched || touched.is_empty(),
            "changed {touched:?}"
        );
        let left = taken(&stage.layout.server_root());
        let other = differing(&timeless(&tree, &touched), &timeless(&left, &touched));
        ensure!(other.is_empty(), "not as it was: {other:?}");
        let idle = stage.certbaton(program, &["switch", "peer"]);
        ensure!(idle.status.success(), "nothing to give back: {}", told(&idle));
        ensure!(stage.changes(&left).is_empty(), "switching back twice changed something");
        expect_equal(&before, &stage.observed())?;
        stage.expect_same_process()
    });
}

/// A fixture laid out and, if it says so, running.
struct Stage<'a> {
    fixture: &'a Fixture,
    layout: Layout,
    server: Option<Server>,
    config: PathBuf,
}

/// Answers by address, host and path.
type Observed = BTreeMap<(SocketAddr, String, String), Answer>;

impl<'a> Stage<'a> {
    fn set(fixture: &'a Fixture, backends: &Backends, network: &Network) -> Result<Self, String> {
        let layout = fixture.place(backends);
        let ready = fixture.expect.addresses[0];
        let enable = || fixture.sites().for_each(|site| layout.enable("sites", site));
        let server = match fixture.expect.server {
            State::Running => {
                enable();
                Some(Server::start(&layout, ready, network)?)
            }
            State::Broken => {
                let server = Server::start(&layout, ready, network)?;
                enable();
                Some(server)
            }
            State::Stopped => {
                enable();
                None
            }
        };
        let base = layout.base().to_str().unwrap();
        let config = layout.base().join("certbaton.toml");
        let text = format!(
            "state-directory = \"{base}/state\"\nruntime-directory = \"{base}/runtime\"\n\
             [apache]\npid-file = \"{}\"\n",
            layout.pid_file().display()
        );
        fs::write(&config, text).unwrap();
        Ok(Self { fixture, layout, server, config })
    }

    fn webroot(&self) -> String {
        let webroot = self.layout.server_root().join(&self.fixture.expect.webroot);
        webroot.to_str().unwrap().to_owned()
    }

    /// Runs `certbaton` for the fixture's names.
    fn certbaton(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.arg("--config").arg(&self.config).args(arguments);
        command.args(&self.fixture.expect.names);
        if arguments.contains(&"local") {
            command.arg("--webroot").arg(self.webroot());
        }
        command.output().unwrap()
    }

    /// Asks everything there is to ask, with a token in the webroot meanwhile.
    fn observed(&self) -> Observed {
        let expect = &self.fixture.expect;
        let _planted = Planted::in_webroot(Path::new(&self.webroot()));
        let challenge = [challenge()];
        let paths = || PATHS.iter().map(|p| (*p).to_owned()).chain(expect.paths.iter().cloned());
        let mut observed = Observed::new();
        for address in self.server.iter().flat_map(|_| &expect.addresses) {
            for host in expect.names.iter().chain(&expect.others) {
                for path in paths().chain(challenge.iter().cloned()) {
                    let answer = apache::request(*address, host, &path);
                    observed.insert((*address, host.clone(), path), answer);
                }
            }
        }
        observed
    }

    /// The same with `insertion` made by an editor, and the server started anew.
    fn observed_with(
        &mut self,
        insertion: Insertion,
        network: &Network,
    ) -> Result<Observed, String> {
        self.server = None;
        let root = self.layout.server_root();
        let names = &self.fixture.expect.names;
        let mut originals = Vec::new();
        for (path, entry) in taken(&root) {
            let conf = entry.content.filter(|_| path.extension() == Some("conf".as_ref()));
            let Some(bytes) = conf else { continue };
            let proxy = self.fixture.has_proxy();
            let edited = by_hand::inserted(&bytes, names, insertion, &self.webroot(), proxy);
            if let Some(edited) = edited {
                ensure!(without_marked(&edited) == bytes, "unmarking is not the inverse");
                fs::write(root.join(&path), edited).unwrap();
                originals.push((path, bytes));
            }
        }
        ensure!(!originals.is_empty(), "no vhost found to edit");
        let ready = self.fixture.expect.addresses[0];
        self.server = Some(Server::start(&self.layout, ready, network)?);
        let observed = self.observed();
        self.server = None;
        for (path, bytes) in originals {
            fs::write(root.join(path), bytes).unwrap();
        }
        Ok(observed)
    }

    fn expect_before(&self) -> Result<Observed, String> {
        let observed = self.observed();
        self.expect_answerer(&observed, &self.fixture.expect.before)?;
        Ok(observed)
    }

    fn expect_answerer(&self, observed: &Observed, answerer: &Answerer) -> Result<(), String> {
        for ((address, host, path), answer) in observed {
            if *path == challenge() && self.fixture.expect.names.contains(host) {
                let gave = answerer.gave(answer, TOKEN);
                ensure!(gave, "{host} at {address}: not {answerer:?}: {answer:?}");
            }
        }
        Ok(())
    }

    fn expect_local_and_otherwise(
        &self,
        before: &Observed,
        mut during: Observed,
    ) -> Result<(), String> {
        self.expect_answerer(&during, &Answerer::Local)?;
        for (asked, answer) in before {
            if asked.2 == challenge() && self.fixture.expect.names.contains(&asked.1) {
                during.insert(asked.clone(), answer.clone());
            }
        }
        expect_equal(before, &during)
    }

    fn expect_same_process(&mut self) -> Result<(), String> {
        let same = self.server.as_mut().is_none_or(Server::is_the_same);
        let log = self.server.as_ref().map(Server::errors);
        ensure!(same, "not the process it was: {log:?}");
        Ok(())
    }

    fn changes(&self, since: &Snapshot) -> Vec<PathBuf> {
        differing(since, &taken(&self.layout.server_root()))
    }

    /// Deleting the marked lines gives the user's bytes, and nothing but bytes has changed.
    fn expect_marked_only(&self, tree: &Snapshot) -> Result<(), String> {
        let touched = self.changes(tree);
        ensure!(!touched.is_empty(), "switched, yet no file has changed");
        let mut unmarked = taken(&self.layout.server_root());
        for path in &touched {
            let Some(entry) = unmarked.get_mut(path) else { continue };
            entry.content = entry.content.take().map(|bytes| without_marked(&bytes));
        }
        let other = differing(&timeless(tree, &touched), &timeless(&unmarked, &touched));
        ensure!(other.is_empty(), "more than marked lines has changed: {other:?}");
        Ok(())
    }

    fn expect_refusal(&self, run: &Output) -> Result<(), String> {
        let Some(refusal) = &self.fixture.expect.refusal else { return Ok(()) };
        let stderr = String::from_utf8_lossy(&run.stderr);
        let found = stderr.lines().any(|line| refusal.are_in(line));
        ensure!(found, "no line mentions {refusal}: {}", told(run));
        Ok(())
    }

    /// Each expected note is there, and no line is called dead that is not.
    fn expect_notes(&self, run: &Output) -> Result<(), String> {
        let stderr = String::from_utf8_lossy(&run.stderr);
        let notes: Vec<_> =
            stderr.lines().filter(|line| line.starts_with("certbaton: note:")).collect();
        let expected = &self.fixture.expect.note;
        for note in expected {
            let found = notes.iter().any(|line| note.are_in(line));
            ensure!(found, "no note mentions {note}: {}", told(run));
        }
        for line in notes.iter().filter(|line| line.contains("dead")) {
            let wanted = expected.iter().any(|note| note.are_in(line));
            ensure!(wanted, "not dead: {line}");
        }
        Ok(())
    }
}

/// A token file; it and the directories made for it go when dropped.
struct Planted {
    made: Vec<PathBuf>,
}

impl Planted {
    fn in_webroot(webroot: &Path) -> Self {
        let mut made = Vec::new();
        let mut path = webroot.to_owned();
        for part in [".well-known", "acme-challenge"] {
            path.push(part);
            if fs::create_dir(&path).is_ok() {
                made.push(path.clone());
            }
        }
        path.push(TOKEN_NAME);
        fs::write(&path, TOKEN).unwrap();
        made.push(path);
        Self { made }
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let (token, directories) = self.made.split_last().unwrap();
        fs::remove_file(token).unwrap();
        for directory in directories.iter().rev() {
            fs::remove_dir(directory).unwrap();
        }
    }
}

fn expect_equal(before: &Observed, now: &Observed) -> Result<(), String> {
    for (asked, was) in before {
        let (address, host, path) = asked;
        let is = &now[asked];
        ensure!(is == was, "{host}{path} at {address}: was {was:?}, is {is:?}");
    }
    Ok(())
}

/// A unified diff that only adds.
fn expect_insertions(run: &Output) -> Result<(), String> {
    let diff = String::from_utf8_lossy(&run.stdout);
    let lines = |sign: char, header: &'static str| {
        let body = diff.lines().filter(move |l| l.starts_with(sign) && !l.starts_with(header));
        body.count()
    };
    let headed = diff.lines().any(|l| l.starts_with("+++ ")) && diff.contains("\n@@ ");
    ensure!(headed, "no unified diff: {}", told(run));
    ensure!(lines('-', "--- ") == 0, "the diff removes lines: {diff}");
    ensure!(lines('+', "+++ ") > 0, "the diff adds nothing: {diff}");
    Ok(())
}

fn without_marked(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = String::from_utf8_lossy(line);
        inside |= text.contains("certbaton: begin");
        if !inside {
            kept.extend_from_slice(line);
        }
        inside &= !text.contains("certbaton: end");
    }
    kept
}

fn told(run: &Output) -> String {
    let stdout = String::from_utf8_lossy(&run.stdout);
    let stderr = String::from_utf8_lossy(&run.stderr);
    format!("{}\nstdout: {stdout}\nstderr: {stderr}", run.status)
}

/// Runs `check` on every selected fixture, a few at a time, and reports all failures.
fn each_fixture(check: impl Fn(&Fixture, &Backends, &Network) -> Result<(), String> + Sync) {
    if let Some(reason) = apache::unavailable() {
        say(&format!("SKIPPED: all variants: {reason}"));
        return;
    }
    let part = std::env::var("CERTBATON_VARIANTS").unwrap_or_default();
    let mut fixtures = Fixture::all();
    fixtures.retain(|fixture| fixture.name.contains(&part));
    let queue = Mutex::new(fixtures.into_iter());
    let failures = Mutex::new(Vec::new());
    let work = |network: &Network| {
        let backends = Backends::start(network);
        loop {
            let Some(fixture) = queue.lock().unwrap().next() else { return };
            let missing = fixture.missing_module();
            if let Some(module) = missing {
                say(&format!("SKIPPED: {}: no {module}; see tests/packages", fixture.name));
            } else if let Err(failure) = check(&fixture, &backends, network) {
                let title = &fixture.expect.title;
                failures.lock().unwrap().push(format!("{} ({title}): {failure}", fixture.name));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| apache::in_private_network(work));
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Past the capture of the test runner: what was skipped must be seen.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

fn challenge() -> String {
    format!("/.well-known/acme-challenge/{TOKEN_NAME}")
}

const TOKEN_NAME: &str = "certbaton-test_token";
const TOKEN: &str = "certbaton-test_token.local\n";
const WORKERS: usize = 4;
