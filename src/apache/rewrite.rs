//! pure: what `mod_rewrite` does to a challenge request.
//!
//! Answers in three values, because a condition may look at things only the
//! request knows: what is not certain is `Maybe`, and callers treat it as an
//! obstacle. Follows `apply_rewrite_list` and `parseargline` (`mod_rewrite.c`).

use crate::apache::condition::{all_conditions, arguments_of, condition, flag_list, negation};
use crate::apache::dump::Node;
pub use crate::apache::likelihood::Likelihood;
use crate::apache::pattern::Pattern;
use crate::apache::request::Request;

/// What a rule that applies does with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Leaves it alone (`-`).
    Pass,
    /// Sends it to another server (`[P]`).
    Proxy,
    /// Answers with a redirect.
    Redirect,
    /// Answers with this status, without a file (`[R=200]`, `[F]`, `[G]`).
    Status(String),
    /// Turns it into this path; `None` when it cannot be told from here.
    Path(Option<Vec<u8>>),
}

/// A rule that changes, or may change, a challenge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch<'a> {
    /// The `RewriteRule`.
    pub rule: &'a Node,
    /// Whether it certainly applies.
    pub likelihood: Likelihood,
    /// Whether a CA's request for a file that exists is more likely than not to meet the conditions.
    pub is_likely: bool,
    /// What it does.
    pub effect: Effect,
    /// The URL of another server that it leads to, if it can be told.
    pub url: Option<Vec<u8>>,
    /// Its `RewriteCond` lines.
    pub conditions: Vec<&'a Node>,
}

impl Touch<'_> {
    /// Whether the rule is written for the challenge path, not for all but it.
    pub fn is_meant(&self) -> bool {
        let names_it = |text: &[u8]| {
            !text.starts_with(b"!") && String::from_utf8_lossy(text).contains("acme-challenge")
        };
        let pattern = |node: &Node, nth| arguments_of(&node.arguments).nth(nth);
        pattern(self.rule, 0).is_some_and(|p| names_it(&p))
            || self.conditions.iter().any(|c| pattern(c, 1).is_some_and(|p| names_it(&p)))
    }
}

/// The first of `nodes`' rules that changes the request, if any does.
pub fn touch<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    request: &Request,
    subject: &[u8],
) -> Option<Touch<'a>> {
    touches(nodes, request, subject).next()
}

/// Those of `nodes`' rules that change the request unless one before them does: none comes after one
/// that certainly applies.
///
/// `subject` is what patterns are matched against: the URL path in server
/// context, the rest of it in a per-directory context.
pub fn touches<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    request: &Request,
    subject: &[u8],
) -> impl Iterator<Item = Touch<'a>> {
    let mut nodes = nodes.into_iter();
    let mut is_over = false;
    std::iter::from_fn(move || {
        let mut conditions: Vec<&Node> = Vec::new();
        while !is_over && let Some(node) = nodes.next() {
            match node.name.as_str() {
                "rewritecond" => conditions.push(node),
                "rewriterule" => {
                    let conditions = std::mem::take(&mut conditions);
                    let rule = Rule::parse(&node.arguments);
                    let likelihood = rule.applies(&conditions, request, subject);
                    let effect = rule.effect(subject);
                    match (likelihood, &effect) {
                        (Likelihood::No, _) => {}
                        (Likelihood::Yes, Effect::Pass) if rule.is_last() => is_over = true,
                        // A skip or chain after a dash decides about later rules: not followed.
                        (_, Effect::Pass) if !rule.jumps() => {}
                        _ => {
                            is_over = likelihood == Likelihood::Yes;
                            let is_likely =
                                is_over || rule.is_likely(&conditions, request, subject);
                            let url = rule.url(request, subject);
                            let rule = node;
                            return Some(Touch {
                                rule,
                                likelihood,
                                is_likely,
                                effect,
                                url,
                                conditions,
                            });
                        }
                    }
                }
                _ => {}
            }
        }
        None
    })
}

struct Rule {
    pattern: Vec<u8>,
    substitution: Vec<u8>,
    flags: Vec<String>,
}

impl Rule {
    fn parse(arguments: &[u8]) -> Self {
        let mut words = arguments_of(arguments);
        let mut next = || words.next().unwrap_or_default();
        Self { pattern: next(), substitution: next(), flags: flag_list(&next()) }
    }

    fn has(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| {
            let name = flag.split('=').next().unwrap_or(flag);
            names.iter().any(|n| n.eq_ignore_ascii_case(name))
        })
    }

    fn is_last(&self) -> bool {
        self.has(&["L", "last", "END"])
    }

    fn jumps(&self) -> bool {
        self.has(&["S", "skip", "C", "chain", "N", "next"])
    }

    fn compiled(&self) -> (bool, Option<Pattern>) {
        let (negated, text) = negation(&self.pattern);
        (negated, Pattern::compile(text, self.has(&["NC", "nocase"])))
    }

    fn applies(&self, conditions: &[&Node], request: &Request, subject: &[u8]) -> Likelihood {
        let (negated, pattern) = self.compiled();
        let Some(pattern) = pattern else { return Likelihood::Maybe };
        if pattern.matches(subject) == negated {
            return Likelihood::No;
        }
        all_conditions(conditions, request, &|text| self.filled(text, subject))
    }

    /// A list of clients is for others, a list of exceptions hardly names the CA.
    fn is_likely(&self, conditions: &[&Node], request: &Request, subject: &[u8]) -> bool {
        conditions.iter().all(|node| {
            let pattern = arguments_of(&node.arguments).nth(1).unwrap_or_default();
            let (inverse, text) = negation(&pattern);
            // A map of names has the CA's.
            let is_mapped = node.arguments.windows(2).any(|pair| pair == b"${");
            match condition(&node.arguments, request, &|text| self.filled(text, subject)) {
                (Likelihood::Maybe, _) if is_mapped => !inverse,
                (Likelihood::Maybe, _) => inverse != text.starts_with(b"-"),
                (known, or) => known == Likelihood::Yes || or,
            }
        })
    }

    /// The substitution with all that it refers to, if that can be told.
    fn url(&self, request: &Request, subject: &[u8]) -> Option<Vec<u8>> {
        let text = request.filled(&self.substitution)?;
        match self.compiled() {
            (false, Some(pattern)) => pattern.substitute(subject, text.as_bytes()),
            _ => Some(text.into_bytes()),
        }
    }

    /// What of a condition's text the groups of the pattern fill in (`do_expand`): `None` where it cannot be told.
    fn filled(&self, text: &[u8], subject: &[u8]) -> Option<Vec<u8>> {
        let is_group = |pair: &[u8]| pair[0] == b'$' && pair[1].is_ascii_digit();
        if !text.windows(2).any(is_group) {
            return Some(text.to_vec());
        }
        let (negated, pattern) = self.compiled();
        pattern.filter(|_| !negated)?.substitute(subject, text)
    }

    fn effect(&self, subject: &[u8]) -> Effect {
        let redirect = self.flags.iter().find_map(|flag| {
            let (name, value) = flag.split_once('=').unwrap_or((flag, "302"));
            (name.eq_ignore_ascii_case("R") || name.eq_ignore_ascii_case("redirect"))
                .then(|| value.to_owned())
        });
        let external = [&b"http://"[..], b"https://"].iter().any(|scheme| {
            self.substitution.len() >= scheme.len()
                && self.substitution[..scheme.len()].eq_ignore_ascii_case(scheme)
        });
        if self.has(&["F", "forbidden"]) {
            return Effect::Status("403".to_owned());
        }
        if self.has(&["G", "gone"]) {
            return Effect::Status("410".to_owned());
        }
        match redirect {
            Some(code)
                if code.starts_with(|c: char| c.is_ascii_digit()) && !code.starts_with('3') =>
            {
                return Effect::Status(code);
            }
            Some(_) => return Effect::Redirect,
            None => {}
        }
        if self.has(&["P", "proxy"]) {
            return Effect::Proxy;
        }
        if self.substitution == b"-" {
            return Effect::Pass;
        }
        if external {
            return Effect::Redirect;
        }
        let (negated, pattern) = self.compiled();
        let known = !negated && !self.substitution.contains(&b'%');
        // What follows a question mark is the query (`splitout_queryargs`).
        let path = self.substitution.split(|&b| b == b'?').next().unwrap_or_default();
        Effect::Path(pattern.filter(|_| known).and_then(|p| p.substitute(subject, path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::dump::Origin;
    use crate::base::names::Hostname;

    fn nodes(lines: &[&str]) -> Vec<Node> {
        let node = |line: &&str| {
            let (name, arguments) = line.split_once(' ').unwrap();
            Node {
                name: name.to_ascii_lowercase(),
                arguments: arguments.as_bytes().to_vec(),
                origin: Origin { file: "f".into(), line: 1 },
                children: vec![],
            }
        };
        lines.iter().map(node).collect()
    }

    fn touched(lines: &[&str]) -> Option<(Likelihood, Effect)> {
        let nodes = nodes(lines);
        let request = Request::new(&Hostname::parse("a.example.org").unwrap());
        touch(&nodes, &request, request.path().as_bytes()).map(|t| (t.likelihood, t.effect))
    }

    #[test]
    fn a_redirect_that_spares_the_challenge_path_is_no_obstacle() {
        let spared = [
            "RewriteCond %{REQUEST_URI} !^/.well-known/acme-challenge/",
            "RewriteRule ^ https://x/ [R=301]",
        ];
        assert_eq!(touched(&spared), None);
        assert_eq!(touched(&["RewriteRule ^/(?!\\.well-known) https://x/ [R]"]), None);
    }

    #[test]
    fn a_redirect_of_everything_is_certain() {
        let all = touched(&["RewriteRule ^/(.*)$ https://x/$1 [R=301,L]"]);
        assert_eq!(all, Some((Likelihood::Yes, Effect::Redirect)));
    }

    #[test]
    fn an_unknown_condition_leaves_doubt() {
        let upgrade = ["RewriteCond %{HTTP:Cookie} id", "RewriteRule .* ws://x/ [P]"];
        assert_eq!(touched(&upgrade), Some((Likelihood::Maybe, Effect::Proxy)));
    }

    #[test]
    fn a_ca_asks_for_no_upgrade() {
        let upgrade = ["RewriteCond %{HTTP:Upgrade} =websocket [NC]", "RewriteRule .* ws://x/ [P]"];
        assert_eq!(touched(&upgrade), None);
        let upgrade = ["RewriteCond %{HTTP:Upgrade} websocket [NC]", "RewriteRule .* ws://x/ [P]"];
        assert_eq!(touched(&upgrade), None);
    }

    #[test]
    fn a_string_comparison_with_a_known_value_is_decided() {
        let redirect = ["RewriteCond %{HTTPS} !=on", "RewriteRule ^ https://x/ [R]"];
        assert_eq!(touched(&redirect).map(|t| t.0), Some(Likelihood::Yes));
        let redirect = ["RewriteCond %{HTTPS} =on", "RewriteRule ^ https://x/ [R]"];
        assert_eq!(touched(&redirect), None);
    }

    #[test]
    fn a_front_controller_spares_files_that_exist() {
        let nodes = nodes(&["RewriteCond %{REQUEST_FILENAME} !-f", "RewriteRule . /index.php [L]"]);
        let request = Request::new(&Hostname::parse("a.example.org").unwrap());
        assert!(touch(&nodes, &request, b"x").is_some(), "not mapped yet: it cannot be told");
        let mapped = request.mapped_to(std::path::Path::new("/srv/www/.well-known/acme-challenge"));
        assert_eq!(touch(&nodes, &mapped, b"x"), None);
    }

    #[test]
    fn a_rule_is_meant_for_the_path_that_it_or_its_condition_names() {
        let meant = |lines: &[&str]| {
            let nodes = nodes(lines);
            let request = Request::new(&Hostname::parse("a.example.org").unwrap());
            touch(&nodes, &request, request.path().as_bytes()).unwrap().is_meant()
        };
        assert!(meant(&["RewriteRule ^/.well-known/acme-challenge/ /acme.php [L]"]));
        assert!(meant(&[
            "RewriteCond %{REQUEST_URI} ^/.well-known/acme-challenge/",
            "RewriteRule ^ /acme.php [L]"
        ]));
        assert!(!meant(&[
            "RewriteCond %{REQUEST_URI} !^/.well-known/acme-challenge/x$",
            "RewriteRule ^ /index.php [L]"
        ]));
    }

    #[test]
    fn or_groups_hold_if_one_of_them_does() {
        let lines = [
            "RewriteCond %{HTTPS} on [OR]",
            "RewriteCond %{HTTP_HOST} ^a\\.example\\.org$",
            "RewriteRule ^ https://x/ [R]",
        ];
        assert_eq!(touched(&lines).map(|t| t.0), Some(Likelihood::Yes));
    }

    #[test]
    fn a_dash_with_last_ends_the_rules() {
        let lines = [
            "RewriteRule ^/\\.well-known/acme-challenge/ - [L]",
            "RewriteRule ^(.*)$ http://app$1 [P]",
        ];
        assert_eq!(touched(&lines), None);
    }

    #[test]
    fn a_mapping_tells_its_path() {
        let lines =
            ["RewriteRule \"^/\\.well-known/acme-challenge/(.*)$\" \"/srv/my acme/$1\" [L]"];
        let path = [b"/srv/my acme/".as_slice(), Request::SAMPLE.as_bytes()].concat();
        assert_eq!(touched(&lines), Some((Likelihood::Yes, Effect::Path(Some(path)))));
    }

    #[test]
    fn words_keep_an_escaped_blank_and_do_not_unescape() {
        let words: Vec<_> = arguments_of(b"^A\\ B  \"c d\" [R]").collect();
        assert_eq!(words, [b"^A\\ B".to_vec(), b"c d".to_vec(), b"[R]".to_vec()]);
    }
}
