//! system: what the certbot that runs this hook was told: its command line and its defaults.
//!
//! Which process it is, [`crate::certbot::running`] knows without any of this.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

use crate::base::files;
use crate::base::process::{self, Process};
use crate::certbot::arguments::{self, Invocation};
use crate::certbot::ini::{self, Setting};
use crate::certbot::unusable::Error;

/// Where certbot looks first for defaults (`constants.py`).
const SYSTEM_INI: &str = "/etc/letsencrypt/cli.ini";

/// What `certbot` was asked to do.
pub fn invocation(certbot: Process) -> Result<Invocation, Error> {
    let pid = certbot.pid;
    let argv = process::argv(pid)?;
    let argv: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let words = arguments::arguments_after_program(&argv);
    let directory = process::working_directory(pid)?;
    let mut settings = Vec::new();
    let paths = [SYSTEM_INI.into(), user_ini(&directory, &process::environment(pid)?)];
    let named = arguments::configuration_file(words, &directory);
    for path in paths.into_iter().chain(named) {
        settings.extend(read_ini(&path).map_err(Error::Defaults)?);
    }
    arguments::parse(words, &directory, &settings)
        .map_err(|source| Error::Arguments { pid, source: source.into() })
}

fn read_ini(path: &Path) -> Result<Option<Vec<Setting>>, files::Error> {
    match files::read_trusted(path) {
        Err(error) if error.is_missing() => Ok(None),
        bytes => bytes.map(|text| Some(ini::parse(&String::from_utf8_lossy(&text)))),
    }
}

/// `$XDG_CONFIG_HOME/letsencrypt/cli.ini`, else below `~/.config`, where `~` is
/// as in Python's `expanduser`.
fn user_ini(directory: &Path, environment: &[OsString]) -> PathBuf {
    let value = |name: &[u8]| {
        environment.iter().find_map(|item| {
            let value = item.as_bytes().strip_prefix(name)?.strip_prefix(b"=")?;
            Some(PathBuf::from(OsStr::from_bytes(value)))
        })
    };
    let account = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
    let home = || value(b"HOME").or_else(account).unwrap_or_default();
    let configuration = value(b"XDG_CONFIG_HOME").unwrap_or_else(|| home().join(".config"));
    directory.join(configuration).join("letsencrypt/cli.ini")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_follows_the_environment_of_certbot() {
        let ini = |environment: &[&str]| {
            let environment: Vec<_> = environment.iter().map(OsString::from).collect();
            user_ini(Path::new("/cwd"), &environment)
        };
        let home = "/h/.config/letsencrypt/cli.ini";
        assert_eq!(ini(&["HOMES=/x", "HOME=/h"]), Path::new(home));
        assert_eq!(ini(&["HOME=/h", "XDG_CONFIG_HOME=/x"]), Path::new("/x/letsencrypt/cli.ini"));
        assert_eq!(ini(&["XDG_CONFIG_HOME="]), Path::new("/cwd/letsencrypt/cli.ini"));
    }
}
