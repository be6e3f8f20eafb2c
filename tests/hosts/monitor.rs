//! test: people and monitoring are told what is wrong, once per change, whatever is in the way.
mod documents;
mod programs;
mod receiver;
mod urls;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use certbaton::config::Settings;
use certbaton::fleet::host_report::{HostReport, HostSurvey, Versions};
use certbaton::monitor::round::look;
use certbaton::status::overview::{HostStatus, LeaseStatus, Overview, Urgency, Wrong};
use serde_json::Value;
use support::schema;
use tempfile::TempDir;

/// A host with directories of its own.
pub(crate) struct Host {
    pub(crate) scratch: TempDir,
    settings: Settings,
}

impl Host {
    /// With this in its configuration, where `@` is its directory.
    pub(crate) fn with(configuration: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let text = format!(
            "state-directory = \"@/state\"\nruntime-directory = \"@/run\"\n{configuration}\n"
        );
        let text = text.replace('@', scratch.path().to_str().unwrap());
        let settings = Settings::parse("config.toml", &text).unwrap();
        Self { scratch, settings }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// An executable script.
    pub(crate) fn script(&self, name: &str, text: &str) {
        write(&self.path(name), &format!("#!/bin/sh\n{text}\n"), 0o755);
    }

    /// Looks, and finds that these keys name what is wrong.
    pub(crate) fn finds(&self, keys: &[&str]) {
        look(&self.settings, || Some(overview(keys)));
    }
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn overview(keys: &[&str]) -> Overview {
    let wrong = |key: &&str| Wrong {
        code: serde_json::from_value(key.split('/').next().into()).unwrap(),
        key: (*key).to_owned(),
        severity: Urgency::Critical,
        text: format!("home: {key} is wrong"),
        host: Some("home".to_owned()),
    };
    let host = HostStatus {
        name: "home".into(),
        own: true,
        unreachable: None,
        seen: None,
        found: Some(found()),
        clock_ahead: 0,
    };
    Overview {
        version: 1,
        at: certbaton::base::clock::now(),
        exit: 0,
        wrong: keys.iter().map(wrong).collect(),
        lease: LeaseStatus::default(),
        hosts: vec![host],
    }
}

/// A host with nothing on it.
fn found() -> HostReport {
    HostReport {
        at: certbaton::base::clock::now(),
        versions: Versions::default(),
        apache: None,
        last_reload: None,
        under_way: false,
        hold: None,
        starts: None,
        findings: Vec::new(),
        local: Vec::new(),
        damaged: Vec::new(),
        pending: false,
        lineages: Vec::new(),
        last_run: None,
        notes: Vec::new(),
        survey: HostSurvey::default(),
        odd: Vec::new(),
    }
}

/// Event and key of each change of a message, which is as its schema says.
pub(crate) fn changes(message: &Value) -> Vec<(String, String)> {
    schema::expect("notify", message);
    let changes = message["changes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes.iter().map(|change| (text(&change["event"]), text(&change["key"]))).collect()
}

pub(crate) fn change(event: &str, key: &str) -> (String, String) {
    (event.to_owned(), key.to_owned())
}

#[test]
fn who_did_not_ask_is_not_looked_for() {
    let host = Host::with("");
    look(&host.settings, || panic!("nobody wants to know"));
    assert!(!host.path("state").exists());
}

#[test]
fn a_look_that_was_called_off_changes_nothing() {
    let host = Host::with("[metrics]\ntextfile = \"@/c.prom\"");
    look(&host.settings, || None);
    assert!(!host.path("c.prom").exists());
}
