//! flow: Apache, where files that it reads are taken back: it is asked whether it accepts them, and reloaded, never restarted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::dump::{Reading, file_name};
use crate::apache::server::{self, Server};
use crate::base::files;
use crate::config::Settings;
use crate::switch::apply;
use crate::switch::report;

/// A running Apache that reads what is to be taken back.
#[derive(Debug)]
pub struct Reader {
    server: Server,
}

/// The Apache that reads one of `paths`; `None` if none is its affair.
pub fn reader<'a>(
    settings: &Settings,
    paths: impl Iterator<Item = &'a Path>,
) -> Result<Option<Reader>, report::Error> {
    // What it has in its own directories; the rest is none of its affairs, and it need not be asked.
    let paths: Vec<&Path> = paths.filter(|path| !is_ours(path)).collect();
    if paths.is_empty() {
        return Ok(None);
    }
    let server = server::find(settings.pid_file.as_deref())?;
    let mut reading = Reading::default();
    server.inquirer().dump(&[], &mut |part| reading.push(part))?;
    let opened = reading.includes().iter().map(|include| file_name::path(&include.file));
    let read: BTreeSet<PathBuf> =
        opened.flat_map(|file| [files::real_path(&file).ok(), Some(file)]).flatten().collect();
    let is_read = paths.iter().any(|path| {
        read.contains(*path) || files::real_path(path).is_ok_and(|real| read.contains(&real))
    });
    Ok(is_read.then_some(Reader { server }))
}

impl Reader {
    /// Has it load what is there now, and waits until only that can answer.
    pub fn reload(&self, settings: &Settings) -> Result<(), report::Error> {
        apply::reload(&self.server, settings.proof_time, || Ok(()))
    }

    /// Asks it whether what is there now can be loaded.
    pub fn accepts(&self) -> Result<(), report::Error> {
        Ok(self.server.inquirer().dump(&[], &mut |_| {})?)
    }
}

/// Files that no Apache reads.
fn is_ours(path: &Path) -> bool {
    ["/etc/certbaton", "/etc/systemd", "/etc/sudoers.d", "/etc/sysusers.d", "/etc/tmpfiles.d"]
        .iter()
        .any(|directory| path.starts_with(directory))
        || path.starts_with("/var/lib/certbaton-ssh")
        || path.file_name().is_some_and(|name| name == "certbaton")
}
