//! system: which certbot is installed, without the half second that Python takes to say it.
//!
//! Packages leave a directory `certbot-VERSION.dist-info` (PEP 376) or
//! `.egg-info` beside the code; snap has `meta/snap.yaml`. Where neither is
//! found, `certbot --version` has to be asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::base::files;
use crate::base::process::{self, Process};
use crate::certbot::arguments;
use crate::certbot::lineages::lineages;
use crate::certbot::version::Version;

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

/// Where certbots are that nobody has to name: the package's, snap's, an administrator's, that of
/// a virtual environment (certbot.eff.org). A link to another one is that one.
pub fn all() -> Vec<PathBuf> {
    let known = [
        "/usr/bin/certbot",
        "/snap/bin/certbot",
        "/usr/local/bin/certbot",
        "/opt/certbot/bin/certbot",
    ];
    let mut seen = BTreeSet::new();
    let there = known.map(PathBuf::from).into_iter();
    let there = there.filter(|path| files::exists(path) && access(path, Access::EXEC_OK).is_ok());
    there.filter(|path| files::real_path(path).is_ok_and(|real| seen.insert(real))).collect()
}

/// The certbot that renews what is in `directory`, where none is configured.
pub fn program(directory: &Path) -> Option<PathBuf> {
    let all = all();
    if all.len() < 2 {
        return all.into_iter().next();
    }
    let versions: Vec<Option<Version>> =
        all.iter().map(|path| Version::of(&version(path)?)).collect();
    let known = lineages(directory).unwrap_or_default().usable.into_iter();
    let wrote = known.filter_map(|lineage| Version::of(&lineage.version?));
    all.into_iter().nth(choice(&versions, wrote.max()))
}

/// Which of several certbots renews the files that version `wrote` has written: an older one
/// would not understand all of them, and one that is much newer is somebody's trial.
fn choice(versions: &[Option<Version>], wrote: Option<Version>) -> usize {
    let known = || versions.iter().enumerate().filter_map(|(n, version)| Some((n, (*version)?)));
    let Some(wrote) = wrote else { return 0 };
    let able = known().filter(|(_, version)| *version >= wrote).min_by_key(|(n, v)| (*v, *n));
    let newest = || known().max_by_key(|(n, version)| (*version, std::cmp::Reverse(*n)));
    able.or_else(newest).map_or(0, |(n, _)| n)
}

/// The version of a certbot that runs, by the script that its interpreter was started with.
pub fn of_process(certbot: Process) -> Option<Version> {
    let argv = process::argv(certbot.pid).ok()?;
    let argv: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = process::working_directory(certbot.pid).ok()?.join(arguments::program(&argv)?);
    Version::of(&version(&program)?)
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
    fn of_several_certbots_the_one_that_wrote_the_files_renews_them() {
        let version = Version::of;
        let of = |all: &[&str], wrote: &str| {
            let all: Vec<_> = all.iter().map(|text| version(text)).collect();
            choice(&all, version(wrote))
        };
        // /usr/bin is first: Debian's 4.0.0 must not renew what 5.8.0 wrote.
        assert_eq!(of(&["4.0.0", "5.8.0"], "5.8.0"), 1);
        assert_eq!(of(&["4.0.0", "5.8.0"], "4.0.0"), 0);
        assert_eq!(of(&["4.0.0", "6.0.0", "5.9.0"], "5.8.0"), 2, "upgraded since");
        assert_eq!(of(&["4.0.0", "5.0.0"], "5.8.0"), 1, "none is able: the newest");
        assert_eq!(of(&["4.0.0", "4.0.0"], "4.0.0"), 0);
        assert_eq!(of(&["?", "5.8.0"], "5.8.0"), 1);
        assert_eq!(of(&["4.0.0", "5.8.0"], "?"), 0, "no files yet");
    }

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
