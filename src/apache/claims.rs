//! pure: every line that takes a challenge request, or may, in the order of Apache's phases.
//!
//! The first that takes it answers today; all of them are in the way of certbot's webroot, because
//! the next one wins once the winner is gone. Before any name is translated `mod_md`, then
//! `mod_rewrite`, `mod_proxy`, `mod_alias` and the document root; where that leads to a file or
//! another server, access, per-directory rewriting, redirects of sections and handlers come after.

use std::path::Path;

use crate::apache::directories::{self, Level, levels};
use crate::apache::dump::{Dump, Node};
use crate::apache::htaccess::Htaccess;
use crate::apache::likelihood::Likelihood;
use crate::apache::managed_domain::managed;
use crate::apache::mapping::{Mapped, jk, mapped, redirected, redirects};
use crate::apache::proxying::{by_express, is_encoded, winner};
use crate::apache::request::Request;
use crate::apache::rewrite::{Touch, touches};
use crate::apache::rulebook::Rulebook;
use crate::apache::sections::{Applied, MergeStage, applied};
use crate::apache::vhosts::Vhost;

/// A line that takes the request, or may, unless one before it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestClaim<'a> {
    /// What it does.
    pub act: Act<'a>,
    /// The directive; none where a default does.
    pub by: Option<&'a Node>,
    /// Whether it is sure of every request of a CA.
    pub likelihood: Likelihood,
    /// The section around it; none on the server level and in a `.htaccess`.
    pub section: Option<Applied<'a>>,
}

/// What a line does with the request, by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act<'a> {
    /// `mod_md` answers for a domain of its own.
    Manage,
    /// A `ProxyPass` with `mapping=encoded` sends it to another server.
    PassEncoded,
    /// A rule of the server level; behind one that only may apply comes the next.
    Rewrite(Touch<'a>),
    /// `mod_proxy_express` sends it to another server if it knows the name.
    Express,
    /// A `ProxyPass` sends it to another server.
    Pass,
    /// A `Redirect` of the server level.
    Redirect,
    /// A `JkMount`.
    Mount,
    /// An `Alias` or the document root leads to this file; empty where that cannot be told.
    Map(Vec<u8>),
    /// Access is not simply granted by `Require`.
    Deny,
    /// The same by `Order`, `Allow` and `Deny`.
    DenyByHost,
    /// The first rule of a directory or section.
    RewriteFile(Touch<'a>),
    /// A `Redirect` of a section or `.htaccess`.
    RedirectFile,
    /// A handler that is not the one for files.
    Handle,
}

/// One vhost's claims to a request, and what they come from.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// In Apache's order.
    pub claims: Vec<RequestClaim<'a>>,
    /// The sections and `.htaccess` files that apply.
    pub levels: Vec<Level<'a>>,
    /// Why root cannot read a `.htaccess` that Apache reads, each.
    pub unreadable: Vec<&'a str>,
}

impl<'a> RequestClaim<'a> {
    fn at(act: Act<'a>, by: &'a Node, level: Option<&Level<'a>>) -> Self {
        let likelihood = level.map_or(Likelihood::Yes, Level::likelihood);
        Self { act, by: Some(by), likelihood, section: level.and_then(|level| level.section) }
    }

    fn of_rule(act: fn(Touch<'a>) -> Act<'a>, touch: Touch<'a>, at: Option<&Level<'a>>) -> Self {
        let (rule, likelihood) = (touch.rule, touch.likelihood);
        Self { likelihood, ..Self::at(act(touch), rule, at) }
    }

    /// Whether it counts for a request that is for no file of this host, too.
    pub fn is_for_any(&self) -> bool {
        let is_file = matches!(self.act, Act::RewriteFile(_) | Act::Handle);
        !is_file && self.section.is_some_and(|s| s.stage >= MergeStage::Location)
    }
}

/// All claims in `vhost` to `request`, which is answered from `directory` where nothing takes it.
///
/// `htaccess` are the per-directory files on the way there.
pub fn walk<'a>(
    dump: &'a Dump,
    vhost: &Vhost<'a>,
    request: &Request,
    directory: &Path,
    htaccess: &'a [Htaccess],
) -> Walk<'a> {
    let request = &vhost.sees(request);
    let sections = applied(vhost, request, directory);
    let levels = levels(vhost, &sections, htaccess, request, directory);
    let mut claims = translating(dump, vhost, request, &sections);
    claims.extend(fixing_up(dump, vhost, &request.mapped_to(directory), &levels));
    let unreadable = directories::unreadable(vhost, htaccess, &sections);
    Walk { claims, levels, unreadable }
}

/// The phases that lead the request to a file, or elsewhere.
fn translating<'a>(
    dump: &'a Dump,
    vhost: &Vhost<'a>,
    request: &Request,
    sections: &[Applied<'a>],
) -> Vec<RequestClaim<'a>> {
    let certain = |act, node: Option<&'a Node>| node.map(|node| RequestClaim::at(act, node, None));
    let (encoded, pass) = match winner(vhost, request, sections) {
        Some(node) if is_encoded(node) => (Some(node), None),
        other => (None, other),
    };
    let book = Rulebook::of(vhost);
    let is_on = book.engine && dump.modules.contains("rewrite");
    let rules = touches(book.all().filter(|_| is_on), request, request.path().as_bytes());
    // Whether the name is in its file is not known.
    let express = certain(Act::Express, by_express(vhost))
        .map(|claim| RequestClaim { likelihood: Likelihood::Maybe, ..claim });
    let Mapped { by, to } = mapped(vhost, dump, request, sections);
    let map = RequestClaim { act: Act::Map(to), by, likelihood: Likelihood::Yes, section: None };
    let before = [certain(Act::Manage, managed(dump, request)), certain(Act::PassEncoded, encoded)];
    let after = [
        express,
        certain(Act::Pass, pass),
        certain(Act::Redirect, redirected(vhost, request)),
        certain(Act::Mount, jk(vhost, request)),
        Some(map),
    ];
    let rules = rules.map(|touch| Some(RequestClaim::of_rule(Act::Rewrite, touch, None)));
    before.into_iter().chain(rules).chain(after).flatten().collect()
}

/// The phases that come after: access, fix-ups and the handler.
fn fixing_up<'a>(
    dump: &Dump,
    vhost: &Vhost<'a>,
    request: &Request,
    levels: &[Level<'a>],
) -> Vec<RequestClaim<'a>> {
    let [required, by_host] = directories::denials(levels);
    let denied = [(Act::Deny, required), (Act::DenyByHost, by_host)];
    let denied = denied.into_iter().filter_map(|(act, last)| {
        let (node, level) = last?;
        let claim = RequestClaim::at(act, node, level);
        // What is not weighed here may as well grant.
        let denies = Likelihood::Maybe.or(directories::certainly_denies(node).into());
        Some(RequestClaim { likelihood: claim.likelihood.and(denies), ..claim })
    });
    let engine = Rulebook::of(vhost).engine;
    let rewritten = directories::rewritten(levels, engine, request)
        .filter(|_| dump.modules.contains("rewrite"))
        .map(|(touch, level)| RequestClaim::of_rule(Act::RewriteFile, touch, Some(level)));
    let redirects = levels.iter().flat_map(|level| {
        let redirects = redirects_of(level, request);
        redirects.map(|node| RequestClaim::at(Act::RedirectFile, node, Some(level)))
    });
    let handler = directories::handler(vhost, levels)
        .map(|(node, level)| RequestClaim::at(Act::Handle, node, level));
    denied.chain(rewritten).chain(redirects).chain(handler).collect()
}

/// The `Redirect`s of a level that take the request: they act on one for another server, too
/// (`fixup_redir`).
fn redirects_of<'a>(level: &Level<'a>, request: &Request) -> impl Iterator<Item = &'a Node> {
    // A condition that names the path is taken to spare it; the proof has the last word.
    let spares = level.likelihood() == Likelihood::Maybe
        && level
            .section
            .is_some_and(|s| String::from_utf8_lossy(&s.node.arguments).contains("well-known"));
    let nodes = level.nodes.iter().copied().filter(move |_| !spares);
    nodes.filter(|node| node.name.starts_with("redirect") && answers_here(node, request))
}

/// A redirect inside a section: without a path of its own it takes all the section covers.
fn answers_here(node: &Node, request: &Request) -> bool {
    let has_path = node.words().any(|w| w.starts_with(b"/") || w.starts_with(b"^"));
    node.name != "redirectmatch" && !has_path || redirects(node, request)
}
