//! system: what belongs to a file besides its bytes, and goes along when it is replaced.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;

/// What belongs to a file besides its bytes; a change of it is one that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) mode: u32,
    owner: (u32, u32),
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) flags: IFlags,
}

impl Rights {
    pub(super) fn of(file: &File, metadata: &Metadata) -> io::Result<Self> {
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

pub(super) fn set_flags(file: &File, wanted: IFlags) -> Result<(), Errno> {
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

/// Where the kernel shows the access ACL.
const ACL: &[u8] = b"system.posix_acl_access";
