//! flow: a file replaced in one step keeps everything but its bytes, or stays as it was.
//!
//! Real files of root's in a directory of the test's own; mounts are made in a
//! private mount namespace. Without root this says so on stderr and skips.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::thread;

use certbaton::base::files::{self, Error, Snapshot, Staging, Swept, snapshot, staging};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::XattrFlags;
use tempfile::TempDir;

/// A directory tree as Debian's Apache has it, with a place to stage.
struct Site {
    base: TempDir,
}

impl Site {
    fn set() -> Self {
        // Not below /tmp: others may write there, and a tmpfs may lack attributes.
        let mode = fs::Permissions::from_mode(0o755);
        let base = tempfile::Builder::new()
            .prefix("certbaton-test-")
            .permissions(mode)
            .tempdir_in("/var/lib");
        let site = Self { base: base.unwrap() };
        for directory in ["etc/sites-available", "etc/sites-enabled", "state"] {
            fs::create_dir_all(site.path(directory)).unwrap();
        }
        site.write("etc/sites-available/a.conf");
        site
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.base.path().join(relative)
    }

    fn write(&self, relative: &str) -> PathBuf {
        let path = self.path(relative);
        fs::write(&path, OLD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn file(&self) -> PathBuf {
        self.path(FILE)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Every name in the tree.
    fn names(&self) -> Vec<PathBuf> {
        let mut names = Vec::new();
        let mut open = vec![self.base.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path.clone());
                }
                names.push(path);
            }
        }
        names.sort();
        names
    }

    /// The replacement fails as `fits` says and nothing at all has changed.
    fn refuses(&self, old: &Snapshot, staging: &Path, fits: impl Fn(&Error) -> bool) {
        let before = (self.names(), fs::read(self.file()).unwrap(), kept(&self.file()));
        let refused = old.replace(NEW, Staging::at(staging.to_owned())).unwrap_err();
        assert!(fits(&refused), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains(self.base.path().to_str().unwrap()), "does not say where: {said}");
        let after = (self.names(), fs::read(self.file()).unwrap(), kept(&self.file()));
        assert_eq!(before, after);
    }
}

/// What a replacement keeps: mode, owner and attributes.
fn kept(path: &Path) -> (u32, u32, u32, BTreeMap<Vec<u8>, Vec<u8>>) {
    let metadata = fs::metadata(path).unwrap();
    let mut names = [0; 4096];
    let length = rustix::fs::listxattr(path, &mut names[..]).unwrap();
    let value = |name: &[u8]| {
        let mut value = [0; 4096];
        let length = rustix::fs::getxattr(path, name, &mut value[..]).unwrap();
        (name.to_vec(), value[..length].to_vec())
    };
    let names = names[..length].split(|b| *b == 0).filter(|n| !n.is_empty());
    (metadata.mode(), metadata.uid(), metadata.gid(), names.map(value).collect())
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}; see tests/packages"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn replaced(path: &Path, staging: &Path) {
    let old = snapshot(path).unwrap();
    old.replace(NEW, Staging::at(staging.to_owned())).unwrap();
    assert_eq!(fs::read(path).unwrap(), NEW);
}

#[test]
fn mode_owner_attributes_and_acls_go_along() {
    as_root(|| {
        let site = Site::set();
        let file = site.file();
        for (name, value) in [("user.origin", "by hand"), ("trusted.x", "y"), ("security.x", "z")] {
            rustix::fs::setxattr(&file, name, value.as_bytes(), XattrFlags::empty()).unwrap();
        }
        run("setfacl", &["-m", "u:33:r,g:4:rw,m:rw"], &file);
        chown(&file, Some(0), Some(4)).unwrap();
        run("setfacl", &["-m", "m:r"], &file);
        let (before, inode) = (kept(&file), fs::metadata(&file).unwrap().ino());
        assert!(before.3.contains_key(&b"system.posix_acl_access"[..]), "{:?}", before.3.keys());
        let names = site.names();
        replaced(&file, &site.state());
        assert_eq!(kept(&file), before);
        assert_ne!(fs::metadata(&file).unwrap().ino(), inode);
        assert_eq!(site.names(), names);
    });
}

#[test]
fn a_narrow_mode_stays_narrow_and_a_special_one_special() {
    as_root(|| {
        for mode in [0o400, 0o600, 0o4755, 0o2755] {
            let site = Site::set();
            fs::set_permissions(site.file(), fs::Permissions::from_mode(mode)).unwrap();
            let before = kept(&site.file());
            replaced(&site.file(), &site.state());
            assert_eq!(kept(&site.file()), before);
        }
    });
}

#[test]
fn what_the_staging_directory_would_add_is_not_kept() {
    as_root(|| {
        let site = Site::set();
        run("setfacl", &["-d", "-m", "u:33:rw"], &site.state());
        let before = kept(&site.file());
        replaced(&site.file(), &site.state());
        assert_eq!(kept(&site.file()), before);
    });
}

#[test]
fn links_are_followed_to_the_end_and_stay() {
    as_root(|| {
        let site = Site::set();
        let absolute = site.file();
        let links = [
            ("../sites-available/a.conf", "relative.conf"),
            ("relative.conf", "chain.conf"),
            (absolute.to_str().unwrap(), "absolute.conf"),
        ];
        for (target, name) in links {
            let link = site.path("etc/sites-enabled").join(name);
            symlink(target, &link).unwrap();
            fs::write(site.file(), OLD).unwrap();
            let old = snapshot(&link).unwrap();
            assert_eq!(old.path, site.file());
            old.replace(NEW, Staging::at(site.state())).unwrap();
            assert_eq!(fs::read(site.file()).unwrap(), NEW, "{name}");
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
        assert!(!site.file().is_symlink());
    });
}

#[test]
fn a_file_with_a_second_name_is_refused() {
    as_root(|| {
        let site = Site::set();
        fs::hard_link(site.file(), site.path("etc/b.conf")).unwrap();
        let old = snapshot(&site.file()).unwrap();
        site.refuses(&old, &site.state(), |e| matches!(e, Error::HardLinks { links: 2, .. }));
    });
}

#[test]
fn what_others_may_write_is_refused() {
    as_root(|| {
        for mode in [0o664, 0o646] {
            let site = Site::set();
            chown(site.file(), None, Some(33)).unwrap();
            fs::set_permissions(site.file(), fs::Permissions::from_mode(mode)).unwrap();
            let old = snapshot(&site.file()).unwrap();
            site.refuses(&old, &site.state(), Error::is_unsafe);
        }
        let site = Site::set();
        chown(site.file(), Some(33), None).unwrap();
        site.refuses(&snapshot(&site.file()).unwrap(), &site.state(), Error::is_unsafe);
        for (directory, mode) in [("etc/sites-available", 0o775), ("etc", 0o757)] {
            let site = Site::set();
            let mode = fs::Permissions::from_mode(mode);
            chown(site.path(directory), None, Some(33)).unwrap();
            fs::set_permissions(site.path(directory), mode).unwrap();
            site.refuses(&snapshot(&site.file()).unwrap(), &site.state(), Error::is_unsafe);
        }
        // An access list hides behind the bits of the group, which may be root's own.
        let site = Site::set();
        run("setfacl", &["-m", "u:33:rw"], &site.file());
        site.refuses(&snapshot(&site.file()).unwrap(), &site.state(), Error::is_unsafe);
        let site = Site::set();
        chown(site.path("etc"), Some(33), None).unwrap();
        site.refuses(&snapshot(&site.file()).unwrap(), &site.state(), Error::is_unsafe);
    });
}

#[test]
fn a_file_that_changed_meanwhile_is_not_replaced() {
    as_root(|| {
        let changes: [fn(&Path); 5] = [
            |file| fs::write(file, b"theirs\n").unwrap(),
            |file| fs::write(file, OLD).unwrap(),
            |file| fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap(),
            |file| {
                let other = file.with_extension("new");
                fs::write(&other, OLD).unwrap();
                fs::rename(&other, file).unwrap();
            },
            |file| {
                let attribute = rustix::fs::setxattr(file, "user.x", b"y", XattrFlags::empty());
                attribute.unwrap();
            },
        ];
        for change in changes {
            let site = Site::set();
            let old = snapshot(&site.file()).unwrap();
            change(&site.file());
            site.refuses(&old, &site.state(), |e| matches!(e, Error::Raced(_)));
        }
    });
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    as_root(|| {
        let site = Site::set();
        let old = snapshot(&site.file()).unwrap();
        let moved = site.path("etc/moved.conf");
        fs::rename(site.file(), &moved).unwrap();
        symlink(&moved, site.file()).unwrap();
        site.refuses(&old, &site.state(), |e| matches!(e, Error::System { verb: "open", .. }));
    });
}

#[test]
fn an_immutable_file_is_named_and_stays() {
    as_root(|| {
        let site = Site::set();
        run("chattr", &["+i"], &site.file());
        let old = snapshot(&site.file()).unwrap();
        let refused = old.replace(NEW, Staging::at(site.state()));
        let bytes = fs::read(site.file()).unwrap();
        run("chattr", &["-i"], &site.file());
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("replace") && said.contains("a.conf"), "{said}");
        assert_eq!(bytes, OLD);
        assert_eq!(fs::read_dir(site.state()).unwrap().count(), 0);
    });
}

#[test]
fn on_another_file_system_new_files_are_staged_there_and_out_of_sight() {
    as_root(|| {
        let site = Site::set();
        with_mounts(&site, |site| {
            site.mount_tmpfs("etc");
            let file = site.path("etc/apache2/sites-available/a.conf");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::create_dir_all(site.path("etc/apache2/sites-enabled")).unwrap();
            site.write("etc/apache2/sites-available/a.conf");
            let names = site.names();
            let opened =
                ["etc/apache2/apache2.conf", "etc/apache2/sites-enabled/a"].map(|f| site.path(f));
            let place = staging(&file, &site.state(), &opened).unwrap();
            assert_eq!(place.path(), site.path("etc/.certbaton"));
            snapshot(&file).unwrap().replace(NEW, place).unwrap();
            assert_eq!(fs::read(&file).unwrap(), NEW);
            assert_eq!(site.names(), names, "nothing is left");
            // On the same file system as the state, it is there.
            let other = site.path("state/x");
            assert_eq!(staging(&other, &site.state(), &opened).unwrap().path(), site.state());
        });
    });
}

#[test]
fn where_every_directory_of_a_mount_is_read_new_files_are_hidden_from_patterns() {
    as_root(|| {
        let site = Site::set();
        with_mounts(&site, |site| {
            // A bind mount has the same device as everything around it, and cannot be renamed into.
            site.bind("etc", MsFlags::empty());
            let (main, file) = (site.write("etc/apache2.conf"), site.file());
            site.write("etc/magic");
            let opened = [main.clone(), file.clone()];
            let place = staging(&file, &site.state(), &opened).unwrap();
            assert_eq!(place.path(), site.path("etc/.certbaton"));
            let names = site.names();
            snapshot(&file).unwrap().replace(NEW, place).unwrap();
            assert_eq!(fs::read(&file).unwrap(), NEW);
            let staged = [site.path("etc/.certbaton")];
            let rest: Vec<_> = names.into_iter().filter(|name| !staged.contains(name)).collect();
            assert_eq!(site.names(), rest, "nothing is left");
            // Nothing tells that not all of it is included, hidden files too.
            fs::remove_file(site.path("etc/magic")).unwrap();
            fs::remove_dir(site.path("etc/sites-enabled")).unwrap();
            let none = staging(&file, &site.state(), &opened).unwrap_err().to_string();
            assert!(none.contains("a.conf") && none.contains("*.conf"), "{none}");
            // A file that is mounted itself.
            site.bind(FILE, MsFlags::empty());
            let none = staging(&file, &site.state(), &opened).unwrap_err().to_string();
            assert!(none.contains("a.conf") && none.contains("mount the directory"), "{none}");
        });
    });
}

#[test]
fn a_read_only_file_system_or_a_mount_in_the_place_is_an_error() {
    as_root(|| {
        let site = Site::set();
        with_mounts(&site, |site| {
            let old = snapshot(&site.file()).unwrap();
            site.bind(FILE, MsFlags::empty());
            site.refuses(&old, &site.state(), |e| matches!(e, Error::System { .. }));
        });
        let site = Site::set();
        with_mounts(&site, |site| {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
            site.bind("etc", flags);
            let old = snapshot(&site.file()).unwrap();
            site.refuses(&old, &site.state(), |e| matches!(e, Error::System { .. }));
        });
    });
}

impl Site {
    fn mount_tmpfs(&self, at: &str) {
        let options = Some("mode=755");
        mount(Some("none"), &self.path(at), Some("tmpfs"), MsFlags::empty(), options).unwrap();
    }

    /// Mounts `at` over itself, and again with `flags`.
    fn bind(&self, at: &str, flags: MsFlags) {
        let (path, none) = (self.path(at), None::<&str>);
        mount(Some(&path), &path, none, MsFlags::MS_BIND, none).unwrap();
        if !flags.is_empty() {
            mount(none, &path, none, flags, none).unwrap();
        }
    }
}

/// Runs `work` where its mounts are seen by nobody else and end with it.
fn with_mounts(site: &Site, work: impl FnOnce(&Site) + Send) {
    let base = site.base.path().to_owned();
    let entered = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        work(site);
    };
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(entered).join() {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(base.exists());
}

fn as_root(work: impl FnOnce()) {
    if nix::unistd::geteuid().is_root() {
        work();
    } else {
        let said = "skipped: replacing files: not root: no owners, attributes and mounts";
        writeln!(std::io::stderr(), "{said}").unwrap_or_default();
    }
}

const FILE: &str = "etc/sites-available/a.conf";
const OLD: &[u8] = b"the user's\n";
const NEW: &[u8] = b"the user's, and ours\n";

#[test]
fn what_somebody_saves_meanwhile_is_kept_whenever_that_is() {
    as_root(|| {
        let site = Site::set();
        let file = site.file();
        let raced =
            |done: Result<(), Error>| matches!(done, Err(Error::Raced(path)) if path == file);
        // Into the old file, by who had it open before it was replaced.
        let old = snapshot(&file).unwrap();
        let mut editor = fs::File::options().write(true).open(&file).unwrap();
        let replaced = old.exchange(NEW, Staging::at(site.state())).unwrap();
        assert_eq!(fs::read(&file).unwrap(), NEW);
        editor.write_all(b"EDITED").unwrap();
        assert!(raced(replaced.let_go()));
        assert!(fs::read(&file).unwrap().starts_with(b"EDITED"));
        // Over the new one: theirs is the last, whatever became of the old one.
        let old = snapshot(&file).unwrap();
        let replaced = old.exchange(NEW, Staging::at(site.state())).unwrap();
        fs::write(site.path("etc/saved"), b"SAVED").unwrap();
        fs::rename(site.path("etc/saved"), &file).unwrap();
        replaced.let_go().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"SAVED");
        assert_eq!(fs::read_dir(site.state()).unwrap().count(), 0);
    });
}

#[test]
fn rights_that_somebody_changes_meanwhile_are_kept() {
    as_root(|| {
        let site = Site::set();
        let file = site.file();
        let changes: [fn(&fs::File); 3] = [
            |file| file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap(),
            |file| std::os::unix::fs::fchown(file, Some(1), Some(1)).unwrap(),
            |file| {
                rustix::fs::fsetxattr(file, "user.note", b"x", XattrFlags::empty()).unwrap();
            },
        ];
        for change in changes {
            let site_file = site.write(FILE);
            chown(&site_file, Some(0), Some(0)).unwrap();
            let old = snapshot(&file).unwrap();
            // chmod(1) had found the file before it was replaced.
            let opened = fs::File::options().write(true).open(&file).unwrap();
            let replaced = old.exchange(NEW, Staging::at(site.state())).unwrap();
            change(&opened);
            let changed = opened.metadata().unwrap();
            assert!(matches!(replaced.let_go(), Err(Error::Raced(path)) if path == file));
            let now = fs::metadata(&file).unwrap();
            assert_eq!(now.ino(), changed.ino());
            assert_eq!((now.mode(), now.uid()), (changed.mode(), changed.uid()));
        }
    });
}

#[test]
fn the_flags_of_an_inode_go_along() {
    as_root(|| {
        let site = Site::set();
        run("chattr", &["+Ad"], &site.file());
        let flags = || rustix::fs::ioctl_getflags(fs::File::open(site.file()).unwrap()).unwrap();
        let before = flags();
        replaced(&site.file(), &site.state());
        assert_eq!(flags(), before);
    });
}

#[test]
fn a_place_that_several_are_in_is_removed_by_the_last() {
    as_root(|| {
        let site = Site::set();
        let file = site.file();
        let beside = || files::staging_beside(&file, slice::from_ref(&file)).unwrap();
        let old = snapshot(&file).unwrap();
        // Of two configurations, which do not know of each other.
        let (first, second) = (beside(), beside());
        let place = first.path().to_owned();
        assert_eq!(second.path(), place);
        let replaced = old.exchange(NEW, first).unwrap();
        assert!(Staging::abandoned(place.clone()).is_none(), "somebody is in it");
        drop(second);
        files::forget_spares(&site.state(), &[site.path("etc/other.conf")]);
        // The way back is still there.
        fs::write(fs::read_dir(&place).unwrap().next().unwrap().unwrap().path(), "EDITED").unwrap();
        assert!(matches!(replaced.let_go().unwrap_err(), Error::Raced(_)));
        assert_eq!(fs::read(&file).unwrap(), b"EDITED");
        assert!(!place.exists());

        // Kept for a way back that others have to go.
        let old = snapshot(&file).unwrap();
        old.exchange(NEW, beside()).unwrap().keep().unwrap();
        files::forget_spares(&site.state(), &[site.path("etc/other.conf")]);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
        files::forget_spares(&site.state(), slice::from_ref(&file));
        assert!(!place.exists());
    });
}

#[test]
fn a_place_that_somebody_else_can_reach_is_none() {
    as_root(|| {
        let site = Site::set();
        let place = site.path("theirs/.certbaton");
        fs::create_dir_all(&place).unwrap();
        let give = |path: &Path, owner| chown(path, Some(owner), None).unwrap();
        let theirs = place.parent().unwrap();
        give(theirs, 33);
        assert!(Staging::abandoned(place.clone()).is_none(), "a link to anywhere could be there");
        give(theirs, 0);
        give(&place, 33);
        assert!(Staging::abandoned(place.clone()).is_none());
        assert!(Staging::shared(place.clone()).is_none(), "a new file could be exchanged");
        give(&place, 0);
        assert!(Staging::shared(place.clone()).is_some());
        assert!(!place.exists(), "the last one removes it");
    });
}

#[test]
fn what_a_killed_replacement_leaves_is_swept_and_an_edit_in_it_goes_back_or_is_kept() {
    as_root(|| {
        let site = Site::set();
        let (file, other) = (site.file(), site.path("etc/other.conf"));
        // What was written into the old file, and what is in the place of the new one.
        for (edited, in_place) in [
            (None, NEW),
            (Some("EDITED"), NEW),
            // Saved once more since: which of both counts is for a person to say.
            (Some("EDITED"), &b"SAVED"[..]),
            // The new one twice: whose the edit is nobody knows.
            (Some("EDITED"), b""),
        ] {
            let old = snapshot(&file).unwrap();
            let replaced = old.exchange(NEW, Staging::at(site.state())).unwrap();
            // Killed here.
            std::mem::forget(replaced);
            let left = fs::read_dir(site.state()).unwrap().next().unwrap().unwrap().path();
            if let Some(edited) = edited {
                fs::write(left, edited).unwrap();
            }
            fs::write(&other, if in_place.is_empty() { NEW } else { OLD }).unwrap();
            if !in_place.is_empty() {
                fs::write(&file, in_place).unwrap();
            }
            let targets = [file.clone(), other.clone()];
            let swept = files::sweep(&site.state(), &targets).unwrap();
            let now = fs::read(&file).unwrap();
            let left: Vec<PathBuf> =
                fs::read_dir(site.state()).unwrap().map(|entry| entry.unwrap().path()).collect();
            if edited.is_none() {
                assert_eq!((&swept[..], &now[..], &left[..]), (&[][..], NEW, &[][..]));
            } else if in_place == NEW {
                assert_eq!(
                    (&swept[..], &now[..]),
                    (&[Swept::PutBack(file.clone())][..], &b"EDITED"[..])
                );
                assert_eq!(left, [] as [PathBuf; 0]);
            } else {
                assert_eq!(swept, [Swept::Kept(left[0].clone())]);
                assert_eq!(fs::read(&left[0]).unwrap(), b"EDITED");
                assert_ne!(now, b"EDITED");
                fs::remove_file(&left[0]).unwrap();
            }
            fs::write(&file, OLD).unwrap();
        }
    });
}
