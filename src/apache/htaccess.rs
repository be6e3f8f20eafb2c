//! pure: the directives of a `.htaccess` file.
//!
//! There is no dump of these files: Apache reads them per request. All
//! conditional sections are taken to hold, which errs towards an obstacle.

use std::path::{Path, PathBuf};

use crate::apache::document::{Document, Line, words};
use crate::apache::dump::{Node, Origin};

/// One `.htaccess` on the way to a webroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Htaccess {
    /// Its directives, conditional sections flattened; other sections as nodes.
    pub nodes: Vec<Node>,
    /// The directory it stands in.
    pub directory: PathBuf,
    /// Why nobody can tell what is in it.
    pub unreadable: Option<String>,
}

impl Htaccess {
    /// Reads the directives of `document`, which was read from `file`.
    pub fn parse(file: &str, document: &Document) -> Self {
        let mut lines = document.lines().iter().filter(|line| !line.is_comment());
        let directory = Path::new(file).parent().unwrap_or(Path::new("/")).to_owned();
        Self { nodes: nodes(file, &mut lines), directory, unreadable: None }
    }

    /// One in `directory` that cannot be read, and `why`.
    pub fn unreadable(directory: &Path, why: String) -> Self {
        Self { nodes: Vec::new(), directory: directory.to_owned(), unreadable: Some(why) }
    }
}

fn nodes<'a>(file: &str, lines: &mut impl Iterator<Item = &'a Line>) -> Vec<Node> {
    let mut out = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.name() else { continue };
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        if name.starts_with("</") {
            break;
        }
        let children = if name.starts_with('<') { nodes(file, lines) } else { Vec::new() };
        if matches!(
            name.as_str(),
            "<ifmodule" | "<ifdefine" | "<ifversion" | "<iffile" | "<ifdirective"
        ) {
            out.extend(children);
            continue;
        }
        let first = words(&line.text).next().map_or(0, |w| w.len());
        let arguments = line.text.get(first..).unwrap_or(&[]).trim_ascii();
        out.push(Node {
            name,
            arguments: arguments.strip_suffix(b">").unwrap_or(arguments).to_vec(),
            origin: Origin { file: file.to_owned(), line: line.last },
            children,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_taken_to_hold() {
        let text = b"<IfModule mod_rewrite.c>\nRewriteEngine On\nRewriteRule . /index.php [L]\n</IfModule>\n<Files x>\nDeny from all\n</Files>";
        let document = Document::parse(text.to_vec()).unwrap();
        let file = Htaccess::parse("/srv/.htaccess", &document);
        let names: Vec<_> = file.nodes.iter().map(|n| (n.name.as_str(), n.origin.line)).collect();
        assert_eq!(names, [("rewriteengine", 2), ("rewriterule", 3), ("<files", 5)]);
    }
}
