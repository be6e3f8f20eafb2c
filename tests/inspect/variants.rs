//! flow: every variant is inspected while its Apache runs.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use certbaton::check::inspect::inspect;
use certbaton::check::inspection::{Answerer, Inspection};
use certbaton::config::Settings;

use crate::apache::{self, Network};
use crate::fixture::stage::Stage;
use crate::fixture::{Backends, Fixture};
use crate::lineage;

#[test]
fn each_variant_is_inspected() {
    each(|fixture, backends, network| {
        let stage = Stage::set(fixture, backends, network)?;
        let found = inspected(fixture, &stage);
        let root = stage.layout.server_root();
        let text = serde_json::to_string(&found).unwrap().replace(root.to_str().unwrap(), "ROOT");
        writeln!(std::io::stderr(), "{} {:?} {text}", fixture.name, fixture.expect.before).unwrap();
        Ok(())
    });
}

/// What `inspect` says of the fixture's names, which certbot renews here by webroot.
fn inspected(fixture: &Fixture, stage: &Stage<'_>) -> Inspection {
    let base = stage.layout.base();
    let directory = base.join("letsencrypt");
    lineage::make(&directory, &fixture.expect.names, Path::new(&stage.webroot()));
    let settings = Settings {
        state_directory: base.join("state"),
        runtime_directory: base.join("runtime"),
        pid_file: Some(stage.layout.pid_file()),
        certbot_directory: directory,
        ..Settings::default()
    };
    inspect(&settings, &[])
}

/// Runs `check` on every fixture, a few at a time, and reports all failures.
fn each(check: impl Fn(&Fixture, &Backends, &Network) -> Result<(), String> + Sync) {
    if let Some(reason) = apache::unavailable() {
        return say(&format!("skipped: inspections: {reason}"));
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
            if let Some(module) = fixture.missing_module() {
                say(&format!("skipped: {}: no {module}; see tests/packages", fixture.name));
            } else if let Err(failure) = check(&fixture, &backends, network) {
                failures.lock().unwrap().push(format!("{}: {failure}", fixture.name));
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

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

const WORKERS: usize = 4;
