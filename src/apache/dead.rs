//! pure: lines written for the challenge path that can never decide anything.
//!
//! A line is called dead only when it is passed over for every name and every
//! token that is tried, in the only vhost it stands in. A doubt is no word.

use std::collections::BTreeSet;
use std::path::Path;

use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::redirected;
use crate::apache::pattern::Pattern;
use crate::apache::proxying::{Search, is_encoded, search};
use crate::apache::request::Request;
use crate::apache::rewrite::{self, Effect};
use crate::apache::rulebook::Rulebook;
use crate::apache::sections::applied;
use crate::apache::vhosts::Vhost;
use crate::base::names::Hostname;

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
        let mut arguments = node.words();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample::dump;
    use crate::apache::vhosts::vhosts;

    /// Lines of the first vhost, numbered from 2, that are dead.
    fn dead_lines(lines: &[&str]) -> Vec<u32> {
        let text = [&["<VirtualHost *:80>"], lines, &["</VirtualHost>"]].concat().join("\n");
        let dump = dump(&text, &["rewrite"]);
        let name = Hostname::parse("a.example.org").unwrap();
        let found = dead(&dump, &vhosts(&dump)[0], &[name], Path::new("/srv"));
        found.into_iter().map(|origin| origin.line).collect()
    }

    const CHALLENGE: &str = "ProxyPass /.well-known/acme-challenge/ http://vps/";
    const EXCLUDED: &str = "ProxyPass /.well-known/acme-challenge/ !";
    const ALL: &str = "ProxyPass / http://app/";

    #[test]
    fn a_line_behind_a_wider_one_is_dead_an_exclusion_too() {
        assert_eq!(dead_lines(&[ALL, CHALLENGE]), [3]);
        assert_eq!(dead_lines(&[CHALLENGE, EXCLUDED, ALL]), [3]);
    }

    #[test]
    fn a_wider_line_behind_one_for_challenges_is_alive_elsewhere() {
        assert_eq!(
            dead_lines(&[CHALLENGE, "ProxyPass /.well-known/ http://app/", ALL]),
            Vec::<u32>::new()
        );
    }

    #[test]
    fn a_line_for_some_tokens_does_not_kill_one_for_all() {
        let some = r"ProxyPassMatch ^/\.well-known/acme-challenge/C http://app";
        assert_eq!(dead_lines(&[some, CHALLENGE]), Vec::<u32>::new());
    }

    #[test]
    fn a_certain_rewrite_kills_and_a_doubtful_one_does_not() {
        let rule = "RewriteRule ^ https://x/ [R]";
        assert_eq!(dead_lines(&["RewriteEngine On", rule, CHALLENGE]), [4]);
        assert_eq!(dead_lines(&[rule, CHALLENGE]), Vec::<u32>::new());
        for condition in ["RewriteCond %{HTTP:X} y", "RewriteCond %{HTTP_HOST} ^a"] {
            assert_eq!(
                dead_lines(&["RewriteEngine On", condition, rule, CHALLENGE]),
                Vec::<u32>::new()
            );
        }
    }

    #[test]
    fn a_vhost_that_answers_behind_its_own_redirect_keeps_its_lines() {
        let text = "<VirtualHost *:443>\nRewriteEngine On\nRewriteRule ^ https://x/ [R]\nProxyPass /.well-known/acme-challenge/ http://vps/\n</VirtualHost>";
        let dump = dump(text, &["rewrite"]);
        assert_eq!(dead(&dump, &vhosts(&dump)[0], &[], Path::new("/srv")), Vec::<Origin>::new());
    }

    #[test]
    fn a_redirect_kills_an_alias_and_no_proxypass() {
        let alias = "Alias /.well-known/acme-challenge/ /srv/";
        assert_eq!(dead_lines(&["Redirect / https://x/", alias, CHALLENGE]), [3]);
        assert_eq!(dead_lines(&["Redirect /other https://x/", alias]), Vec::<u32>::new());
    }
}
