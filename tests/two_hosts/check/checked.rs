//! flow: what `certbaton check --json` says of a set-up, held against what the set-up says.

use serde_json::Value;

use crate::check::setup::{Expected, On, Place, Renewal, Setup};
use crate::check::stage::Stage;
use crate::host::Output;

impl Stage {
    /// Everything that `check` says and should not, or does not and should.
    pub(crate) fn checked(&self, setup: &Setup) -> Vec<String> {
        let done = self.host(setup.from).run(&["certbaton", "check", "--json"]);
        let Ok(report) = serde_json::from_str::<Value>(&done.out) else {
            return vec![format!("check: {done:?}")];
        };
        let mut problems = self.findings(setup, &report, &done);
        for (on, expected) in [(On::Vps, setup.vps), (On::Home, setup.home)] {
            let foretold = foretold(&report, setup.lineage, on);
            if foretold != expected {
                problems.push(format!("check foretells of {on:?}: {foretold:?}, not {expected:?}"));
            }
        }
        problems.extend(others(setup, &report));
        problems
    }

    fn findings(&self, setup: &Setup, report: &Value, done: &Output) -> Vec<String> {
        let mut problems = Vec::new();
        let mut left: Vec<&Value> = report["findings"].as_array().into_iter().flatten().collect();
        for expected in setup.findings {
            let place = self.place(expected);
            match left.iter().position(|found| is(expected, &place, found)) {
                Some(at) => {
                    left.remove(at);
                }
                None => problems.push(format!("not found: {expected:?} at {place:?}")),
            }
        }
        problems.extend(left.iter().map(|found| format!("found: {found}")));
        let exit = i32::from(setup.findings.iter().any(|expected| expected.is_problem));
        if done.code() != exit {
            problems.push(format!("exit code {}, not {exit}: {}", done.code(), done.err));
        }
        problems
    }

    /// `FILE:LINE` of a line, or the words.
    fn place(&self, expected: &Expected) -> String {
        match (expected.place, expected.on) {
            (Place::Line(file, text), Some(on)) => {
                let real = self.host(on).sh(&format!("realpath {file}"));
                let content = self.host(on).read(&real);
                let line = content.lines().position(|line| line.contains(text));
                let line = line.unwrap_or_else(|| panic!("{file} has no {text}"));
                format!("{file}:{}", line + 1)
            }
            (Place::Words(words), _) => words.to_owned(),
            _ => String::new(),
        }
    }
}

fn is(expected: &Expected, place: &str, found: &Value) -> bool {
    let severity = if expected.is_problem { "problem" } else { "warning" };
    let there = match expected.place {
        Place::Line(..) => found["place"] == place,
        Place::Words(_) => found["place"].as_str().is_some_and(|found| found.contains(place)),
        Place::Nowhere => found["place"].is_null(),
    };
    found["severity"] == severity
        && found["code"] == expected.code
        && found["host"].as_str() == expected.on.map(On::name)
        && there
        && found["remedy"].as_str().is_some_and(|remedy| remedy.contains(expected.remedy))
}

/// What would become of a renewal of the lineage: the worst of its names.
fn foretold(report: &Value, lineage: &str, on: On) -> Renewal {
    let names = report["names"].as_array().into_iter().flatten();
    let own = names.filter(|name| {
        name["name"]
            .as_str()
            .is_some_and(|name| name == lineage || name == ["www.", lineage].concat())
    });
    let fates = own.flat_map(|name| name["renewals"].as_array().into_iter().flatten());
    let now = fates.filter(|fate| fate["host"] == on.name() && fate["without"].is_null());
    now.map(|fate| match fate["fate"].as_str() {
        Some("works") => Renewal::Passes,
        Some("works-switched") => Renewal::Switched,
        Some("fails") => Renewal::Fails,
        _ => Renewal::Unknown,
    })
    .max()
    .unwrap_or(Renewal::Nothing)
}

/// The lineages that a set-up is not about renew as before, where not all are alike.
fn others(setup: &Setup, report: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for lineage in crate::clean::LINEAGES.iter().filter(|lineage| **lineage != setup.lineage) {
        for (on, own) in [(On::Vps, setup.vps), (On::Home, setup.home)] {
            let foretold = foretold(report, lineage, on);
            let usual = if on == On::Vps { Renewal::Passes } else { Renewal::Switched };
            if foretold != if setup.alike.contains(&on) { own } else { usual } {
                problems.push(format!("check foretells of {on:?} and {lineage}: {foretold:?}"));
            }
        }
    }
    problems
}
