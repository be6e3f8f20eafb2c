//! flow: one lab, one set-up after another: changed, checked, tried, changed back.

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::Failed;

use crate::check::setup::{On, Pebble, Renewal, Setup};
use crate::check::stage::Stage;
use crate::trials::{Act, Part, told};
use support::full;

/// The lab, from the first set-up on.
static STAGE: Mutex<Option<Stage>> = Mutex::new(None);

/// The part of these set-ups.
pub(crate) fn part(setups: &[Setup]) -> Part {
    let trial = |&setup: &Setup| {
        let act: Act = Box::new(move || one(setup));
        (setup.name.to_owned(), act)
    };
    Part { name: "check", trials: setups.iter().map(trial).collect(), down }
}

fn down() {
    if let Some(stage) = STAGE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        stage.lab.down();
    }
}

fn one(setup: Setup) -> Result<(), Failed> {
    let mut guard = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = &*guard.get_or_insert_with(|| {
        fs::remove_file(table()).ok();
        Stage::new()
    });
    let began = Instant::now();
    let problems = catch_unwind(AssertUnwindSafe(|| {
        stage.set(&setup);
        let checked = Instant::now();
        let mut problems = stage.checked(&setup);
        problems.extend(stage.transcribed(&setup));
        let tried = Instant::now();
        problems.extend(stage.coordinated(&setup));
        problems.extend(stage.tried(&setup));
        note(&format!(
            "{:.1} {:.1}",
            (tried - checked).as_secs_f32(),
            tried.elapsed().as_secs_f32()
        ));
        problems
    }));
    stage.restore(&setup);
    let problems = problems.unwrap_or_else(|panic| vec![told(&*panic)]);
    note(&format!(
        "| {} | {} | {:.1} |",
        setup.name,
        if problems.is_empty() { "ok" } else { "FAILED" },
        began.elapsed().as_secs_f32()
    ));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

impl Stage {
    /// What the CA makes of both hosts, where that is not what the set-up says.
    fn tried(&self, setup: &Setup) -> Vec<String> {
        let (vps, home) = match setup.pebble {
            Pebble::Agrees => (setup.vps, setup.home),
            Pebble::Differs(_, vps, home) => (vps, home),
            Pebble::NotAsked(_) => return Vec::new(),
        };
        let mut problems = Vec::new();
        for (on, expected) in [(On::Vps, vps), (On::Home, home)] {
            for (switch, passes) in attempts(setup, expected) {
                let switch = switch && self.switches(on);
                let (passed, why) = self.try_renewal(on, setup.lineage, switch);
                if passed != passes {
                    problems.push(format!(
                        "a renewal on {on:?}, switched {switch}: {passed}, not {passes}: {why}"
                    ));
                }
            }
        }
        problems
    }
}

impl Stage {
    /// What a coordination makes of a lineage that it has to leave out.
    fn coordinated(&self, setup: &Setup) -> Vec<String> {
        let Some(words) = setup.left_out else { return Vec::new() };
        let since = self.lab.ca.mark();
        let of_home = ["renew-coordinate", "--force-renewal", "--json", "--host", "home"];
        let done =
            self.host(On::Home).run(&[&of_home[..], &["--cert-name", setup.lineage]].concat());
        let orders = self.lab.ca.work(since).orders;
        let report: serde_json::Value = serde_json::from_str(&done.out).unwrap_or_default();
        let hosts = report["hosts"].as_array().cloned().unwrap_or_default();
        let home = hosts.iter().find(|host| host["name"] == "home");
        let lineage = home.map(|home| home["lineages"][0].clone()).unwrap_or_default();
        let why = lineage["why"].as_str().unwrap_or_default();
        let is_left_out = lineage["result"] == "not-tried" && why.contains(words);
        if orders == 0 && is_left_out && done.code() == 1 {
            return Vec::new();
        }
        vec![format!(
            "a coordination: {orders} orders, exit {}: {report:#}\n{}",
            done.code(),
            done.err
        )]
    }
}

/// What to try where a renewal is said to go so: whether switched, and whether it passes.
///
/// Of what is broken, usually only what fails is tried, and all of it in a full run.
fn attempts(setup: &Setup, renewal: Renewal) -> Vec<(bool, bool)> {
    let all = full() || setup.findings.is_empty();
    match renewal {
        Renewal::Passes if all => vec![(false, true)],
        Renewal::Switched if full() => vec![(false, false), (true, true)],
        Renewal::Switched if all => vec![(true, true)],
        Renewal::Fails => vec![(true, false)],
        _ => Vec::new(),
    }
}

/// One line of the table of results.
fn note(line: &str) {
    let mut text = fs::read_to_string(table()).unwrap_or_default();
    writeln!(text, "{line}").ok();
    fs::write(table(), text).ok();
}

/// Where the results of the last run are.
fn table() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("check.md")
}
