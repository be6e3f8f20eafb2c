//! pure: what comes back of what was written, replaced, edited, or never got so far.

use super::*;

fn file(text: &str) -> State {
    State::File { bytes: text.into(), mode: 0o644 }
}

fn write(text: &str) -> Change {
    let what = What::Write { bytes: text.into(), mode: 0o644 };
    Change { path: "/f".into(), what, why: String::new() }
}

/// The manifest after these changes, each of what was there then.
fn after(changes: &[(&Change, &State)]) -> Manifest {
    let mut manifest = Manifest::new();
    for (change, state) in changes {
        manifest.record(change, state, "/kept/0".into());
    }
    Manifest::parse(&manifest.bytes().unwrap()).unwrap()
}

fn fate(manifest: &Manifest, now: &State) -> Restoration {
    manifest.files[0].fate(now)
}

#[test]
fn a_new_file_goes_if_it_is_as_it_was_written() {
    let manifest = after(&[(&write("a"), &State::Absent)]);
    assert_eq!(fate(&manifest, &file("a")), Restoration::Remove);
    assert_eq!(fate(&manifest, &file("a and more")), Restoration::Edited);
    assert_eq!(
        fate(&manifest, &State::Link { target: "/x".into(), bytes: None }),
        Restoration::Edited
    );
    assert_eq!(fate(&manifest, &State::Absent), Restoration::Back);
}

#[test]
fn what_was_replaced_comes_back_also_after_a_second_version() {
    let manifest = after(&[(&write("a"), &file("theirs")), (&write("b"), &file("a"))]);
    let back = Restoration::PutBack("/kept/0".into());
    assert_eq!(fate(&manifest, &file("b")), back);
    assert_eq!(fate(&manifest, &file("a")), back, "the second was cut off");
    assert_eq!(fate(&manifest, &file("theirs")), Restoration::Back, "so was the first");
    assert_eq!(fate(&manifest, &file("c")), Restoration::Edited);
    assert_eq!(fate(&manifest, &State::Absent), Restoration::Edited, "somebody removed it");
}

#[test]
fn only_what_is_somebody_elses_is_copied() {
    let manifest = after(&[(&write("a"), &State::Absent)]);
    assert!(!manifest.needs_copy(&write("b"), &file("a")));
    assert!(manifest.needs_copy(&write("b"), &file("edited")));
    assert!(!manifest.needs_copy(&write("b"), &State::Absent));
    let mode = Change { what: What::Mode(0o755), ..write("") };
    assert!(!manifest.needs_copy(&mode, &file("edited")));
}

#[test]
fn an_edited_file_that_is_written_again_is_theirs_to_get_back() {
    let manifest = after(&[(&write("a"), &State::Absent), (&write("b"), &file("edited"))]);
    assert_eq!(fate(&manifest, &file("b")), Restoration::PutBack("/kept/0".into()));
    assert_eq!(fate(&manifest, &file("edited")), Restoration::Back);
}

#[test]
fn bits_come_back() {
    let mode = Change { what: What::Mode(0o755), ..write("") };
    let manifest = after(&[(&mode, &file("x"))]);
    let now = State::File { bytes: b"x".to_vec(), mode: 0o755 };
    assert_eq!(fate(&manifest, &now), Restoration::Mode(0o644));
    let manifest = after(&[(&mode, &file("x")), (&write("y"), &now)]);
    let Trace::File { mode, .. } = manifest.files[0].before else { panic!() };
    assert_eq!(mode, Some(0o644));
}

/// As certbaton 0.1.0 took down that a copy of a site became a link, and another file lost an old hook's `#`.
fn of_an_older_version(repairs: bool) -> Manifest {
    let of = |path: &str, wrote: String| {
        let (before, repairs) = (sha256(b"#site"), if repairs { r#","repairs":true"# } else { "" });
        format!(
            r#"{{"path":"{path}","wrote":[{wrote}],"before":{{"file":{{"sha256":"{before}","mode":420,"copy":"/kept/0"}}}}{repairs}}}"#
        )
    };
    let site = sha256(b"site");
    let files = [
        of("/enabled", format!(r#"{{"link":{{"target":"../a","sha256":"{site}"}}}}"#)),
        of("/file", format!(r#"{{"file":{{"sha256":"{site}"}}}}"#)),
    ];
    let text = format!(
        r#"{{"version":1,"directories":[],"files":[{}],"units":[],"account":false}}"#,
        files.join(",")
    );
    Manifest::parse(text.as_bytes()).unwrap()
}

fn leading(target: &str, bytes: &str) -> State {
    State::Link { target: target.into(), bytes: Some(bytes.into()) }
}

/// The copy is as old as the set-up; what is read through the link may be of today.
#[test]
fn no_copy_comes_back_over_a_link_whose_file_was_edited() {
    let manifest = of_an_older_version(false);
    assert_eq!(fate(&manifest, &leading("../a", "site")), Restoration::PutBack("/kept/0".into()));
    assert_eq!(fate(&manifest, &leading("../a", "site, and an edit")), Restoration::Edited);
    assert_eq!(fate(&manifest, &leading("../c", "site")), Restoration::Edited);
    assert_eq!(
        fate(&manifest, &State::Link { target: "../a".into(), bytes: None }),
        Restoration::Edited
    );
}

#[test]
fn a_link_of_the_first_manifests_stays() {
    let text = r#"{"version":1,"directories":[],"files":[{"path":"/enabled","wrote":[{"link":{"target":"../a"}}],"before":{"link":{"target":"../b"}}}],"units":[],"account":false}"#;
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(fate(&manifest, &leading("../a", "site")), Restoration::Edited);
}

/// What an old hook did to a site never comes back.
#[test]
fn a_repair_is_not_taken_back() {
    let manifest = of_an_older_version(true);
    for (entry, now) in manifest.files.iter().zip([leading("../a", "site"), file("site")]) {
        assert_eq!(entry.fate(&now), Restoration::Repaired);
        assert_eq!(entry.fate(&file("#site")), Restoration::Back, "cut off before");
        assert_eq!(entry.fate(&file("edited")), Restoration::Edited);
    }
    let manifest = after(&[(&write("a"), &file("theirs"))]);
    assert_eq!(manifest.files[0].fate(&file("a")), Restoration::PutBack("/kept/0".into()));
}

#[test]
fn a_manifest_of_another_shape_is_refused() {
    assert!(Manifest::parse(br#"{"version":1,"surprise":[]}"#).is_err());
}
