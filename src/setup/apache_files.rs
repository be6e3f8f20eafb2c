//! flow: changes of files that Apache reads: it sees them only after its own configtest, and is reloaded, never restarted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::dump::{Reading, file_name};
use crate::apache::server::{self, Candidate, Inquirer, Server};
use crate::base::files;
use crate::config::Settings;
use crate::setup::change::{Change, What};
use crate::switch::apply;
use crate::switch::report;

/// A running Apache that reads what is to be changed.
#[derive(Debug)]
pub struct Reader {
    server: Server,
}

/// The Apache that reads one of `changes`, once it has accepted all of them; `None` if none is its affair.
pub fn accepting(settings: &Settings, changes: &[Change]) -> Result<Option<Reader>, report::Error> {
    let Some((reader, read)) = reader(settings, changes.iter().map(|change| &*change.path))? else {
        return Ok(None);
    };
    ask(reader.server.inquirer(), &read, changes, &mut |_| {})?;
    Ok(Some(reader))
}

/// Has Apache read its configuration with `changes` in place of those of its files that it `read`; says whether there are any.
///
/// What it prints goes to `hear`. A file that it does not read yet is not part of the question.
pub fn ask(
    inquirer: &Inquirer,
    read: &BTreeSet<PathBuf>,
    changes: &[Change],
    hear: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<bool, report::Error> {
    // Not where the state will be: a rehearsal leaves nothing behind.
    let scratch = files::temporary_directory(Path::new("/run"))?;
    let mut substitutes: Vec<(PathBuf, PathBuf)> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let Some(real) = files::real_path(&change.path).ok().filter(|real| read.contains(real))
        else {
            continue;
        };
        let Some(bytes) = content(change, changes)? else { continue };
        let substitute = scratch.path().join(index.to_string());
        files::write_scratch(&substitute, &bytes)?;
        substitutes.push((real, substitute));
    }
    if substitutes.is_empty() {
        return Ok(false);
    }
    let candidates: Vec<Candidate<'_>> =
        substitutes.iter().map(|(real, substitute)| Candidate { real, substitute }).collect();
    inquirer.dump(&candidates, hear)?;
    Ok(true)
}

/// What would be read at the path of `change`; nothing if it only changes rights.
fn content(change: &Change, all: &[Change]) -> Result<Option<Vec<u8>>, report::Error> {
    let target = match &change.what {
        What::Mode(_) => return Ok(None),
        What::Write { bytes, .. } => return Ok(Some(bytes.clone())),
        What::Link { target, .. } => change.path.parent().unwrap_or(Path::new("/")).join(target),
    };
    let real = files::real_path(&target).ok();
    let is_it = |other: &Change| {
        other.path == target || (real.is_some() && files::real_path(&other.path).ok() == real)
    };
    let written = all.iter().find_map(|other| match &other.what {
        What::Write { bytes, .. } if is_it(other) => Some(bytes.clone()),
        _ => None,
    });
    Ok(Some(written.map_or_else(|| files::read_trusted(&target), Ok)?))
}

/// The Apache that reads one of `paths`, and all that it reads.
pub fn reader<'a>(
    settings: &Settings,
    paths: impl Iterator<Item = &'a Path>,
) -> Result<Option<(Reader, BTreeSet<PathBuf>)>, report::Error> {
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
    Ok(is_read.then_some((Reader { server }, read)))
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
