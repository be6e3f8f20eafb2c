//! pure: everything that keeps a vhost from answering a challenge out of certbot's webroot.
//!
//! Not who wins today, but all that would win once the winner is gone: only
//! when every obstacle is overruled is the file served. Order of phases as in
//! Apache: `mod_rewrite`, `mod_proxy`, `mod_alias`, then access and handlers.

use crate::document::words;
use crate::dump::{Node, Origin};
use crate::htaccess::Htaccess;
use crate::names::{CHALLENGE_DIRECTORY, Webroot};
use crate::pattern::{self, Pattern};
use crate::proxying;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::rewrite::{self, Effect, Likelihood};
use crate::sections::{Applied, Stage, applied};
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
    /// Lines meant for the challenge path that can never win.
    pub dead: Vec<Origin>,
}

/// The challenge path leads to a directory that is not the webroot's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The `Alias` or `DocumentRoot`; `None` for a default.
    pub at: Option<Origin>,
    /// An `Alias` in a `<Location>`, which only `mod_rewrite` overrules.
    pub needs_rewrite: bool,
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
        self.dead.extend(other.dead);
        self.dead.sort();
        self.dead.dedup();
    }
}

/// Finds the obstacles between `request` and `webroot` in `vhost`.
///
/// `htaccess` are the per-directory files on the way to the webroot's challenge
/// directory. What no insertion can overrule comes back as a refusal.
pub fn obstacles(
    vhost: &Vhost<'_>,
    document_root: &str,
    request: &Request,
    webroot: &Webroot,
    htaccess: &[Htaccess],
) -> Result<Obstacles, Vec<Refusal>> {
    let directory = webroot.challenge_directory();
    let sections = applied(vhost, request, &directory);
    let htaccess = if allows_override(&sections) { htaccess } else { &[] };
    let mut refusals = hopeless(vhost, request, &sections, htaccess);
    let mut found = Obstacles::default();
    let mapped = match server_rewrite(vhost, request, webroot, &mut found) {
        Ok(mapped) => mapped,
        Err(refusal) => {
            refusals.push(refusal);
            false
        }
    };
    let proxied = proxying::resolve(vhost, request, &sections);
    found.dead = proxying::dead(vhost, request, &proxied, found.rewritten.as_ref());
    if let Some(line) = proxied.winner.filter(|line| !mapped || line.encoded) {
        (found.proxied, found.encoded) = (Some(line.origin.clone()), line.encoded);
    }
    if !mapped {
        found.redirected = redirected(vhost, request).cloned();
        found.elsewhere = elsewhere(vhost, document_root, request, webroot, &sections);
    }
    per_directory(&sections, htaccess, request, &mut found);
    if refusals.is_empty() { Ok(found) } else { Err(refusals) }
}

/// Server-level rewrite rules. `Ok(true)`: a rule already maps to the webroot, for good.
fn server_rewrite(
    vhost: &Vhost<'_>,
    request: &Request,
    webroot: &Webroot,
    found: &mut Obstacles,
) -> Result<bool, Refusal> {
    if !rewrite_engine(vhost) {
        return Ok(false);
    }
    let rules: Vec<&Node> = match vhost.node {
        Some(_) => vhost.own().collect(),
        None => vhost.main.clone(),
    };
    let path = request.path().as_bytes();
    let Some(touch) = rewrite::touch(rules, request, path) else { return Ok(false) };
    let origin = &touch.rule.origin;
    if let (Likelihood::Yes, Effect::Path(Some(to))) = (touch.likelihood, &touch.effect) {
        let served =
            [webroot.as_str().as_bytes(), b"/", CHALLENGE_DIRECTORY.as_bytes(), b"/"].concat();
        let served = [&served, Request::SAMPLE.as_bytes()].concat();
        if *to == served {
            return Ok(true);
        }
    }
    responder(touch.rule, &touch.effect)?;
    found.rewritten = Some(origin.clone());
    Ok(false)
}

/// A rule made for the challenge path that answers without any file: an account
/// thumbprint or a script. Overruling it would break what someone built on purpose.
fn responder(rule: &Node, effect: &Effect) -> Result<(), Refusal> {
    let meant = String::from_utf8_lossy(&rule.arguments).contains("acme-challenge");
    let without_file = match effect {
        Effect::Status(code) => code == "200",
        Effect::Path(Some(to)) => !to.ends_with(Request::SAMPLE.as_bytes()),
        Effect::Path(None) => true,
        _ => false,
    };
    if meant && without_file { Err(Refusal::responder(&rule.origin)) } else { Ok(()) }
}

/// Whether `mod_rewrite` works on the server level: the vhost's own setting, else the main server's.
pub fn rewrite_engine(vhost: &Vhost<'_>) -> bool {
    vhost
        .last("rewriteengine")
        .is_some_and(|words| words.first().is_some_and(|w| w.eq_ignore_ascii_case(b"on")))
}

/// The server-level `Redirect` that answers: its own before the main server's.
fn redirected<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Origin> {
    let own = vhost.own().chain(vhost.main.iter().copied());
    own.filter(|node| redirects(node, request)).map(|node| &node.origin).next()
}

/// `Redirect [status] [path] [url]` and its kin, on the server level.
fn redirects(node: &Node, request: &Request) -> bool {
    let mut words = words(&node.arguments).peekable();
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
        "redirectmatch" => Pattern::compile(&path, false).is_some_and(|p| p.matches(url)),
        _ => false,
    }
}

/// Where the path leads on disk when nothing but aliases and the document root decides.
fn elsewhere(
    vhost: &Vhost<'_>,
    document_root: &str,
    request: &Request,
    webroot: &Webroot,
    sections: &[Applied<'_>],
) -> Option<Elsewhere> {
    let url = request.path().as_bytes();
    let wanted = [webroot.as_str().as_bytes(), url].concat();
    let located = sections.iter().filter(|s| s.stage == Stage::Location);
    let located = located.flat_map(|s| &s.node.children).rfind(|n| n.name == "alias");
    if let Some(node) = located {
        return Some(Elsewhere { at: Some(node.origin.clone()), needs_rewrite: true });
    }
    let mut aliases = vhost.own().chain(vhost.main.iter().copied());
    let alias = aliases.find_map(|node| Some((node, aliased(node, url)?)));
    let (at, to) = if let Some((node, to)) = alias {
        (Some(node), to)
    } else {
        let root = vhost.all().rfind(|n| n.name == "documentroot");
        let path = root.and_then(|n| words(&n.arguments).next());
        (root, [&path.unwrap_or_else(|| document_root.into())[..], url].concat())
    };
    let needs_rewrite = at.is_some_and(|n| n.name.starts_with("wsgi"));
    (squeeze(&to) != squeeze(&wanted))
        .then(|| Elsewhere { at: at.map(|n| n.origin.clone()), needs_rewrite })
}

fn aliased(node: &Node, url: &[u8]) -> Option<Vec<u8>> {
    let mut words = words(&node.arguments);
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
fn squeeze(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|a, b| *a == b'/' && *b == b'/');
    out
}

/// Access, handlers and per-directory rewriting of the sections and `.htaccess` files.
fn per_directory(
    sections: &[Applied<'_>],
    htaccess: &[Htaccess],
    request: &Request,
    found: &mut Obstacles,
) {
    let from_files = htaccess.iter().map(|h| &h.nodes[..]);
    let (directories, later): (Vec<_>, Vec<_>) =
        sections.iter().filter(|s| s.stage != Stage::If).partition(|s| s.stage == Stage::Directory);
    let nodes = |s: &&Applied<'_>| -> Vec<Node> { s.node.children.clone() };
    let levels = directories
        .iter()
        .map(nodes)
        .chain(from_files.map(<[Node]>::to_vec))
        .chain(later.iter().map(nodes));
    for level in levels {
        if let Some(denied) = denial(&level) {
            found.denied = denied;
        }
        for node in &level {
            match node.name.as_str() {
                "deny" | "allow" | "order" => {
                    found.denied_by_host = true;
                    found.denied.get_or_insert_with(|| node.origin.clone());
                }
                "sethandler" | "forcetype" => found.handled = handler(node),
                _ => {}
            }
        }
        let name = Request::SAMPLE.as_bytes();
        if found.rewritten.is_none() {
            found.rewritten = rewrite::touch(&level, request, name)
                .or_else(|| rewrite::touch(&level, request, request.path().as_bytes()))
                .map(|touch| touch.rule.origin.clone());
        }
    }
}

/// A section's own `Require` lines replace all before them (`AuthMerging Off`, the
/// default): `Some(None)` grants to all, `Some(Some(_))` does not simply grant.
#[expect(clippy::option_option, reason = "no word, a grant, a denial: three answers")]
fn denial(level: &[Node]) -> Option<Option<Origin>> {
    let mut requires =
        level.iter().filter(|n| n.name == "require" || n.name.starts_with("<require"));
    let first = requires.next()?;
    let all_granted = {
        let words: Vec<_> = words(&first.arguments).collect();
        matches!(&words[..], [all, granted]
            if all.eq_ignore_ascii_case(b"all") && granted.eq_ignore_ascii_case(b"granted"))
    };
    Some((!all_granted || requires.next().is_some()).then(|| first.origin.clone()))
}

fn handler(node: &Node) -> Option<Origin> {
    let word = words(&node.arguments).next().unwrap_or_default();
    let none = node.name == "sethandler"
        && (word.eq_ignore_ascii_case(b"none") || word == b"default-handler");
    // A forced type changes a header, not the body; the CA reads only the body.
    (node.name == "sethandler" && !none).then(|| node.origin.clone())
}

/// `AllowOverride` of the deepest directory; the default has been `None` since 2.3.9.
fn allows_override(sections: &[Applied<'_>]) -> bool {
    let directories = sections.iter().filter(|s| s.stage == Stage::Directory);
    let last = directories.flat_map(|s| &s.node.children).rfind(|n| n.name == "allowoverride");
    last.is_some_and(|n| !words(&n.arguments).any(|w| w.eq_ignore_ascii_case(b"none")))
}

/// What no inserted line can overrule.
fn hopeless(
    vhost: &Vhost<'_>,
    request: &Request,
    sections: &[Applied<'_>],
    htaccess: &[Htaccess],
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if vhost.origin().is_some_and(Origin::is_macro) {
        refusals.extend(vhost.origin().map(Refusal::macro_vhost));
    }
    for section in sections {
        let argument = String::from_utf8_lossy(&section.node.arguments).into_owned();
        for node in &section.node.children {
            let decides = node.name.starts_with("redirect")
                || section.stage == Stage::If
                    && matches!(node.name.as_str(), "require" | "deny" | "sethandler");
            // A condition that names the path is taken to spare it; the probe has the last word.
            if decides && section.stage == Stage::If && !argument.contains("well-known") {
                refusals.push(Refusal::condition(&node.origin));
            } else if decides && section.stage != Stage::If && answers_here(node, request) {
                refusals.push(Refusal::section_redirect(&node.origin));
            }
            if node.name == "rewriterule" && argument.contains("acme-challenge") {
                let effect = rewrite::touch([node], request, request.path().as_bytes());
                if effect.is_some_and(|t| matches!(t.effect, Effect::Status(code) if code == "200"))
                {
                    refusals.push(Refusal::responder(&node.origin));
                }
            }
        }
    }
    let redirects_in_files =
        htaccess.iter().flat_map(|h| &h.nodes).filter(|n| redirects(n, request));
    refusals.extend(redirects_in_files.map(|n| Refusal::section_redirect(&n.origin)));
    refusals.extend(jk(vhost, request).map(Refusal::jk));
    refusals.extend(managed(vhost, request).map(Refusal::managed_domain));
    refusals
}

/// A redirect inside a section: without a path of its own it takes all the section covers.
fn answers_here(node: &Node, request: &Request) -> bool {
    let has_path = words(&node.arguments).any(|w| w.starts_with(b"/") || w.starts_with(b"^"));
    !has_path || redirects(node, request)
}

/// `JkMount` takes the request in `map_to_storage`, after anything we may insert.
fn jk<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Origin> {
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
    covers("jkmount").filter(|_| covers("jkunmount").is_none()).map(|n| &n.origin)
}

/// A name that `mod_md` renews itself: it answers 404 before any other module
/// (`md_http_challenge_pr`, mod_md.c).
fn managed<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Origin> {
    let manual = |n: &Node| {
        n.name == "mdrenewmode" && words(&n.arguments).any(|w| w.eq_ignore_ascii_case(b"manual"))
    };
    if vhost.main.iter().any(|n| manual(n)) {
        return None;
    }
    let named = |n: &&&Node| {
        matches!(
            n.name.as_str(),
            "mdomain" | "<mdomain" | "<mdomainset" | "manageddomain" | "mdmember"
        ) && !n.children.iter().any(manual)
            && words(&n.arguments)
                .any(|w| w.eq_ignore_ascii_case(request.host().as_str().as_bytes()))
    };
    vhost.main.iter().find(named).map(|n| &n.origin)
}
