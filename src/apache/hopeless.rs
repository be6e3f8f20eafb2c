//! pure: what no inserted line can overrule.
//!
//! A `Redirect` inside a section acts in a later phase than anything that can be
//! inserted, and `JkMount` and `mod_md` ask nobody.

use crate::apache::directories::Level;
use crate::apache::document::words;
use crate::apache::dump::Node;
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::redirects;
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::sections::Stage;
use crate::apache::vhosts::Vhost;

/// All reasons to refuse `vhost` for `request`.
pub fn hopeless(vhost: &Vhost<'_>, request: &Request, levels: &[Level<'_>]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(origin) = vhost.origin().filter(|origin| origin.is_macro()) {
        refusals.push(Refusal::macro_vhost(origin));
    }
    refusals.extend(levels.iter().flat_map(|level| section_redirects(level, request)));
    refusals.extend(jk(vhost, request).map(|n| Refusal::jk(&n.origin)));
    refusals.extend(managed(vhost, request).map(|n| Refusal::managed_domain(&n.origin)));
    refusals
}

fn section_redirects(level: &Level<'_>, request: &Request) -> Vec<Refusal> {
    let section = level.section;
    let argument = section.map(|s| String::from_utf8_lossy(&s.node.arguments).into_owned());
    let spared = argument.is_some_and(|a| a.contains("well-known"));
    if level.likelihood() == Likelihood::Maybe && spared {
        // A condition that names the path is taken to spare it; the proof has the last word.
        return Vec::new();
    }
    let redirects = level.nodes.iter().filter(|n| n.name.starts_with("redirect"));
    let answering = redirects.filter(|n| answers_here(n, request));
    let refusal = match section {
        Some(s) if s.stage == Stage::If => Refusal::condition,
        _ => Refusal::section_redirect,
    };
    answering.map(|n| refusal(&n.origin)).collect()
}

/// A redirect inside a section: without a path of its own it takes all the section covers.
pub fn answers_here(node: &Node, request: &Request) -> bool {
    let has_path = words(&node.arguments).any(|w| w.starts_with(b"/") || w.starts_with(b"^"));
    node.name != "redirectmatch" && !has_path || redirects(node, request)
}

/// `JkMount` takes the request in `map_to_storage`, after anything we may insert.
pub fn jk<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Node> {
    let covers = |name: &'static str| {
        vhost.all().filter(move |n| n.name == name).find(|n| {
            words(&n.arguments).next().is_some_and(|p| {
                let p = p.strip_suffix(b"|/*").unwrap_or(&p).to_vec();
                let head = p.split(|&b| b == b'*').next().unwrap_or(&p);
                request.path().as_bytes().starts_with(head)
                    && (p.contains(&b'*') || p == request.path().as_bytes())
            })
        })
    };
    covers("jkmount").filter(|_| covers("jkunmount").is_none())
}

/// A name that `mod_md` renews itself: it answers 404 before any other module
/// (`md_http_challenge_pr`, mod_md.c).
pub fn managed<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Node> {
    let manual = |n: &Node| {
        n.name == "mdrenewmode" && words(&n.arguments).any(|w| w.eq_ignore_ascii_case(b"manual"))
    };
    if vhost.main.iter().any(|n| manual(n)) {
        return None;
    }
    let named = |n: &&Node| {
        matches!(
            n.name.as_str(),
            "mdomain" | "<mdomain" | "<mdomainset" | "manageddomain" | "mdmember"
        ) && !n.children.iter().any(manual)
            && words(&n.arguments)
                .any(|w| w.eq_ignore_ascii_case(request.host().as_str().as_bytes()))
    };
    vhost.main.iter().copied().find(|n| named(n))
}
