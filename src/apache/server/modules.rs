//! system: where the server's `mod_info` is, which prints what its configuration means.
//!
//! Beside the modules that the server has loaded; else where its root, its
//! program's prefix or a distribution has modules; else in the program itself.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, QUESTION_TIME};
use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::files;

/// The module's file; `None`: `program` has it built in, and it cannot be loaded.
pub(super) fn info_module(maps: &[u8], program: &Program) -> Result<Option<PathBuf>, Error> {
    let loaded = loaded_from(maps);
    let file = |directory: &PathBuf| directory.join(FILE);
    if let Some(found) = loaded.iter().map(file).find(|path| files::exists(path)) {
        return Ok(Some(found));
    }
    let usual = usual(program);
    if let Some(found) = usual.iter().map(file).find(|path| files::exists(path)) {
        // Nothing says that the server itself loads anything from there.
        return Ok(Some(files::trusted_program(&found)?));
    }
    let mut list = program.clone();
    list.arguments.push("-l".into());
    let output = list.run(&Deadline::after(QUESTION_TIME))?;
    if String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim() == "mod_info.c") {
        return Ok(None);
    }
    let looked: Vec<_> = loaded.iter().chain(&usual).map(|d| d.display().to_string()).collect();
    Err(Error::NoInfoModule(looked.join(", ")))
}

/// The directories of the modules that are mapped (proc_pid_maps(5)).
fn loaded_from(maps: &[u8]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let directory = |line: &[u8]| {
        let at = line.iter().position(|&byte| byte == b'/')?;
        let path = Path::new(OsStr::from_bytes(&line[at..]));
        let name = path.file_name().and_then(OsStr::to_str)?;
        let is_module = name.starts_with("mod_") && name.contains(".so");
        path.parent().filter(|_| is_module).map(Path::to_owned)
    };
    let all = maps.split(|&byte| byte == b'\n').filter_map(directory);
    all.filter(|directory| seen.insert(directory.clone())).collect()
}

/// Where modules usually are: below `ServerRoot`, and as `config.layout` of httpd and the distributions have it.
fn usual(program: &Program) -> Vec<PathBuf> {
    let root = program.arguments.iter().enumerate().find_map(|(at, argument)| {
        let rest = argument.as_bytes().strip_prefix(b"-d")?;
        let next = program.arguments.get(at + 1).map(OsStr::new);
        if rest.is_empty() { next } else { Some(OsStr::from_bytes(rest)) }
    });
    let root = root.map(|root| program.directory.join(root).join("modules"));
    let prefix = program.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let below = ["modules", "lib64/httpd/modules", "lib/httpd/modules", "lib/apache2/modules"]
        .map(|directory| prefix.join(directory));
    let suse = ["/usr/lib64/apache2", "/usr/lib/apache2"].map(PathBuf::from);
    root.into_iter().chain(below).chain(suse).collect()
}

const FILE: &str = "mod_info.so";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_where_the_server_has_them() {
        let maps = b"7f00-7f01 r--p 0 fe:00 1      /lib/libc.so.6\n\
            7f02-7f03 r-xp 0 fe:00 2  /opt/my httpd/modules/mod_proxy.so\n\
            7f03-7f04 r-xp 0 fe:00 2  /opt/my httpd/modules/mod_ssl.so (deleted)\n\
            7f05-7f06 r-xp 0 fe:00 2  /usr/lib/php/libphp.so\n7f07-7f08 rw-p 0 00:00 0 [heap]\n";
        assert_eq!(loaded_from(maps), [Path::new("/opt/my httpd/modules")]);
    }

    #[test]
    fn where_nothing_is_loaded_the_usual_places_are_looked_at() {
        let program = |path: &str, arguments: &[&str]| Program {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: Vec::new(),
            directory: "/srv".into(),
        };
        let own = usual(&program("/usr/local/apache2/bin/httpd", &["-DX", "-d", "web"]));
        assert_eq!(own[..2], ["/srv/web/modules", "/usr/local/apache2/modules"].map(PathBuf::from));
        let fedora = usual(&program("/usr/sbin/httpd", &["-d/etc/httpd"]));
        assert_eq!(fedora[0], Path::new("/etc/httpd/modules"));
        assert!(fedora.contains(&"/usr/lib64/httpd/modules".into()), "{fedora:?}");
    }
}
