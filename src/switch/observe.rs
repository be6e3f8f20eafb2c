//! flow: everything a switch has to know before it plans, read once.
//!
//! Apache's dump, the text of every file in it, and the journal, with our own
//! blocks taken out of all of them. Nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::apache::document::Document;
use crate::apache::dump::{Dump, Reading, file_name};
use crate::apache::htaccess::{self, Htaccess};
use crate::apache::oracle::{self, Blocks, Overlay};
use crate::apache::server::Server;
use crate::base::cause::chain;
use crate::base::files::{self, Snapshot};
use crate::base::names::{Hostname, Route, Webroot};
use crate::switch::apply::FileEdit;
use crate::switch::edited_lines::{Damage, damage};
use crate::switch::journal::Journal;
use crate::switch::marked_lines::{self, Stripped};
use crate::switch::oddity::{self, Oddity};
use crate::switch::report::Error;
use crate::switch::watched::Watched;

/// What was found.
#[derive(Debug)]
pub struct Observation {
    /// Apache's view of the user's own configuration.
    pub user: Dump,
    /// The user's own text, by the path Apache opened.
    pub documents: BTreeMap<String, Document>,
    /// The routes that are local now, by the blocks in the files.
    pub local: Vec<Route>,
    /// Marked lines that somebody changed.
    pub damaged: Vec<Damage>,
    /// What the journal says.
    pub journal: Journal,
    /// Which lines of the files are ours.
    pub blocks: Blocks,
    /// The versions of the files that are here.
    pub watched: Watched,
    /// The first of our lines for each local route, by file.
    marked: Vec<(Route, String, u32)>,
    /// The files as they are, by the path Apache opened.
    snapshots: BTreeMap<String, Snapshot>,
}

/// How the files have to change.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files with lines of ours, or with other ones.
    pub insert: Vec<FileEdit>,
    /// Files out of which all lines go: that is a return's to do.
    pub empty: Vec<PathBuf>,
}

/// The files of a dump, and our lines in them.
pub type View<'a> = (Overlay<'a>, Blocks);

/// Reads everything; the files while Apache still prints what it made of them.
pub fn observe(server: &Server, journal: Journal) -> Result<Observation, Error> {
    let (mut reading, mut files) = (Reading::default(), Files::default());
    let mut heard = 0;
    server.inquirer().dump(&[], &mut |part| {
        reading.push(part);
        let includes = reading.includes();
        includes[heard..].iter().for_each(|include| files.read(&include.file));
        heard = includes.len();
    })?;
    // A site that was disabled meanwhile is in the journal alone.
    for file in journal.files.iter().filter(|file| files::exists(Path::new(file))) {
        if !files
            .read
            .values()
            .any(|known| known.as_ref().is_ok_and(|known| known.snapshot.path == Path::new(file)))
        {
            files.read(file);
        }
    }
    let (mut found, mut blocks) = (BTreeSet::new(), Blocks::new());
    let (mut documents, mut instead) = (BTreeMap::new(), BTreeMap::new());
    let (mut snapshots, mut watched) = (BTreeMap::new(), Watched::default());
    let (mut local, mut damaged, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    for (file, read) in files.read {
        let File { snapshot, document, stripped } = match read {
            Ok(read) => read,
            // It costs itself alone: what Apache made of it is known.
            Err(error) => {
                documents.insert(file, parsed("", Vec::new())?.sealed(chain(&error)));
                continue;
            }
        };
        if found.insert(snapshot.path.clone()) {
            damaged
                .extend(stripped.damaged.iter().map(|lines| damage(&snapshot, lines, &document)));
        }
        watched.add_read(&file_name::path(&file), &snapshot);
        snapshots.insert(file.clone(), snapshot);
        if let Some(first) = stripped.lines.first() {
            let at = |route: &Route| (route.clone(), file.clone(), first.start);
            marked.extend(stripped.routes.iter().map(at));
        }
        local.extend(stripped.routes);
        if stripped.lines.is_empty() {
            documents.insert(file, document);
        } else {
            documents.insert(file.clone(), parsed(&file, stripped.bytes)?);
            blocks.insert(file.clone(), stripped.lines);
            instead.insert(file, document);
        }
    }
    local.sort();
    local.dedup();
    let dump = reading.finish()?;
    let wrong = oracle::disagreements(&dump, &Overlay { user: &documents, instead });
    for (file, refusal) in wrong {
        let sealed = |document: Document| document.sealed(refusal.reason);
        if let Some(document) = documents.remove(&file) {
            documents.insert(file, sealed(document));
        }
    }
    for (file, document) in &mut documents {
        if document.seal().is_none() && file_name::is_odd(file) {
            let why = "its name is none that can be written down: rename it".to_owned();
            *document = document.clone().sealed(why);
        }
    }
    let user = oracle::without(dump, &blocks);
    let mut observed = Observation {
        user,
        documents,
        local,
        damaged,
        journal,
        blocks,
        watched,
        marked,
        snapshots,
    };
    // Then it is unknown whether Apache has loaded them.
    observed.journal.pending |= observed.is_unrecorded();
    Ok(observed)
}

/// The files of a configuration, by the path Apache opened, read as they become known.
#[derive(Default)]
struct Files {
    read: BTreeMap<String, Result<File, Error>>,
}

/// A file, its lines, and what is ours of them.
struct File {
    snapshot: Snapshot,
    document: Document,
    stripped: Stripped,
}

impl Files {
    fn read(&mut self, file: &str) {
        if self.read.contains_key(file) {
            return;
        }
        let read = || {
            let snapshot = files::snapshot(&file_name::path(file))?;
            let document = parsed(file, snapshot.bytes.clone())?;
            let stripped = marked_lines::strip(&document);
            Ok(File { snapshot, document, stripped })
        };
        self.read.insert(file.to_owned(), read());
    }
}

pub(crate) fn parsed(file: &str, bytes: Vec<u8>) -> Result<Document, Error> {
    Document::parse(bytes).map_err(|source| Error::Document { file: file.to_owned(), source })
}

impl Observation {
    /// Blocks are in the files, and the journal is gone.
    pub fn is_unrecorded(&self) -> bool {
        self.journal.since.is_none() && !self.local.is_empty()
    }

    /// The path by which Apache opened the file at `real`.
    pub fn opened(&self, real: &Path) -> Option<&str> {
        let mut files = self.snapshots.iter().filter(|(_, snapshot)| snapshot.path == real);
        files.next().map(|(file, _)| file.as_str())
    }

    /// Refuses the file at `real` if Apache opens it only where others than root say so.
    pub fn trusted_way(&self, real: &Path) -> Result<(), files::Error> {
        let names = self.snapshots.iter().filter(|(_, snapshot)| snapshot.path == real);
        let mut refused = Ok(());
        for (file, _) in names {
            match files::trusted_way(&file_name::path(file)) {
                Ok(()) => return Ok(()),
                Err(error) => refused = refused.and(Err(error)),
            }
        }
        refused
    }

    /// The file that Apache opened as `file`, links followed.
    pub fn real(&self, file: &str) -> Option<&Path> {
        self.snapshots.get(file).map(|snapshot| snapshot.path.as_path())
    }

    /// The file with our lines for a route, and the first of them.
    pub fn block_of(&self, route: &Route) -> Option<(&str, u32)> {
        let found = self.marked.iter().find(|(known, ..)| known == route)?;
        Some((&found.1, found.2))
    }

    /// The files whose bytes have to change so that exactly `planned` blocks are in them.
    pub fn changes(&self, planned: &BTreeMap<String, Vec<u8>>) -> Changes {
        let mut wanted: BTreeMap<&Path, (&Snapshot, &[u8], bool)> = BTreeMap::new();
        for (file, snapshot) in &self.snapshots {
            let Some(document) = self.documents.get(file) else { continue };
            let after = planned.get(file).map_or(document.bytes(), Vec::as_slice);
            let adds = planned.contains_key(file);
            // One file under two names is changed once; the name with blocks decides.
            let entry = wanted.entry(&snapshot.path).or_insert((snapshot, after, adds));
            if adds {
                *entry = (snapshot, after, adds);
            }
        }
        let mut changes = Changes::default();
        for (now, after, adds) in wanted.into_values().filter(|(now, after, _)| now.bytes != *after)
        {
            if adds {
                changes.insert.push(FileEdit { snapshot: now.clone(), after: after.to_vec() });
            } else {
                changes.empty.push(now.path.clone());
            }
        }
        changes
    }

    /// The names that lines in the file at `real` are for.
    pub fn names_in(&self, real: &Path) -> impl Iterator<Item = &Hostname> {
        let is_there = move |file: &String| {
            self.snapshots.get(file).is_some_and(|snapshot| snapshot.path == real)
        };
        let marked = self.marked.iter().filter(move |(_, file, _)| is_there(file));
        marked.map(|(route, ..)| &route.name)
    }

    /// The view that the candidate's dump gives, once `changes` are in place.
    pub fn after(&self, dump: &Dump, changes: &[FileEdit]) -> Result<View<'_>, Error> {
        let (mut instead, mut blocks) = (BTreeMap::new(), Blocks::new());
        let read: BTreeSet<&String> = dump.includes.iter().map(|include| &include.file).collect();
        for (file, snapshot) in self.snapshots.iter().filter(|(file, _)| read.contains(file)) {
            let change = changes.iter().find(|change| change.snapshot.path == snapshot.path);
            let bytes = change.map_or(&snapshot.bytes, |change| &change.after);
            if self.documents.get(file).is_some_and(|user| user.bytes() == bytes) {
                continue;
            }
            let document = parsed(file, bytes.clone())?;
            blocks.insert(file.clone(), marked_lines::strip(&document).lines);
            instead.insert(file.clone(), document);
        }
        Ok((Overlay { user: &self.documents, instead }, blocks))
    }

    /// The files that Apache reads, by every name: no new file may stand where it finds one.
    pub fn opened_files(&self) -> Vec<PathBuf> {
        let opened = self.snapshots.keys().map(|file| file_name::path(file));
        let real = self.snapshots.values().map(|snapshot| snapshot.path.clone());
        let mut all: Vec<PathBuf> = opened.chain(real).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What is odd about the files, in their order.
    pub fn oddities(&self, server: &Server) -> Result<Vec<Oddity>, Error> {
        let loaded = server.loaded_at(Path::new(&self.user.pid_file))?;
        let perl = self.user.config.iter().filter(|node| node.name == "perl");
        let mut found: Vec<Oddity> = perl.map(|node| Oddity::Perl(node.origin.clone())).collect();
        for (file, snapshot) in &self.snapshots {
            let ours = self.journal.files.contains(&snapshot.path.display().to_string());
            if snapshot.changed > loaded && !ours {
                found.push(Oddity::Unloaded(file.clone()));
            }
            let Some(document) = self.documents.get(file) else { continue };
            found.extend(oddity::commented(file, document));
            let path = Path::new(file);
            if !oddity::is_site(path) || !files::is_plain_file(path) {
                continue;
            }
            let namesake = oddity::namesake(path);
            // Elsewhere than on Debian a directory of that name may have no other beside it.
            if namesake.as_deref().and_then(Path::parent).is_some_and(files::exists) {
                let namesake = namesake.filter(|path| files::exists(path));
                found.push(Oddity::Unlinked { file: file.clone(), namesake });
            }
        }
        found.extend(self.relisted(loaded));
        Ok(found)
    }

    /// Directories of sites that changed since `loaded`, where that is not told by a file in them.
    fn relisted(&self, loaded: Timestamp) -> Vec<Oddity> {
        let sites = || self.snapshots.iter().filter(|(file, _)| oddity::is_site(Path::new(file)));
        let directory = |file: &str| Path::new(file).parent().map(Path::to_owned);
        let told: BTreeSet<PathBuf> = sites()
            .filter(|(_, snapshot)| {
                let ours = self.journal.files.contains(&snapshot.path.display().to_string());
                ours || snapshot.changed > loaded
            })
            .filter_map(|(file, _)| directory(file))
            .collect();
        let all: BTreeSet<PathBuf> = sites().filter_map(|(file, _)| directory(file)).collect();
        let is_new = |path: &&PathBuf| {
            !told.contains(*path) && files::stamp(path).is_ok_and(|stamp| stamp.changed > loaded)
        };
        all.iter().filter(is_new).map(|path| Oddity::Relisted(path.display().to_string())).collect()
    }
}

/// The `.htaccess` files on the way to each webroot's challenge directory, by any name that
/// `dump` has for them; users write them.
pub fn htaccess<'a>(
    dump: &Dump,
    webroots: impl Iterator<Item = &'a Webroot>,
) -> BTreeMap<Webroot, Vec<Htaccess>> {
    let names = htaccess::names(dump);
    let mut all = BTreeMap::new();
    for webroot in webroots {
        if all.contains_key(webroot) {
            continue;
        }
        let mut found = Vec::new();
        let directory = webroot.challenge_directory();
        let mut directories: Vec<&Path> = directory.ancestors().collect();
        directories.reverse();
        for file in directories.iter().flat_map(|d| names.iter().map(|name| d.join(name))) {
            let name = file.display().to_string();
            let document = match files::read_foreign(&file) {
                Err(error) if error.is_nowhere() => continue,
                Err(error) => Err(chain(&error)),
                Ok(bytes) => parsed(&name, bytes).map_err(|error| chain(&error)),
            };
            found.push(match document {
                Ok(document) => Htaccess::parse(&name, &document),
                Err(why) => Htaccess::unreadable(&file, why),
            });
        }
        all.insert(webroot.clone(), found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_puts_in_the_place_of_an_htaccess_keeps_nobody_waiting() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join(".htaccess");
        let webroot = Webroot::parse(&scratch.path().display().to_string()).unwrap();
        let seen =
            || htaccess(&Dump::default(), std::iter::once(&webroot)).remove(&webroot).unwrap();
        assert!(seen().is_empty());
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(seen()[0].unreadable.as_ref().is_some_and(|why| why.contains("regular")));
        files::remove_own(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(seen()[0].unreadable.as_ref().is_some_and(|why| why.contains("regular")));
        files::remove_own(&file).unwrap();
        files::write_scratch(&file, &vec![b'#'; 2 << 20]).unwrap();
        assert!(seen()[0].unreadable.as_ref().is_some_and(|why| why.contains("bytes")));
        files::write_scratch(&file, b"Deny from all").unwrap();
        assert_eq!((seen()[0].nodes.len(), &seen()[0].unreadable), (1, &None));
    }
}
