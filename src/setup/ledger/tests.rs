//! system: changes in a scratch directory, made, cut off, undone.

use super::*;
use crate::setup::change::What;
use crate::setup::manifest::{ManifestEntry, Trace, sha256};

struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.at("state").into()).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        displace::create(&self.at(name), text.as_bytes(), 0o640, self.directory.path()).unwrap();
    }

    fn write(&self, name: &str, text: &str) -> Change {
        let what = What::Write { bytes: text.into(), mode: 0o644 };
        Change { path: self.at(name), what, why: String::new() }
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(files::read_foreign(&self.at(name)).unwrap()).unwrap()
    }

    fn back(&self) {
        let ledger = self.ledger();
        for entry in ledger.manifest.files.iter().rev() {
            let state = displace::state(&entry.path).unwrap();
            ledger.follow(&entry.path, &entry.fate(&state)).unwrap();
        }
    }
}

fn apply(scratch: &Scratch, changes: &[Change]) -> Result<(), Error> {
    let prepared: Vec<PreparedChange> =
        changes.iter().map(|c| PreparedChange::of(c).unwrap()).collect();
    scratch.ledger().commit(&prepared)
}

#[test]
fn everything_comes_back_from_the_manifest_alone() {
    let scratch = Scratch::new();
    scratch.put("old", "theirs");
    let changes = [scratch.write("old", "ours"), scratch.write("a/b/new", "new")];
    apply(&scratch, &changes).unwrap();
    assert_eq!(scratch.text("old"), "ours");
    assert_eq!(scratch.ledger().manifest.directories, [scratch.at("a"), scratch.at("a/b")]);
    let State::File { mode, .. } = displace::state(&scratch.at("old")).unwrap() else { panic!() };
    assert_eq!(mode, 0o640, "its own");
    // A second version, and only its own bytes are known to be ours.
    apply(&scratch, &[scratch.write("old", "ours again")]).unwrap();
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    assert!(!files::exists(&scratch.at("a/b/new")));
}

/// certbaton 0.1.0 made a copy of a site a link again; months later the site is edited, then everything is taken back.
#[test]
fn an_edit_below_a_link_of_ours_stays_what_is_read() {
    for (site, back) in [("site", "#site"), ("site, and an edit", "site, and an edit")] {
        let scratch = Scratch::new();
        scratch.put("available", site);
        scratch.put("kept", "#site");
        let (enabled, kept) = (scratch.at("enabled"), scratch.at("kept"));
        displace::link(&enabled, Path::new("available"), scratch.directory.path()).unwrap();
        let mut ledger = scratch.ledger();
        ledger.manifest.files.push(ManifestEntry {
            path: enabled,
            wrote: vec![Trace::Link { target: "available".into(), sha256: Some(sha256(b"site")) }],
            before: Trace::File { sha256: sha256(b"#site"), mode: Some(0o640), copy: Some(kept) },
            repairs: false,
        });
        ledger.save().unwrap();
        scratch.back();
        assert_eq!(scratch.text("enabled"), back);
    }
}

/// A line that was commented out tells by itself that it was; nothing of it is kept elsewhere.
#[test]
fn of_a_comment_no_copy_is_kept() {
    let scratch = Scratch::new();
    scratch.put("old", "hook");
    let what = What::Comment { bytes: b"# hook".to_vec() };
    let comment = Change { path: scratch.at("old"), what, why: String::new() };
    apply(&scratch, std::slice::from_ref(&comment)).unwrap();
    assert_eq!(scratch.text("old"), "# hook");
    assert_eq!(scratch.ledger().manifest.files, []);
    assert!(!files::exists(&scratch.at("state").join(ORIGINALS)));
    scratch.put("other", "theirs");
    displace::make_directory(&scratch.at("open"), 0o777).unwrap();
    let again = Change { what: What::Comment { bytes: b"##".to_vec() }, ..comment };
    let failed = apply(&scratch, &[again, scratch.write("open/x", "x")]).unwrap_err();
    assert!(matches!(failed, Error::Undone(_)), "{failed}");
    assert_eq!(scratch.text("old"), "# hook");
}

#[test]
fn what_fails_on_the_way_leaves_everything_as_before() {
    let scratch = Scratch::new();
    scratch.put("old", "theirs");
    displace::make_directory(&scratch.at("open"), 0o777).unwrap();
    let impossible = scratch.write("open/x", "x");
    let changes = [scratch.write("old", "ours"), scratch.write("d/new", "new"), impossible];
    let failed = apply(&scratch, &changes).unwrap_err();
    assert!(matches!(failed, Error::Undone(_)), "{failed}");
    assert_eq!(scratch.text("old"), "theirs");
    assert!(!files::exists(&scratch.at("d")) && !files::exists(&scratch.at("state")));
}

#[test]
fn a_run_that_was_cut_off_after_the_manifest_can_be_repeated_and_taken_back() {
    let scratch = Scratch::new();
    scratch.put("old", "theirs");
    let changes = [scratch.write("old", "ours"), scratch.write("new", "new")];
    let mut ledger = scratch.ledger();
    for change in &changes {
        let state = displace::state(&change.path).unwrap();
        ledger.take_down(change, &state).unwrap();
    }
    ledger.save().unwrap();
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    apply(&scratch, &changes).unwrap();
    assert_eq!(scratch.text("new"), "new");
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    assert!(!files::exists(&scratch.at("new")));
}
