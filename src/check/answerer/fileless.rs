//! pure: a rule that answers for an ACME account without any file, and which account that is.
//!
//! `RewriteRule … [R=200]` and `ErrorDocument 200 "….THUMBPRINT"` together (acme.sh's "stateless mode").

use crate::apache::directories::Level;
use crate::apache::dump::Node;
use crate::apache::vhosts::Vhost;
use crate::base::names::Thumbprint;
use crate::check::answerer::{Handling, VhostAnswer};

/// `found`, or the account by whose thumbprint it answers.
pub(super) fn or<'a>(
    found: VhostAnswer<'a>,
    vhost: &Vhost<'a>,
    levels: &[Level<'a>],
) -> VhostAnswer<'a> {
    if found.fate != Handling::Taken || found.by.is_none_or(|node| node.name != "rewriterule") {
        return found;
    }
    // The nearest section decides.
    let inside = levels.iter().rev().flat_map(|level| level.nodes.iter().copied());
    let document = inside.chain(vhost.all()).find(|node| answers_200(node));
    let Some((node, thumbprint)) = document.and_then(|node| Some((node, thumbprint(node)?))) else {
        return found;
    };
    let target = Some(thumbprint.to_string());
    VhostAnswer { fate: Handling::Account, by: Some(node), target, ..found }
}

fn answers_200(node: &Node) -> bool {
    node.name == "errordocument" && node.words().next().is_some_and(|code| code == b"200")
}

/// What follows the last dot of its text.
fn thumbprint(node: &Node) -> Option<Thumbprint> {
    let text = node.words().nth(1)?;
    let text = String::from_utf8(text).ok()?;
    Thumbprint::parse(text.rsplit_once('.')?.1).ok()
}
