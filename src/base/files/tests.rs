//! system: directories of our own, with their modes; what is read and what is refused.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo};

use super::*;

/// How a file is to be read.
type Reader = fn(&Path) -> Result<Vec<u8>, Error>;

const READERS: [(&str, Reader); 4] = [
    ("trusted", read_trusted),
    ("secret", read_secret),
    ("foreign", read_foreign),
    ("snapshot", |path| snapshot(path).map(|snapshot| snapshot.bytes)),
];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nobody_waits_for_who_would_read_what_is_in_the_place_of_a_journal() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("journal");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let deadline = crate::base::clock::Deadline::after(Duration::from_mins(1));
    let append = move || append_own(&path, b"{}\n");
    let refused = crate::base::clock::within(&deadline, append).unwrap().unwrap_err();
    assert!(crate::base::cause::chain(&refused).starts_with("cannot open "), "{refused}");
}

#[test]
fn only_regular_files_are_read_and_nobody_waits() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (kind, read) in READERS {
        for name in ["fifo", "zero", "directory", "socket"] {
            let refused = read(&at(name)).unwrap_err();
            assert!(matches!(refused, Error::NotRegular(_)), "{kind}, {name}: {refused}");
            assert!(refused.is_unsafe());
        }
        assert!(read(&at("none")).unwrap_err().is_missing());
        assert!(read(&at("socket/none")).unwrap_err().is_nowhere());
    }
}

#[test]
fn no_more_than_a_bound_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("huge");
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    mode(&path, 0o600);
    for (kind, read) in READERS {
        let refused = read(&path).unwrap_err();
        assert!(matches!(refused, Error::TooLarge { .. }), "{kind}: {refused}");
        assert!(refused.is_unsafe());
    }
}

#[test]
fn what_others_could_write_or_lead_elsewhere_is_not_trusted() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can make files that are another's");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let given = |path: &Path| {
        std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    };
    let file = at("file");
    fs::write(&file, "x").unwrap();
    mode(&file, 0o600);
    fs::create_dir(at("theirs")).unwrap();
    fs::write(at("theirs/file"), "x").unwrap();
    mode(&at("theirs/file"), 0o600);
    symlink(&file, at("theirs/link")).unwrap();
    given(&at("theirs"));
    symlink(&file, at("ours")).unwrap();
    symlink(&file, at("given")).unwrap();
    given(&at("given"));
    symlink(at("theirs/link"), at("through")).unwrap();
    for (kind, read) in [READERS[0], READERS[1]] {
        assert_eq!(read(&file).unwrap(), b"x", "{kind}");
        assert_eq!(read(&at("ours")).unwrap(), b"x", "{kind}");
        for name in ["theirs/file", "theirs/link", "given", "through"] {
            let refused = read(&at(name)).unwrap_err();
            assert!(refused.is_unsafe(), "{kind}, {name}: {refused}");
        }
        for wrong in [0o602, 0o622] {
            mode(&file, wrong);
            assert!(read(&file).unwrap_err().is_unsafe(), "{kind}, {wrong:o}");
        }
        mode(&file, 0o600);
        chown(&file, Some(Uid::from_raw(USER)), None).unwrap();
        assert!(read(&file).unwrap_err().is_unsafe(), "{kind}: another's");
        chown(&file, Some(Uid::from_raw(0)), None).unwrap();
    }
    // Group-writable: root's own group is root, another is not, and an access list hides there.
    mode(&file, 0o660);
    assert_eq!(read_trusted(&file).unwrap(), b"x");
    chown(&file, None, Some(Gid::from_raw(USER))).unwrap();
    assert!(read_trusted(&file).unwrap_err().is_unsafe());
}

#[test]
fn nobodys_link_shows_what_he_may_not_see() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can make files that are another's");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    mode(scratch.path(), 0o755);
    let at = |name: &str| scratch.path().join(name);
    let (webroot, secret, public) = (at("webroot"), at("secret"), at("public"));
    fs::create_dir(&webroot).unwrap();
    chown(&webroot, Some(Uid::from_raw(USER)), None).unwrap();
    fs::write(&secret, "secret").unwrap();
    mode(&secret, 0o600);
    fs::write(&public, "public").unwrap();
    mode(&public, 0o644);
    let link = webroot.join("link");
    let led_to = |target: &Path| {
        fs::remove_file(&link).ok();
        symlink(target, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(USER), None).unwrap();
        read_foreign(&link)
    };
    assert_eq!(led_to(&public).unwrap(), b"public");
    assert!(led_to(&secret).unwrap_err().is_unsafe());
    fs::create_dir(at("closed")).unwrap();
    fs::write(at("closed/file"), "x").unwrap();
    mode(&at("closed"), 0o700);
    assert!(led_to(&at("closed/file")).unwrap_err().is_unsafe());
    chown(&secret, Some(Uid::from_raw(USER)), None).unwrap();
    assert_eq!(led_to(&secret).unwrap(), b"secret");
}

/// Anybody but root.
const USER: u32 = 12345;

#[test]
fn a_directory_of_our_own_has_its_mode_whatever_the_umask_and_keeps_another() {
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("state");
    let mode = || fs::metadata(&made).unwrap().mode() & 0o7777;
    // mkdir(2) takes no set-group-ID bit, as a umask takes others.
    own_directory(&made, 0o2711).unwrap();
    assert_eq!(mode(), 0o2711);
    fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
    own_directory(&made, 0o2711).unwrap();
    assert_eq!(mode(), 0o700, "an administrator's choice");
    fs::set_permissions(&made, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(own_directory(&made, 0o2711).unwrap_err().is_unsafe());
}
