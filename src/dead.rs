//! pure: lines written for the challenge path that can never decide anything.
//!
//! A line is called dead only when it is passed over for every name and every
//! token that is tried, in the only vhost it stands in. A doubt is no word.

use std::collections::BTreeSet;
use std::path::Path;

use crate::document::words;
use crate::dump::{Dump, Node, Origin};
use crate::likelihood::Likelihood;
use crate::mapping::redirected;
use crate::names::Hostname;
use crate::pattern::Pattern;
use crate::proxying::{Search, is_encoded, search};
use crate::request::Request;
use crate::rewrite::{self, Effect};
use crate::rulebook::Rulebook;
use crate::sections::applied;
use crate::vhosts::Vhost;

/// The dead lines of `vhost`, which answers `names`, by position.
pub fn dead(dump: &Dump, vhost: &Vhost<'_>, names: &[Hostname], directory: &Path) -> Vec<Origin> {
    let (mut alive, mut passed_over) = (BTreeSet::new(), BTreeSet::new());
    // A condition on the name must not make a line dead for those it spares.
    let other = Hostname::parse("certbaton.invalid");
    for name in names.iter().chain(other.as_ref().ok()) {
        for token in [Request::SAMPLE, "-0"] {
            let request = Request::for_token(name, token);
            let sections = applied(vhost, &request, directory);
            let Search { deciding, passed_over: others } = search(vhost, &request, &sections);
            let rewritten = is_certainly_rewritten(dump, vhost, &request);
            let (late, first): (Vec<_>, Vec<_>) =
                deciding.into_iter().partition(|n| rewritten && !is_encoded(n));
            alive.extend(first.into_iter().map(|n| &n.origin));
            passed_over.extend(others.into_iter().chain(late).map(|n| &n.origin));
            let aliases = vhost.own().filter(|n| matches!(n.name.as_str(), "alias" | "aliasmatch"));
            // `Redirect` comes before `Alias` (`translate_alias_redir`).
            if redirected(vhost, &request).is_some() {
                passed_over.extend(aliases.map(|n| &n.origin));
            } else {
                alive.extend(aliases.map(|n| &n.origin));
            }
        }
    }
    let ours = meant(vhost).into_iter().filter(|origin| is_only_here(dump, origin));
    ours.filter(|o| passed_over.contains(o) && !alive.contains(o)).cloned().collect()
}

/// Whether a rewrite rule takes the request away before `mod_proxy` sees it.
fn is_certainly_rewritten(dump: &Dump, vhost: &Vhost<'_>, request: &Request) -> bool {
    let book = Rulebook::of(vhost);
    // Behind a redirect to another port the same vhost may answer once more.
    let plain = |origin: &Origin| {
        dump.bindings.iter().filter(|b| b.vhost == *origin).all(|b| b.port == Some(80))
    };
    let touch = rewrite::touch(book.all(), request, request.path().as_bytes());
    let taken = touch.is_some_and(|t| {
        t.likelihood == Likelihood::Yes
            && matches!(t.effect, Effect::Proxy | Effect::Redirect | Effect::Status(_))
    });
    book.engine && taken && vhost.origin().is_some_and(plain)
}

/// The vhost's own lines that are for the challenge path and nothing else.
fn meant<'a>(vhost: &Vhost<'a>) -> Vec<&'a Origin> {
    let passes = |n: &&Node| matches!(n.name.as_str(), "proxypass" | "proxypassmatch");
    let mut found = Vec::new();
    for node in vhost.own() {
        let is_regex = node.name.ends_with("match");
        let mut arguments = words(&node.arguments);
        let argument = arguments.next().unwrap_or_default();
        let (argument, is_regex) = match (node.name.as_str(), &argument[..]) {
            ("<location", b"~") => (arguments.next().unwrap_or_default(), true),
            _ => (argument, is_regex),
        };
        if !is_for_challenges(&argument, is_regex) {
            continue;
        }
        match node.name.as_str() {
            "<location" | "<locationmatch" => {
                found.extend(node.children.iter().filter(passes).map(|n| &n.origin));
            }
            "proxypass" | "proxypassmatch" | "alias" | "aliasmatch" => found.push(&node.origin),
            _ => {}
        }
    }
    found
}

fn is_for_challenges(argument: &[u8], is_regex: bool) -> bool {
    if !is_regex {
        return argument.starts_with(b"/.well-known/acme-challenge");
    }
    let elsewhere = [&b"/"[..], b"/page", b"/.well-known/", b"/.well-known/other"];
    String::from_utf8_lossy(argument).contains("acme-challenge")
        && Pattern::compile(argument, false)
            .is_some_and(|p| !elsewhere.iter().any(|path| p.matches(path)))
}

/// A line of a file that several vhosts include may decide in another one.
fn is_only_here(dump: &Dump, origin: &Origin) -> bool {
    fn uses(nodes: &[Node], origin: &Origin) -> usize {
        let own = |n: &Node| usize::from(n.origin == *origin) + uses(&n.children, origin);
        nodes.iter().map(own).sum()
    }
    uses(&dump.config, origin) == 1
}
