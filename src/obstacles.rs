//! pure: everything that keeps a vhost from answering a challenge out of certbot's webroot.
//!
//! Not who wins today, but all that would win once the winner is gone: only
//! when every obstacle is overruled is the file served. Order of phases as in
//! Apache: `mod_rewrite`, `mod_proxy`, `mod_alias`, then access and handlers.

use crate::directories::{self, levels};
use crate::dump::{Dump, Origin};
use crate::hopeless::hopeless;
use crate::htaccess::Htaccess;
use crate::likelihood::Likelihood;
use crate::mapping::{Elsewhere, elsewhere, redirected};
use crate::names::Webroot;
use crate::proxying::winner;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::responder::responder;
use crate::rewrite::{self, Effect};
use crate::rulebook::Rulebook;
use crate::sections::applied;
use crate::vhosts::Vhost;

/// What has to be overruled in one vhost, and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// A `ProxyPass` or `ProxyPassMatch` sends the request away.
    pub proxied: Option<Origin>,
    /// That line has `mapping=encoded`: it acts before `mod_rewrite` can.
    pub encoded: bool,
    /// A `RewriteRule`, of the server or of a directory, may change the request.
    pub rewritten: Option<Origin>,
    /// A `Redirect` of the server answers.
    pub redirected: Option<Origin>,
    /// The path is another directory than the webroot's; `None` for the `DocumentRoot`'s default.
    pub elsewhere: Option<Elsewhere>,
    /// Access is not simply granted.
    pub denied: Option<Origin>,
    /// `Deny`, `Order` or `Allow` of `mod_access_compat` decide about access.
    pub denied_by_host: bool,
    /// A handler other than the one for files answers.
    pub handled: Option<Origin>,
    /// How deep in `<If>` sections access, handler or rewriting is decided; 0 is outside.
    pub nesting: usize,
    /// Lines meant for the challenge path that can never win.
    pub dead: Vec<Origin>,
}

impl Obstacles {
    /// Nothing stands in the way: the vhost already answers from the webroot.
    pub fn is_empty(&self) -> bool {
        let Self { proxied, rewritten, redirected, elsewhere, denied, handled, .. } = self;
        proxied.is_none()
            && rewritten.is_none()
            && redirected.is_none()
            && elsewhere.is_none()
            && denied.is_none()
            && handled.is_none()
    }

    /// The line that stands in the way first.
    pub fn first(&self) -> Option<&Origin> {
        let Self { proxied, rewritten, redirected, elsewhere, denied, handled, .. } = self;
        let elsewhere = elsewhere.as_ref().and_then(|e| e.at.as_ref());
        [
            rewritten.as_ref(),
            proxied.as_ref(),
            redirected.as_ref(),
            elsewhere,
            denied.as_ref(),
            handled.as_ref(),
        ]
        .into_iter()
        .flatten()
        .next()
    }

    /// What stands in the way of either.
    pub(crate) fn add(&mut self, other: Self) {
        self.proxied = self.proxied.take().or(other.proxied);
        self.encoded |= other.encoded;
        self.rewritten = self.rewritten.take().or(other.rewritten);
        self.redirected = self.redirected.take().or(other.redirected);
        let rewrite = |e: &Option<Elsewhere>| e.as_ref().is_some_and(|e| e.needs_rewrite);
        let needs_rewrite = rewrite(&self.elsewhere) || rewrite(&other.elsewhere);
        let elsewhere = self.elsewhere.take().or(other.elsewhere);
        self.elsewhere = elsewhere.map(|e| Elsewhere { needs_rewrite, ..e });
        self.denied = self.denied.take().or(other.denied);
        self.denied_by_host |= other.denied_by_host;
        self.handled = self.handled.take().or(other.handled);
        self.nesting = self.nesting.max(other.nesting);
    }
}

/// Finds the obstacles between `request` and `webroot` in `vhost`.
///
/// `htaccess` are the per-directory files on the way to the webroot's challenge
/// directory. What no insertion can overrule comes back as refusals.
pub fn obstacles(
    vhost: &Vhost<'_>,
    dump: &Dump,
    request: &Request,
    webroot: &Webroot,
    htaccess: &[Htaccess],
) -> Result<Obstacles, Vec<Refusal>> {
    let directory = webroot.challenge_directory();
    let sections = applied(vhost, request, &directory);
    let levels = levels(&sections, htaccess, request, &directory);
    let mut refusals = hopeless(vhost, request, &levels);
    let book = Rulebook::of(vhost);
    let engine = dump.modules.contains("rewrite").then_some(book.engine);
    let handled = vhost.all().rfind(|n| n.name == "sethandler").and_then(directories::handler);
    let mut found = Obstacles { handled, ..Obstacles::default() };
    let on_disk = request.mapped_to(&directory);
    refusals.extend(directories::add_obstacles(&levels, engine, &on_disk, &mut found).err());
    let mut mapped = false;
    match rewritten(&book, request, webroot).filter(|_| engine == Some(true)) {
        // A rule already leads to the webroot, and no other rule comes after it.
        Some(Ok(None)) => mapped = found.rewritten.is_none(),
        Some(Ok(Some(origin))) => found.rewritten = Some(origin),
        Some(Err(refusal)) => refusals.push(refusal),
        None => {}
    }
    if let Some(line) = winner(vhost, request, &sections).filter(|line| !mapped || line.encoded) {
        (found.proxied, found.encoded) = (Some(line.origin.clone()), line.encoded);
    }
    if !mapped {
        found.redirected = redirected(vhost, request).cloned();
        found.elsewhere = elsewhere(vhost, &dump.document_root, request, webroot, &sections);
    }
    if refusals.is_empty() { Ok(found) } else { Err(refusals) }
}

/// What the rules of the server level do: `Some(Ok(None))` is a way to the webroot, for good.
fn rewritten(
    book: &Rulebook<'_>,
    request: &Request,
    webroot: &Webroot,
) -> Option<Result<Option<Origin>, Refusal>> {
    let touch = rewrite::touch(book.all(), request, request.path().as_bytes())?;
    let served = [webroot.as_str(), request.path()].concat();
    let leads_there = touch.effect == Effect::Path(Some(served.into_bytes()));
    if touch.likelihood == Likelihood::Yes && leads_there {
        return Some(Ok(None));
    }
    Some(responder(&touch, b"").map(|()| Some(touch.rule.origin.clone())))
}
