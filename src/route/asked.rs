//! flow: Apache's answer about the files as they are, and whether a reload may follow it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::dump::{self, Dump, Reading, file_name};
use crate::apache::server::Server;
use crate::files;
use crate::route::block;
use crate::route::loadable;
use crate::route::report::{Error, Note};

/// What Apache accepted.
#[derive(Debug)]
pub struct Asked {
    /// What it means; that it cannot be read is no reason not to load it.
    pub dump: Result<Dump, dump::Error>,
    /// The files that have lines of ours.
    pub marked: BTreeSet<PathBuf>,
    /// All files, as Apache opened them.
    files: BTreeSet<PathBuf>,
}

/// Has Apache test what is there; an error is what it says of it.
pub fn ask(server: &Server) -> Result<Asked, Error> {
    let mut reading = Reading::default();
    let (mut files, mut marked) = (BTreeSet::new(), BTreeSet::new());
    let mut heard = 0;
    server.inquirer().dump(&[], &mut |part| {
        reading.push(part);
        let includes = reading.includes();
        for include in &includes[heard..] {
            let path = file_name::path(&include.file);
            // One that cannot be read is none of ours: whoever can write there is root.
            if files.insert(path.clone())
                && files::snapshot(&path).is_ok_and(|file| block::is_marked(&file.bytes))
            {
                marked.insert(path);
            }
        }
        heard = includes.len();
    })?;
    Ok(Asked { dump: reading.finish(), marked, files })
}

impl Asked {
    /// What else the next reload activates. `ours` are the files that a switch changed.
    pub fn unloaded(&self, server: &Server, ours: &[String]) -> Vec<Note> {
        let Ok(dump) = &self.dump else { return Vec::new() };
        let Ok(loaded) = server.loaded_at(Path::new(&dump.pid_file)) else { return Vec::new() };
        let is_new = |path: &&PathBuf| {
            files::real_path(path)
                .is_ok_and(|real| !ours.iter().any(|file| real == Path::new(file)))
                && files::changed(path).is_ok_and(|changed| changed > loaded)
        };
        self.files
            .iter()
            .filter(is_new)
            .map(|path| Note::unloaded(&path.display().to_string()))
            .collect()
    }

    /// Whether Apache outlives loading it, as far as that can be seen.
    pub fn may_be_loaded(&self, server: &Server) -> Result<(), Error> {
        self.dump.as_ref().map_or(Ok(()), |dump| loadable::check(dump, server))
    }
}
