//! system: a program that root may run, and a file that nobody else may read.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Error, open_existing, real_path, trusted, trusted_directories};

/// The program at `path`, links resolved, if nobody but root can put another in its place.
pub fn trusted_program(path: &Path) -> Result<PathBuf, Error> {
    let real = real_path(path)?;
    trusted_directories(&real)?;
    let metadata = fs::metadata(&real).map_err(Error::system("look at", &real))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular(real));
    }
    trusted(&real, &metadata)?;
    Ok(real)
}

/// The content of a file that only root (or who we are) can change, and that nobody else can read.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, Error> {
    let real = real_path(path)?;
    trusted_directories(&real)?;
    let mut file = open_existing(&real)?;
    let metadata = file.metadata().map_err(Error::system("look at", &real))?;
    trusted(&real, &metadata)?;
    let mode = metadata.permissions().mode();
    if metadata.mode() & 0o077 != 0 {
        let problem = format!("holds a secret that others may read (mode {:o})", mode & 0o7777);
        return Err(Error::Exposed { path: real, problem });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::system("read", &real))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
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
        mode(&program, 0o775);
        assert!(trusted_program(&program).unwrap_err().is_unsafe());
        mode(&program, 0o755);
        mode(&directory, 0o777);
        assert!(trusted_program(&program).unwrap_err().is_unsafe());
        assert!(trusted_program(&link).unwrap_err().is_unsafe());
        assert!(matches!(trusted_program(Path::new("/usr")), Err(Error::NotRegular(_))));
    }
}
