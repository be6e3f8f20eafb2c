//! flow: puts the hooks of an older set-up out of use, and says what a person has to do about the rest.
//!
//! Reads and decides, changes nothing. Two edits are offered: a hook that is saved in a file of
//! certbot's is commented out, and a script in renewal-hooks loses its execute bits. Files that
//! Apache reads are their owner's: what an old hook left in them is told by file and line.

use std::path::{Path, PathBuf};

use crate::apache::document::Document;
use crate::base::codes::Code;
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::process;
use crate::certbot::configobj;
use crate::certbot::lineages;
use crate::certbot::old_hook::{HookPurpose, Mixture, is_ours, purpose};
use crate::certbot::running::LOCK_FILE;
use crate::certbot::saved_hooks::{self, SavedHook};
use crate::check::hooks::HookFile;
use crate::check::marks;
use crate::check::reading;
use crate::check::schedule;
use crate::config::Settings;
use crate::setup::change::{Change, What};
use crate::setup::error::Error;
use crate::switch::observe::Observation;
use crate::switch::oddity;
use crate::switch::report;

/// What an old set-up comes to; empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adoption {
    /// What to change.
    pub changes: Vec<Change>,
    /// What only a person can decide, or do.
    pub findings: Vec<Finding>,
    /// A hook was found that comments ProxyPass lines out or in.
    is_proven: bool,
}

/// Finds the old set-up and what to make of it.
pub fn adoption(settings: &Settings, observed: &Observation) -> Result<Adoption, Error> {
    let directory = &settings.certbot_directory;
    let mut found = Adoption::default();
    for path in lineages::renewal_files(directory)? {
        found.saved(&path, |bytes| {
            // What certbot cannot read runs no hook.
            saved_hooks::in_renewal(&configobj::parse(bytes).unwrap_or_default())
        })?;
    }
    for path in reading::options_files(directory) {
        found.saved(&path, |bytes| saved_hooks::in_options(&String::from_utf8_lossy(bytes)))?;
    }
    for hook in reading::hook_files(directory).iter().filter(|hook| hook.is_run()) {
        found.script(hook)?;
    }
    for (file, text) in reading::schedules() {
        found.scheduled(&file, &text);
    }
    if !found.is_proven {
        return Ok(Adoption::default());
    }
    if process::lock_holder(&directory.join(LOCK_FILE))?.is_some() {
        return Err(Error::CertbotRuns);
    }
    if let Some(route) = observed.local.first() {
        return Err(Error::Switched(route.name.to_string()));
    }
    if let Some(damage) = observed.damaged.first() {
        return Err(report::Error::Damaged(damage.clone()).into());
    }
    for (file, document) in &observed.documents {
        found.left_in(file, document)?;
    }
    Ok(found)
}

impl Adoption {
    /// What a hook does; none if it is certbaton's own.
    fn judge(&mut self, text: &str) -> Option<HookPurpose> {
        let found = purpose(text, &reading::text);
        self.is_proven |= found.is_proof();
        (found.is_proof() || !is_ours(text)).then_some(found)
    }

    fn saved(&mut self, path: &Path, hooks: impl Fn(&[u8]) -> Vec<SavedHook>) -> Result<(), Error> {
        let bytes = match files::read_trusted(path) {
            Err(error) if error.is_missing() => return Ok(()),
            bytes => bytes?,
        };
        let mut old = Vec::new();
        for hook in hooks(&bytes) {
            match self.judge(&hook.command) {
                Some(purpose) if purpose.is_old() => old.push(hook),
                Some(purpose) => {
                    let what =
                        format!("{} does something else and stays ({})", hook.key, hook.command);
                    self.findings.push(stays(&purpose, (path, hook.lines.0), what));
                }
                None => {}
            }
        }
        if !old.is_empty() {
            let keys: Vec<&str> = old.iter().map(|hook| hook.key.as_str()).collect();
            let why = format!("the old hook's {} commented out: {INSTEAD}", keys.join(", "));
            let what = What::Comment { bytes: saved_hooks::commented_out(&bytes, &old) };
            self.changes.push(Change { path: path.to_owned(), what, why });
        }
        Ok(())
    }

    fn script(&mut self, hook: &HookFile) -> Result<(), Error> {
        let path = &hook.path;
        let judged = reading::text(path).and_then(|text| self.judge(&text));
        match judged {
            Some(purpose) if !purpose.is_old() => {
                let what = "this script does something else and stays".to_owned();
                self.findings.push(stays(&purpose, (path, 1), what));
            }
            Some(_) if files::is_plain_file(path) => {
                // certbot passes over what cannot be run (`hooks.py:list_hooks`).
                let mode = host::mode(path).map_err(|source| Error::Mode(path.clone(), source))?;
                let why = format!("the old hook, which certbot then ignores: {INSTEAD}");
                let what = What::Mode(mode & !0o111);
                self.changes.push(Change { path: path.clone(), what, why });
            }
            Some(_) => self.findings.push(Finding::new(
                Code::OldHookLink,
                Some(path.display().to_string()),
                "a link to the script of the old hook, which stays in use",
                format!("remove the link: rm {}", path.display()),
            )),
            None => {}
        }
        Ok(())
    }

    fn scheduled(&mut self, file: &Path, text: &str) {
        for line in schedule::toggles(file, text) {
            self.is_proven = true;
            self.findings.push(Finding::new(
                Code::OldHookScheduled,
                Some(line.place),
                format!("the old hook, started from here; it was not touched ({})", line.text),
                format!("take that part out; {INSTEAD}"),
            ));
        }
    }

    /// What the old hook left in the file that Apache opens as `file`.
    fn left_in(&mut self, file: &str, document: &Document) -> Result<(), Error> {
        let text = document.bytes();
        let lines = marks::commented_out(text);
        self.findings.extend(lines.iter().map(|line| marks::finding(file, text, line.number)));
        let path = Path::new(file);
        // Where an editor changes a file in place, it puts a new one where the link was (`perlrun(1)`, -i).
        let is_copy = oddity::is_site(path) && files::is_plain_file(path);
        // One that leads back here is no copy: the link that is advised would take its place.
        let is_other = |twin: &PathBuf| files::is_same(path, twin).is_ok_and(|same| !same);
        let namesake = oddity::namesake(path).filter(|twin| is_copy && is_other(twin));
        if let Some(twin) = namesake {
            self.findings.push(copied(path, text, &twin, &files::read_foreign(&twin)?));
        }
        Ok(())
    }
}

/// A hook that is not only the old one, or not the old one at all.
fn stays(purpose: &HookPurpose, (file, line): (&Path, usize), what: String) -> Finding {
    let place = |file: &Path, line: usize| Some(format!("{}:{line}", file.display()));
    let HookPurpose::Both(Mixture { script, line: within, toggle, rest }) = purpose else {
        let remedy = "remove it by hand if it belongs to the old hook";
        return Finding::new(Code::HookStays, place(file, line), what, remedy);
    };
    let place = match script {
        Some(script) => place(script, *within),
        None => place(file, line + within - 1),
    };
    let remedy = if rest.is_empty() {
        "take that part out".to_owned()
    } else {
        let rest = rest.join("; ");
        format!("take that out, and every restart of Apache; what is to stay: {rest}")
    };
    Finding::new(
        Code::OldHookMixed,
        place,
        format!("the old hook, and more than that; it was not touched ({toggle})"),
        format!("{remedy}; {INSTEAD}"),
    )
}

/// A site that is a file where a link to `twin` was.
fn copied(site: &Path, text: &[u8], twin: &Path, linked: &[u8]) -> Finding {
    let (file, other) = (site.display(), twin.display());
    let name = site.file_name().unwrap_or_default().to_string_lossy();
    let link = format!("ln -sfn ../sites-available/{name} {file}");
    if text == linked {
        return Finding::new(
            Code::SiteCopied,
            Some(file.to_string()),
            format!("the old hook made a file of the link; it is the same as {other}"),
            format!("make it a link again: {link}"),
        );
    }
    Finding::new(
        Code::SiteDiffers,
        Some(format!("{file}:{}", marks::first_difference(text, linked))),
        format!("the old hook made a file of the link, and it differs from {other}"),
        format!(
            "Apache reads this one: bring the other up to date, but for the # of the old hook (diff {other} {file}), then {link}"
        ),
    )
}

const INSTEAD: &str = "certbaton's hooks switch, switch back and reload by themselves";
