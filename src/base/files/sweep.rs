//! system: clears away what a process left that was killed while it replaced files.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::read::rest;
use super::replace::{KNOWN_BYTES, put_theirs_back};
use super::{
    CANDIDATE, Error, KEPT, OUT, STAGED, list, remove_own, sync_directory, trusted_directories,
};
use crate::base::fingerprint::fingerprint;

/// Removes what a killed process left in the staging directory `path`. What somebody saved in
/// that moment, and nobody else has, goes back where one of `targets` is still what that process
/// put there; else it is kept.
pub fn sweep(path: &Path, targets: &[PathBuf]) -> Result<Vec<Swept>, Error> {
    let mut kept = Vec::new();
    for name in list(path)? {
        let left = path.join(&name);
        if name.as_encoded_bytes().starts_with(CANDIDATE.as_bytes()) {
            fs::remove_dir_all(&left).map_err(Error::system("remove", &left))?;
        } else if name.as_encoded_bytes().starts_with(STAGED.as_bytes()) {
            remove_own(&left)?;
        } else if name.as_encoded_bytes().starts_with(OUT.as_bytes()) {
            kept.extend(sweep_out(&left, targets)?);
        }
    }
    Ok(kept)
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
fn sweep_out(left: &Path, targets: &[PathBuf]) -> Result<Option<Swept>, Error> {
    let name = left.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if is_one_of(&hash(left)?.0, &name) {
        return remove_own(left).map(|()| None);
    }
    if let Some(target) = put_back(left, &name, targets)? {
        sync_directory(target.parent().unwrap_or(Path::new("/")))?;
        // Saved once more in that moment: what came out is the older one of two of theirs.
        return if is_one_of(&hash(left)?.0, &name) {
            remove_own(left).map(|()| Some(Swept::PutBack(target)))
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
