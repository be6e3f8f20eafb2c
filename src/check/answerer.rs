//! pure: who answers the challenge path of a name, and which line says so.
//!
//! In the order of Apache's phases, and only the first that takes the request;
//! what would come after it is `survey`'s matter.

use crate::apache::directories::{self, Level, levels};
use crate::apache::document::words;
use crate::apache::dump::{Node, Origin};
use crate::apache::hopeless::{answers_here, jk, managed};
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::{Mapped, mapped, redirected, squeeze};
use crate::apache::pattern::{self, Pattern};
use crate::apache::proxying::{Winner, by_express, winner};
use crate::apache::request::Request;
use crate::apache::rewrite::{self, Effect, Touch};
use crate::apache::rulebook::Rulebook;
use crate::apache::sections::{Applied, MergeStage, applied};
use crate::apache::vhosts::Vhost;
use crate::base::names::{Hostname, Webroot};
use crate::switch::plan::{Configuration, answering_vhosts};

mod stateless;
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
    let seen = doors.map(|(_, vhost)| {
        let (fate, by, target, certain) = follow(user, &vhost, &request, webroot);
        let is_named = vhost.is_named(name);
        VhostAnswer { vhost: vhost.origin(), is_named, fate, by, target, certain }
    });
    seen.max_by_key(|seen| seen.fate != Handling::Webroot)
}

type Found<'a> = (Handling, Option<&'a Node>, Option<String>, bool);

fn follow<'a>(
    user: Configuration<'a>,
    vhost: &Vhost<'a>,
    request: &Request,
    webroot: Option<&Webroot>,
) -> Found<'a> {
    let by = |fate, node, target| (fate, Some(node), target, true);
    let request = &vhost.sees(request);
    if let Some(node) = managed(user.dump, request) {
        return by(Handling::Taken, node, None);
    }
    let directory = match webroot {
        Some(webroot) => webroot.challenge_directory(),
        None => root(user, vhost, request),
    };
    let sections = applied(vhost, request, &directory);
    let htaccess = webroot.and_then(|w| user.htaccess.get(w)).map_or(&[][..], Vec::as_slice);
    // The dump outlives its sections, but a `.htaccess` does not: it is the user's own as well.
    let levels = levels(vhost, &sections, htaccess, request, &directory);
    let pass = winner(vhost, request, &sections);
    let express = by_express(vhost);
    let book = Rulebook::of(vhost);
    let engine = user.dump.modules.contains("rewrite") && book.engine;
    let rule = by_rules(&book, request, webroot, &user.dump.document_root, vhost)
        .filter(|_| engine && !pass.is_some_and(|pass| pass.encoded));
    let found = match (rule, pass) {
        (Some(found), _) => stateless::or(found, vhost, &levels),
        // Whether the name is in its file is not known.
        (None, _) if express.is_some() => (Handling::Passed, express, None, false),
        (None, Some(pass)) => passed(pass, request),
        (None, None) => by_mapping(user, vhost, request, webroot, &sections),
    };
    let here = match found.0 {
        Handling::Webroot => true,
        Handling::Passed => false,
        _ => return found,
    };
    let later = if here {
        by_levels(vhost, user, &levels, request, &directory)
    } else {
        redirected_late(&levels, request, false)
    };
    let later = later.map(|found| stateless::or(found, vhost, &levels));
    refused(&levels, here).or(later).unwrap_or(found)
}

/// The directory that answers where certbot has none.
fn root(user: Configuration<'_>, vhost: &Vhost<'_>, request: &Request) -> std::path::PathBuf {
    let Mapped { to, .. } = mapped(vhost, &user.dump.document_root, request, &[]);
    let file = String::from_utf8_lossy(&to).into_owned();
    std::path::Path::new(&file).parent().map_or_else(|| "/".into(), Into::into)
}

/// What the rules of the server level do.
fn by_rules<'a>(
    book: &Rulebook<'a>,
    request: &Request,
    webroot: Option<&Webroot>,
    document_root: &str,
    vhost: &Vhost<'a>,
) -> Option<Found<'a>> {
    let rules: Vec<&Node> = book.all().collect();
    let mut from = 0;
    loop {
        let left = rules[from..].iter().copied();
        let touch = rewrite::touch(left, request, request.path().as_bytes())?;
        if touch.likelihood == Likelihood::Maybe && !touch.is_likely(request) {
            from = 1 + rules.iter().position(|rule| std::ptr::eq(*rule, touch.rule))?;
            continue;
        }
        if let Effect::Path(Some(to)) = &touch.effect {
            let root = vhost.last("documentroot").and_then(|words| words.into_iter().next());
            let below = [root.unwrap_or_else(|| document_root.into()), to.clone()].concat();
            let served = webroot.map(|w| [w.as_str(), request.path()].concat().into_bytes());
            let certain = touch.likelihood == Likelihood::Yes;
            if served.is_some_and(|served| [squeeze(to), squeeze(&below)].contains(&served)) {
                return Some((Handling::Webroot, Some(touch.rule), None, certain));
            }
        }
        let is_told = webroot.is_none() || touch.likelihood == Likelihood::Yes || touch.is_meant();
        if touch.effect == Effect::Path(None) && !is_told {
            // One directory for each name: that it is another than certbot's, only a request shows.
            return Some((Handling::Webroot, Some(touch.rule), None, false));
        }
        return Some(ruled(&touch, request, request.path().as_bytes()));
    }
}

/// What a rule does that changes the request.
fn ruled<'a>(touch: &Touch<'a>, request: &Request, subject: &[u8]) -> Found<'a> {
    let url = || {
        let text = request.filled(&touch.substitution())?;
        let text = match touch.pattern() {
            Some(pattern) => pattern.substitute(subject, text.as_bytes())?,
            None => text.into_bytes(),
        };
        Some(without_token(&String::from_utf8_lossy(&text)))
    };
    let (fate, target) = match &touch.effect {
        Effect::Proxy => (Handling::Passed, url()),
        Effect::Redirect => (Handling::Redirected, url()),
        Effect::Status(code) if code.starts_with('2') => (Handling::Taken, None),
        Effect::Status(_) => (Handling::Denied, None),
        Effect::Path(Some(to)) if to.ends_with(Request::SAMPLE.as_bytes()) => {
            (Handling::Elsewhere, Some(without_token(&String::from_utf8_lossy(to))))
        }
        Effect::Path(_) | Effect::Pass => (Handling::Taken, None),
    };
    (fate, Some(touch.rule), target, touch.likelihood == Likelihood::Yes)
}

fn passed<'a>(pass: Winner<'a>, request: &Request) -> Found<'a> {
    let mut given = words(&pass.node.arguments);
    let is_url =
        |word: &Vec<u8>| word.windows(3).any(|w| w == b"://") || word.starts_with(b"unix:");
    let url = given.find(is_url);
    let pattern = words(&pass.node.arguments).next().filter(|_| pass.node.name.ends_with("match"));
    let target = url.and_then(|url| match pattern {
        Some(pattern) if url.contains(&b'$') => {
            Pattern::compile(&pattern, false)?.substitute(request.path().as_bytes(), &url)
        }
        _ => Some(url),
    });
    let text = target.map(|t| without_token(&String::from_utf8_lossy(&t)));
    (Handling::Passed, Some(pass.node), text.filter(|t| !t.contains(['$', '%'])), true)
}

/// `Redirect`, `Alias`, `DocumentRoot`, `JkMount`.
fn by_mapping<'a>(
    user: Configuration<'a>,
    vhost: &Vhost<'a>,
    request: &Request,
    webroot: Option<&Webroot>,
    sections: &[Applied<'a>],
) -> Found<'a> {
    if let Some(origin) = redirected(vhost, request)
        && let Some(node) = vhost.all().find(|n| n.origin == *origin)
    {
        return redirect(node, request);
    }
    if let Some(node) = jk(vhost, request) {
        return (Handling::Taken, Some(node), None, true);
    }
    let Mapped { by, to } = mapped(vhost, &user.dump.document_root, request, sections);
    let served = webroot.map(|w| [w.as_str(), request.path()].concat().into_bytes());
    let is_script = by.is_some_and(|n| n.name.starts_with("wsgi") || n.name.starts_with("script"));
    let fate = match served {
        _ if is_script => Handling::Taken,
        Some(served) if served == to => Handling::Webroot,
        _ => Handling::Elsewhere,
    };
    let place = (!to.is_empty()).then(|| without_token(&String::from_utf8_lossy(&to)));
    (fate, by, place, true)
}

/// A `Redirect` or one of its kin: to where, or with which error.
fn redirect<'a>(node: &'a Node, request: &Request) -> Found<'a> {
    let given: Vec<Vec<u8>> = words(&node.arguments).collect();
    let is_error = |word: &Vec<u8>| {
        word.eq_ignore_ascii_case(b"gone")
            || word.len() == 3 && word.iter().all(u8::is_ascii_digit) && word[0] != b'3'
    };
    if given.first().is_some_and(is_error) {
        return (Handling::Denied, Some(node), None, true);
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
    let to = to.map(|to| without_token(&String::from_utf8_lossy(&to)));
    (Handling::Redirected, Some(node), to.filter(|to| !to.contains(['$', '%'])), true)
}

/// The last word on access, if it is not a grant; `in_directory`: those of directories count.
fn refused<'a>(levels: &[Level<'a>], in_directory: bool) -> Option<Found<'a>> {
    let (mut required, mut by_host) = (None, None);
    for level in levels.iter().filter(|level| in_directory || is_late(level)) {
        for (said, kept) in [
            (directories::denial(&level.nodes), &mut required),
            (directories::host_denial(&level.nodes), &mut by_host),
        ] {
            let sure = level.likelihood() == Likelihood::Yes;
            match said {
                Some(Some(origin)) => {
                    let nodes = || level.nodes.iter().copied();
                    let node = nodes().find(|n| n.origin == origin);
                    // `Order` says when `Deny` counts; it is the latter that denies.
                    let deny = nodes().find(|n| n.name == "deny");
                    let deny = deny.filter(|_| node.is_some_and(|n| n.name == "order"));
                    *kept = deny.or(node).map(|n| (n, sure));
                }
                Some(None) if sure => *kept = None,
                _ => {}
            }
        }
    }
    let (node, sure) = required.or(by_host)?;
    let first = words(&node.arguments).next().unwrap_or_default().to_ascii_lowercase();
    let denies = match node.name.as_str() {
        // `Order` alone decides nothing before its `Deny` and `Allow` are weighed.
        "require" => !matches!(&first[..], b"expr" | b"env" | b"method" | b"not"),
        "deny" => true,
        _ => false,
    };
    Some((Handling::Denied, Some(node), None, sure && denies))
}

/// Rewriting and redirects of directories and locations, then the handler.
fn by_levels<'a>(
    vhost: &Vhost<'a>,
    user: Configuration<'a>,
    levels: &[Level<'a>],
    request: &Request,
    directory: &std::path::Path,
) -> Option<Found<'a>> {
    let on_disk = request.mapped_to(directory);
    let engine = Rulebook::of(vhost).engine;
    let loaded = user.dump.modules.contains("rewrite");
    let touch = directories::rewritten(levels, engine, &on_disk).filter(|_| loaded);
    let likely = |t: &Touch<'_>| t.likelihood == Likelihood::Yes || t.is_likely(&on_disk);
    // A rule that leads to the same path changes nothing.
    let same = |t: &Touch<'_>| match &t.effect {
        Effect::Path(Some(to)) => {
            request.path().as_bytes().ends_with(to) || to.ends_with(request.path().as_bytes())
        }
        _ => false,
    };
    if let Some((touch, subject)) = touch.filter(|(t, _)| likely(t) && !same(t)) {
        return Some(ruled(&touch, &on_disk, &subject));
    }
    if let Some(found) = redirected_late(levels, request, true) {
        return Some(found);
    }
    let mut handler = vhost.all().rfind(|n| n.name == "sethandler").map(|n| (n, true));
    for level in levels {
        let Some(node) = level.nodes.iter().rfind(|n| n.name == "sethandler") else { continue };
        let sure = level.likelihood() == Likelihood::Yes;
        if sure || directories::handler(node).is_some() {
            handler = Some((node, sure));
        }
    }
    let (node, sure) = handler.filter(|(node, _)| directories::handler(node).is_some())?;
    let word = words(&node.arguments).next().unwrap_or_default();
    let url = word.strip_prefix(b"proxy:").map(|url| String::from_utf8_lossy(url).into_owned());
    let fate = if url.is_some() { Handling::Passed } else { Handling::Taken };
    Some((fate, Some(node), url, sure))
}

/// A `Redirect` of a section or `.htaccess`: it acts on requests for another server, too (`fixup_redir`).
fn redirected_late<'a>(
    levels: &[Level<'a>],
    request: &Request,
    in_directory: bool,
) -> Option<Found<'a>> {
    let (node, sure) =
        levels.iter().filter(|level| in_directory || is_late(level)).find_map(|level| {
            let mut redirects = level.nodes.iter().filter(|n| n.name.starts_with("redirect"));
            let node = redirects.find(|n| answers_here(n, request))?;
            let spared = level
                .section
                .is_some_and(|s| String::from_utf8_lossy(&s.node.arguments).contains("well-known"));
            let sure = level.likelihood() == Likelihood::Yes;
            (sure || !spared).then_some((*node, sure))
        })?;
    let (fate, by, to, _) = redirect(node, request);
    Some((fate, by, to, sure))
}

/// Whether a level counts for a request that is for no file of this host.
fn is_late(level: &Level<'_>) -> bool {
    level.section.is_some_and(|s| s.stage >= MergeStage::Location)
}

fn without_token(text: &str) -> String {
    text.strip_suffix(Request::SAMPLE).unwrap_or(text).to_owned()
}
