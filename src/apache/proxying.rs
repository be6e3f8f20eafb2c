//! pure: which ProxyPass takes a challenge request.
//!
//! `proxy_trans` (mod_proxy.c): entries with `mapping=encoded` act first; then
//! the last matching `<Location>` that has one; then the list of the main
//! server, then the vhost's, first match wins. `!` ends the search of its
//! phase, and the variable `no-proxy` ends it before it begins.

use crate::apache::dump::Node;
use crate::apache::pattern;
use crate::apache::request::Request;
use crate::apache::sections::{Applied, MergeStage};
use crate::apache::vhosts::Vhost;

/// Every line that matches a request, apart by what becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search<'a> {
    /// The lines that decide, exclusions too: at most one in each phase.
    pub deciding: Vec<&'a Node>,
    /// The lines that are never looked at.
    pub passed_over: Vec<&'a Node>,
}

/// Who takes `request` in `vhost`; nobody when no line does, or a `!`. `sections` are those that apply.
pub fn winner<'a>(
    vhost: &Vhost<'a>,
    request: &Request,
    sections: &[Applied<'a>],
) -> Option<&'a Node> {
    if is_switched_off(vhost, request) {
        return None;
    }
    search(vhost, request, sections).deciding.into_iter().find(|n| !is_exclusion(n))
}

/// `ProxyExpressEnable`: the name that is asked for is looked up in a file, and passed on before
/// any `ProxyPass` is looked at, but after `mod_rewrite` (`xlate_name`, mod_proxy_express.c).
pub fn by_express<'a>(vhost: &Vhost<'a>) -> Option<&'a Node> {
    let node = vhost.all().rfind(|n| n.name == "proxyexpressenable")?;
    let has_file = vhost.all().any(|n| n.name == "proxyexpressdbmfile");
    (node.is_on() && has_file).then_some(node)
}

/// Looks at every line that matches `request`, without the variable `no-proxy`.
pub fn search<'a>(vhost: &Vhost<'a>, request: &Request, sections: &[Applied<'a>]) -> Search<'a> {
    let url = request.path().as_bytes();
    let located = sections.iter().filter(|s| s.stage == MergeStage::Location);
    let mut located: Vec<&Node> =
        located.flat_map(|s| &s.node.children).filter(|n| is_pass(n)).collect();
    let last = located.pop();
    let listed = vhost.all().filter(|n| is_pass(n) && list_entry_matches(n, url));
    let order: Vec<&Node> = last.into_iter().chain(listed).collect();
    let mut found = Search { deciding: Vec::new(), passed_over: located };
    let mut taken = false;
    for phase in [true, false] {
        let mut entries = order.iter().copied().filter(|n| is_encoded(n) == phase);
        if !taken {
            let first = entries.next();
            taken = first.is_some_and(|n| !is_exclusion(n));
            found.deciding.extend(first);
        }
        found.passed_over.extend(entries);
    }
    found
}

/// The user's own `SetEnvIf Request_URI … no-proxy` on the server level, if it
/// certainly matches and nothing after it may take the variable away.
fn is_switched_off(vhost: &Vhost<'_>, request: &Request) -> bool {
    let mut off = false;
    for node in vhost.all() {
        let mut words = node.words();
        let caseless = match node.name.as_str() {
            "setenvif" => false,
            "setenvifnocase" => true,
            // The pattern is all there is: the attribute is the User-Agent.
            "browsermatch" | "browsermatchnocase" | "setenvifexpr" => {
                off &= !words.any(|w| w == b"!no-proxy");
                continue;
            }
            _ => continue,
        };
        let attribute = words.next().unwrap_or_default();
        let pattern = words.next().unwrap_or_default();
        let of_path = attribute.eq_ignore_ascii_case(b"request_uri");
        let certain = of_path && pattern::finds(&pattern, caseless, request.path().as_bytes());
        for variable in words {
            match &variable[..] {
                b"!no-proxy" if certain || !of_path => off = false,
                b"no-proxy" if certain => off = true,
                set if certain && set.starts_with(b"no-proxy=") => off = true,
                _ => {}
            }
        }
    }
    off
}

/// `ProxyPass` or `ProxyPassMatch`.
fn is_pass(node: &Node) -> bool {
    matches!(node.name.as_str(), "proxypass" | "proxypassmatch")
}

/// `ProxyPass path target …` outside of a `<Location>`.
fn list_entry_matches(node: &Node, url: &[u8]) -> bool {
    let Some(path) = node.words().next() else { return false };
    match node.name.as_str() {
        "proxypass" => pattern::prefix(url, &path).is_some(),
        _ => pattern::finds(&path, false, url),
    }
}

fn is_exclusion(node: &Node) -> bool {
    node.words().any(|w| w == b"!")
}

/// Whether the line acts before `mod_rewrite` can.
pub fn is_encoded(node: &Node) -> bool {
    node.words().any(|w| w.eq_ignore_ascii_case(b"mapping=encoded"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::apache::sample::dump;
    use crate::apache::sections::applied;
    use crate::apache::vhosts::vhosts;
    use crate::base::names::Hostname;

    /// The number of the line of `own` that wins, from 1; lines of `main` have negative numbers.
    fn wins(main: &[&str], own: &[&str]) -> Option<i64> {
        let text = [main, &["<VirtualHost *:80>"], own, &["</VirtualHost>"]].concat().join("\n");
        let dump = dump(&text, &[]);
        let vhost = vhosts(&dump).remove(0);
        let request = Request::new(&Hostname::parse("a.example.org").unwrap());
        let sections = applied(&vhost, &request, Path::new("/srv/.well-known/acme-challenge"));
        let winner = winner(&vhost, &request, &sections)?;
        Some(i64::from(winner.origin.line) - i64::try_from(main.len()).unwrap() - 1)
    }

    const CHALLENGE: &str = "ProxyPass /.well-known/acme-challenge/ http://vps/";
    const ALL: &str = "ProxyPass / http://app/";
    const EXCLUDED: &str = "ProxyPass /.well-known/acme-challenge/ !";

    #[test]
    fn the_first_match_of_the_list_wins() {
        assert_eq!(wins(&[], &[CHALLENGE, ALL]), Some(1));
        assert_eq!(wins(&[], &[ALL, CHALLENGE]), Some(1));
        assert_eq!(wins(&[], &["ProxyPass /other http://x/", ALL]), Some(2));
    }

    #[test]
    fn an_exclusion_counts_from_its_own_position_on() {
        assert_eq!(wins(&[], &[EXCLUDED, ALL]), None);
        assert_eq!(wins(&[], &[ALL, EXCLUDED]), Some(1));
        assert_eq!(wins(&["ProxyPass /.well-known !"], &[CHALLENGE]), None);
    }

    #[test]
    fn the_list_of_the_main_server_comes_first() {
        assert_eq!(wins(&[ALL], &[EXCLUDED]), Some(-1));
    }

    #[test]
    fn the_last_location_beats_every_list() {
        let location = ["<Location />", "ProxyPass http://app/", "</Location>", EXCLUDED];
        assert_eq!(wins(&[], &location), Some(2));
        let spared = [
            "<Location />",
            "ProxyPass http://app/",
            "</Location>",
            "<Location /.well-known>",
            "ProxyPass !",
            "</Location>",
            CHALLENGE,
        ];
        assert_eq!(wins(&[], &spared), None);
    }

    #[test]
    fn an_encoded_mapping_acts_before_all_others_and_its_exclusion_spares_only_its_phase() {
        let encoded = "ProxyPass / http://app/ mapping=encoded";
        assert_eq!(wins(&[], &[EXCLUDED, encoded]), Some(2));
        let spared = "ProxyPass /.well-known/acme-challenge/ ! mapping=encoded";
        assert_eq!(wins(&[], &[spared, ALL]), Some(2));
        assert_eq!(wins(&[], &[spared, encoded]), None);
    }

    #[test]
    fn no_proxy_by_the_path_switches_all_off_unless_it_is_taken_away() {
        let off = r"SetEnvIf Request_URI ^/\.well-known/acme-challenge/ no-proxy";
        assert_eq!(wins(&[], &[CHALLENGE, off]), None);
        assert_eq!(wins(&[off], &[CHALLENGE, "SetEnvIf Host . !no-proxy"]), Some(1));
        assert_eq!(wins(&[], &[CHALLENGE, "SetEnvIf Request_URI ^/other no-proxy"]), Some(1));
        assert_eq!(wins(&[], &[CHALLENGE, "SetEnvIf User-Agent Boulder no-proxy"]), Some(1));
    }
}
