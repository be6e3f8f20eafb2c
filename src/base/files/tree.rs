//! system: writes a tree of files below one directory, and nothing outside it.
//!
//! Below that directory no link is followed, so nothing there leads elsewhere. What is there
//! already is only replaced if it is known to be ours, and nothing is written before all of it is.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, open, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::Error;
use super::read::rest;

/// A file to write.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Where, below the directory.
    pub path: &'a Path,
    /// What.
    pub bytes: &'a [u8],
    /// Its mode, whatever the umask is.
    pub mode: u32,
}

/// Writes `leaves` below `root`, which is made if it is missing. Of files that are there already,
/// the first for which `is_ours` does not hold is an error, and nothing is written.
pub fn write_tree(
    root: &Path,
    leaves: &[NewFile<'_>],
    is_ours: impl Fn(&[u8]) -> bool,
) -> Result<(), Error> {
    std::fs::create_dir_all(root).map_err(Error::system("create directory", root))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = open(root, flags, Mode::empty())
        .map_err(|errno| Error::system("open directory", root)(errno.into()))?;
    for leaf in leaves {
        let full = root.join(leaf.path);
        let Some((directory, name)) = descend(&top, root, leaf.path, false)? else { continue };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&directory, &name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => return Err(Error::NotRegular(full)),
            Err(errno) => return Err(Error::system("open", &full)(errno.into())),
            Ok(file) => {
                if !is_ours(&rest(&full, File::from(file))?) {
                    return Err(Error::Foreign(full));
                }
            }
        }
    }
    leaves.iter().try_for_each(|leaf| write(&top, root, leaf))
}

fn write(top: &OwnedFd, root: &Path, leaf: &NewFile<'_>) -> Result<(), Error> {
    let full = root.join(leaf.path);
    let failed = |verb| {
        let full = full.clone();
        move |errno: Errno| Error::system(verb, &full)(errno.into())
    };
    let Some((directory, name)) = descend(top, root, leaf.path, true)? else {
        return Err(Error::NotRegular(full));
    };
    let new = format!(".{name}.new");
    match unlinkat(&directory, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed("write a new")(errno)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, &new, flags, Mode::from_raw_mode(0o600));
    let mut file = File::from(file.map_err(failed("create a new"))?);
    let written = file
        .write_all(leaf.bytes)
        .map_err(Error::system("write a new", &full))
        .and_then(|()| {
            fchmod(&file, Mode::from_raw_mode(leaf.mode)).map_err(failed("set the mode of"))
        })
        .and_then(|()| renameat(&directory, &new, &directory, &name).map_err(failed("replace")));
    if written.is_err() {
        // Not there, or removed by the next attempt.
        unlinkat(&directory, &new, AtFlags::empty()).ok();
    }
    written
}

/// The directory that is to hold `path`, and the last part of it; `None` where it is not there and
/// is not to be made.
fn descend(
    top: &OwnedFd,
    root: &Path,
    path: &Path,
    make: bool,
) -> Result<Option<(OwnedFd, String)>, Error> {
    let full = root.join(path);
    let failed = |verb| {
        let full = full.clone();
        move |errno: Errno| Error::system(verb, &full)(errno.into())
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) if part.to_str().is_some() => parts.extend(part.to_str()),
            _ => return Err(Error::NotRegular(full)),
        }
    }
    let Some(name) = parts.pop() else { return Err(Error::NotRegular(full)) };
    let mut directory = top.try_clone().map_err(Error::system("open", root))?;
    let mut here = PathBuf::from(root);
    for part in parts {
        here.push(part);
        if make {
            match mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("create the directory of")(errno)),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        directory = match openat(&directory, part, flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(Error::NotADirectory(here)),
            Err(errno) => return Err(failed("open the directory of")(errno)),
        };
    }
    Ok(Some((directory, name.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn leaf(path: &'static str) -> NewFile<'static> {
        NewFile { path: Path::new(path), bytes: b"# ours", mode: 0o640 }
    }

    fn write(root: &Path, path: &'static str) -> Result<(), Error> {
        write_tree(root, &[leaf("a/b"), leaf(path)], |bytes| bytes.starts_with(b"# ours"))
    }

    #[test]
    fn what_is_ours_is_replaced_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("out");
        write(&root, "c/d").unwrap();
        write(&root, "c/d").unwrap();
        assert_eq!(fs::metadata(root.join("c/d")).unwrap().mode() & 0o777, 0o640);
        fs::write(root.join("c/d"), "theirs").unwrap();
        fs::remove_file(root.join("a/b")).unwrap();
        assert!(matches!(write(&root, "c/d"), Err(Error::Foreign(_))));
        assert!(!root.join("a/b").exists(), "nothing is written before all is looked at");
        assert_eq!(fs::read_dir(root.join("c")).unwrap().count(), 1);
    }

    #[test]
    fn no_link_leads_out() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, other) = (scratch.path().join("out"), scratch.path().join("other"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&other).unwrap();
        symlink(&other, root.join("c")).unwrap();
        assert!(matches!(write(&root, "c/d"), Err(Error::NotADirectory(_))));
        fs::write(other.join("f"), "# ours").unwrap();
        symlink(other.join("f"), root.join("f")).unwrap();
        assert!(matches!(write(&root, "f"), Err(Error::NotRegular(_))));
        assert!(matches!(write(&root, "../f"), Err(Error::NotRegular(_))));
        assert_eq!(fs::read(other.join("f")).unwrap(), b"# ours");
    }
}
