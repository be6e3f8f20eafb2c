//! pure: which ProxyPass takes a challenge request.
//!
//! `proxy_trans` (mod_proxy.c): entries with `mapping=encoded` act first; then
//! the last matching `<Location>` that has one; then the list of the main
//! server, then the vhost's, first match wins. `!` ends the search of its phase.

use crate::document::words;
use crate::dump::{Node, Origin};
use crate::pattern::{self, Pattern};
use crate::request::Request;
use crate::sections::{Applied, Stage};
use crate::vhosts::Vhost;

/// The `ProxyPass` that takes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Winner<'a> {
    /// Where it stands.
    pub origin: &'a Origin,
    /// It has `mapping=encoded`.
    pub encoded: bool,
}

/// How the search ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution<'a> {
    /// Who takes the request; `None` when nobody or a `!` does.
    pub winner: Option<Winner<'a>>,
    /// Every line that matches and sends somewhere, in the order of the search.
    matching: Vec<&'a Node>,
}

/// Finds who takes `request` in `vhost`; `sections` are those that apply.
pub fn resolve<'a>(
    vhost: &Vhost<'a>,
    request: &Request,
    sections: &[Applied<'a>],
) -> Resolution<'a> {
    let url = request.path().as_bytes();
    let located = sections.iter().filter(|s| s.stage == Stage::Location);
    let located: Vec<&Node> =
        located.flat_map(|s| &s.node.children).filter(|n| is_pass(n)).collect();
    let listed = vhost.all().filter(|n| is_pass(n) && list_entry_matches(n, url));
    // The last in a Location wins, so the search goes backwards there.
    let search: Vec<&Node> = located.last().copied().into_iter().chain(listed).collect();
    let first = |encoded: bool| search.iter().find(|n| is_encoded(n) == encoded).copied();
    let winner = [true, false].into_iter().filter_map(|encoded| {
        let node = first(encoded).filter(|n| !is_exclusion(n))?;
        Some(Winner { origin: &node.origin, encoded })
    });
    let winner = winner.into_iter().next();
    let all = located.into_iter().chain(search.iter().copied());
    Resolution { winner, matching: all.filter(|n| !is_exclusion(n)).collect() }
}

/// Lines written for the challenge path that can never win: `rewritten` or the winner comes first.
pub fn dead(
    vhost: &Vhost<'_>,
    request: &Request,
    resolution: &Resolution<'_>,
    rewritten: Option<&Origin>,
) -> Vec<Origin> {
    let winner = if rewritten.is_some() { None } else { resolution.winner.map(|w| w.origin) };
    let meant = |n: &&Node| is_meant(n) || located_for_challenge(vhost, request, n);
    let losers = resolution.matching.iter().filter(|n| Some(&n.origin) != winner);
    let mut dead: Vec<Origin> = losers.filter(|n| meant(n)).map(|n| n.origin.clone()).collect();
    dead.sort();
    dead.dedup();
    dead
}

fn is_meant(node: &Node) -> bool {
    words(&node.arguments).next().is_some_and(|w| contains(&w, b"well-known"))
}

fn located_for_challenge(vhost: &Vhost<'_>, _request: &Request, node: &Node) -> bool {
    vhost.all().any(|section| {
        section.name.starts_with("<location")
            && contains(&section.arguments, b"well-known")
            && section.children.iter().any(|child| child.origin == node.origin)
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}

fn is_pass(node: &Node) -> bool {
    matches!(node.name.as_str(), "proxypass" | "proxypassmatch")
}

/// `ProxyPass path target …` outside of a `<Location>`.
fn list_entry_matches(node: &Node, url: &[u8]) -> bool {
    let Some(path) = words(&node.arguments).next() else { return false };
    match node.name.as_str() {
        "proxypass" => pattern::prefix(url, &path).is_some(),
        _ => Pattern::compile(&path, false).is_some_and(|p| p.matches(url)),
    }
}

fn is_exclusion(node: &Node) -> bool {
    words(&node.arguments).any(|w| w == b"!")
}

fn is_encoded(node: &Node) -> bool {
    words(&node.arguments).any(|w| w.eq_ignore_ascii_case(b"mapping=encoded"))
}
