//! system: which certbot is installed, without the half second that Python takes to say it.
//!
//! Packages leave a directory `certbot-VERSION.dist-info` (PEP 376) or
//! `.egg-info` beside the code; snap has `meta/snap.yaml`. Where neither is
//! found, `certbot --version` has to be asked.

use std::path::{Path, PathBuf};

use crate::certbot::arguments;
use crate::certbot::version::Version;
use crate::files;
use crate::process::{self, Process};

/// `2.1.0`; none if no package of `program` tells.
pub fn version(program: &Path) -> Option<String> {
    if program.starts_with("/snap") {
        let yaml = files::read_foreign(Path::new("/snap/certbot/current/meta/snap.yaml")).ok()?;
        return of_snap(&String::from_utf8_lossy(&yaml));
    }
    let text = files::read_foreign(&files::real_path(program).ok()?).ok()?;
    let python = interpreter(&text)?;
    let found = directories(&python).into_iter().filter_map(|directory| {
        let entries = files::list(&directory).ok()?;
        entries.iter().find_map(|entry| of_package(entry.to_str()?))
    });
    found.take(1).last()
}

/// The version of a certbot that runs, by the script that its interpreter was started with.
pub fn of_process(certbot: Process) -> Option<Version> {
    let argv = process::argv(certbot.pid).ok()?;
    let argv: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = process::working_directory(certbot.pid).ok()?.join(arguments::program(&argv)?);
    Version::parse(&format!("certbot {}", version(&program)?))
}

/// Where the packages of an interpreter are: those of a virtual environment, else Debian's.
fn directories(python: &Path) -> Vec<PathBuf> {
    let library = python.parent().and_then(Path::parent).map(|prefix| prefix.join("lib"));
    let Some(library) = library else { return Vec::new() };
    let mut found = Vec::new();
    for entry in files::list(&library).unwrap_or_default() {
        if entry.to_str().is_some_and(|name| name.starts_with("python3")) {
            let of_version = library.join(entry);
            found.extend([of_version.join("site-packages"), of_version.join("dist-packages")]);
        }
    }
    found
}

/// The first line's `#!PYTHON`; a shell that starts something else tells nothing.
fn interpreter(text: &[u8]) -> Option<PathBuf> {
    let line = text.split(|&b| b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("#!")?;
    let path = Path::new(line.split_ascii_whitespace().next()?);
    let name = path.file_name()?.to_str()?;
    name.starts_with("python").then(|| path.to_owned())
}

fn of_package(entry: &str) -> Option<String> {
    let version = entry.strip_prefix("certbot-")?;
    let version =
        version.strip_suffix(".dist-info").or_else(|| version.strip_suffix(".egg-info"))?;
    // setuptools appends the interpreter: `certbot-2.1.0-py3.11.egg-info`.
    version.split('-').next().map(str::to_owned)
}

fn of_snap(yaml: &str) -> Option<String> {
    let line = yaml.lines().find_map(|line| line.strip_prefix("version:"))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_tell_their_version() {
        assert_eq!(of_package("certbot-2.1.0.egg-info").as_deref(), Some("2.1.0"));
        assert_eq!(of_package("certbot-2.1.0-py3.11.egg-info").as_deref(), Some("2.1.0"));
        assert_eq!(of_package("certbot-5.6.0.dist-info").as_deref(), Some("5.6.0"));
        assert_eq!(of_package("certbot_apache-5.6.0.dist-info"), None);
        assert_eq!(of_package("certbot"), None);
        assert_eq!(of_snap("name: certbot\nversion: '5.6.0'\n").as_deref(), Some("5.6.0"));
    }

    #[test]
    fn only_a_python_program_tells_where_its_packages_are() {
        assert_eq!(interpreter(b"#!/opt/c/bin/python3 -I\nx"), Some("/opt/c/bin/python3".into()));
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }

    #[test]
    fn a_virtual_environment_is_looked_into() {
        let directory = tempfile::tempdir().unwrap();
        let packages =
            directory.path().join("lib/python3.11/site-packages/certbot-9.8.7.dist-info");
        files::own_directory(&packages, 0o755).unwrap();
        let python = directory.path().join("bin/python");
        files::own_directory(&directory.path().join("bin"), 0o755).unwrap();
        let program = directory.path().join("bin/certbot");
        let text = format!("#!{}\n", python.display());
        files::write_scratch(&program, text.as_bytes()).unwrap();
        assert_eq!(version(&program).as_deref(), Some("9.8.7"));
    }
}
