//! flow: certbaton's own hooks that certbot saved with a lineage, as it does with those of a first `certonly`, taken out.
//!
//! certbot renews nothing of a lineage whose saved hook is not there (`hooks.py:validate_hook`).

use std::path::{Path, PathBuf};

use crate::base::files;
use crate::certbot::configobj;
use crate::certbot::old_hook::is_ours;
use crate::certbot::saved_hooks::{self as saved, SavedHook};
use crate::check::reading;

/// The renewal files in `directory` that name a hook of ours.
pub fn own_hooks(directory: &Path) -> Result<Vec<PathBuf>, files::Error> {
    let renewals = directory.join("renewal");
    let names = match files::list(&renewals) {
        Err(error) if error.is_missing() => Vec::new(),
        names => names?,
    };
    let paths = names.into_iter().map(|name| renewals.join(name));
    let is_read = |path: &PathBuf| path.extension().is_some_and(|end| end == "conf");
    let mut found: Vec<PathBuf> = paths.filter(is_read).filter(|path| has_some(path)).collect();
    found.sort();
    Ok(found)
}

/// Where else certbot is told to run ours, each with its line: among what a person wrote, or in options.
pub fn others(directory: &Path) -> Vec<String> {
    let renewals = directory.join("renewal");
    let names = files::list(&renewals).unwrap_or_default().into_iter();
    let paths = names.map(|name| renewals.join(name));
    let is_read = |path: &PathBuf| path.extension().is_some_and(|end| end == "conf");
    let renewals = paths.filter(is_read).flat_map(|path| {
        let bytes = files::read_trusted(&path).unwrap_or_default();
        mixed(&path, &saved::in_renewal(&configobj::parse(&bytes).unwrap_or_default()))
    });
    let options = reading::options_files(directory).into_iter().flat_map(|path| {
        let saved = saved::in_options(&reading::text(&path).unwrap_or_default());
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

/// One that must not be read stays as it is.
fn has_some(path: &Path) -> bool {
    files::read_trusted(path).is_ok_and(|bytes| without_ours(&bytes).is_some())
}

/// Without the hooks that are nothing but a program of ours: what a person wrote around one is that person's.
fn without_ours(bytes: &[u8]) -> Option<Vec<u8>> {
    let saved = saved::in_renewal(&configobj::parse(bytes).ok()?);
    let is_ours = |saved: &&SavedHook| is_ours(&saved.command) && is_alone(saved);
    let ours: Vec<&SavedHook> = saved.iter().filter(is_ours).collect();
    (!ours.is_empty()).then(|| saved::without(bytes, &ours))
}

/// Takes them out of `path`; all other bytes stay.
pub fn take_out(path: &Path, staging: &Path) -> Result<(), files::Error> {
    let snapshot = files::snapshot(path)?;
    let Some(bytes) = without_ours(&snapshot.bytes) else { return Ok(()) };
    let staging = files::staging(&snapshot.path, staging, &[])?;
    snapshot.replace(&bytes, staging)
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
        let told = mixed(Path::new("/r.conf"), &saved::in_renewal(&entries));
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
        assert!(own_hooks(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
