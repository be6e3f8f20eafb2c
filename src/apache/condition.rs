//! pure: `RewriteCond`, and the words of `mod_rewrite`'s directives.
//!
//! Follows `apply_rewrite_cond` and `parseargline` (`mod_rewrite.c`).

use crate::apache::document::is_space;
use crate::apache::dump::Node;
use crate::apache::likelihood::Likelihood;
use crate::apache::pattern::Pattern;
use crate::apache::request::Request;

/// Fills the groups of a rule's pattern (`$1`) into a condition's test string.
pub(super) type Fill<'a> = dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a;

/// All conditions of a rule, with `[OR]` groups.
pub(super) fn all_conditions(
    conditions: &[&Node],
    request: &Request,
    fill: &Fill<'_>,
) -> Likelihood {
    let mut all = Likelihood::Yes;
    let mut group = Likelihood::No;
    for node in conditions {
        let (one, or) = condition(&node.arguments, request, fill);
        group = group.or(one);
        if !or {
            all = all.and(group);
            group = Likelihood::No;
        }
    }
    all
}

/// One condition, and whether it is joined to the next by `[OR]`.
pub(super) fn condition(
    arguments: &[u8],
    request: &Request,
    fill: &Fill<'_>,
) -> (Likelihood, bool) {
    let mut words = arguments_of(arguments);
    let (test, pattern) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let flags = flag_list(&words.next().unwrap_or_default());
    let flag =
        |names: [&str; 2]| flags.iter().any(|f| names.iter().any(|n| n.eq_ignore_ascii_case(f)));
    let (inverse, text) = negation(&pattern);
    let value = fill(&test).and_then(|test| request.filled(&test));
    let holds = match value {
        Some(value) => holds(&value, text, flag(["NC", "nocase"]), request),
        None => Likelihood::Maybe,
    };
    (if inverse { !holds } else { holds }, flag(["OR", "ornext"]))
}

/// One test of a known value; a file that the request is mapped to exists.
fn holds(value: &str, pattern: &[u8], caseless: bool, request: &Request) -> Likelihood {
    match pattern {
        [b'=', text @ ..] => {
            let text = if text == b"\"\"" { b"" } else { text };
            let equal = if caseless {
                text.eq_ignore_ascii_case(value.as_bytes())
            } else {
                text == value.as_bytes()
            };
            equal.into()
        }
        b"-f" | b"-s" | b"-F" => request.has(value).map_or(Likelihood::Maybe, Into::into),
        b"-d" if request.has(value).is_some() => Likelihood::No,
        [b'-' | b'<' | b'>', ..] => Likelihood::Maybe,
        _ => Pattern::compile(pattern, caseless)
            .map_or(Likelihood::Maybe, |p| p.matches(value.as_bytes()).into()),
    }
}

/// Whether a pattern is inverted, and the rest of it.
pub(super) fn negation(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    }
}

/// The flags in brackets.
pub(super) fn flag_list(word: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(word);
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or("");
    inner.split(',').map(|flag| flag.trim().to_owned()).filter(|flag| !flag.is_empty()).collect()
}

/// The words of `RewriteRule` and `RewriteCond`: quotes count only at the start
/// of a word, a backslash keeps a blank inside, and nothing is unescaped.
pub(super) fn arguments_of(text: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|&b| !is_space(b))?;
        rest = &rest[start..];
        let quote = Some(rest[0]).filter(|b| matches!(b, b'"' | b'\''));
        let from = usize::from(quote.is_some());
        let mut end = from;
        while end < rest.len() {
            match quote {
                Some(quote) if rest[end] == quote => break,
                None if is_space(rest[end]) => break,
                _ if rest[end] == b'\\' && rest.get(end + 1).is_some_and(|&b| is_space(b)) => {
                    end += 2;
                }
                _ => end += 1,
            }
        }
        let end = end.min(rest.len());
        let word = rest[from..end].to_vec();
        rest = rest.get(end + 1..).unwrap_or(&[]);
        Some(word)
    })
}
