//! test: planting and removing, in real directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use certbaton::base::names::{CHALLENGE_DIRECTORY, Webroot};
use certbaton::ca::probe::fetch;
use certbaton::ca::webroot::{Error, plant};
use tempfile::TempDir;

use crate::probe::server::{Act, NAME, Names, Server, V4, answer, later, name};

fn webroot(directory: &Path) -> Webroot {
    Webroot::parse(directory.to_str().unwrap()).unwrap()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_planted_file_can_be_read_by_everybody_and_looks_like_the_cas() {
    let root = TempDir::new().unwrap();
    let planted = plant(&webroot(root.path())).unwrap();
    let nonce = planted.nonce().clone();
    assert_eq!(nonce.token.as_str().len(), 43);
    assert!(nonce.token.as_str().starts_with("certbaton-"));
    assert_eq!(nonce.content.len(), 87);
    let directory = root.path().join(CHALLENGE_DIRECTORY);
    let file = directory.join(nonce.token.as_str());
    assert_eq!(fs::read_to_string(&file).unwrap(), nonce.content);
    assert_eq!(mode(&file), 0o644);
    assert_eq!(mode(&directory), 0o755);
    assert_eq!(mode(&root.path().join(".well-known")), 0o755);
    planted.remove().unwrap();
    assert!(is_empty(root.path()));
}

#[test]
fn a_users_link_to_a_directory_of_roots_is_seen_before_anything_is_made() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can make the link of a user");
    }
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, theirs) = (root.path().join("own"), root.path().join("theirs"));
    for directory in [&own, &theirs] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let link = |name: &str, to: &Path, user| {
        let path = root.path().join(name);
        symlink(to, &path).unwrap();
        std::os::unix::fs::lchown(&path, Some(user), Some(user)).unwrap();
        webroot(&path)
    };
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    let error = plant(&link("a", &own, 65534)).unwrap_err();
    assert!(matches!(error, Error::Misled { user: 65534, .. }), "{error}");
    let below = plant(&link("b", Path::new("/"), 65534)).unwrap_err();
    assert!(matches!(below, Error::Misled { .. }), "{below}");
    assert!(is_empty(&own));
    plant(&link("c", &theirs, 65534)).unwrap().remove().unwrap();
    plant(&link("d", &own, 0)).unwrap().remove().unwrap();
}

#[test]
fn the_umask_does_not_matter() {
    let rule = "probe::webroot::a_planted_file_can_be_read_by_everybody_and_looks_like_the_cas";
    let script = format!("umask 077; exec \"$0\" --exact {rule}");
    let this = std::env::current_exe().unwrap();
    let output = Command::new("/bin/sh").args(["-c", &script]).arg(this).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn no_two_nonces_are_the_same() {
    let root = TempDir::new().unwrap();
    let one = plant(&webroot(root.path())).unwrap();
    let two = plant(&webroot(root.path())).unwrap();
    assert_ne!(one.nonce().token, two.nonce().token);
    assert_ne!(one.nonce().content[43..], two.nonce().content[43..]);
    two.remove().unwrap();
    one.remove().unwrap();
    assert!(is_empty(root.path()));
}

#[test]
fn dropping_removes_as_well() {
    let root = TempDir::new().unwrap();
    drop(plant(&webroot(root.path())).unwrap());
    assert!(is_empty(root.path()));
}

#[test]
fn directories_that_were_there_or_are_in_use_stay() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join(".well-known")).unwrap();
    plant(&webroot(root.path())).unwrap().remove().unwrap();
    assert!(is_empty(&root.path().join(".well-known")));

    let planted = plant(&webroot(root.path())).unwrap();
    let other = root.path().join(CHALLENGE_DIRECTORY).join("token-of-certbot");
    fs::write(&other, "x").unwrap();
    planted.remove().unwrap();
    assert_eq!(fs::read_dir(other.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_a_killed_probe_left_is_removed_and_nothing_else() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join(CHALLENGE_DIRECTORY);
    fs::create_dir_all(&directory).unwrap();
    let day = Duration::from_hours(24);
    let old = SystemTime::now() - day - Duration::from_mins(1);
    for (name, time) in [
        ("certbaton-left", old),
        ("certbaton-left-since-then", old + Duration::from_mins(2)),
        ("token-of-certbot", old),
    ] {
        let file = fs::File::create(directory.join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let beside = plant(&webroot(root.path())).unwrap();
    let beside_it = beside.nonce().token.as_str().to_owned();
    for (name, time) in [("certbaton-just-left", SystemTime::now()), ("certbaton-held", old)] {
        fs::File::create(directory.join(name)).unwrap().set_modified(time).unwrap();
    }
    // Older than any probe becomes, it goes whoever holds it.
    let held = fs::File::open(directory.join("certbaton-held")).unwrap();
    let held = certbaton::base::lock::of_file(held, &directory).unwrap().unwrap();
    symlink("certbaton-left", directory.join("certbaton-link")).unwrap();
    plant(&webroot(root.path())).unwrap().remove().unwrap();
    let mut left: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let mut wanted = ["certbaton-link", &beside_it, "token-of-certbot"];
    wanted.sort_unstable();
    assert_eq!(left, wanted);
    drop(held);
    beside.remove().unwrap();
}

#[test]
fn what_certbot_has_cleaned_up_meanwhile_is_no_error() {
    let root = TempDir::new().unwrap();
    let planted = plant(&webroot(root.path())).unwrap();
    fs::remove_dir_all(root.path().join(".well-known")).unwrap();
    planted.remove().unwrap();
    assert!(is_empty(root.path()));
}

#[test]
fn a_link_below_the_webroot_is_refused_and_its_target_untouched() {
    let elsewhere = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    symlink(elsewhere.path(), root.path().join(".well-known")).unwrap();
    let error = plant(&webroot(root.path())).unwrap_err();
    assert!(matches!(&error, Error::Link(p) if p.ends_with(".well-known")), "{error}");
    assert!(is_empty(elsewhere.path()));

    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join(".well-known")).unwrap();
    let link = root.path().join(CHALLENGE_DIRECTORY);
    symlink("/nowhere", &link).unwrap();
    let error = plant(&webroot(root.path())).unwrap_err();
    assert!(matches!(&error, Error::Link(p) if *p == link), "{error}");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("/nowhere"));
}

#[test]
fn a_webroot_that_is_itself_a_link_is_followed() {
    let root = TempDir::new().unwrap();
    let place = TempDir::new().unwrap();
    let link = place.path().join("www");
    symlink(root.path(), &link).unwrap();
    let planted = plant(&webroot(&link)).unwrap();
    assert!(root.path().join(CHALLENGE_DIRECTORY).join(planted.nonce().token.as_str()).exists());
    planted.remove().unwrap();
}

#[test]
fn what_is_missing_or_no_directory_is_named() {
    let root = TempDir::new().unwrap();
    let error = plant(&webroot(&root.path().join("none"))).unwrap_err();
    assert!(matches!(error, Error::Missing(_)), "{error}");
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = plant(&webroot(&file)).unwrap_err();
    assert!(matches!(error, Error::NotADirectory(_)), "{error}");
    fs::write(root.path().join(".well-known"), "").unwrap();
    let error = plant(&webroot(root.path())).unwrap_err();
    assert!(matches!(&error, Error::NotADirectory(p) if p.ends_with(".well-known")), "{error}");
}

/// On a file system with this many bytes or inodes left.
fn full(option: &str, inner: &str) {
    let script = format!(
        "set -e; mount -t tmpfs -o {option} tmpfs /mnt; \
         exec \"$0\" --include-ignored --exact {inner}"
    );
    let this = std::env::current_exe().unwrap();
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let output = unshare.args(["--mount", "/bin/sh", "-c", &script]).arg(this).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs on a full file system, by full_file_systems_are_named_and_left_as_they_were"]
fn inner_without_inodes() {
    let error = plant(&webroot(Path::new("/mnt"))).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(is_empty(Path::new("/mnt")));
}

#[test]
#[ignore = "runs on a full file system, by full_file_systems_are_named_and_left_as_they_were"]
fn inner_without_blocks() {
    fs::write("/mnt/fill", [0; 4096]).unwrap();
    let error = plant(&webroot(Path::new("/mnt"))).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(fs::read_dir("/mnt").unwrap().count(), 1);
}

#[test]
fn full_file_systems_are_named_and_left_as_they_were() {
    for inodes in [1, 2, 3] {
        full(&format!("nr_inodes={inodes}"), "probe::webroot::inner_without_inodes");
    }
    full("size=4k", "probe::webroot::inner_without_blocks");
}

#[test]
fn a_planted_file_passes_the_probe_through_a_server_of_that_webroot() {
    let root = TempDir::new().unwrap();
    let planted = plant(&webroot(root.path())).unwrap();
    let place = root.path().to_owned();
    let server = Server::start(V4, move |path| {
        let file = fs::read(place.join(path.trim_start_matches('/')));
        Act::Reply(file.map_or_else(|_| answer(404, b""), |body| answer(200, &body)))
    });
    let ask = || {
        fetch(&name(NAME), planted.nonce(), V4, server.ports(), &Names(vec![]), &later()).verdict
    };
    assert!(ask().is_ok());
    fs::remove_dir_all(root.path().join(".well-known")).unwrap();
    assert!(ask().is_err());
}
