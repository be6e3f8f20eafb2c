//! flow: Apache's answer about the files as they are, and whether a reload may follow it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::dump::{Dump, Reading, file_name};
use crate::apache::misread;
use crate::apache::server::Server;
use crate::base::clock;
use crate::base::files::{self, Staging, Stamp};
use crate::switch::apply;
use crate::switch::loadable;
use crate::switch::marked_lines;
use crate::switch::report::{Error, Note};
use crate::switch::watched::Watched;

/// What Apache accepted.
#[derive(Debug)]
pub struct Asked {
    /// What it means; that it cannot be read is no reason not to load it.
    pub dump: Result<Dump, misread::Error>,
    /// The files that have lines of ours.
    pub marked: BTreeSet<PathBuf>,
    /// All files, as Apache opened them.
    files: BTreeSet<PathBuf>,
    /// The same as they were then.
    pub watched: Watched,
}

/// Has Apache test what is there; an error is what it says of it. The versions that are `known`
/// are there for longer than that takes.
pub fn ask(server: &Server, known: &BTreeSet<Stamp>) -> Result<Asked, Error> {
    let began = clock::now();
    let asked = question(server)?;
    if asked.watched.unsure(began, known).is_some() {
        // Which version of a file Apache has read is not known, but it will be the next time.
        let known = asked.watched.stamps();
        let began = clock::now();
        let again = question(server)?;
        if let Some(changing) = again.watched.unsure(began, &known) {
            return Err(files::Error::Raced(changing.to_owned()).into());
        }
        return Ok(again);
    }
    Ok(asked)
}

fn question(server: &Server) -> Result<Asked, Error> {
    let mut reading = Reading::default();
    let (mut files, mut marked) = (BTreeSet::new(), BTreeSet::new());
    let mut watched = Watched::default();
    let mut heard = 0;
    server.inquirer().dump(&[], &mut |part| {
        reading.push(part);
        let includes = reading.includes();
        for include in &includes[heard..] {
            let path = file_name::path(&include.file);
            if !files.insert(path.clone()) {
                continue;
            }
            watched.add(&path);
            // One that cannot be read is none of ours: whoever can write there is root.
            if files::snapshot(&path).is_ok_and(|file| marked_lines::is_marked(&file.bytes)) {
                marked.insert(path);
            }
        }
        heard = includes.len();
    })?;
    Ok(Asked { dump: reading.finish(), marked, files, watched })
}

impl Asked {
    /// What else the next reload activates. `ours` are the files that a switch changed.
    pub fn unloaded(&self, server: &Server, ours: &[String]) -> Vec<Note> {
        let Ok(dump) = &self.dump else { return Vec::new() };
        let Ok(loaded) = server.loaded_at(Path::new(&dump.pid_file)) else { return Vec::new() };
        let is_new = |path: &&PathBuf| {
            files::real_path(path)
                .is_ok_and(|real| !ours.iter().any(|file| real == Path::new(file)))
                && files::stamp(path).is_ok_and(|stamp| stamp.changed > loaded)
        };
        self.files
            .iter()
            .filter(is_new)
            .map(|path| Note::unloaded(&path.display().to_string()))
            .collect()
    }

    /// Removes what killed runs left beside these files, and the places that it was in, where
    /// nobody is. Gives the files that are what somebody saved meanwhile again.
    pub fn sweep_places(&self) -> Vec<PathBuf> {
        let real = |files: &BTreeSet<PathBuf>| -> BTreeSet<PathBuf> {
            files.iter().filter_map(|path| files::real_path(path).ok()).collect()
        };
        let (files, marked) = (real(&self.files), real(&self.marked));
        // Of one without lines of ours there is no way back to go.
        let unmarked: Vec<PathBuf> = files.difference(&marked).cloned().collect();
        let directories: BTreeSet<PathBuf> =
            files.iter().filter_map(|path| Some(path.parent()?.join("x"))).collect();
        let places: BTreeSet<PathBuf> =
            directories.iter().flat_map(|file| files::left_staging(file)).collect();
        let targets: Vec<PathBuf> = files.into_iter().collect();
        let alone = places.into_iter().filter_map(Staging::abandoned);
        alone
            .flat_map(|place| {
                place.forget_spares(&unmarked);
                apply::sweep(place.path(), &targets)
            })
            .collect()
    }

    /// Whether a certificate that Apache names was replaced since it loaded its configuration.
    /// certbot moves the links to what an interrupted run left when it next reads the lineage
    /// (`ensure_deployed`, storage.py), and calls no hook for it.
    pub fn has_newer_certificate(&self, server: &Server) -> bool {
        let Ok(dump) = &self.dump else { return false };
        let Ok(loaded) = server.loaded_at(Path::new(&dump.pid_file)) else { return false };
        let is_newer = |path: &PathBuf| files::changed_itself(path).is_ok_and(|at| at > loaded);
        loadable::certificates(dump).iter().any(is_newer)
    }

    /// Whether Apache outlives loading it, as far as that can be seen.
    pub fn may_be_loaded(&self, server: &Server) -> Result<(), Error> {
        let Ok(dump) = &self.dump else { return Ok(()) };
        loadable::check(dump, server, &server.listeners()?)
    }
}
