//! pure: from the files that are wanted and those that are there to the changes between them.

use std::path::PathBuf;

use crate::base::files::displace::State;
use crate::setup::change::{Change, What};
use crate::setup::manifest::Manifest;

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its permission bits, if it is new.
    pub mode: u32,
    /// What it is for.
    pub why: String,
    /// How the bytes came to be.
    pub text: Text,
}

/// What the bytes of a file are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// They are the whole: whoever edits the file since decides about it.
    Whole,
    /// What is there, and something more.
    Merged,
}

/// What a file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// Nothing.
    Fine,
    /// This.
    Change(Change),
    /// It is not as wanted and stays so, for this reason.
    Left(String),
}

impl Wanted {
    /// What it needs, from how it is; `packaged` if a package's files are somebody else's to change.
    pub fn verdict(self, state: &State, manifest: &Manifest, packaged: bool) -> Correction {
        let Self { path, bytes, mode, why, text } = self;
        let write = |path, bytes| {
            Correction::Change(Change { path, what: What::Write { bytes, mode }, why: why.clone() })
        };
        let is_edited = text == Text::Whole
            && manifest.entry(&path).is_some()
            && !manifest.is_ours(&path, state);
        match state {
            State::File { bytes: now, mode: bits } if *now == bytes => {
                // certbot passes over a hook that cannot be run (hooks.py:list_hooks).
                if mode & 0o111 != 0 && bits & 0o111 == 0 {
                    let why = format!("{why}; it could not be run");
                    Correction::Change(Change { path, what: What::Mode(mode), why })
                } else {
                    Correction::Fine
                }
            }
            State::File { .. } if packaged => {
                Correction::Left(format!("{} is the package's, and was edited", path.display()))
            }
            State::File { .. } if is_edited => {
                Correction::Left(format!("{} was edited since certbaton wrote it", path.display()))
            }
            State::Absent | State::File { .. } => write(path, bytes),
            State::Link { target, .. } => {
                let (path, target) = (path.display(), target.display());
                Correction::Left(format!("{path} is a link to {target}"))
            }
            State::Other => Correction::Left(format!("{} is no regular file", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: Text) -> Wanted {
        let (path, bytes) = ("/f".into(), b"new".to_vec());
        Wanted { path, bytes, mode: 0o755, why: "why".into(), text }
    }

    fn file(text: &str, mode: u32) -> State {
        State::File { bytes: text.into(), mode }
    }

    fn of_ours(text: &str) -> Manifest {
        let mut manifest = Manifest::new();
        let what = What::Write { bytes: text.into(), mode: 0o755 };
        let change = Change { path: "/f".into(), what, why: String::new() };
        manifest.record(&change, &State::Absent, PathBuf::new());
        manifest
    }

    fn writes(verdict: &Correction) -> bool {
        matches!(verdict, Correction::Change(Change { what: What::Write { .. }, .. }))
    }

    #[test]
    fn what_is_as_wanted_needs_nothing_but_its_bits() {
        let none = Manifest::new();
        let verdict = |state| wanted(Text::Whole).verdict(&state, &none, false);
        assert_eq!(verdict(file("new", 0o755)), Correction::Fine);
        assert_eq!(verdict(file("new", 0o700)), Correction::Fine, "an administrator's choice");
        let Correction::Change(change) = verdict(file("new", 0o644)) else { panic!() };
        assert_eq!(change.what, What::Mode(0o755));
        assert!(writes(&verdict(State::Absent)));
    }

    #[test]
    fn an_older_version_of_ours_is_replaced_and_an_edit_is_not() {
        let verdict = |manifest| wanted(Text::Whole).verdict(&file("old", 0o755), &manifest, false);
        assert!(writes(&verdict(of_ours("old"))));
        assert!(matches!(verdict(of_ours("older")), Correction::Left(_)));
        assert!(writes(&verdict(Manifest::new())), "shown as a diff, and kept");
        let merged = wanted(Text::Merged).verdict(&file("old", 0o755), &of_ours("x"), false);
        assert!(writes(&merged));
    }

    #[test]
    fn what_a_package_brought_and_what_is_no_file_stays() {
        let none = Manifest::new();
        let packaged = wanted(Text::Whole).verdict(&file("x", 0o644), &none, true);
        assert!(matches!(packaged, Correction::Left(_)));
        let link = State::Link { target: "/dev/null".into(), bytes: None };
        assert!(matches!(wanted(Text::Whole).verdict(&link, &none, false), Correction::Left(_)));
    }
}
