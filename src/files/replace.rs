//! system: puts a new file in the place of one that was read, with everything that belongs to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Error, Identity, STAGED, Snapshot, sync_directory, trusted, trusted_directories};

impl Snapshot {
    /// Puts `bytes` in the file's place, if it is still as it was read and only root may write it.
    ///
    /// `staging` is a directory that no `Include` can see, on the same file
    /// system. File and directories are on disk when this returns.
    pub fn replace(&self, bytes: &[u8], staging: &Path) -> Result<(), Error> {
        let failed = |verb| Error::system(verb, &self.path);
        let original = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&self.path)
            .map_err(failed("open"))?;
        let metadata = original.metadata().map_err(failed("look at"))?;
        if Identity::of(&metadata) != self.identity {
            return Err(Error::Raced(self.path.clone()));
        }
        trusted(&self.path, &metadata)?;
        trusted_directories(&self.path)?;
        if metadata.nlink() > 1 {
            return Err(Error::HardLinks { path: self.path.clone(), links: metadata.nlink() });
        }
        let mut new = tempfile::Builder::new()
            .prefix(STAGED)
            .tempfile_in(staging)
            .map_err(Error::system("create a file in", staging))?;
        new.write_all(bytes).map_err(failed("write a new"))?;
        std::os::unix::fs::fchown(new.as_file(), Some(metadata.uid()), Some(metadata.gid()))
            .map_err(failed("keep the owner of"))?;
        let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
        new.as_file().set_permissions(mode).map_err(failed("keep the mode of"))?;
        copy_attributes(&original, new.as_file()).map_err(failed("keep the attributes of"))?;
        new.as_file().sync_all().map_err(failed("sync a new"))?;
        new.persist(&self.path).map_err(|e| failed("replace")(e.error))?;
        sync_directory(self.path.parent().unwrap_or(Path::new("/")))?;
        sync_directory(staging)
    }
}

/// A directory for temporary files on the file system of `target`, outside of all `seen` directories.
///
/// `preferred` if it is on the same file system; else the highest directory
/// above `target` on its file system that is not, and is not below, one of `seen`.
pub fn staging(target: &Path, preferred: &Path, seen: &[PathBuf]) -> Result<PathBuf, Error> {
    let device =
        |path: &Path| fs::metadata(path).map(|m| m.dev()).map_err(Error::system("look at", path));
    let wanted = device(target)?;
    if device(preferred)? == wanted {
        return Ok(preferred.to_owned());
    }
    let visible = |path: &Path| seen.iter().any(|s| path.starts_with(s));
    let mut best = None;
    for directory in target.ancestors().skip(1) {
        if device(directory)? != wanted {
            break;
        }
        if !visible(directory) && (directory.parent().is_some() || best.is_none()) {
            best = Some(directory.to_owned());
        }
    }
    let none = || io::Error::other("every directory of its file system is included by apache");
    best.ok_or_else(none).map_err(Error::system("find a place for temporary files beside", target))
}

/// Copies all extended attributes; a file system without them has none to lose.
pub(super) fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty())?;
    }
    // A default ACL of the staging directory gave the new file one (acl(5)).
    if !names[..length].split(|&b| b == 0).any(|name| name == ACL) {
        match rustix::fs::fremovexattr(to, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether others than owner and group have rights to `path`; also where nobody can tell.
pub(super) fn has_access_list(path: &Path) -> bool {
    let mut value = vec![0; 64 * 1024];
    let none = |errno| matches!(errno, Errno::NODATA | Errno::NOTSUP);
    !rustix::fs::getxattr(path, ACL, &mut value[..]).is_err_and(none)
}

/// Where the kernel shows the access ACL.
const ACL: &[u8] = b"system.posix_acl_access";
