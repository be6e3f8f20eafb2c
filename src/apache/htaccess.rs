//! pure: the directives of a `.htaccess` file, whatever `AccessFileName` calls it.
//!
//! There is no dump of these files: Apache reads them per request. All
//! conditional sections are taken to hold, which errs towards an obstacle.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apache::DEEPEST;
use crate::apache::document::{Document, LogicalLine, words};
use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::vhosts::Vhost;

/// One `.htaccess` on the way to a webroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Htaccess {
    /// Its directives, conditional sections flattened; other sections as nodes.
    pub nodes: Vec<Node>,
    /// The directory it stands in.
    pub directory: PathBuf,
    /// Its name there.
    pub name: String,
    /// Why nobody can tell what is in it.
    pub unreadable: Option<String>,
}

impl Htaccess {
    /// Reads the directives of `document`, which was read from `file`.
    pub fn parse(file: &str, document: &Document) -> Self {
        let mut lines = document.lines().iter().filter(|line| !line.is_comment());
        let Some(nodes) = nodes(file, &mut lines, DEEPEST) else {
            let why = format!("{file}: its sections are nested more than {DEEPEST} deep");
            return Self::unreadable(Path::new(file), why);
        };
        let (directory, name) = place(Path::new(file));
        Self { nodes, directory, name, unreadable: None }
    }

    /// One that cannot be read, and `why`.
    pub fn unreadable(file: &Path, why: String) -> Self {
        let (directory, name) = place(file);
        Self { nodes: Vec::new(), directory, name, unreadable: Some(why) }
    }
}

fn place(file: &Path) -> (PathBuf, String) {
    let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
    (directory, file.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Every name that such a file has for some vhost of `dump`.
pub fn names(dump: &Dump) -> BTreeSet<String> {
    fn collect(nodes: &[Node], names: &mut BTreeSet<String>) {
        for node in nodes {
            if node.name == "accessfilename" {
                names.extend(texts(node.words()));
            }
            if node.name == "<virtualhost" {
                collect(&node.children, names);
            }
        }
    }
    let mut names: BTreeSet<String> = std::iter::once(USUAL.to_owned()).collect();
    collect(&dump.config, &mut names);
    names
}

/// Those of `files` that `vhost` reads: of each directory the first that is there
/// (`ap_parse_htaccess`, config.c).
pub fn read_by<'a>(vhost: &Vhost<'_>, files: &'a [Htaccess]) -> Vec<&'a Htaccess> {
    let named = vhost.last("accessfilename").map(|node| texts(node.words()).collect());
    let names: Vec<String> = named.unwrap_or_else(|| vec![USUAL.to_owned()]);
    let rank = |file: &Htaccess| names.iter().position(|name| *name == file.name);
    let is_first = |file: &&'a Htaccess| {
        let there = files.iter().filter(|other| other.directory == file.directory);
        rank(file).is_some() && rank(file) == there.filter_map(rank).min()
    };
    files.iter().filter(is_first).collect()
}

fn texts(words: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = String> {
    words.map(|word| String::from_utf8_lossy(&word).into_owned())
}

/// Without any `AccessFileName` (`DEFAULT_ACCESS_FNAME`, core.c).
const USUAL: &str = ".htaccess";

/// `None` if they are nested more than `deepest` deep.
fn nodes<'a>(
    file: &str,
    lines: &mut impl Iterator<Item = &'a LogicalLine>,
    deepest: usize,
) -> Option<Vec<Node>> {
    let mut out = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.name() else { continue };
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        if name.starts_with("</") {
            break;
        }
        let children = if name.starts_with('<') {
            nodes(file, lines, deepest.checked_sub(1)?)?
        } else {
            Vec::new()
        };
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
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_nested_without_end_is_unreadable() {
        let nested = |depth: usize| {
            let document = Document::parse("<a\n".repeat(depth).into_bytes()).unwrap();
            Htaccess::parse("/srv/.htaccess", &document).unreadable
        };
        assert_eq!(nested(DEEPEST), None);
        assert!(nested(340_000).unwrap().contains("/srv/.htaccess"));
    }

    #[test]
    fn conditions_are_taken_to_hold() {
        let text = b"<IfModule mod_rewrite.c>\nRewriteEngine On\nRewriteRule . /index.php [L]\n</IfModule>\n<Files x>\nDeny from all\n</Files>";
        let document = Document::parse(text.to_vec()).unwrap();
        let file = Htaccess::parse("/srv/.htaccess", &document);
        let names: Vec<_> = file.nodes.iter().map(|n| (n.name.as_str(), n.origin.line)).collect();
        assert_eq!(names, [("rewriteengine", 2), ("rewriterule", 3), ("<files", 5)]);
    }
}
