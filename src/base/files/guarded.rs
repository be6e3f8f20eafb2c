//! system: a program that root may run.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::read::beginning;
use super::walk::{Walked, walk};
use super::{Error, real_path, trusted};

/// The program at `path`, links resolved, if nobody but root can put another in its place, or in
/// the place of its interpreter.
pub fn trusted_program(path: &Path) -> Result<PathBuf, Error> {
    let (real, first) = trusted_file(path)?;
    if let Some(interpreter) = interpreter(&first) {
        match trusted_file(&interpreter) {
            // Who starts it is told by the kernel.
            Err(error) if error.is_missing() => {}
            found => drop(found?),
        }
    }
    Ok(real)
}

/// The program that runs here.
pub fn own_program() -> Option<PathBuf> {
    fs::read_link("/proc/self/exe").ok()
}

/// A trusted file, links resolved, and how it begins.
fn trusted_file(path: &Path) -> Result<(PathBuf, Vec<u8>), Error> {
    let Walked { handle, metadata, doubt, .. } = walk(path)?;
    if let Some(doubt) = doubt {
        return Err(doubt);
    }
    let real = real_path(path)?;
    trusted(&real, &metadata)?;
    let first = beginning(&real, &handle, &metadata)?;
    Ok((real, first))
}

/// After `#!` (execve(2)).
fn interpreter(first: &[u8]) -> Option<PathBuf> {
    let line = first.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?.trim_ascii_start();
    let end = line.iter().position(|b| b" \t".contains(b)).unwrap_or(line.len());
    Some(OsStr::from_bytes(&line[..end]).into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::read_secret;
    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("token");
        fs::write(&path, "x").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert_eq!(read_secret(&path).unwrap(), b"x");
        for open in [0o640, 0o604] {
            mode(open);
            assert!(matches!(read_secret(&path), Err(Error::Exposed { .. })), "{open:o}");
        }
        mode(0o620);
        assert!(read_secret(&path).unwrap_err().is_unsafe());
    }

    #[test]
    fn a_program_that_others_may_replace_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("bin");
        fs::create_dir(&directory).unwrap();
        let program = directory.join("tell");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&program, 0o755);
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(trusted_program(&link).unwrap(), program);
        mode(&program, 0o757);
        assert!(trusted_program(&program).unwrap_err().is_unsafe());
        mode(&program, 0o755);
        mode(&directory, 0o777);
        assert!(trusted_program(&program).unwrap_err().is_unsafe());
        assert!(trusted_program(&link).unwrap_err().is_unsafe());
        assert!(matches!(trusted_program(Path::new("/usr")), Err(Error::NotRegular(_))));
    }
}
