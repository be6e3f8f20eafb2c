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
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::Error;
use super::walk::{Walked, walk};

/// Puts `bytes` at `path` in one step, for everybody to read; whatever was there is replaced, not written to.
///
/// For one writer at a time.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |verb| move |errno: Errno| Error::system(verb, path)(errno.into());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::NotRegular(path.to_owned()));
    };
    let directory = directory(parent)?;
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

/// Opens the directory `path`, which only root's links may lead to.
fn directory(path: &Path) -> Result<OwnedFd, Error> {
    let Walked { handle, metadata, led_by, doubt } = walk(path)?;
    match doubt {
        Some(doubt) if led_by.is_some() => Err(doubt),
        _ if !metadata.is_dir() => Err(Error::NotADirectory(path.to_owned())),
        _ => Ok(handle.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

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
        for way in [theirs.join("link"), scratch.path().join("through")] {
            let refused = publish(&way.join("c.prom"), b"x").unwrap_err();
            assert!(refused.is_unsafe(), "{refused}");
        }
        assert!(publish(&scratch.path().join("loop/c.prom"), b"x").is_err());
        assert!(fs::read_dir(&target).unwrap().next().is_none());
        let missing = publish(&scratch.path().join("none/c.prom"), b"x").unwrap_err();
        assert!(missing.is_missing());
    }
}
