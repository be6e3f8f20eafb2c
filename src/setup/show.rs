//! pure: the changes of a set-up as a person sees them before they are made.

use std::fmt::Write;

use crate::base::files::displace::State;
use crate::setup::change::{Change, PreparedChange, What};
use crate::switch::difference;

/// How much of a new file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Whole,
    /// Its name, and how long it is.
    Brief,
}

/// One change, from what is there: new text as far as `extent` goes, changed text as a unified diff.
pub fn change(prepared: &PreparedChange, extent: Detail) -> String {
    let PreparedChange { change: Change { path, what, why }, state } = prepared;
    let file = path.display();
    let mut text = String::new();
    // A String takes everything.
    match (what, state) {
        (What::Write { bytes, .. } | What::Comment { bytes }, State::File { bytes: now, .. }) => {
            writeln!(text, "change {file}: {why}").ok();
            if is_secret(state) {
                text += "    (a secret, not shown)\n";
            } else {
                text += &indented(&difference::unified(&file.to_string(), now, bytes));
            }
        }
        (What::Write { bytes, mode }, _) if extent == Detail::Brief && mode & 0o044 != 0 => {
            let lines = bytes.split(|&b| b == b'\n').count().saturating_sub(1).max(1);
            let many = if lines == 1 { "line" } else { "lines" };
            writeln!(text, "new {file}, mode {mode:04o}, {lines} {many}: {why}").ok();
        }
        (What::Write { bytes, mode }, _) => {
            writeln!(text, "new {file}, mode {mode:04o}: {why}").ok();
            if mode & 0o044 == 0 {
                text += "    (a secret, not shown)\n";
            } else {
                text += &indented(&String::from_utf8_lossy(bytes));
            }
        }
        (What::Comment { .. }, _) => {
            writeln!(text, "change {file}: {why}").ok();
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

/// What another host shows of its work, without the texts of its new files.
pub fn brief(text: &str) -> String {
    let mut is_new = false;
    let mut is_shown = |line: &&str| {
        let is_text = line.starts_with("    ");
        is_new = if is_text { is_new } else { line.starts_with("new ") };
        !(is_new && is_text)
    };
    text.split_inclusive('\n').filter(|line| is_shown(line)).collect()
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
        Change { path: "/f".into(), what, why: "for a reason".into() }
    }

    fn shown(change: &Change, state: &State, extent: Detail) -> String {
        super::change(&PreparedChange { change: change.clone(), state: state.clone() }, extent)
    }

    #[test]
    fn a_new_file_is_shown_whole_and_a_changed_one_as_a_diff() {
        let change = |what: &Change, state: &State| shown(what, state, Detail::Whole);
        let new = change(&write(b"a\nb\n", 0o644), &State::Absent);
        assert_eq!(new, "new /f, mode 0644: for a reason\n    a\n    b\n");
        let now = State::File { bytes: b"a\n".to_vec(), mode: 0o644 };
        let changed = change(&write(b"a\nb\n", 0o644), &now);
        assert!(changed.contains("\n    +++ /f\n") && changed.contains("\n    +b\n"), "{changed}");
    }

    /// So that what is asked before it is still on the screen; a user's own file is shown as it changes.
    #[test]
    fn before_a_question_a_new_file_is_a_line() {
        let new = write(b"a\nb\n", 0o644);
        let short = shown(&new, &State::Absent, Detail::Brief);
        assert_eq!(short, "new /f, mode 0644, 2 lines: for a reason\n");
        let now = State::File { bytes: b"a\n".to_vec(), mode: 0o644 };
        let whole = shown(&new, &now, Detail::Whole);
        assert_eq!(shown(&new, &now, Detail::Brief), whole);
        let there = format!("found\n    x\n{}{whole}", shown(&new, &State::Absent, Detail::Whole));
        assert_eq!(
            brief(&there),
            format!("found\n    x\nnew /f, mode 0644: for a reason\n{whole}")
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let change = |what: &Change, state: &State| shown(what, state, Detail::Whole);
        let text = change(&write(b"hush", 0o600), &State::Absent);
        assert!(!text.contains("hush") && text.contains("not shown"), "{text}");
        let now = State::File { bytes: b"old".to_vec(), mode: 0o600 };
        assert!(!change(&write(b"hush", 0o644), &now).contains("hush"));
    }

    #[test]
    fn bits_say_what_they_become() {
        let change = |what: &Change, state: &State| shown(what, state, Detail::Brief);
        let with = |what| Change { what, ..write(b"", 0) };
        let now = State::File { bytes: Vec::new(), mode: 0o644 };
        let mode = change(&with(What::Mode(0o755)), &now);
        assert_eq!(mode, "mode of /f from 0644 to 0755: for a reason\n");
    }
}
