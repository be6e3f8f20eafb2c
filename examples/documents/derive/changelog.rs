//! pure: `CHANGELOG.md` (keepachangelog.com) as Debian's changelog (deb-changelog(5)), which dpkg's tools and lintian read.

use jiff::civil::Date;

/// Its maintainer, as in the package.
const MAINTAINER: &str = "The certbaton developers <certbaton@packages.invalid>";

/// Why it cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The newest release is another.
    #[error(
        "CHANGELOG.md tells of no {0}: it wants a heading `## [{0}] - YYYY-MM-DD`, as Cargo.toml has that version"
    )]
    NoVersion(String),
    /// No date.
    #[error("CHANGELOG.md: `{line}` has no date such as 2026-11-26")]
    Date { line: String, source: jiff::Error },
}

/// One entry for each release; what is not released yet is not told.
pub(crate) fn debian(changes: &str, version: &str) -> Result<String, Error> {
    let mut releases = Vec::new();
    for section in changes.split("\n## [").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        let Some((release, date)) = heading.split_once("] - ") else { continue };
        let date: Date = date
            .trim()
            .parse()
            .map_err(|source| Error::Date { line: format!("## [{heading}"), source })?;
        releases.push((release, date, items(body)));
    }
    if releases.first().is_none_or(|(release, ..)| *release != version) {
        return Err(Error::NoVersion(version.to_owned()));
    }
    let entries = releases.iter().map(|(release, date, items)| {
        let lines: String = items.iter().map(|item| filled(item)).collect();
        let date = date.strftime("%a, %d %b %Y 00:00:00 +0000");
        format!("certbaton ({release}-1) unstable; urgency=medium\n\n{lines}\n -- {MAINTAINER}  {date}\n")
    });
    Ok(entries.collect::<Vec<_>>().join("\n"))
}

/// The items of a list, each on one line.
fn items(body: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in body.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            items.push(item.to_owned());
        } else if let (Some(item), true) = (items.last_mut(), line.starts_with("  ")) {
            item.extend([" ", line.trim()]);
        }
    }
    items
}

/// In lines of at most 80 characters, which lintian wants.
fn filled(item: &str) -> String {
    let mut text = String::from("  *");
    let mut width = text.len();
    for word in item.split_whitespace() {
        let length = word.chars().count() + 1;
        if width + length > 80 {
            text += "\n   ";
            width = 3;
        }
        text.extend([" ", word]);
        width += length;
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_becomes_an_entry() {
        let text = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.0] - 2026-11-26\n\n### Added\n\n- one\n  thing\n- two\n\n";
        let expected = "certbaton (1.2.0-1) unstable; urgency=medium\n\n  * one thing\n  * two\n\n \
                        -- The certbaton developers <certbaton@packages.invalid>  Thu, 26 Nov 2026 00:00:00 +0000\n";
        assert_eq!(debian(text, "1.2.0").unwrap(), expected);
        assert_eq!(filled(&"x".repeat(76)), format!("  * {}\n", "x".repeat(76)));
        assert_eq!(filled(&"four ".repeat(16)), format!("  *{}\n    four\n", " four".repeat(15)));
        assert!(matches!(debian(text, "1.3.0"), Err(Error::NoVersion(_))));
        assert!(matches!(debian("\n## [1.0.0] - soon\n", "1.0.0"), Err(Error::Date { .. })));
    }
}
