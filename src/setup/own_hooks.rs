//! flow: what certbaton's coming changed in certbot's files, undone by the files alone: its own hooks, as certbot saves those
//! of a first `certonly` with the lineage, and hooks that `init` commented out.
//!
//! certbot renews nothing of a lineage whose saved hook is not there (`hooks.py:validate_hook`).

use std::path::{Path, PathBuf};

use crate::base::files;
use crate::certbot::configobj;
use crate::certbot::lineages::renewal_files;
use crate::certbot::old_hook::is_ours;
use crate::certbot::saved_hooks::{self, Misplaced, SavedHook};
use crate::certbot::unusable;
use crate::check::reading;

/// What is done to a file of certbot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEdit {
    /// Hooks of ours that certbot saved in it go.
    TakeOut,
    /// Hooks that `init` commented out come back.
    PutBack,
}

impl HookEdit {
    fn of(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::TakeOut => without_ours(bytes),
            Self::PutBack => saved_hooks::put_back(bytes)?.ok(),
        }
    }

    /// Does it to `path`; all other bytes stay.
    pub fn perform(self, path: &Path, staging: &Path) -> Result<(), files::Error> {
        let snapshot = files::snapshot(path)?;
        let Some(bytes) = self.of(&snapshot.bytes) else { return Ok(()) };
        let staging = files::staging(&snapshot.path, staging, &[])?;
        snapshot.replace(&bytes, staging)
    }
}

/// What is to be done to which of certbot's files in `directory`; one that must not be read stays as it is.
pub fn hook_edits(directory: &Path) -> Result<Vec<(HookEdit, PathBuf)>, unusable::Error> {
    let renewals = renewal_files(directory)?;
    let ours = renewals.iter().map(|path| (HookEdit::TakeOut, path.clone()));
    let all = renewals.iter().cloned().chain(reading::options_files(directory));
    let edits = ours.chain(all.map(|path| (HookEdit::PutBack, path)));
    let is_due = |(edit, path): &(HookEdit, PathBuf)| {
        files::read_trusted(path).is_ok_and(|bytes| edit.of(&before(*edit, bytes)).is_some())
    };
    Ok(edits.filter(is_due).collect())
}

/// What `edit` will find: hooks of ours are gone by then.
fn before(edit: HookEdit, bytes: Vec<u8>) -> Vec<u8> {
    match edit {
        HookEdit::TakeOut => bytes,
        HookEdit::PutBack => without_ours(&bytes).unwrap_or(bytes),
    }
}

/// Where a hook that `init` commented out stays so: certbot has changed the file since.
pub fn commented_out(directory: &Path) -> Vec<String> {
    let stays = |path: PathBuf| {
        let bytes = before(HookEdit::PutBack, files::read_trusted(&path).ok()?);
        (saved_hooks::put_back(&bytes) == Some(Err(Misplaced))).then(|| {
            format!(
                "{}: a hook that init commented out; certbot has changed the file since and would not take it there",
                path.display()
            )
        })
    };
    renewal_files(directory).unwrap_or_default().into_iter().filter_map(stays).collect()
}

/// Where else certbot is told to run ours, each with its line: among what a person wrote, or in options.
pub fn others(directory: &Path) -> Vec<String> {
    let renewals = renewal_files(directory).unwrap_or_default().into_iter().flat_map(|path| {
        let bytes = files::read_trusted(&path).unwrap_or_default();
        mixed(&path, &saved_hooks::in_renewal(&configobj::parse(&bytes).unwrap_or_default()))
    });
    let options = reading::options_files(directory).into_iter().flat_map(|path| {
        let saved = saved_hooks::in_options(&reading::text(&path).unwrap_or_default());
        let ours = saved.into_iter().filter(|saved| is_ours(&saved.command));
        ours.map(|saved| stays(&path, &saved)).collect::<Vec<String>>()
    });
    let mut found: Vec<String> = renewals.chain(options).collect();
    found.sort();
    found
}

fn mixed(path: &Path, saved: &[SavedHook]) -> Vec<String> {
    let is_mixed = |saved: &&SavedHook| is_ours(&saved.command) && !is_alone(saved);
    saved.iter().filter(is_mixed).map(|saved| stays(path, saved)).collect()
}

fn stays(path: &Path, SavedHook { key, command, lines, .. }: &SavedHook) -> String {
    format!(
        "{}:{}: {key} = {command}; take certbaton out of it, else certbot renews nothing there",
        path.display(),
        lines.0
    )
}

fn is_alone(saved: &SavedHook) -> bool {
    !saved.command.contains(char::is_whitespace)
}

/// Without the hooks that are nothing but a program of ours: what a person wrote around one is that person's.
fn without_ours(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut saved = saved_hooks::in_renewal(&configobj::parse(bytes).ok()?);
    saved.retain(|saved| is_ours(&saved.command) && is_alone(saved));
    (!saved.is_empty()).then(|| saved_hooks::without(bytes, &saved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_hook_of_ours_goes_and_all_else_stays() {
        let mine = "authenticator = webroot\npost_hook = nice certbaton-post-hook\n";
        let head = "version = 2.1.0\n[renewalparams]\n";
        let hooks = "pre_hook = /usr/bin/certbaton-pre-hook\nrenew_hook = certbaton-deploy-hook\n";
        let left = without_ours(format!("{head}{hooks}{mine}").as_bytes());
        assert_eq!(left, Some(format!("{head}{mine}").into_bytes()));
        assert_eq!(without_ours(format!("{head}{mine}").as_bytes()), None);
        assert_eq!(without_ours(b"[renewalparams"), None);
        let entries = configobj::parse(format!("{head}{hooks}{mine}").as_bytes()).unwrap();
        let told = mixed(Path::new("/r.conf"), &saved_hooks::in_renewal(&entries));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("/r.conf:6: post_hook = nice certbaton-post-hook; "),
            "{told:?}"
        );
        let options = tempfile::tempdir().unwrap();
        let text = b"pre-hook = /usr/bin/certbaton-pre-hook\ndeploy-hook = cp a b\n";
        files::write_scratch(&options.path().join("cli.ini"), text).unwrap();
        let told = others(options.path());
        assert!(told.iter().any(|told| told.contains("/cli.ini:1: pre-hook = ")), "{told:?}");
        assert!(told.iter().all(|told| !told.contains("cp a b")), "{told:?}");
        assert_eq!(hook_edits(Path::new("/nonexistent")).unwrap(), []);
    }
}
