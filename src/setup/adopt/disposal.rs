//! pure: what becomes of each hook of certbot's once an old set-up is proven: a change, or a word to a person.

use std::path::{Path, PathBuf};

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::certbot::old_hook::{HookPurpose, Mixture};
use crate::certbot::saved_hooks::{self as saved, SavedHook};
use crate::setup::change::{Change, What};

/// A file of certbot's in which hooks are saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHooks {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whose it is.
    pub kind: SettingsFile,
    /// The hooks in it, but for certbaton's own.
    pub hooks: Vec<(SavedHook, HookPurpose)>,
}

/// Who writes a file of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsFile {
    /// `renewal/NAME.conf`: certbot.
    Renewal,
    /// `cli.ini`: a person.
    Options,
}

/// A script in renewal-hooks that certbot runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldHook {
    /// The file.
    pub path: PathBuf,
    /// Its permission bits; none if it is a link, whose rights are another file's.
    pub mode: Option<u32>,
    /// What it does.
    pub deed: HookPurpose,
}

impl SavedHooks {
    /// Takes the old hooks out.
    pub fn change(&self) -> Option<Change> {
        let old: Vec<&SavedHook> =
            self.hooks.iter().filter(|(_, deed)| deed.is_old()).map(|(saved, _)| saved).collect();
        if old.is_empty() {
            return None;
        }
        let (bytes, how) = match self.kind {
            SettingsFile::Renewal => (saved::without(&self.bytes, &old), "taken out"),
            SettingsFile::Options => (saved::commented_out(&self.bytes, &old), "commented out"),
        };
        let keys: Vec<&str> = old.iter().map(|saved| saved.key.as_str()).collect();
        let why = format!("the old hook's {} {how}: {INSTEAD}", keys.join(", "));
        Some(Change {
            path: self.path.clone(),
            what: What::Write { bytes, mode: 0o644 },
            why,
            repairs: false,
        })
    }

    /// What of it a person has to see to.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        self.hooks.iter().filter_map(|(saved, deed)| {
            let place = (self.path.as_path(), saved.lines.0);
            told(deed, place, &saved.key, &saved.command)
        })
    }
}

impl OldHook {
    /// Puts it out of use: certbot passes over what cannot be run (`hooks.py:list_hooks`).
    pub fn change(&self) -> Option<Change> {
        let mode = self.mode.filter(|_| self.deed.is_old())?;
        let why = format!("the old hook, which certbot then ignores: {INSTEAD}");
        Some(Change {
            path: self.path.clone(),
            what: What::Mode(mode & !0o111),
            why,
            repairs: false,
        })
    }

    /// What of it a person has to see to.
    pub fn finding(&self) -> Option<Finding> {
        let path = &self.path;
        if self.deed.is_old() {
            return self.mode.is_none().then(|| {
                Finding::new(
                    Code::OldHookLink,
                    Some(path.display().to_string()),
                    "a link to the script of the old hook, which stays in use",
                    format!("remove the link: rm {}", path.display()),
                )
            });
        }
        told(&self.deed, (path, 1), "this script", "")
    }
}

fn told(
    deed: &HookPurpose,
    (file, line): (&Path, usize),
    key: &str,
    command: &str,
) -> Option<Finding> {
    let place = |file: &Path, line: usize| Some(format!("{}:{line}", file.display()));
    match deed {
        HookPurpose::Toggles | HookPurpose::Restarts => None,
        HookPurpose::Both(Mixture { script, line: within, toggle, rest }) => {
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
            Some(Finding::new(
                Code::OldHookMixed,
                place,
                format!("the old hook, and more than that; it was not touched ({toggle})"),
                format!("{remedy}; {INSTEAD}"),
            ))
        }
        HookPurpose::Else => {
            let command = if command.is_empty() { String::new() } else { format!(" ({command})") };
            Some(Finding::new(
                Code::HookStays,
                place(file, line),
                format!("{key} does something else and stays{command}"),
                "remove it by hand if it belongs to the old hook",
            ))
        }
    }
}

/// A line that is run at its time and does what the hook did.
pub fn scheduled(place: String, text: &str) -> Finding {
    Finding::new(
        Code::OldHookScheduled,
        Some(place),
        format!("the old hook, started from here; it was not touched ({text})"),
        format!("take that part out; {INSTEAD}"),
    )
}

const INSTEAD: &str = "certbaton's hooks switch, switch back and reload by themselves";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certbot::saved_hooks::Stage;

    fn saved(key: &str, line: usize) -> SavedHook {
        let lines = (line, line);
        SavedHook { stage: Stage::Pre, key: key.into(), command: "c".into(), lines }
    }

    fn mixture() -> HookPurpose {
        let rest = vec!["cp a b".to_owned(), "cp c d".to_owned()];
        HookPurpose::Both(Mixture { script: None, line: 1, toggle: "perl x".into(), rest })
    }

    #[test]
    fn a_file_loses_its_old_hooks_and_the_others_are_named() {
        let hooks = vec![
            (saved("pre_hook", 1), HookPurpose::Toggles),
            (saved("post_hook", 2), HookPurpose::Restarts),
            (saved("renew_hook", 3), HookPurpose::Else),
        ];
        let bytes = b"pre_hook\npost_hook\nrenew_hook\n".to_vec();
        let file = SavedHooks { path: "/r".into(), bytes, kind: SettingsFile::Renewal, hooks };
        let change = file.change().unwrap();
        assert_eq!(change.what, What::Write { bytes: b"renew_hook\n".to_vec(), mode: 0o644 });
        assert!(change.why.contains("pre_hook, post_hook taken out"), "{}", change.why);
        let told: Vec<Finding> = file.findings().collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].to_string().starts_with("/r:3: renew_hook does something else"));
    }

    #[test]
    fn what_does_both_is_not_touched_and_the_rest_is_told() {
        let hooks = vec![(saved("pre_hook", 7), mixture())];
        let file =
            SavedHooks { path: "/r".into(), bytes: Vec::new(), kind: SettingsFile::Options, hooks };
        assert_eq!(file.change(), None);
        let told = file.findings().next().unwrap();
        assert_eq!(told.place.as_deref(), Some("/r:7"));
        assert!(told.remedy.contains("what is to stay: cp a b; cp c d"), "{}", told.remedy);
        let script = OldHook { path: "/s".into(), mode: Some(0o755), deed: mixture() };
        assert_eq!(script.change(), None);
        assert_eq!(script.finding().unwrap().code, Code::OldHookMixed);
    }

    #[test]
    fn a_script_stays_and_cannot_be_run_and_a_link_is_a_persons() {
        let script = |mode| OldHook { path: "/s".into(), mode, deed: HookPurpose::Toggles };
        assert_eq!(script(Some(0o4755)).change().unwrap().what, What::Mode(0o4644));
        assert_eq!(script(Some(0o755)).finding(), None);
        assert_eq!(script(None).change(), None);
        assert_eq!(script(None).finding().unwrap().code, Code::OldHookLink);
    }
}
