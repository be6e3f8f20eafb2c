//! pure: what is odd about the files of Apache's configuration, though Apache takes it.

use std::path::{Path, PathBuf};

use crate::apache::document::Document;
use crate::apache::dump::Origin;
use crate::switch::report::Note;

/// One odd thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// A file that changed after Apache last loaded its configuration.
    Unloaded(String),
    /// A directory of sites where one was added or taken away since, that is: disabled.
    Relisted(String),
    /// A line that an older hook commented out.
    Commented {
        /// The file.
        file: String,
        /// Its line, from 1, without our own.
        line: u32,
        /// What stands there.
        text: String,
    },
    /// A `<Perl>` section of the main server: what it writes is not listed.
    Perl(Origin),
    /// A regular file in sites-enabled, where a2ensite makes a link.
    Unlinked {
        /// The file.
        file: String,
        /// The file of the same name in sites-available.
        namesake: Option<PathBuf>,
    },
}

impl Oddity {
    /// What a switch says of it.
    pub fn note(&self) -> Option<Note> {
        match self {
            Self::Unloaded(file) | Self::Relisted(file) => Some(Note::unloaded(file)),
            Self::Commented { file, line, text } => Some(Note::commented(file, *line, text)),
            Self::Perl(origin) => Some(Note::perl(origin)),
            Self::Unlinked { namesake: None, .. } => None,
            Self::Unlinked { file, .. } => Some(Note::not_a_link(file)),
        }
    }
}

/// What the Perl one-liner of old hooks leaves: a ProxyPass line behind two `#` or more.
pub fn commented<'a>(
    file: &'a str,
    document: &'a Document,
) -> impl Iterator<Item = Oddity> + use<'a> {
    let is_old_hook = |comment: &[u8]| {
        let hashes = comment.iter().take_while(|&&b| b == b'#').count();
        let rest = comment[hashes..].to_ascii_lowercase();
        hashes > 1 && rest.trim_ascii_start().starts_with(b"proxypass")
    };
    let lines = document.lines().iter().filter(move |l| l.is_comment() && is_old_hook(&l.text));
    lines.map(move |line| Oddity::Commented {
        file: file.to_owned(),
        line: line.first,
        text: String::from_utf8_lossy(&line.text).into_owned(),
    })
}

/// Whether `file` stands in sites-enabled, as Debian lays its files out if there is a `namesake`'s directory.
pub fn is_site(file: &Path) -> bool {
    file.parent().and_then(Path::file_name).is_some_and(|d| d == "sites-enabled")
}

/// The file that a link of this name would lead to.
pub fn namesake(file: &Path) -> Option<PathBuf> {
    Some(file.parent()?.with_file_name("sites-available").join(file.file_name()?))
}
