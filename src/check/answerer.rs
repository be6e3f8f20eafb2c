//! pure: who answers the challenge path of a name, and which line says so.
//!
//! The first of a vhost's claims that takes the request; what would come after it is `survey`'s
//! matter.

use std::path::{Path, PathBuf};

use crate::apache::claims::{Act, RequestClaim, walk};
use crate::apache::document::words;
use crate::apache::dump::{Node, Origin};
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::{Mapped, mapped, squeeze};
use crate::apache::pattern::{self, Pattern};
use crate::apache::request::Request;
use crate::apache::rewrite::{Effect, Touch};
use crate::apache::vhosts::Vhost;
use crate::base::names::{Hostname, Webroot};
use crate::switch::plan::{Configuration, answering_vhosts};

mod fileless;
#[cfg(test)]
mod tests;

/// Who answers, in one vhost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VhostAnswer<'a> {
    /// The `<VirtualHost>`; none where the main server answers.
    pub vhost: Option<&'a Origin>,
    /// Whether the vhost is named so; else it answers because none is.
    pub is_named: bool,
    /// What becomes of the request.
    pub fate: Handling,
    /// The directive that decides; none where a default does.
    pub by: Option<&'a Node>,
    /// The URL or directory it leads to, as far as the line tells.
    pub target: Option<String>,
    /// Whether it is sure of every request of a CA.
    pub certain: bool,
}

/// What becomes of a challenge request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handling {
    /// certbot's webroot answers.
    Webroot,
    /// Another server.
    Passed,
    /// A redirect.
    Redirected,
    /// Another directory.
    Elsewhere,
    /// An error status, on purpose.
    Denied,
    /// A script, a handler, a module.
    Taken,
    /// The thumbprint of an account, which is the target.
    Account,
}

/// Whose token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of this host's certbot: its file is in the webroot.
    Own,
    /// Of another host's: it is not.
    Another,
}

/// Who answers `name` on port 80; of several addresses, one where it is not the webroot.
///
/// Without a webroot, a directory of this host is `Elsewhere`. `None`: nothing answers on port 80.
pub fn answerer<'a>(
    user: Configuration<'a>,
    name: &Hostname,
    webroot: Option<&Webroot>,
    whose: Whose,
) -> Option<VhostAnswer<'a>> {
    let mut request = Request::new(name);
    if let Some(webroot) = webroot {
        request = request.planted(&webroot.challenge_directory(), whose == Whose::Own);
    }
    let doors = answering_vhosts(user.dump, name).into_iter();
    let seen = doors.filter_map(|(_, vhost)| first(user, &vhost, &request, webroot));
    seen.max_by_key(|seen| seen.fate != Handling::Webroot)
}

/// By the first claim in `vhost` that takes the request.
fn first<'a>(
    user: Configuration<'a>,
    vhost: &Vhost<'a>,
    request: &Request,
    webroot: Option<&Webroot>,
) -> Option<VhostAnswer<'a>> {
    let directory = match webroot {
        Some(webroot) => webroot.challenge_directory(),
        None => root(user, &vhost.sees(request), vhost),
    };
    // The dump outlives its sections, but a `.htaccess` does not: it is the user's own as well.
    let htaccess = webroot.and_then(|w| user.htaccess.get(w)).map_or(&[][..], Vec::as_slice);
    let walk = walk(user.dump, vhost, request, &directory, htaccess);
    let root = vhost.document_root(user.dump);
    let answer = |claim: &RequestClaim<'a>, (fate, target): Led| VhostAnswer {
        vhost: vhost.origin(),
        is_named: vhost.is_named(request.host()),
        fate,
        by: claim.by,
        target,
        certain: claim.likelihood == Likelihood::Yes,
    };
    let mut claims = walk.claims.iter();
    let found =
        claims.find_map(|claim| Some(answer(claim, leads(claim, request, webroot, &root)?)))?;
    // What leads to the webroot or another server is not the last word.
    let is_here = found.fate == Handling::Webroot;
    let goes_on = is_here || found.fate == Handling::Passed;
    let mut later = walk.claims.iter().filter(|claim| is_here || goes_on && claim.is_for_any());
    let later = later.find_map(|claim| Some(answer(claim, takes_late(claim, request)?)));
    Some(fileless::or(later.unwrap_or(found), vhost, &walk.levels))
}

/// What becomes of a request, and where it leads.
type Led = (Handling, Option<String>);

/// The directory that answers where certbot has none.
fn root(user: Configuration<'_>, request: &Request, vhost: &Vhost<'_>) -> PathBuf {
    let Mapped { to, .. } = mapped(vhost, user.dump, request, &[]);
    let file = String::from_utf8_lossy(&to).into_owned();
    Path::new(&file).parent().map_or_else(|| "/".into(), Into::into)
}

/// Where a claim leads the request, to a file or elsewhere.
fn leads(
    claim: &RequestClaim<'_>,
    request: &Request,
    webroot: Option<&Webroot>,
    root: &[u8],
) -> Option<Led> {
    let served = webroot.map(|w| [w.as_str(), request.path()].concat().into_bytes());
    Some(match &claim.act {
        Act::Manage | Act::Mount => (Handling::Taken, None),
        Act::Express => (Handling::Passed, None),
        Act::PassEncoded | Act::Pass => {
            (Handling::Passed, claim.by.and_then(|node| passed(node, request)))
        }
        Act::Rewrite(touch) if !touch.is_likely => return None,
        Act::Rewrite(touch) => {
            let is_told =
                webroot.is_none() || touch.likelihood == Likelihood::Yes || touch.is_meant();
            match &touch.effect {
                Effect::Path(Some(to))
                    if served.as_ref().is_some_and(|served| {
                        [squeeze(to), squeeze(&[root, to].concat())].contains(served)
                    }) =>
                {
                    (Handling::Webroot, None)
                }
                // One directory for each name: that it is another than certbot's, only a request shows.
                Effect::Path(None) if !is_told => (Handling::Webroot, None),
                _ => ruled(touch),
            }
        }
        Act::Redirect => redirected(claim.by?, request),
        Act::Map(to) => {
            let is_script =
                |node: &Node| node.name.starts_with("wsgi") || node.name.starts_with("script");
            let fate = match served {
                _ if claim.by.is_some_and(is_script) => Handling::Taken,
                Some(served) if served == *to => Handling::Webroot,
                _ => Handling::Elsewhere,
            };
            (fate, (!to.is_empty()).then(|| without_token(to)))
        }
        Act::Deny | Act::DenyByHost | Act::RewriteFile(_) | Act::RedirectFile | Act::Handle => {
            return None;
        }
    })
}

/// What a claim does with a request that was led to a file or another server.
fn takes_late(claim: &RequestClaim<'_>, request: &Request) -> Option<Led> {
    Some(match &claim.act {
        Act::Deny | Act::DenyByHost => (Handling::Denied, None),
        Act::RewriteFile(touch) if touch.is_likely && !is_the_same(touch, request) => ruled(touch),
        Act::RedirectFile => redirected(claim.by?, request),
        Act::Handle => {
            let word = words(&claim.by?.arguments).next().unwrap_or_default();
            let url = word.strip_prefix(b"proxy:");
            let url = url.map(|url| String::from_utf8_lossy(url).into_owned());
            (if url.is_some() { Handling::Passed } else { Handling::Taken }, url)
        }
        _ => return None,
    })
}

/// A rule that leads to the same path changes nothing.
fn is_the_same(touch: &Touch<'_>, request: &Request) -> bool {
    let path = request.path().as_bytes();
    matches!(&touch.effect, Effect::Path(Some(to)) if path.ends_with(to) || to.ends_with(path))
}

/// What a rule does that changes the request.
fn ruled(touch: &Touch<'_>) -> Led {
    let url = || touch.url.as_deref().map(without_token);
    match &touch.effect {
        Effect::Proxy => (Handling::Passed, url()),
        Effect::Redirect => (Handling::Redirected, url()),
        Effect::Status(code) if code.starts_with('2') => (Handling::Taken, None),
        Effect::Status(_) => (Handling::Denied, None),
        Effect::Path(Some(to)) if to.ends_with(Request::SAMPLE.as_bytes()) => {
            (Handling::Elsewhere, Some(without_token(to)))
        }
        Effect::Path(_) | Effect::Pass => (Handling::Taken, None),
    }
}

/// Where a `ProxyPass` or one of its kin leads.
fn passed(node: &Node, request: &Request) -> Option<String> {
    let is_url =
        |word: &Vec<u8>| word.windows(3).any(|w| w == b"://") || word.starts_with(b"unix:");
    let url = node.words().find(is_url)?;
    let pattern = node.words().next().filter(|_| node.name.ends_with("match"));
    let target = match pattern {
        Some(pattern) if url.contains(&b'$') => {
            Pattern::compile(&pattern, false)?.substitute(request.path().as_bytes(), &url)?
        }
        _ => url,
    };
    Some(without_token(&target)).filter(|to| !to.contains(['$', '%']))
}

/// A `Redirect` or one of its kin: to where, or with which error.
fn redirected(node: &Node, request: &Request) -> Led {
    let given: Vec<Vec<u8>> = node.words().collect();
    let is_error = |word: &Vec<u8>| {
        word.eq_ignore_ascii_case(b"gone")
            || word.len() == 3 && word.iter().all(u8::is_ascii_digit) && word[0] != b'3'
    };
    if given.first().is_some_and(is_error) {
        return (Handling::Denied, None);
    }
    let from =
        given.iter().rev().nth(1).filter(|from| from.starts_with(b"/") || from.starts_with(b"^"));
    let path = request.path().as_bytes();
    let to = given.last().and_then(|to| match from {
        Some(from) if node.name == "redirectmatch" => {
            Pattern::compile(from, false)?.substitute(path, to)
        }
        Some(from) => Some([&to[..], &path[pattern::prefix(path, from)?..]].concat()),
        None => Some(to.clone()),
    });
    let to = to.map(|to| without_token(&to));
    (Handling::Redirected, to.filter(|to| !to.contains(['$', '%'])))
}

fn without_token(target: &[u8]) -> String {
    let text = String::from_utf8_lossy(target);
    text.strip_suffix(Request::SAMPLE).unwrap_or(&text).to_owned()
}
