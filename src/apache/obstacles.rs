//! pure: what keeps a vhost from answering a challenge out of certbot's webroot.
//!
//! Not who wins today, but all that would win once the winner is gone: only
//! when every obstacle is overruled is the file served. `survey` finds them,
//! `insertion` overrules them.

use std::collections::BTreeMap;

use crate::apache::dump::Origin;

/// What may have to be overruled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// A `RewriteRule`, of the server or of a directory, may change the request.
    Rewritten,
    /// A `ProxyPass` or `ProxyPassMatch` sends the request away before `mod_rewrite` can act
    /// (`mapping=encoded`).
    ProxiedEncoded,
    /// One of them sends it away after that.
    Proxied,
    /// A `Redirect` of the server answers.
    Redirected,
    /// The path is led elsewhere by what only `mod_rewrite` overrules, as an `Alias` in a `<Location>`.
    Unaliasable,
    /// The path is another directory than the webroot's.
    Elsewhere,
    /// Access is not simply granted.
    Denied,
    /// `Deny`, `Order` or `Allow` of `mod_access_compat` decide about access.
    DeniedByHost,
    /// A handler other than the one for files answers.
    Handled,
}

/// What has to be overruled in one vhost, and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// The line of each; `None` for the `DocumentRoot`'s default.
    pub(crate) found: BTreeMap<Obstacle, Option<Origin>>,
    /// How deep in `<If>` sections access, handler or rewriting is decided; 0 is outside.
    pub nesting: usize,
    /// Lines meant for the challenge path that can never win.
    pub dead: Vec<Origin>,
}

impl Obstacles {
    /// Nothing stands in the way: the vhost already answers from the webroot.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether one of `these` stands in the way.
    pub fn any(&self, these: &[Obstacle]) -> bool {
        these.iter().any(|one| self.found.contains_key(one))
    }

    /// The line of an obstacle, if it is there and has one.
    pub fn line(&self, of: Obstacle) -> Option<&Origin> {
        self.found.get(&of).and_then(Option::as_ref)
    }

    /// The line that stands in the way first.
    pub fn first(&self) -> Option<&Origin> {
        self.found.values().flatten().next()
    }

    /// What stands in the way of either.
    pub(crate) fn add(&mut self, other: Self) {
        for (obstacle, line) in other.found {
            self.found.entry(obstacle).or_insert(line);
        }
        self.nesting = self.nesting.max(other.nesting);
    }
}
