//! flow: every way in which people route the challenge path, on a real Apache.
//!
//! Each directory of `tests/variants/` is one way. Requests are real, before,
//! during and after; the tree is compared to the byte. Set
//! `CERTBATON_VARIANTS` to a part of a fixture's name to run just those.
//! Where Apache or root is missing this says so on stderr and skips.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Output;

use crate::fixture::stage::{Stage, expect_equal};
use crate::fixture::{Answerer, Fixture, Insertion, Outcome, State, each};
use support::apache::snapshot::{differing, taken, timeless};
use support::{apache, ensure, say};

#[test]
fn every_row_of_the_table_has_a_fixture() {
    let rows: BTreeSet<u32> = Fixture::all().iter().filter_map(|f| f.expect.row).collect();
    assert_eq!(rows, (1..=51).collect());
}

#[test]
fn before_each_variant_is_accepted_and_answered_as_its_fixture_says() {
    each(WORKERS, |fixture, backends, network| {
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
    each(WORKERS, |fixture, backends, network| {
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
    each(WORKERS, |fixture, backends, network| {
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
                expect_refusal(fixture, &dry)?;
                expect_refusal(fixture, &real)?;
            }
            Outcome::AlreadyLocal => {
                ensure!(dry.stdout.is_empty(), "a diff of nothing: {}", told(&dry));
            }
            Outcome::Switched => {
                expect_insertions(fixture, &dry)?;
                expect_notes(fixture, &real)?;
                stage.expect_marked_only(&tree)?;
                stage.expect_local_and_otherwise(&before, stage.observed())?;
                let switched = taken(&stage.layout.server_root());
                let again = stage.certbaton(program, &["switch", "local"]);
                ensure!(again.status.success(), "a second switch: {}", told(&again));
                let more = stage.changes(&switched);
                ensure!(more.is_empty(), "a second switch changed {more:?}");
                ensure!(stage.reloads() == 1, "{} reloads, not one", stage.reloads());
                let back = stage.certbaton(program, &["switch", "peer"]);
                ensure!(back.status.success(), "switching back: {}", told(&back));
                ensure!(stage.reloads() == 2, "{} reloads, not two", stage.reloads());
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

#[test]
fn each_remedy_works_and_leaves_other_names_as_they_are() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else { return };
    each(WORKERS, |fixture, backends, network| {
        let Some(remedy) = &fixture.expect.remedy else {
            let is_told = NO_REMEDY.iter().any(|(name, _)| *name == fixture.name);
            let refused = fixture.expect.outcome == Outcome::Refused;
            ensure!(is_told || !refused, "its remedy is tried by nobody");
            return Ok(());
        };
        let mut stage = Stage::set(fixture, backends, network)?;
        stage.add_others(network)?;
        let others = stage.observed_of_others();
        let refused = stage.certbaton(program, &["switch", "local"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        let says = Fixture::filled(&remedy.says, &stage.layout.server_root());
        let is_told = refused.status.code() == Some(1) && said.contains(&says);
        ensure!(is_told, "not told {says:?}: {}", told(&refused));
        stage.follow(remedy, network)?;
        expect_equal(&others, &stage.observed_of_others())?;
        let mut words = vec!["switch", "local"];
        words.extend(remedy.options.iter().map(String::as_str));
        let local = stage.certbaton(program, &words);
        ensure!(local.status.success(), "done as told: {}", told(&local));
        stage.expect_answerer(&stage.observed(), &Answerer::Local)?;
        expect_equal(&others, &stage.observed_of_others())?;
        let peer = stage.certbaton(program, &["switch", "peer"]);
        ensure!(peer.status.success(), "switching back: {}", told(&peer));
        expect_equal(&others, &stage.observed_of_others())
    });
}

/// Refusals whose remedies nobody tries here, and why.
const NO_REMEDY: [(&str, &str); 5] = [
    ("26-trailing-comment", "Apache's own complaint"),
    ("46-directadmin-template", "Apache's own complaint"),
    ("51-openlitespeed", "Apache's own complaint"),
    ("84-stopped", "a server that is started"),
    ("85-one-of-two-refused", "the same as 12-redirect-without-rewrite"),
];

#[test]
fn a_file_that_comes_while_a_route_is_local_keeps_no_lines_in() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else { return };
    each(WORKERS, |fixture, backends, network| {
        if fixture.name != "91-nested-include-then-a-later-file" {
            return Ok(());
        }
        let stage = Stage::set(fixture, backends, network)?;
        let root = stage.layout.server_root();
        let before = stage.observed();
        let tree = taken(&root);
        for way in [&["switch", "peer"][..], &["recover"]] {
            std::fs::remove_file(root.join("sites-enabled/b.conf")).unwrap();
            let local = stage.certbaton(program, &["switch", "local"]);
            ensure!(local.status.success(), "switching: {}", told(&local));
            stage.expect_answerer(&stage.observed(), &Answerer::Local)?;
            // Behind the nested Include, which Apache's DUMP_INCLUDES numbers it by.
            stage.layout.enable("sites", "b.conf");
            let back = stage.certbaton(program, way);
            ensure!(back.status.success(), "{way:?}: {}", told(&back));
            expect_equal(&before, &stage.observed())?;
            let b = [PathBuf::from("sites-enabled/b.conf"), PathBuf::from("sites-enabled")];
            let a = PathBuf::from("sites-available/a.conf");
            let touched = [&b[..], &[a]].concat();
            let other = differing(&timeless(&tree, &touched), &timeless(&taken(&root), &touched));
            ensure!(other.is_empty(), "{way:?}: not as it was: {other:?}");
        }
        Ok(())
    });
}

#[test]
fn routes_are_given_back_while_apache_is_stopped() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else { return };
    each(WORKERS, |fixture, backends, network| {
        if fixture.name != "80-both-names" {
            return Ok(());
        }
        let mut stage = Stage::set(fixture, backends, network)?;
        let tree = taken(&stage.layout.server_root());
        let local = stage.certbaton(program, &["switch", "local"]);
        ensure!(local.status.success(), "switching: {}", told(&local));
        let switched = stage.changes(&tree);
        ensure!(!switched.is_empty(), "nothing was switched: {}", told(&local));
        stage.stop();
        let peer = stage.certbaton(program, &["switch", "peer"]);
        ensure!(peer.status.success(), "switching back: {}", told(&peer));
        let left = taken(&stage.layout.server_root());
        let other = differing(&timeless(&tree, &switched), &timeless(&left, &switched));
        ensure!(other.is_empty(), "not as it was: {other:?}");
        let journal = stage.layout.base().join("state/journal");
        ensure!(!journal.exists(), "the journal is not settled");
        let again = stage.certbaton(program, &["switch", "local"]);
        ensure!(again.status.code() == Some(1), "switched a stopped apache: {}", told(&again));
        Ok(())
    });
}

#[test]
fn a_file_that_cannot_be_written_into_costs_its_own_names_alone() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else { return };
    each(WORKERS, |fixture, backends, network| {
        if fixture.name != "80-both-names" {
            return Ok(());
        }
        let stage = Stage::set(fixture, backends, network)?;
        let site = |file: &[u8], name: &str| {
            let path =
                stage.layout.server_root().join("sites-enabled").join(OsStr::from_bytes(file));
            let proxied = "ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8001/x/";
            let text =
                format!("<VirtualHost *:80>\nServerName {name}\n{proxied}\n</VirtualHost>\n");
            std::fs::write(path, text).unwrap();
        };
        site(b"a\nb.conf", "line.example.org");
        site(b"caf\xe9.conf", "latin.example.org");
        let local = stage.certbaton(program, &["switch", "local"]);
        ensure!(local.status.success(), "switching beside odd names: {}", told(&local));
        for (name, file) in
            [("line.example.org", r"a\x0ab.conf"), ("latin.example.org", r"caf\xe9.conf")]
        {
            let run = stage.certbaton(program, &["switch", "local", name]);
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            let is_told = said.contains(file) && said.contains("rename");
            ensure!(run.status.code() == Some(1) && is_told, "{name}: {}", told(&run));
        }
        site(b"later\n\xff.conf", "later.example.org");
        let peer = stage.certbaton(program, &["switch", "peer"]);
        ensure!(peer.status.success(), "giving back beside odd names: {}", told(&peer));
        Ok(())
    });
}

fn expect_refusal(fixture: &Fixture, run: &Output) -> Result<(), String> {
    let Some(refusal) = &fixture.expect.refusal else { return Ok(()) };
    let stderr = String::from_utf8_lossy(&run.stderr);
    let found = stderr.lines().any(|line| refusal.are_in(line));
    ensure!(found, "no line mentions {refusal}: {}", told(run));
    Ok(())
}

/// Each expected note is there, and no line is called dead that is not.
fn expect_notes(fixture: &Fixture, run: &Output) -> Result<(), String> {
    let stderr = String::from_utf8_lossy(&run.stderr);
    let notes: Vec<_> =
        stderr.lines().filter(|line| line.starts_with("certbaton: note:")).collect();
    let expected = &fixture.expect.note;
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

/// A unified diff that only adds, and not more than is needed.
fn expect_insertions(fixture: &Fixture, run: &Output) -> Result<(), String> {
    let diff = String::from_utf8_lossy(&run.stdout);
    let lines = |sign: char, header: &'static str| {
        let body = diff.lines().filter(move |l| l.starts_with(sign) && !l.starts_with(header));
        body.count()
    };
    let headed = diff.lines().any(|l| l.starts_with("+++ ")) && diff.contains("\n@@ ");
    ensure!(headed, "no unified diff: {}", told(run));
    ensure!(lines('-', "--- ") == 0, "the diff removes lines: {diff}");
    ensure!(lines('+', "+++ ") > 0, "the diff adds nothing: {diff}");
    let rewrites = diff.lines().any(|l| l.starts_with('+') && l.contains("RewriteRule"));
    let needed = fixture.expect.by == Some(Insertion::Override);
    ensure!(needed || !rewrites, "an exclusion is enough here: {diff}");
    Ok(())
}

fn told(run: &Output) -> String {
    let stdout = String::from_utf8_lossy(&run.stdout);
    let stderr = String::from_utf8_lossy(&run.stderr);
    format!("{}\nstdout: {stdout}\nstderr: {stderr}", run.status)
}

const WORKERS: usize = 8;
