//! system: a program that root may run.

use std::path::{Path, PathBuf};

use super::walk::walk;
use super::{Error, real_path, trusted};

/// The program at `path`, links resolved, if nobody but root can put another in its place.
pub fn trusted_program(path: &Path) -> Result<PathBuf, Error> {
    let walked = walk(path)?;
    if let Some(doubt) = walked.doubt {
        return Err(doubt);
    }
    let real = real_path(path)?;
    if !walked.metadata.is_file() {
        return Err(Error::NotRegular(real));
    }
    trusted(&real, &walked.metadata)?;
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::fs;
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
