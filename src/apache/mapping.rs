//! pure: where `mod_alias`, `mod_vhost_alias` and the document root lead a challenge request.
//!
//! What stands on the server level alone; `Redirect` comes before `Alias`, the
//! vhost's own before the main server's (`translate_alias_redir`, `mod_alias.c`).

use crate::apache::dump::{Dump, Node};
use crate::apache::pattern::{self, Pattern};
use crate::apache::request::Request;
use crate::apache::sections::{Applied, MergeStage};
use crate::apache::vhosts::Vhost;

/// The server-level `Redirect` that answers.
pub fn redirected<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Node> {
    let mut own = vhost.own().chain(vhost.main.iter().copied());
    own.find(|node| redirects(node, request))
}

/// Whether a `Redirect [status] path [url]` or one of its kin takes the request.
pub fn redirects(node: &Node, request: &Request) -> bool {
    let mut words = node.words().peekable();
    if matches!(node.name.as_str(), "redirect" | "redirectmatch") {
        let status = |w: &Vec<u8>| {
            let named = [&b"permanent"[..], b"temp", b"seeother", b"gone"];
            named.iter().any(|n| w.eq_ignore_ascii_case(n)) || w.iter().all(u8::is_ascii_digit)
        };
        words.next_if(status);
    }
    let Some(path) = words.next() else { return false };
    let url = request.path().as_bytes();
    match node.name.as_str() {
        "redirect" | "redirectpermanent" | "redirecttemp" => pattern::prefix(url, &path).is_some(),
        "redirectmatch" => pattern::finds(&path, false, url),
        _ => false,
    }
}

/// Where the path leads on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// The `Alias` or `DocumentRoot`; `None` for a default.
    pub by: Option<&'a Node>,
    /// The file of the token; empty where it depends on the name that is asked for, or on an expression.
    pub to: Vec<u8>,
}

/// `JkMount` takes the request in `map_to_storage`, after anything we may insert.
pub fn jk<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Node> {
    let covers = |name: &'static str| {
        vhost.all().filter(move |n| n.name == name).find(|n| {
            n.words().next().is_some_and(|p| {
                let p = p.strip_suffix(b"|/*").unwrap_or(&p).to_vec();
                let head = p.split(|&b| b == b'*').next().unwrap_or(&p);
                request.path().as_bytes().starts_with(head)
                    && (p.contains(&b'*') || p == request.path().as_bytes())
            })
        })
    };
    covers("jkmount").filter(|_| covers("jkunmount").is_none())
}

/// Where the path leads on disk when nothing but aliases and the document root decides.
pub fn mapped<'a>(
    vhost: &Vhost<'a>,
    dump: &Dump,
    request: &Request,
    sections: &[Applied<'a>],
) -> Mapped<'a> {
    let url = request.path().as_bytes();
    let located = sections.iter().filter(|s| s.stage == MergeStage::Location);
    let located = located.flat_map(|s| &s.node.children).rfind(|n| n.name == "alias");
    if let Some(node) = located {
        return Mapped { by: Some(node), to: Vec::new() };
    }
    let mut aliases = vhost.own().chain(vhost.main.iter().copied());
    let alias = aliases.find_map(|node| Some((node, aliased(node, url)?)));
    let by_name = vhost.all().rfind(|n| n.name.starts_with("virtualdocumentroot"));
    let by_name = by_name.filter(|n| !n.arguments.eq_ignore_ascii_case(b"none"));
    let (by, to) = match (alias, by_name) {
        (Some((node, to)), _) => (Some(node), to),
        (None, Some(node)) => (Some(node), Vec::new()),
        (None, None) => {
            let root = vhost.all().rfind(|n| n.name == "documentroot");
            (root, [&vhost.document_root(dump)[..], url].concat())
        }
    };
    Mapped { by, to: squeeze(&to) }
}

fn aliased(node: &Node, url: &[u8]) -> Option<Vec<u8>> {
    let mut words = node.words();
    let (from, to) = (words.next()?, words.next()?);
    match node.name.as_str() {
        "alias" | "scriptalias" | "wsgiscriptalias" => {
            let used = pattern::prefix(url, &from)?;
            Some([&to[..], &url[used..]].concat())
        }
        "aliasmatch" | "scriptaliasmatch" | "wsgiscriptaliasmatch" => {
            Pattern::compile(&from, false)?.substitute(url, &to)
        }
        _ => None,
    }
}

/// Doubled slashes mean nothing in a path.
pub fn squeeze(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|a, b| *a == b'/' && *b == b'/');
    out
}
