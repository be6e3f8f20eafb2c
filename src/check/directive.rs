//! pure: a directive as people find it: the file and line as it stands now, and its own words.

use std::collections::BTreeMap;

use crate::apache::document::Document;
use crate::apache::dump::{Node, Origin};
use crate::apache::oracle::{Blocks, as_it_stands};
use crate::check::answerer::{Handling, VhostAnswer};
use crate::fleet::inspection::{Answerer, Directive};

/// The user's files, and where our lines are in them.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// The user's own text, by the path Apache opened.
    pub documents: &'a BTreeMap<String, Document>,
    /// Our lines.
    pub blocks: &'a Blocks,
}

impl Texts<'_> {
    /// `FILE:LINE`, counted with our own lines.
    pub fn place(&self, origin: &Origin) -> String {
        as_it_stands(origin, self.blocks).to_string()
    }

    /// What stands at `node`'s line; as Apache read it where that is in no file of its own.
    pub fn text(&self, node: &Node) -> String {
        let line = self.documents.get(&node.origin.file);
        let line = line.and_then(|d| d.line_ending_at(node.origin.line));
        if let Some(line) = line {
            return String::from_utf8_lossy(line.text.trim_ascii()).into_owned();
        }
        let known = NAMES.iter().find(|name| name.eq_ignore_ascii_case(&node.name));
        let name = known.map_or(node.name.as_str(), |name| name);
        format!("{name} {}", String::from_utf8_lossy(&node.arguments))
    }

    fn directive(&self, seen: &VhostAnswer<'_>) -> Directive {
        let Some(node) = seen.by else {
            let text = "DocumentRoot of the main server, by default".to_owned();
            return Directive { place: None, text, target: seen.target.clone() };
        };
        let place = Some(self.place(&node.origin));
        Directive { place, text: self.text(node), target: seen.target.clone() }
    }

    /// Who answers, in the words that go to other hosts.
    pub fn answerer(&self, seen: &VhostAnswer<'_>) -> Answerer {
        match seen.fate {
            Handling::Webroot => Answerer::Webroot,
            Handling::Passed => Answerer::Passed(self.directive(seen)),
            Handling::Redirected => Answerer::Redirected(self.directive(seen)),
            Handling::Elsewhere => Answerer::Elsewhere(self.directive(seen)),
            Handling::Denied => Answerer::Denied(self.directive(seen)),
            Handling::Taken => Answerer::Taken(self.directive(seen)),
            Handling::Account => Answerer::Account(self.directive(seen)),
        }
    }
}

/// As the manual writes what a dump gives in lower case.
const NAMES: [&str; 15] = [
    "Alias",
    "AliasMatch",
    "Deny",
    "DocumentRoot",
    "ErrorDocument",
    "Order",
    "ProxyPass",
    "ProxyPassMatch",
    "Redirect",
    "RedirectMatch",
    "RedirectPermanent",
    "Require",
    "RewriteRule",
    "SetHandler",
    "JkMount",
];
