//! system: changes in a scratch directory, made, cut off, undone.

use super::*;

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
        Change { path: self.at(name), what, why: String::new(), repairs: false }
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

#[test]
fn everything_comes_back_from_the_manifest_alone() {
    let scratch = Scratch::new();
    scratch.put("old", "theirs");
    scratch.put("copy", "a copy");
    scratch.put("site", "a site");
    let link = What::Link { target: "site".into(), bytes: b"a site".to_vec() };
    let link = Change { path: scratch.at("copy"), what: link, why: String::new(), repairs: false };
    let changes = [scratch.write("old", "ours"), scratch.write("a/b/new", "new"), link];
    scratch.ledger().apply(&changes).unwrap();
    assert_eq!(scratch.text("old"), "ours");
    assert_eq!(scratch.text("copy"), "a site", "through the link");
    assert_eq!(scratch.ledger().manifest.directories, [scratch.at("a"), scratch.at("a/b")]);
    let State::File { mode, .. } = displace::state(&scratch.at("old")).unwrap() else { panic!() };
    assert_eq!(mode, 0o640, "its own");
    // A second version, and only its own bytes are known to be ours.
    scratch.ledger().apply(&[scratch.write("old", "ours again")]).unwrap();
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    assert_eq!(scratch.text("copy"), "a copy");
    assert!(!files::exists(&scratch.at("a/b/new")));
}

/// An adopted copy of a site is a link again; months later the site is edited, then everything is taken back.
#[test]
fn an_edit_below_a_link_of_ours_stays_what_is_read() {
    let scratch = Scratch::new();
    scratch.put("enabled", "#site");
    scratch.put("available", "site");
    let what = What::Link { target: "available".into(), bytes: b"site".to_vec() };
    let link = Change { path: scratch.at("enabled"), what, why: String::new(), repairs: false };
    scratch.ledger().apply(&[link]).unwrap();
    let site = files::snapshot(&scratch.at("available")).unwrap();
    let staging = Staging::at(scratch.directory.path().to_owned());
    site.replace(b"site, and an edit", staging).unwrap();
    scratch.back();
    assert_eq!(scratch.text("enabled"), "site, and an edit");
}

#[test]
fn what_fails_on_the_way_leaves_everything_as_before() {
    let scratch = Scratch::new();
    scratch.put("old", "theirs");
    displace::make_directory(&scratch.at("open"), 0o777).unwrap();
    let impossible = scratch.write("open/x", "x");
    let changes = [scratch.write("old", "ours"), scratch.write("d/new", "new"), impossible];
    let failed = scratch.ledger().apply(&changes).unwrap_err();
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
        ledger.prepare(change, &state).unwrap();
    }
    ledger.save().unwrap();
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    scratch.ledger().apply(&changes).unwrap();
    assert_eq!(scratch.text("new"), "new");
    scratch.back();
    assert_eq!(scratch.text("old"), "theirs");
    assert!(!files::exists(&scratch.at("new")));
}
