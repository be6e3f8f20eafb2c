//! pure: marked lines that somebody edited, as they are told; `marked_lines` leaves them as they are.

use std::fmt;

use crate::apache::document::Document;
use crate::base::files::Snapshot;
use crate::switch::difference;

/// Marked lines that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// First and last physical line.
    pub lines: (u32, u32),
    /// What removing them would change.
    pub diff: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, lines: (first, last), .. } = self;
        write!(
            f,
            "{file}:{first}: lines {first} to {last} were inserted by certbaton and changed since"
        )
    }
}

pub(crate) fn damage(
    snapshot: &Snapshot,
    lines: &std::ops::Range<u32>,
    document: &Document,
) -> Damage {
    let file = snapshot.path.display().to_string();
    let rest = document.lines().iter().filter(|line| !lines.contains(&line.first));
    let rest: Vec<u8> =
        rest.flat_map(|line| document.bytes()[line.span.clone()].to_vec()).collect();
    let diff = difference::unified(&file, document.bytes(), &rest);
    Damage { file, lines: (lines.start, lines.end - 1), diff }
}

pub(super) fn left(damage: &[Damage]) -> String {
    let lines: Vec<String> = damage.iter().map(ToString::to_string).collect();
    lines.join("; ") + " and were left as they are"
}

pub(super) fn diffs(damage: &[Damage]) -> String {
    let diffs: Vec<&str> = damage.iter().map(|damage| damage.diff.trim_end()).collect();
    diffs.join("\n")
}
