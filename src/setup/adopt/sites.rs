//! pure: what becomes of a file of Apache's that an old hook wrote to: a link, its own text without `#`, or a word to a person.

use std::path::{Path, PathBuf};

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::check::marks;
use crate::setup::adopt::Adoption;
use crate::setup::change::{Change, What};

/// The file of the same name in sites-available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Decides about `live`, the text of the file that Apache opens as `name` and that stands at `real`.
pub fn site(name: &str, real: &Path, live: &[u8], twin: Option<&Twin>) -> Adoption {
    let judged = marks::judge(live, twin.map(|twin| &*twin.bytes));
    let mut out = Adoption::default();
    out.findings.extend(marks::unsure(name, live, &judged.unsure));
    let change =
        |path: &Path, what, why| Change { path: path.to_owned(), what, why, repairs: true };
    let file = Path::new(name).file_name().unwrap_or_default();
    let target = Path::new("../sites-available").join(file);
    if let Some(twin) = twin {
        let path = twin.path.display();
        if judged.after == twin.bytes {
            let why = format!(
                "the old hook made a file of the link; but for its # it is the same as {path}"
            );
            out.changes.push(change(
                Path::new(name),
                What::Link { target, bytes: twin.bytes.clone() },
                why,
            ));
            return out;
        }
        out.findings.push(Finding::new(
            Code::SiteDiffers,
            Some(format!("{name}:{}", marks::first_difference(&judged.after, &twin.bytes))),
            format!("the old hook made a file of the link, and it differs from {path} by more than its #: it stays a file"),
            format!("Apache reads this one: bring the other up to date (diff {path} {name}), then ln -sfn {} {name}", target.display()),
        ));
    }
    if judged.after != live {
        let why = "without the # that the old hook put before ProxyPass lines".to_owned();
        // It is there, and keeps its own rights.
        out.changes.push(change(real, What::Write { bytes: judged.after, mode: 0o644 }, why));
    }
    out
}

/// Lines of a file that no hook is known to write to, all of a kind commented out.
pub fn unsure(name: &str, live: &[u8]) -> Vec<Finding> {
    marks::unsure(name, live, &marks::judge(live, None).unsure)
}

/// Whether a hook's text names files in `directory`, and not only below it.
pub fn names(text: &str, directory: &str) -> bool {
    text.match_indices(directory).any(|(at, _)| {
        let after = &text[at + directory.len()..];
        let rest = after.strip_prefix('/').unwrap_or(after);
        let ends = |c: char| c.is_whitespace() || "'\";&|)".contains(c);
        let path = rest.split(ends).next().unwrap_or_default();
        !path.contains('/') && (rest.len() < after.len() || path.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "/a/sites-enabled/x.conf";
    const SITE: &[u8] = b"ServerName x\nProxyPass / http://app/\n";
    const MARKED: &[u8] = b"ServerName x\n#ProxyPass / http://app/\n";

    fn of(live: &[u8], twin: Option<&[u8]>) -> Adoption {
        let path = PathBuf::from("/a/sites-available/x.conf");
        let twin = twin.map(|bytes| Twin { path, bytes: bytes.to_vec() });
        site(NAME, Path::new(NAME), live, twin.as_ref())
    }

    #[test]
    fn a_copy_that_differs_by_the_hooks_marks_alone_is_a_link_again() {
        for live in [MARKED, SITE] {
            let out = of(live, Some(SITE));
            let target = "../sites-available/x.conf".into();
            assert_eq!(out.changes[0].what, What::Link { target, bytes: SITE.to_vec() });
            assert_eq!((out.changes.len(), out.findings.len()), (1, 0));
        }
    }

    #[test]
    fn a_copy_that_was_edited_stays_one_without_the_marks() {
        let out = of(MARKED, Some(b"ServerName y\nProxyPass / http://app/\n"));
        assert_eq!(out.changes[0].what, What::Write { bytes: SITE.to_vec(), mode: 0o644 });
        let said = out.findings[0].to_string();
        assert!(said.starts_with("/a/sites-enabled/x.conf:1: "), "{said}");
        assert!(said.contains("ln -sfn ../sites-available/x.conf /a/sites-enabled/x.conf"));
    }

    #[test]
    fn one_mark_without_a_twin_is_told_and_nothing_is_changed() {
        let out = of(MARKED, None);
        assert_eq!(out.changes, []);
        assert_eq!(out.findings[0].place.as_deref(), Some("/a/sites-enabled/x.conf:2"));
        assert!(out.findings[0].what.ends_with(": #ProxyPass / http://app/"));
        assert_eq!(of(SITE, None), Adoption::default());
    }

    #[test]
    fn a_text_names_the_files_of_a_directory_and_not_those_below() {
        let names = |text| names(text, "/etc/apache2");
        assert!(names("perl x /etc/apache2/*.conf"));
        assert!(names("cd /etc/apache2; perl x httpd.conf"));
        assert!(names("DIR='/etc/apache2/'"));
        assert!(!names("perl x /etc/apache2/sites-enabled/*.conf"));
        assert!(!names("cd /etc/apache2-old && perl x"));
    }
}
