//! pure: which sections apply to the challenge request, in the order Apache merges them.
//!
//! `<Directory>` from the shortest path, then `<DirectoryMatch>`, `<Files>`,
//! `<Location>`, `<If>` (`server/request.c`; "How the sections are merged" of the
//! manual). Sections nested in others count where the outer one does.

use std::path::Path;

use crate::apache::dump::Node;
use crate::apache::expression;
use crate::apache::likelihood::Likelihood;
use crate::apache::pattern;
use crate::apache::request::Request;
use crate::apache::vhosts::Vhost;

/// A section that applies, or may apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied<'a> {
    /// The section.
    pub node: &'a Node,
    /// Where in the merge it stands.
    pub stage: MergeStage,
    /// Order within the stage: path components of a `<Directory>`, how many
    /// `<If>` are around and including an `<If>`.
    pub depth: usize,
    /// `Maybe` only for an `<If>` whose condition cannot be told.
    pub likelihood: Likelihood,
}

/// The stages of the merge, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MergeStage {
    /// `<Directory>`, `<DirectoryMatch>`; `.htaccess` belongs here.
    Directory,
    /// `<Files>`, `<FilesMatch>`.
    Files,
    /// `<Location>`, `<LocationMatch>`.
    Location,
    /// `<If>` and its kin; nested ones after all others (`ap_if_walk_sub`).
    If,
}

/// The sections that apply to `request` when it is answered from `directory`, in merge order.
pub fn applied<'a>(vhost: &Vhost<'a>, request: &Request, directory: &Path) -> Vec<Applied<'a>> {
    within(vhost.all(), request, directory)
}

/// The sections among and within `nodes` that apply, in merge order.
pub fn within<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    request: &Request,
    directory: &Path,
) -> Vec<Applied<'a>> {
    let mut found = Vec::new();
    for node in nodes {
        collect(node, request, directory.as_os_str().as_encoded_bytes(), 1, &mut found);
    }
    // A stable sort keeps the configuration's order within a stage and depth.
    found.sort_by_key(|applied| (applied.stage, applied.depth));
    found
}

fn collect<'a>(
    node: &'a Node,
    request: &Request,
    directory: &[u8],
    nesting: usize,
    found: &mut Vec<Applied<'a>>,
) {
    let argument = node.first();
    let regex = node.words().nth(1).filter(|_| argument == b"~");
    let by_regex = |text: &[u8], subject: &[u8]| pattern::finds(text, false, subject);
    let url = request.path().as_bytes();
    let file = [directory, b"/", Request::SAMPLE.as_bytes()].concat();
    let name = Request::SAMPLE.as_bytes();
    let (stage, depth, applies) = match (node.name.as_str(), regex) {
        ("<directory", None) => {
            let applies = pattern::directory(&argument, directory);
            (MergeStage::Directory, components(&argument), applies.into())
        }
        ("<directory", Some(text)) => {
            (MergeStage::Directory, usize::MAX, by_regex(&text, &file).into())
        }
        ("<directorymatch", _) => {
            (MergeStage::Directory, usize::MAX, by_regex(&argument, &file).into())
        }
        ("<files", None) => (MergeStage::Files, 0, pattern::file(&argument, name).into()),
        ("<files", Some(text)) => (MergeStage::Files, 0, by_regex(&text, name).into()),
        ("<filesmatch", _) => (MergeStage::Files, 0, by_regex(&argument, name).into()),
        ("<location", None) => (MergeStage::Location, 0, pattern::location(&argument, url).into()),
        ("<location", Some(text)) => (MergeStage::Location, 0, by_regex(&text, url).into()),
        ("<locationmatch", _) => (MergeStage::Location, 0, by_regex(&argument, url).into()),
        ("<if", _) => (MergeStage::If, nesting, expression::holds(&node.arguments, request)),
        // Depends on the <If> before it too.
        ("<elseif" | "<else", _) => (MergeStage::If, nesting, Likelihood::Maybe),
        _ => return,
    };
    if applies != Likelihood::No {
        found.push(Applied { node, stage, depth, likelihood: applies });
        let nesting = nesting + usize::from(stage == MergeStage::If);
        for child in &node.children {
            collect(child, request, directory, nesting, found);
        }
    }
}

/// How many directories a path names (`ap_count_dirs`); `/` is one.
pub fn components(path: &[u8]) -> usize {
    1 + path.split(|&b| b == b'/').filter(|part| !part.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::dump::Dump;
    use crate::apache::vhosts::answering;
    use crate::base::names::Hostname;

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
<Directory /var/www/html>
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
#  11:
<Directory /var/www/>
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
        assert_eq!(lines, [10, 11, 5, 3, 8, 1]);
    }

    #[test]
    fn conditions_come_last_and_nested_ones_after_all_others() {
        let output = b"# In file: /f
#   1:
<If \"true\">
  #   2:
  <If \"true\">
    #   3:
    Require all denied
  </If>
</If>
#   4:
<Location />
  #   5:
  <If \"-R '10.0.0.0/8'\">
    #   6:
    Require all denied
  </If>
</Location>
#   7:
<If \"%{HTTPS} == 'on'\">
  #   8:
  Require all denied
</If>
";
        let dump = Dump::parse(output).unwrap();
        let host = Hostname::parse("a.example.org").unwrap();
        let vhost = answering(&dump, None, 80, &host);
        let applied = applied(&vhost, &Request::new(&host), Path::new("/srv"));
        let seen: Vec<_> =
            applied.iter().map(|a| (a.node.origin.line, a.depth, a.likelihood)).collect();
        let (yes, maybe) = (Likelihood::Yes, Likelihood::Maybe);
        assert_eq!(seen, [(4, 0, yes), (1, 1, yes), (5, 1, maybe), (2, 2, yes)]);
    }
}
