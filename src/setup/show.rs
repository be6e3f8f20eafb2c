//! pure: the changes of a set-up as a person sees them before they are made.

use std::fmt::Write;

use crate::files::place::State;
use crate::route::difference;
use crate::setup::change::{Change, What};

/// One change, from what is there: new text in full, changed text as a unified diff.
pub fn change(change: &Change, state: &State) -> String {
    let Change { path, what, why, repairs: _ } = change;
    let file = path.display();
    let mut text = String::new();
    // A String takes everything.
    match (what, state) {
        (What::Write { bytes, .. }, State::File { bytes: now, .. }) => {
            writeln!(text, "change {file}: {why}").ok();
            if is_secret(state) {
                text += "    (a secret, not shown)\n";
            } else {
                text += &indented(&difference::unified(&file.to_string(), now, bytes));
            }
        }
        (What::Write { bytes, mode }, _) => {
            writeln!(text, "new {file}, mode {mode:04o}: {why}").ok();
            if mode & 0o044 == 0 {
                text += "    (a secret, not shown)\n";
            } else {
                text += &indented(&String::from_utf8_lossy(bytes));
            }
        }
        (What::Link { target, .. }, State::Absent) => {
            writeln!(text, "new link {file} to {}: {why}", target.display()).ok();
        }
        (What::Link { target, .. }, _) => {
            writeln!(text, "{file} becomes a link to {}: {why}", target.display()).ok();
        }
        (What::Mode(mode), State::File { mode: now, .. }) => {
            writeln!(text, "mode of {file} from {now:04o} to {mode:04o}: {why}").ok();
        }
        (What::Mode(mode), _) => {
            writeln!(text, "mode of {file} to {mode:04o}: {why}").ok();
        }
    }
    text
}

fn is_secret(state: &State) -> bool {
    matches!(state, State::File { mode, .. } if mode & 0o044 == 0)
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + "    " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes: &[u8], mode: u32) -> Change {
        let what = What::Write { bytes: bytes.to_vec(), mode };
        Change { path: "/f".into(), what, why: "for a reason".into(), repairs: false }
    }

    #[test]
    fn a_new_file_is_shown_whole_and_a_changed_one_as_a_diff() {
        let new = change(&write(b"a\nb\n", 0o644), &State::Absent);
        assert_eq!(new, "new /f, mode 0644: for a reason\n    a\n    b\n");
        let now = State::File { bytes: b"a\n".to_vec(), mode: 0o644 };
        let changed = change(&write(b"a\nb\n", 0o644), &now);
        assert!(changed.contains("\n    +++ /f\n") && changed.contains("\n    +b\n"), "{changed}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = change(&write(b"hush", 0o600), &State::Absent);
        assert!(!text.contains("hush") && text.contains("not shown"), "{text}");
        let now = State::File { bytes: b"old".to_vec(), mode: 0o600 };
        assert!(!change(&write(b"hush", 0o644), &now).contains("hush"));
    }

    #[test]
    fn links_and_bits_say_what_they_become() {
        let with = |what| Change { what, ..write(b"", 0) };
        let link = with(What::Link { target: "../x".into(), bytes: Vec::new() });
        assert_eq!(change(&link, &State::Other), "/f becomes a link to ../x: for a reason\n");
        let now = State::File { bytes: Vec::new(), mode: 0o644 };
        let mode = change(&with(What::Mode(0o755)), &now);
        assert_eq!(mode, "mode of /f from 0644 to 0755: for a reason\n");
    }
}
