//! system: what a directory tree is, down to the attribute.
//!
//! Access and change times are left out, and the times of directories: a
//! replaced file changes them by nature.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A file's bytes or a link's target; a directory has none.
    pub content: Option<Vec<u8>>,
    /// Type and permissions.
    mode: u32,
    owner: (u32, u32),
    links: Option<u64>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    modified: Option<(i64, i64)>,
}

/// A whole tree, by path.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// The tree at `root`, paths relative to it.
pub fn taken(root: &Path) -> Snapshot {
    let mut snapshot = Snapshot::new();
    collect(root, Path::new(""), &mut snapshot);
    snapshot
}

/// The paths that differ between two trees in anything at all.
pub fn differing(before: &Snapshot, after: &Snapshot) -> Vec<PathBuf> {
    let mut paths: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| before.get(path) != after.get(path));
    paths
}

/// The same tree without the modification times of `files`.
pub fn timeless(snapshot: &Snapshot, files: &[PathBuf]) -> Snapshot {
    let mut timeless = snapshot.clone();
    for file in files {
        if let Some(entry) = timeless.get_mut(file) {
            entry.modified = None;
        }
    }
    timeless
}

fn collect(root: &Path, relative: &Path, into: &mut Snapshot) {
    let path = root.join(relative);
    let meta = fs::symlink_metadata(&path).unwrap();
    let content = if meta.is_symlink() {
        Some(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
    } else if meta.is_file() {
        Some(fs::read(&path).unwrap())
    } else {
        None
    };
    let plain = content.is_some();
    let entry = Entry {
        content,
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        links: plain.then(|| meta.nlink()),
        attributes: attributes(&path),
        modified: plain.then(|| (meta.mtime(), meta.mtime_nsec())),
    };
    into.insert(relative.to_owned(), entry);
    if meta.is_dir() {
        for child in fs::read_dir(&path).unwrap() {
            collect(root, &relative.join(child.unwrap().file_name()), into);
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = [0u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let value = |name: &[u8]| {
        let mut value = [0u8; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap_or(0);
        (name.to_vec(), value[..length].to_vec())
    };
    names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()).map(value).collect()
}
