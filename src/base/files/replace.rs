//! system: puts a new file in the place of one that was read, with everything that belongs to it.
//!
//! The two change places (`RENAME_EXCHANGE`), so that what comes out can be looked at: a
//! version that somebody saved since the file was read goes back where it was.

mod spare;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, FlockOperation, IFlags, RenameFlags, StatxFlags, flock, ioctl_getflags,
    ioctl_setflags, renameat_with, statx,
};
use rustix::io::Errno;
use tempfile::TempPath;

pub use spare::forget_spares;
use spare::spare_in;

use super::read::rest;
use super::{
    Error, Identity, KEPT, OUT, STAGED, Snapshot, Stamp, list, real_path, sync_directory, trusted,
    trusted_directories,
};
use crate::base::clock::{Deadline, pause};
use crate::base::fingerprint::fingerprint;

/// Where new files are made: on the mount of what they replace, where no `Include` looks.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    /// Of one that goes when nobody has a file in it: with a lock that all have who are in it, for
    /// others than those of one configuration may make theirs in the same directory.
    own: Option<File>,
}

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
        if Identity::of(&metadata) != self.identity {
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
        sync_directory(&staging.path)?;
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
            .tempfile_in(&staging.path)
            .map_err(Error::system("create a file in", &staging.path))?;
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
        let places = [staging.path.clone()].into_iter().chain(beside);
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
        let (now, then) = (Identity::of(&metadata), self.identity);
        let is_same = (now.device, now.inode, now.size, now.modified, now.links)
            == (then.device, then.inode, then.size, then.modified, then.links);
        let found = Rights::of(&file, &metadata).map_err(Error::system("look at", old))?;
        Ok(is_same && found == *rights && rest(old, file)? == self.bytes)
    }
}

/// What belongs to a file besides its bytes; a change of it is one that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rights {
    mode: u32,
    owner: (u32, u32),
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    flags: IFlags,
}

impl Rights {
    fn of(file: &File, metadata: &fs::Metadata) -> io::Result<Self> {
        Ok(Self {
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            attributes: attributes(file)?,
            flags: flags(file),
        })
    }
}

/// The inode flags that a copy keeps (chattr(1)); a file system without them has none to lose.
fn flags(file: &File) -> IFlags {
    ioctl_getflags(file).unwrap_or(IFlags::empty()) & KEPT_FLAGS
}

fn set_flags(file: &File, wanted: IFlags) -> Result<(), Errno> {
    if flags(file) == wanted {
        return Ok(());
    }
    let now = ioctl_getflags(file)?;
    ioctl_setflags(file, (now - KEPT_FLAGS) | wanted)
}

/// Those that a person sets, and that need no more than to own the file: neither what a file
/// system does for itself, nor what keeps a file from being replaced.
const KEPT_FLAGS: IFlags = IFlags::NOATIME
    .union(IFlags::NODUMP)
    .union(IFlags::SYNC)
    .union(IFlags::COMPRESSED)
    .union(IFlags::NOCOW);

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
            if let Err(error) = old.persist(spare_in(&staging.path, &path)) {
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
fn put_theirs_back(theirs: &Path, target: &Path, inode: u64) -> io::Result<()> {
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

/// What became of a version that somebody saved while its file was replaced by a process that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// It is this file again.
    PutBack(PathBuf),
    /// It is here.
    Kept(PathBuf),
}

/// Removes the file at `left`, which was on its way out when its process was killed, unless
/// somebody had just saved it: then it takes the place of the one of `targets` that is still
/// what that process wrote, or is kept.
pub(super) fn sweep_out(left: &Path, targets: &[PathBuf]) -> Result<Option<Swept>, Error> {
    let name = left.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if is_one_of(&hash(left)?.0, &name) {
        return super::remove_own(left).map(|()| None);
    }
    if let Some(target) = put_back(left, &name, targets)? {
        sync_directory(target.parent().unwrap_or(Path::new("/")))?;
        // Saved once more in that moment: what came out is the older one of two of theirs.
        return if is_one_of(&hash(left)?.0, &name) {
            super::remove_own(left).map(|()| Some(Swept::PutBack(target)))
        } else {
            keep(left, &name).map(Some)
        };
    }
    keep(left, &name).map(Some)
}

fn keep(left: &Path, name: &str) -> Result<Swept, Error> {
    let kept = left.with_file_name(name.replacen(OUT, KEPT, 1));
    fs::rename(left, &kept).map_err(Error::system("keep", left))?;
    Ok(Swept::Kept(kept))
}

/// Exchanges the version at `left`, called `name`, with the only one of `targets` that is what it
/// was replaced by, to the byte.
fn put_back(left: &Path, name: &str, targets: &[PathBuf]) -> Result<Option<PathBuf>, Error> {
    let Some(ours) = name.strip_prefix(OUT).and_then(|known| known.split('.').nth(1)) else {
        return Ok(None);
    };
    let found = |target: &PathBuf| {
        trusted_directories(target).ok()?;
        let (hash, inode) = hash(target).ok()?;
        (hash == ours).then(|| (target.clone(), inode))
    };
    let mut found: Vec<_> = targets.iter().filter_map(found).collect();
    let Some((target, inode)) = found.pop().filter(|_| found.is_empty()) else {
        return Ok(None);
    };
    put_theirs_back(left, &target, inode).map_err(Error::system("put back", &target))?;
    Ok(Some(target))
}

/// What tells the content of the file at `path`, and its number.
fn hash(path: &Path) -> Result<(String, u64), Error> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(Error::system("open", path))?;
    let inode = file.metadata().map_err(Error::system("look at", path))?.ino();
    Ok((fingerprint(&rest(path, file)?, KNOWN_BYTES), inode))
}

/// Whether the name of a file on its way out tells `hash`.
fn is_one_of(hash: &str, name: &str) -> bool {
    name.split('.').any(|known| known == hash)
}

/// A place for the new file of `target`, outside of all directories from which `opened` were read.
///
/// `preferred` if it is on the same mount; else a hidden directory of its own in the highest
/// directory above `target` on its mount that no `Include` looks into. If they are all looked
/// into, in the highest that is not read as a whole: a pattern does not match a hidden name
/// (`apr_fnmatch` with `APR_FNM_PERIOD`, config.c).
pub fn staging(target: &Path, preferred: &Path, opened: &[PathBuf]) -> Result<Staging, Error> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    let wanted = mount_of(parent)?;
    if target.is_file() && mount_of(target)? != wanted {
        return Err(Error::Mounted(target.to_owned()));
    }
    if mount_of(preferred)? == wanted {
        return Ok(Staging::at(preferred.to_owned()));
    }
    staging_beside(target, opened)
}

/// The same where there is no place to prefer.
pub fn staging_beside(target: &Path, opened: &[PathBuf]) -> Result<Staging, Error> {
    let wanted = mount_of(target.parent().unwrap_or(Path::new("/")))?;
    let visible =
        |path: &Path| opened.iter().filter_map(|file| file.parent()).any(|d| path.starts_with(d));
    let (mut hidden, mut beside) = (None, None);
    for directory in target.ancestors().skip(1) {
        if mount_of(directory)? != wanted {
            break;
        }
        if !visible(directory) {
            if directory.parent().is_some() || hidden.is_none() {
                hidden = Some(directory);
            }
        } else if is_read_in_part(directory, opened)? {
            beside = Some(directory);
        }
    }
    let Some(directory) = hidden.or(beside) else {
        return Err(Error::NoStaging(target.to_owned()));
    };
    let path = directory.join(STAGING);
    for _ in 0..REMOVALS {
        super::own_directory(&path, 0o700)?;
        if let Some(staging) = Staging::shared(path.clone()) {
            return Ok(staging);
        }
        pause(REMOVAL, &Deadline::after(REMOVAL * 2)).ok();
    }
    Err(Error::system("use", &path)(io::ErrorKind::WouldBlock.into()))
}

/// Whether there is something in `directory` that was not read: an `Include` of all of it would have.
fn is_read_in_part(directory: &Path, opened: &[PathBuf]) -> Result<bool, Error> {
    let names = list(directory)?;
    let mut entries =
        names.iter().filter(|name| name.as_encoded_bytes()[0] != b'.').map(|n| directory.join(n));
    Ok(entries.any(|entry| !opened.iter().any(|file| file.starts_with(&entry))))
}

/// The mount that `path` is on: within it files can be renamed.
fn mount_of(path: &Path) -> Result<(u64, u64), Error> {
    let failed = |errno: Errno| Error::system("look at", path)(errno.into());
    let real = real_path(path)?;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = statx(CWD, &real, AtFlags::empty(), wanted).map_err(failed)?;
    let knows = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    // Before Linux 5.8 the file system has to do.
    let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
    Ok(if knows { (1, found.stx_mnt_id) } else { (0, device) })
}

/// The directories for new files that a killed process may have left above `target`.
pub fn left_staging(target: &Path) -> Vec<PathBuf> {
    let above = target.ancestors().skip(1).map(|directory| directory.join(STAGING));
    above.filter(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())).collect()
}

impl Staging {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One that stays.
    pub fn at(path: PathBuf) -> Self {
        Self { path, own: None }
    }

    /// One that is there already; none while somebody removes it.
    pub fn shared(path: PathBuf) -> Option<Self> {
        Self::locked(path, FlockOperation::NonBlockingLockShared)
    }

    /// One that nobody is in who lives, nor could be but root: what is in it was left behind. It
    /// goes, once it is empty.
    pub fn abandoned(path: PathBuf) -> Option<Self> {
        trusted_directories(&path).ok()?;
        Self::locked(path, ALONE)
    }

    fn locked(path: PathBuf, how: FlockOperation) -> Option<Self> {
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_DIRECTORY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
        // What somebody else puts there would become a file of root's.
        trusted(&path, &file.metadata().ok()?).ok()?;
        flock(&file, how).ok()?;
        // Removed since, and made again by another: that one nobody has locked.
        is_at(&file, &path).then_some(Self { path, own: Some(file) })
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let is_it = || {
        let (open, found) = (file.metadata()?, fs::symlink_metadata(path)?);
        io::Result::Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
    };
    is_it().unwrap_or(false)
}

impl Drop for Staging {
    fn drop(&mut self) {
        let Some(directory) = &self.own else { return };
        // Whoever comes into it now asks for the lock first. flock(2) gives ours up before it takes
        // the other one: somebody else may have removed the directory in between.
        if flock(directory, ALONE).is_ok() && is_at(directory, &self.path) {
            // Not empty: a file was kept in it for the way back.
            fs::remove_dir(&self.path).ok();
        }
    }
}

/// Copies all extended attributes.
pub(super) fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let attributes = attributes(from)?;
    for (name, value) in &attributes {
        rustix::fs::fsetxattr(to, &name[..], value, rustix::fs::XattrFlags::empty())?;
    }
    // A default ACL of the staging directory gave the new file one (acl(5)).
    if !attributes.iter().any(|(name, _)| name == ACL) {
        match rustix::fs::fremovexattr(to, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// All extended attributes; a file system without them has none to lose.
fn attributes(of: &File) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(of, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let names = names[..length].split(|&b| b == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::fgetxattr(of, name, &mut value[..])?;
        value.truncate(length);
        Ok((name.to_vec(), value))
    };
    names.map(value).collect()
}

/// Whether others than owner and group have rights to `path`; also where nobody can tell.
pub(super) fn has_access_list(path: &Path) -> bool {
    let mut value = vec![0; 64 * 1024];
    let none = |errno| matches!(errno, Errno::NODATA | Errno::NOTSUP);
    !rustix::fs::getxattr(path, ACL, &mut value[..]).is_err_and(none)
}

/// A directory for new files where the state directory is on another mount.
const STAGING: &str = ".certbaton";

const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;

/// How long whoever removes [`STAGING`] needs, and how often that is waited for.
const REMOVAL: Duration = Duration::from_millis(10);
const REMOVALS: u32 = 200;

/// Bytes of a hash in a name.
const KNOWN_BYTES: usize = 16;

/// Versions that somebody saves while theirs is put back.
const SAVES: usize = 10;

/// Where the kernel shows the access ACL.
const ACL: &[u8] = b"system.posix_acl_access";
