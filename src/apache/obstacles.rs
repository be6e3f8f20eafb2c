//! pure: what keeps a vhost from answering a challenge out of certbot's webroot.
//!
//! Not who wins today, but all that would win once the winner is gone: only
//! when every obstacle is overruled is the file served. `survey` finds them,
//! `insertion` overrules them.

use crate::apache::dump::Origin;
use crate::apache::mapping::Elsewhere;

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
