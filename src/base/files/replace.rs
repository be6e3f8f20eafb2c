//! system: puts a new file in the place of one that was read, with everything that belongs to it.
//!
//! The two change places (`RENAME_EXCHANGE`), so that what comes out can be looked at: a
//! version that somebody saved since the file was read goes back where it was.

mod spare;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempPath;

pub use spare::forget_spares;
use spare::spare_in;

use super::read::rest;
use super::rights::{Rights, copy_attributes, set_flags};
use super::staging::{Staging, left_staging, mount_of};
use super::{
    Error, FileIdentity, OUT, STAGED, Snapshot, Stamp, sync_directory, trusted, trusted_directories,
};
use crate::base::fingerprint::fingerprint;

/// A file that was replaced, and the old one, until it is let go.
#[derive(Debug)]
#[must_use = "the old file is looked at once more before it is let go"]
pub struct Replaced {
    /// The file.
    pub path: PathBuf,
    /// The new one.
    pub stamp: Stamp,
    /// What was replaced.
    before: Snapshot,
    rights: Rights,
    old: TempPath,
    staging: Staging,
}

impl Snapshot {
    /// Puts `bytes` in the file's place, and lets the old one go at once.
    pub fn replace(&self, bytes: &[u8], staging: Staging) -> Result<(), Error> {
        self.exchange(bytes, staging)?.let_go()
    }

    /// Puts `bytes` in the file's place, if it is still as it was read and only root may write it.
    ///
    /// File and directories are on disk when this returns.
    pub fn exchange(&self, bytes: &[u8], staging: Staging) -> Result<Replaced, Error> {
        let failed = |verb| Error::system(verb, &self.path);
        let original = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&self.path)
            .map_err(failed("open"))?;
        let metadata = original.metadata().map_err(failed("look at"))?;
        if FileIdentity::of(&metadata) != self.identity {
            return Err(Error::Raced(self.path.clone()));
        }
        trusted(&self.path, &metadata)?;
        trusted_directories(&self.path)?;
        if metadata.nlink() > 1 {
            return Err(Error::HardLinks { path: self.path.clone(), links: metadata.nlink() });
        }
        let rights =
            Rights::of(&original, &metadata).map_err(failed("look at the attributes of"))?;
        let (file, made) = match self.fresh(bytes, &rights, &staging) {
            // No room for one more file: there is one that was kept for this.
            Err(refused @ Error::System { .. }) => {
                self.spare(bytes, &staging).ok().flatten().ok_or(refused)?
            }
            fresh => fresh?,
        };
        std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))
            .map_err(failed("keep the owner of"))?;
        let mode = fs::Permissions::from_mode(rights.mode);
        file.set_permissions(mode).map_err(failed("keep the mode of"))?;
        copy_attributes(&original, &file).map_err(failed("keep the attributes of"))?;
        file.sync_all().map_err(failed("sync a new"))?;
        // From here on the name tells that somebody else's bytes may be behind it.
        let aside = out_name(made.as_ref(), [&self.bytes, bytes]);
        fs::rename(&made, &aside).map_err(failed("replace"))?;
        drop(made);
        let old = TempPath::try_from_path(&aside).map_err(failed("replace"))?;
        let inode = file.metadata().map_err(failed("look at a new"))?.ino();
        change_places(&old, &self.path).map_err(failed("replace"))?;
        if !self.is_what_came_out(&old, &rights)? {
            put_theirs_back(&old, &self.path, inode).map_err(failed("put back"))?;
            return Err(Error::Raced(self.path.clone()));
        }
        sync_directory(self.path.parent().unwrap_or(Path::new("/")))?;
        sync_directory(staging.path())?;
        let stamp = Stamp::of(&file.metadata().map_err(failed("look at a new"))?);
        Ok(Replaced { path: self.path.clone(), stamp, before: self.clone(), rights, old, staging })
    }

    /// A new file with `bytes` in it.
    fn fresh(
        &self,
        bytes: &[u8],
        rights: &Rights,
        staging: &Staging,
    ) -> Result<(File, Made), Error> {
        let mut new = tempfile::Builder::new()
            .prefix(STAGED)
            .tempfile_in(staging.path())
            .map_err(Error::system("create a file in", staging.path()))?;
        // Some can only be set on an empty file (ioctl_iflags(2), FS_NOCOW_FL).
        if let Err(errno) = set_flags(new.as_file(), rights.flags) {
            tracing::warn!("{}: its inode flags are not kept: {errno}", self.path.display());
        }
        let failed = |verb| Error::system(verb, &self.path);
        new.write_all(bytes).map_err(failed("write a new"))?;
        new.as_file().sync_all().map_err(failed("sync a new"))?;
        let (file, path) = new.into_parts();
        Ok((file, Made::Fresh(path)))
    }

    /// The file that [`Replaced::keep`] left, with `bytes` in it: as it was written before there
    /// were lines of ours, or longer, so that it needs no more room than it has.
    fn spare(&self, bytes: &[u8], staging: &Staging) -> Result<Option<(File, Made)>, Error> {
        let wanted = mount_of(self.path.parent().unwrap_or(Path::new("/")))?;
        let beside = left_staging(&self.path).into_iter();
        let places = [staging.path().to_owned()].into_iter().chain(beside);
        for place in places.filter(|place| mount_of(place).is_ok_and(|mount| mount == wanted)) {
            let path = spare_in(&place, &self.path);
            let failed = |verb| Error::system(verb, &path);
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
                .open(&path);
            let Ok(file) = opened else { continue };
            let metadata = file.metadata().map_err(failed("look at"))?;
            if !metadata.is_file() || metadata.nlink() > 1 || trusted(&path, &metadata).is_err() {
                continue;
            }
            let found = rest(&path, file.try_clone().map_err(failed("read"))?)?;
            if found != bytes {
                // Over what is there, which frees nothing that it would have to get again.
                file.write_all_at(bytes, 0).map_err(failed("write"))?;
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                file.set_len(length).map_err(failed("write"))?;
            }
            return Ok(Some((file, Made::Spare(path))));
        }
        Ok(None)
    }

    /// Whether the file at `old` is the one that was read, to the byte, with the `rights` of then.
    fn is_what_came_out(&self, old: &Path, rights: &Rights) -> Result<bool, Error> {
        let options = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(old);
        // A link, or a directory: not what was read.
        let Ok(file) = options else { return Ok(false) };
        let metadata = file.metadata().map_err(Error::system("look at", old))?;
        // A rename is a change of attributes; what else may be one is compared by itself.
        let (now, then) = (FileIdentity::of(&metadata), self.identity);
        let is_same = (now.device, now.inode, now.size, now.modified, now.links)
            == (then.device, then.inode, then.size, then.modified, then.links);
        let found = Rights::of(&file, &metadata).map_err(Error::system("look at", old))?;
        Ok(is_same && found == *rights && rest(old, file)? == self.bytes)
    }
}

/// A new file on its way.
enum Made {
    /// Removed if it does not get there.
    Fresh(TempPath),
    /// Kept.
    Spare(PathBuf),
}

impl AsRef<Path> for Made {
    fn as_ref(&self) -> &Path {
        match self {
            Self::Fresh(path) => path,
            Self::Spare(path) => path,
        }
    }
}

impl Replaced {
    /// The version that was replaced.
    pub fn old_stamp(&self) -> Stamp {
        self.before.stamp()
    }

    /// Lets the old file go, if nobody has written into it since: an editor may have opened it
    /// before. Else it is put back, and the new one is gone.
    pub fn let_go(self) -> Result<(), Error> {
        self.out(false)
    }

    /// The same, but the old file stays as the room that the way back needs: a file system may be
    /// full by then. [`forget_spares`] removes it.
    pub fn keep(self) -> Result<(), Error> {
        self.out(true)
    }

    fn out(self, kept: bool) -> Result<(), Error> {
        // The old file goes before the place that it is in: the last one named is dropped first.
        let Self { path, before, rights, staging, old, stamp } = self;
        if !before.is_what_came_out(&old, &rights)? {
            let put_back = put_theirs_back(&old, &path, stamp.identity.inode);
            put_back.map_err(Error::system("put back", &path))?;
            return Err(Error::Raced(path));
        }
        if kept {
            // Without it the way back needs a new file, as it would have anyway.
            if let Err(error) = old.persist(spare_in(staging.path(), &path)) {
                tracing::debug!("nothing is kept for the way back: {error}");
            }
        } else {
            drop(old);
        }
        drop(staging);
        Ok(())
    }
}

/// Exchanges two files; where the file system cannot, the old one gets a second name first.
fn change_places(new: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        done => return Ok(done?),
    }
    let second = new.with_extension("second");
    fs::hard_link(target, &second)?;
    fs::rename(new, target).inspect_err(|_| drop(fs::remove_file(&second)))?;
    fs::rename(&second, new)
}

/// Puts the file at `theirs` back where it was. If what comes out is not ours, which has the
/// number `inode`, it was saved in that moment, and is the newer one.
pub(super) fn put_theirs_back(theirs: &Path, target: &Path, inode: u64) -> io::Result<()> {
    for _ in 0..SAVES {
        match change_places(theirs, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return fs::rename(theirs, target);
            }
            done => done?,
        }
        if fs::symlink_metadata(theirs)?.ino() == inode {
            break;
        }
    }
    Ok(())
}

/// The name that the file at `made` has while it may be somebody else's: if it is not, it is one
/// of those `known`, which the name tells.
fn out_name(made: &Path, known: [&[u8]; 2]) -> PathBuf {
    let name = made.file_name().unwrap_or_default().to_string_lossy();
    let random = name.rsplit('.').next().unwrap_or_default();
    let [before, after] = known.map(|bytes| fingerprint(bytes, KNOWN_BYTES));
    made.with_file_name(format!("{OUT}{before}.{after}.{random}"))
}

/// Bytes of a hash in a name.
pub(super) const KNOWN_BYTES: usize = 16;

/// Versions that somebody saves while theirs is put back.
const SAVES: usize = 10;
