//! flow: adopts an old set-up, in which hooks comment ProxyPass lines out and in again: what to change, and what a person has to do.
//!
//! Reads and decides, changes nothing. No file of the user's is deleted, and a
//! `#` goes only where it is certain that a hook wrote it.

pub mod disposal;
pub mod proving;
pub mod restored;
pub mod sites;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::complaint::Complaint;
use crate::apache::dump::Origin;
use crate::apache::misread;
use crate::apache::server;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::process;
use crate::certbot::configobj;
use crate::certbot::lineages;
use crate::certbot::old_hook::{self, HookPurpose, purpose};
use crate::certbot::running::LOCK_FILE;
use crate::certbot::saved_hooks as saved;
use crate::check::hooks::HookFile;
use crate::check::reading;
use crate::check::schedule;
use crate::config::Settings;
use crate::setup::adopt::disposal::{OldHook, SavedHooks, SettingsFile};
use crate::setup::adopt::sites::Twin;
use crate::setup::change::Change;
use crate::switch::observe::Observation;
use crate::switch::oddity;
use crate::switch::report;

/// What an old set-up comes to; empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adoption {
    /// What to change, in this order: Apache's files first, so that a run that ends
    /// between them still finds the hooks that explain the rest.
    pub changes: Vec<Change>,
    /// What only a person can decide.
    pub findings: Vec<Finding>,
}

impl Adoption {
    fn add(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.findings.extend(other.findings);
    }
}

/// Why nothing can be adopted; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is commented out now may be so on purpose.
    #[error(
        "certbot is running, and its hooks may have changed Apache's files just now; nothing was changed: wait until it has ended, then try again"
    )]
    Busy,
    /// Our own lines are in the files.
    #[error(
        "the challenge path of {0} is switched to this host; nothing was changed: run certbaton recover, then try again"
    )]
    Switched(String),
    /// Apache refuses what it would read.
    #[error(
        "Apache refuses its configuration without the # of the old hook: {0}; nothing was changed: repair the line, then try again"
    )]
    Candidate(Complaint),
    /// The files would mean more than they should.
    #[error(
        "{0}: taking the # of the old hook away would change more than ProxyPass lines; nothing was changed: compare the file with the one in sites-available"
    )]
    Stranger(Origin),
    /// Apache's answer is not understood.
    #[error(transparent)]
    Dump(#[from] misread::Error),
    /// Apache.
    #[error(transparent)]
    Apache(#[from] server::Error),
    /// A switch's own errors.
    #[error(transparent)]
    Route(#[from] report::Error),
    /// certbot's lineages.
    #[error(transparent)]
    Lineages(#[from] lineages::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The rights of a script cannot be seen.
    #[error("cannot look at {}", .0.display())]
    Mode(PathBuf, #[source] std::io::Error),
    /// Who holds certbot's lock cannot be seen.
    #[error(transparent)]
    Process(#[from] process::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Busy => Exit::Busy,
            Self::Dump(error) => error.exit(),
            Self::Apache(error) => error.exit(),
            Self::Route(error) => error.exit(),
            Self::Lineages(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::Switched(_) | Self::Candidate(_) | Self::Stranger(_) | Self::Mode(..) => {
                Exit::Failed
            }
        }
    }
}

/// Finds the old set-up and what to make of it.
pub fn adoption(settings: &Settings, observed: &Observation) -> Result<Adoption, Error> {
    let directory = &settings.certbot_directory;
    let old = Old::read(directory)?;
    if !old.is_proven() {
        return Ok(Adoption::default());
    }
    if process::lock_holder(&directory.join(LOCK_FILE))?.is_some() {
        return Err(Error::Busy);
    }
    if let Some(route) = observed.local.first() {
        return Err(Error::Switched(route.name.to_string()));
    }
    if let Some(damage) = observed.damaged.first() {
        return Err(report::Error::Damaged(damage.clone()).into());
    }
    let mut out = Adoption::default();
    old.sites(observed, &mut out)?;
    out.changes.extend(old.saved.iter().filter_map(SavedHooks::change));
    out.changes.extend(old.scripts.iter().filter_map(OldHook::change));
    out.findings.extend(old.saved.iter().flat_map(SavedHooks::findings));
    out.findings.extend(old.scripts.iter().filter_map(OldHook::finding));
    let scheduled = old.scheduled.into_iter();
    out.findings.extend(scheduled.map(|line| disposal::scheduled(line.place, &line.text)));
    Ok(out)
}

/// Everything that runs at a renewal, and what it does.
struct Old {
    saved: Vec<SavedHooks>,
    scripts: Vec<OldHook>,
    scheduled: Vec<schedule::CronLine>,
    /// The texts of what toggles, which name the files that it changes.
    texts: Vec<String>,
}

impl Old {
    fn read(directory: &Path) -> Result<Self, Error> {
        let mut old = Self {
            saved: Vec::new(),
            scripts: Vec::new(),
            scheduled: Vec::new(),
            texts: Vec::new(),
        };
        let renewals = directory.join("renewal");
        let names = match files::list(&renewals) {
            Err(error) if error.is_missing() => Vec::new(),
            names => names?,
        };
        for name in names {
            let bytes = name.as_encoded_bytes();
            if bytes.ends_with(b".conf") && !bytes.starts_with(b".") {
                old.saved_in(renewals.join(&name), SettingsFile::Renewal)?;
            }
        }
        for path in reading::options_files(directory) {
            old.saved_in(path, SettingsFile::Options)?;
        }
        for hook in reading::hook_files(directory).into_iter().filter(HookFile::is_run) {
            old.script(hook.path)?;
        }
        for (file, text) in reading::schedules() {
            let lines: Vec<_> = schedule::toggles(&file, &text).collect();
            if !lines.is_empty() {
                old.texts.push(text);
                old.scheduled.extend(lines);
            }
        }
        Ok(old)
    }

    fn saved_in(&mut self, path: PathBuf, kind: SettingsFile) -> Result<(), Error> {
        let bytes = match files::read_trusted(&path) {
            Err(error) if error.is_missing() => return Ok(()),
            bytes => bytes?,
        };
        let saved = match kind {
            // What certbot cannot read runs no hook.
            SettingsFile::Renewal => {
                saved::in_renewal(&configobj::parse(&bytes).unwrap_or_default())
            }
            SettingsFile::Options => saved::in_options(&String::from_utf8_lossy(&bytes)),
        };
        let judged = saved.into_iter().filter_map(|saved| {
            let deed = self.judge(&saved.command)?;
            Some((saved, deed))
        });
        let hooks = judged.collect();
        self.saved.push(SavedHooks { path, bytes, kind, hooks });
        Ok(())
    }

    fn script(&mut self, path: PathBuf) -> Result<(), Error> {
        let judged = reading::text(&path).and_then(|text| self.judge(&text));
        let Some(deed) = judged else { return Ok(()) };
        let mode = if files::is_plain_file(&path) {
            Some(host::mode(&path).map_err(|source| Error::Mode(path.clone(), source))?)
        } else {
            None
        };
        self.scripts.push(OldHook { path, mode, deed });
        Ok(())
    }

    /// What a hook does; none if it is certbaton's own.
    fn judge(&mut self, text: &str) -> Option<HookPurpose> {
        let found = purpose(text, &reading::text);
        if found.is_proof() {
            let named = old_hook::program(text).and_then(reading::text);
            self.texts.extend(named.into_iter().chain([text.to_owned()]));
        } else if old_hook::is_ours(text) {
            return None;
        }
        Some(found)
    }

    fn is_proven(&self) -> bool {
        !self.texts.is_empty()
    }

    /// Whether a hook writes to the file that Apache opened as `file`.
    ///
    /// An editor that changes a file in place puts a new one where a link was, and leaves the link's
    /// target alone (`perlrun(1)`, -i), unless it is told to follow.
    fn writes_to(&self, file: &Path, real: &Path) -> bool {
        let names = |path: &Path| {
            let in_text =
                |directory: &str| self.texts.iter().any(|text| sites::names(text, directory));
            oddity::is_site(path) || path.parent().and_then(Path::to_str).is_some_and(in_text)
        };
        let follows = || self.texts.iter().any(|text| text.contains("--follow-symlinks"));
        if files::is_plain_file(file) {
            names(file)
        } else {
            names(real) || follows() && names(file)
        }
    }

    fn sites(&self, observed: &Observation, out: &mut Adoption) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        for (name, document) in &observed.documents {
            let file = Path::new(name);
            let real = files::real_path(file)?;
            if !seen.insert(real.clone()) {
                continue;
            }
            let twin = twin(file, &real)?;
            if self.writes_to(file, &real) {
                out.add(sites::site(name, &real, document.bytes(), twin.as_ref()));
            } else {
                // Which files a script comes to is not always to be seen in it.
                out.findings.extend(sites::unsure(name, document.bytes()));
            }
        }
        Ok(())
    }
}

/// The file that a link of this name would lead to, where a regular file stands.
fn twin(file: &Path, real: &Path) -> Result<Option<Twin>, Error> {
    let is_copy = oddity::is_site(file) && files::is_plain_file(file);
    let Some(path) = oddity::namesake(file).filter(|path| is_copy && files::exists(path)) else {
        return Ok(None);
    };
    if files::real_path(&path)? == real {
        return Ok(None);
    }
    Ok(Some(Twin { bytes: files::read_trusted(&path)?, path }))
}
