//! pure: which sections apply to the challenge request, in the order Apache merges them.
//!
//! `<Directory>` from the shortest path, then `<DirectoryMatch>`, `<Files>`,
//! `<Location>`, `<If>` (`server/request.c`; "How the sections are merged" of the
//! manual). Sections nested in others count where the outer one does.

use std::path::Path;

use crate::document::words;
use crate::dump::Node;
use crate::pattern::{self, Pattern};
use crate::request::Request;
use crate::vhosts::Vhost;

/// A section that applies, or may apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied<'a> {
    /// The section.
    pub node: &'a Node,
    /// Where in the merge it stands.
    pub stage: Stage,
}

/// The stages of the merge, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// `<Directory>`, `<DirectoryMatch>`; `.htaccess` belongs here.
    Directory,
    /// `<Files>`, `<FilesMatch>`.
    Files,
    /// `<Location>`, `<LocationMatch>`.
    Location,
    /// `<If>` and its kin: whether it applies is not decided here.
    If,
}

/// The sections that apply to `request` when it is answered from `directory`, in merge order.
pub fn applied<'a>(vhost: &Vhost<'a>, request: &Request, directory: &Path) -> Vec<Applied<'a>> {
    let mut found = Vec::new();
    let path = directory.as_os_str().as_encoded_bytes();
    for node in vhost.all() {
        collect(node, request, path, &mut found);
    }
    // A stable sort keeps the configuration's order within a stage and depth.
    found.sort_by_key(|(applied, depth)| (applied.stage, *depth));
    found.into_iter().map(|(applied, _)| applied).collect()
}

fn collect<'a>(
    node: &'a Node,
    request: &Request,
    directory: &[u8],
    found: &mut Vec<(Applied<'a>, usize)>,
) {
    let argument = words(&node.arguments).next().unwrap_or_default();
    let regex = words(&node.arguments).nth(1).filter(|_| argument == b"~");
    let by_regex = |text: &[u8], subject: &[u8]| {
        Pattern::compile(text, false).is_some_and(|p| p.matches(subject))
    };
    let url = request.path().as_bytes();
    let file = [directory, b"/", Request::SAMPLE.as_bytes()].concat();
    let name = Request::SAMPLE.as_bytes();
    let components = argument.iter().filter(|&&b| b == b'/').count();
    let (stage, depth, applies) = match (node.name.as_str(), regex) {
        ("<directory", None) => {
            (Stage::Directory, components, pattern::directory(&argument, directory))
        }
        ("<directory", Some(text)) => (Stage::Directory, usize::MAX, by_regex(&text, &file)),
        ("<directorymatch", _) => (Stage::Directory, usize::MAX, by_regex(&argument, &file)),
        ("<files", None) => (Stage::Files, 0, pattern::file(&argument, name)),
        ("<files", Some(text)) => (Stage::Files, 0, by_regex(&text, name)),
        ("<filesmatch", _) => (Stage::Files, 0, by_regex(&argument, name)),
        ("<location", None) => (Stage::Location, 0, pattern::location(&argument, url)),
        ("<location", Some(text)) => (Stage::Location, 0, by_regex(&text, url)),
        ("<locationmatch", _) => (Stage::Location, 0, by_regex(&argument, url)),
        ("<if" | "<elseif" | "<else", _) => (Stage::If, 0, true),
        _ => return,
    };
    if applies {
        found.push((Applied { node, stage }, depth));
        for child in &node.children {
            collect(child, request, directory, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Dump;
    use crate::names::Hostname;
    use crate::vhosts::answering;

    #[test]
    fn sections_come_in_merge_order() {
        let output = b"# In file: /f
#   1:
<Location />
  #   2:
  Require all granted
</Location>
#   3:
<DirectoryMatch \"/\\.\">
  #   4:
  Require all denied
</DirectoryMatch>
#   5:
<Directory /var/www/>
  #   6:
  <FilesMatch \"^\\.ht\">
    #   7:
    Require all denied
  </FilesMatch>
  #   8:
  <Files *>
    #   9:
    ForceType text/plain
  </Files>
</Directory>
#  10:
<Directory />
  #  11:
  Require all denied
</Directory>
#  12:
<Directory /srv>
  #  13:
  Require all denied
</Directory>
";
        let dump = Dump::parse(output).unwrap();
        let host = Hostname::parse("a.example.org").unwrap();
        let vhost = answering(&dump, None, 80, &host);
        let directory = Path::new("/var/www/html/.well-known/acme-challenge");
        let lines: Vec<u32> = applied(&vhost, &Request::new(&host), directory)
            .iter()
            .map(|a| a.node.origin.line)
            .collect();
        assert_eq!(lines, [10, 5, 3, 8, 1]);
    }
}
