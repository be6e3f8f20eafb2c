//! flow: every variant is inspected while its Apache runs.

use std::path::Path;

use certbaton::base::codes::Code;
use certbaton::base::finding::Finding;
use certbaton::base::names::Hostname;
use certbaton::check::inspect::inspect;
use certbaton::config::Settings;
use certbaton::fleet::inspection::{Answerer, Directive, Inspection};

use crate::fixture::stage::Stage;
use crate::fixture::{Answerer as Before, Fixture, Outcome, State, each};
use crate::inspect::expected::ROWS;
use support::apache::snapshot::taken;
use support::ensure;
use support::lineage;

#[test]
fn every_variant_is_expected_somehow() {
    let expected: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
    let names: Vec<String> = Fixture::all().into_iter().map(|fixture| fixture.name).collect();
    assert_eq!(expected, names);
}

#[test]
fn each_variant_is_told_by_its_line() {
    each(WORKERS, |fixture, backends, network| {
        let stage = Stage::set(fixture, backends, network)?;
        let tree = taken(&stage.layout.server_root());
        let found = inspect(&settings(fixture, &stage), &[]);
        expect_told(fixture, &stage, &found)?;
        found
            .names
            .iter()
            .try_for_each(|name| expect_kind(fixture, &name.answerer, &found.findings))?;
        places(&found).try_for_each(expect_there)?;
        ensure!(
            stage.changes(&tree).is_empty(),
            "an inspection changed {:?}",
            stage.changes(&tree)
        );
        let json = serde_json::to_string(&found).unwrap();
        ensure!(
            serde_json::from_str::<Inspection>(&json).unwrap() == found,
            "not on the wire: {json}"
        );
        Ok(())
    });
}

#[test]
fn a_switched_route_is_the_webroots_and_other_lines_are_told_where_they_stand_now() {
    let Some(program) = option_env!("CARGO_BIN_EXE_certbaton") else { return };
    each(WORKERS, |fixture, backends, network| {
        if fixture.expect.outcome != Outcome::Switched || !fixture.name.starts_with("80-") {
            return Ok(());
        }
        let stage = Stage::set(fixture, backends, network)?;
        let run = stage.certbaton(program, &["switch", "local"]);
        ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let others: Vec<Hostname> =
            fixture.expect.others.iter().map(|name| Hostname::parse(name).unwrap()).collect();
        let found = inspect(&settings(fixture, &stage), &others);
        for name in &found.names {
            let is_local = name.answerer == Answerer::Webroot;
            ensure!(is_local != others.contains(&name.name), "{name:?}");
        }
        places(&found).try_for_each(expect_there)?;
        let abandoned = found.findings.iter().filter(|f| f.code == Code::AbandonedRoute).count();
        ensure!(abandoned == fixture.expect.names.len(), "{:?}", found.findings);
        Ok(())
    });
}

/// The names of the fixture are renewed here by webroot, as far as `inspect` can see.
fn settings(fixture: &Fixture, stage: &Stage<'_>) -> Settings {
    let base = stage.layout.base();
    let directory = base.join("letsencrypt");
    lineage::make(&directory, &fixture.expect.names, Path::new(&stage.webroot()));
    Settings {
        state_directory: base.join("state").into(),
        runtime_directory: base.join("runtime").into(),
        pid_file: Some(stage.layout.pid_file()),
        certbot_directory: directory,
        ..Settings::default()
    }
}

fn expect_told(fixture: &Fixture, stage: &Stage<'_>, found: &Inspection) -> Result<(), String> {
    let root = format!("{}/", stage.layout.server_root().display());
    let short = |place: &Option<String>| {
        let place = place.as_deref().unwrap_or("-").replace(&root, "");
        place.replace("sites-enabled/", "")
    };
    let mut answerers = Vec::new();
    for name in &found.names {
        let (kind, directive) = told(&name.answerer);
        let place = directive.map(|d| format!(" {}", short(&d.place))).unwrap_or_default();
        answerers.push(format!("{kind}{place}"));
    }
    answerers.dedup();
    let of_variant = |f: &&Finding| !NOT_OF_APACHE.contains(&f.code);
    let findings = found.findings.iter().filter(of_variant);
    let findings: Vec<_> = findings.map(|f| format!("{}={}", f.code, short(&f.place))).collect();
    let (answerers, findings) = (answerers.join(" "), findings.join(" "));
    let row = ROWS.iter().find(|row| row.0 == fixture.name).unwrap();
    ensure!((&*answerers, &*findings) == (row.1, row.2), "{answerers:?}, {findings:?}: {found:?}");
    Ok(())
}

fn told(answerer: &Answerer) -> (&'static str, Option<&Directive>) {
    match answerer {
        Answerer::Webroot => ("webroot", None),
        Answerer::Passed(by) => ("passed", Some(by)),
        Answerer::Redirected(by) => ("redirected", Some(by)),
        Answerer::Elsewhere(by) => ("elsewhere", Some(by)),
        Answerer::Denied(by) => ("denied", Some(by)),
        Answerer::Taken(by) | Answerer::Account(by) => ("taken", Some(by)),
        Answerer::Nobody => ("nobody", None),
        Answerer::Unknown => ("unknown", None),
    }
}

/// Who really answers is of the kind that was told.
fn expect_kind(fixture: &Fixture, answerer: &Answerer, told: &[Finding]) -> Result<(), String> {
    // What only a request decides is told as that.
    let may_deny = || told.iter().any(|f| f.code == Code::Denied && f.what.contains(" may deny "));
    let agrees = match &fixture.expect.before {
        _ if fixture.expect.server != State::Running => true,
        Before::Local => match answerer {
            Answerer::Denied(_) => may_deny(),
            _ => *answerer == Answerer::Webroot,
        },
        // A connector of its own is no proxy of mod_proxy's.
        Before::Vps | Before::App => matches!(answerer, Answerer::Passed(_) | Answerer::Taken(_)),
        Before::Redirect => matches!(answerer, Answerer::Redirected(_)),
        // Not asked as Apache is told to be.
        Before::Status(0) => true,
        Before::Status(404) => matches!(answerer, Answerer::Taken(_) | Answerer::Elsewhere(_)),
        Before::Status(_) => matches!(answerer, Answerer::Denied(_)),
        Before::Body(_) => matches!(answerer, Answerer::Taken(_) | Answerer::Account(_)),
    };
    ensure!(agrees, "{answerer:?}, but {:?} answers", fixture.expect.before);
    Ok(())
}

fn places(found: &Inspection) -> impl Iterator<Item = &Directive> {
    found.names.iter().filter_map(|name| told(&name.answerer).1)
}

/// The line is where it is said to be, as a person's editor counts.
fn expect_there(directive: &Directive) -> Result<(), String> {
    let Some((file, line)) = directive.place.as_deref().and_then(|p| p.rsplit_once(':')) else {
        return Err(format!("no place: {directive:?}"));
    };
    // The use of a macro is not the line itself.
    let Ok(line) = line.parse::<usize>() else { return Ok(()) };
    let bytes = std::fs::read(file).unwrap();
    let text =
        String::from_utf8_lossy(bytes.split(|&b| b == b'\n').nth(line - 1).unwrap()).into_owned();
    let last = directive.text.split_whitespace().last().unwrap();
    ensure!(text.contains(last), "{file}:{line} is {text:?}: {directive:?}");
    Ok(())
}

/// Of the timers of the machine that runs the tests: none of a variant's business.
const NOT_OF_APACHE: [Code; 5] =
    [Code::TwoTimers, Code::TwoCertbots, Code::NobodyRenews, Code::Certonly, Code::CertbotMissing];

const WORKERS: usize = 4;
