//! flow: the picture of the README is drawn from what a run of the lab logs.

use std::fs;
use std::process::Command;

use crate::documents::text;
use support::source;

const HOME: &str = "\
2026-11-28T10:00:11.500000+0000 home certbaton[2]: lease granted to certbot, process 1
2026-11-28T10:00:12.000000+0000 home certbaton[2]: switched to this host: a.example b.example
2026-11-28T10:00:15.000000+0000 home certbaton[2]: given back to the peer: a.example; still on this host: b.example
2026-11-28T10:00:18.000000+0000 home certbaton[2]: given back to the peer: b.example
2026-11-28T10:00:18.500000+0000 home certbaton[2]: lease released by certbot, process 1
";
const VPS: &str = "\
2026-11-28T10:00:01.000000+0000 vps certbaton[4]: lease granted to certbot, process 3
2026-11-28T10:00:04.000000+0000 vps certbaton[4]: Apache reloaded
2026-11-28T10:00:05.000000+0000 vps certbaton[4]: lease released by certbot, process 3
";
const CA: &str = "\
Pebble 2026/11/28 10:00:02 Attempting to validate w/ HTTP: http://a.example:80/.well-known/acme-challenge/first
Pebble 2026/11/28 10:00:03 Issued certificate serial 1
Pebble 2026/11/28 10:00:13 Attempting to validate w/ HTTP: http://a.example:80/.well-known/acme-challenge/second
Pebble 2026/11/28 10:00:13 Attempting to validate w/ HTTP: http://a.example:80/.well-known/acme-challenge/second
Pebble 2026/11/28 10:00:14 Issued certificate serial 2
";

#[test]
fn the_picture_shows_who_held_the_lease_and_where_each_challenge_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.svg");
    let files = [
        ("journal.home", HOME),
        ("journal.vps", VPS),
        ("access.home", ""),
        ("access.vps", "GET /.well-known/acme-challenge/first"),
        ("ca", CA),
        ("load", r#"{"requests": 70, "failures": 0, "failed": []}"#),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let done = Command::new(source("tests/lab/timeline.py"))
        .arg(folder.path())
        .args(["--since", "2026-11-28T10:00:00", "--expected", "2", "--identical", "yes"])
        .arg("--picture")
        .arg(&picture)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let drawn = fs::read_to_string(&picture).unwrap();
    let said: Vec<&str> =
        drawn.split("<title>").skip(1).map(|rest| rest.split_once('<').unwrap().0).collect();
    let of = |part: &str| said.iter().filter(|title| title.contains(part)).count();
    assert_eq!(of("holds the lease"), 2, "{said:#?}");
    assert_eq!(of("home answers itself"), 2, "{said:#?}");
    // One for each challenge, not for each request of it.
    assert_eq!(of("asks home for a token of a.example: answered by the vps, through home"), 1);
    assert_eq!(of("asks home for a token of a.example: answered by home"), 1);
    assert_eq!(of("issues a certificate"), 2, "{said:#?}");
    assert!(drawn.contains("70 requests to both addresses of each name, 0 failed"), "{drawn}");
}

#[test]
fn the_picture_in_the_documents_is_of_a_run_without_a_failure() {
    let drawn = text("doc/renewal.svg");
    assert!(drawn.contains(", 0 failed. "), "{drawn}");
    assert_eq!(drawn.matches("<title>issues a certificate").count(), 6, "{drawn}");
    assert!(!drawn.contains("FAILED"), "{drawn}");
}
