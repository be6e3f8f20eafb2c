//! system: writes a file for everybody into a directory that may be another user's.
//!
//! The owner of such a directory can put a link wherever we are about to write.
//! So it is walked from the root, by descriptors: links are followed as long as
//! only root can have made them, and no further; and everything after that is
//! done in the directory that was opened, not at its path.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;
use rustix::fs::{
    AtFlags, Mode, OFlags, fchmod, open, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{Error, trusted};

/// Puts `bytes` at `path` in one step, for everybody to read; whatever was there is replaced, not written to.
///
/// For one writer at a time.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |verb| move |errno: Errno| Error::system(verb, path)(errno.into());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::NotRegular(path.to_owned()));
    };
    let directory = walk(parent)?;
    // Hidden, and not ending in what readers of the directory look for.
    let mut new = OsString::from(".");
    new.push(name);
    new.push(".new");
    match unlinkat(&directory, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed("write a new")(errno)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = openat(&directory, &new, flags, Mode::from_raw_mode(0o600))
        .map_err(failed("create a new"))
        .and_then(|file| {
            let mut file = File::from(file);
            file.write_all(bytes).map_err(Error::system("write a new", path))?;
            fchmod(&file, Mode::from_raw_mode(0o644)).map_err(failed("set the mode of"))?;
            file.sync_data().map_err(Error::system("sync a new", path))?;
            renameat(&directory, &new, &directory, name).map_err(failed("replace"))
        });
    if written.is_err() {
        // Not there, or swept by the next attempt.
        unlinkat(&directory, &new, AtFlags::empty()).ok();
    }
    written
}

/// Opens the directory `path`.
fn walk(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let failed = |errno: Errno| Error::system("open directory", path)(errno.into());
    let root = || open("/", flags, Mode::empty()).map_err(failed);
    let (mut directory, mut is_ours, mut links) = (root()?, true, 0);
    // What is still to go, the next part last.
    let mut parts = reversed(path);
    while let Some(name) = parts.pop() {
        match openat(&directory, &name, flags, Mode::empty()) {
            Ok(next) => {
                let next = File::from(next);
                let metadata = next.metadata().map_err(Error::system("look at", path))?;
                // In a sticky directory of root's, such as /tmp, what is root's stays where root put it.
                let is_sticky = metadata.uid() == 0 && metadata.mode() & 0o1000 != 0;
                // In what is another's, even root's directories are where he put them.
                is_ours = is_ours && (is_sticky || trusted(path, &metadata).is_ok());
                directory = next.into();
            }
            // open(2): either says that it is a link.
            Err(errno @ (Errno::LOOP | Errno::NOTDIR)) => {
                let link = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                let target =
                    readlinkat(&directory, &name, Vec::new()).map_err(|_| failed(errno))?;
                links += 1;
                let is_trusted = is_ours && [0, geteuid().as_raw()].contains(&link.st_uid);
                if !is_trusted || links > MAX_LINKS {
                    let problem = "is reached by a link that others may change".to_owned();
                    return Err(Error::Unsafe { path: path.to_owned(), problem });
                }
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    directory = root()?;
                }
                parts.extend(reversed(&target));
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(directory)
}

fn reversed(path: &Path) -> Vec<OsString> {
    let is_step =
        |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(is_step).map(|part| part.as_os_str().to_owned()).collect()
}

/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn open_to_all(path: &Path) {
        fs::create_dir_all(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }

    #[test]
    fn everybody_may_read_it_and_nothing_else_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let theirs = scratch.path().join("theirs");
        open_to_all(&theirs);
        let path = theirs.join("c.prom");
        for text in ["one", "two"] {
            publish(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        }
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let theirs = scratch.path().join("theirs");
        open_to_all(&theirs);
        let victim = scratch.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, theirs.join("c.prom")).unwrap();
        symlink(&victim, theirs.join(".c.prom.new")).unwrap();
        publish(&theirs.join("c.prom"), b"new").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(theirs.join("c.prom")).unwrap(), "new");
    }

    #[test]
    fn a_directory_is_reached_by_links_of_root_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let theirs = scratch.path().join("theirs");
        open_to_all(&theirs);
        let (target, below) = (scratch.path().join("target"), theirs.join("below"));
        fs::create_dir_all(&target).unwrap();
        fs::create_dir_all(&below).unwrap();
        symlink(&target, theirs.join("link")).unwrap();
        symlink(&target, scratch.path().join("absolute")).unwrap();
        symlink("./absolute/../absolute", scratch.path().join("ours")).unwrap();
        symlink("loop", scratch.path().join("loop")).unwrap();
        symlink(theirs.join("link"), scratch.path().join("through")).unwrap();
        publish(&scratch.path().join("ours/c.prom"), b"x").unwrap();
        publish(&below.join("c.prom"), b"x").unwrap();
        fs::remove_file(target.join("c.prom")).unwrap();
        for way in
            [theirs.join("link"), scratch.path().join("through"), scratch.path().join("loop")]
        {
            let refused = publish(&way.join("c.prom"), b"x").unwrap_err();
            assert!(refused.is_unsafe(), "{refused}");
        }
        assert!(fs::read_dir(&target).unwrap().next().is_none());
        let missing = publish(&scratch.path().join("none/c.prom"), b"x").unwrap_err();
        assert!(missing.is_missing());
    }
}
