//! pure: how Apache matches a path against what the configuration says.
//!
//! Prefixes as `alias_match` (`mod_alias.c`, `mod_proxy.c`), sections as
//! `ap_location_walk` and `ap_directory_walk` (request.c), expressions as PCRE2,
//! the engine Apache itself uses. A pattern that does not compile matches
//! nothing: Apache would have refused it before us.

use pcre2::bytes::{Regex, RegexBuilder};

/// A regular expression of the configuration.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// How often PCRE2 may try on in one search (pcre2pattern(3), "Special start-of-pattern items"; 10 million
/// without). Users write patterns (`.htaccess`), thousands of them, and one of a path needs some hundred.
/// What takes more is taken not to match, as Apache takes an error of `ap_regexec`; the proof decides.
const MOST_WORK: &str = "(*LIMIT_MATCH=20000)(*LIMIT_DEPTH=20000)";

impl Pattern {
    /// Compiles `text`; `None` if it is not a valid expression.
    pub fn compile(text: &[u8], caseless: bool) -> Option<Self> {
        let text = format!("{MOST_WORK}{}", std::str::from_utf8(text).ok()?);
        RegexBuilder::new().caseless(caseless).build(&text).ok().map(Self)
    }

    /// Whether it matches anywhere in `subject`, as `ap_regexec` searches.
    pub fn matches(&self, subject: &[u8]) -> bool {
        self.0.is_match(subject).unwrap_or(false)
    }

    /// `template` with `$0` to `$9` replaced by what the groups matched.
    pub fn substitute(&self, subject: &[u8], template: &[u8]) -> Option<Vec<u8>> {
        let found = self.0.captures(subject).ok()??;
        let (mut out, mut rest) = (Vec::new(), template);
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match (byte, tail.first()) {
                (b'$', Some(digit @ b'0'..=b'9')) => {
                    let group = found.get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(&b""[..], |m| m.as_bytes()));
                    rest = &tail[1..];
                }
                _ => out.push(byte),
            }
        }
        Some(out)
    }
}

/// Whether the expression `text` matches anywhere in `subject`.
pub fn finds(text: &[u8], caseless: bool, subject: &[u8]) -> bool {
    Pattern::compile(text, caseless).is_some_and(|pattern| pattern.matches(subject))
}

/// Length of `path` that `prefix` matches, on segment borders, `//` folded.
pub fn prefix(path: &[u8], prefix: &[u8]) -> Option<usize> {
    let (mut at, mut from) = (0, 0);
    while from < prefix.len() {
        if prefix[from] == b'/' {
            if path.get(at) != Some(&b'/') {
                return None;
            }
            from += slashes(&prefix[from..]);
            at += slashes(&path[at..]);
        } else {
            if path.get(at) != Some(&prefix[from]) {
                return None;
            }
            (at, from) = (at + 1, from + 1);
        }
    }
    let border = prefix.last() == Some(&b'/') || matches!(path.get(at), None | Some(b'/'));
    border.then_some(at)
}

fn slashes(text: &[u8]) -> usize {
    text.iter().take_while(|&&b| b == b'/').count()
}

/// Whether `<Location argument>` applies to `path`.
pub fn location(argument: &[u8], path: &[u8]) -> bool {
    if is_wild(argument) {
        return glob(argument).is_some_and(|g| g.matches(path));
    }
    let inside = |rest: &[u8]| matches!(rest.first(), None | Some(b'/'));
    path.strip_prefix(argument).is_some_and(|rest| argument.ends_with(b"/") || inside(rest))
}

/// Whether `<Directory argument>` applies to the directory `path` or one above it.
pub fn directory(argument: &[u8], path: &[u8]) -> bool {
    let argument = match argument.strip_suffix(b"/") {
        Some(b"") | None => argument,
        Some(cut) => cut,
    };
    if argument == b"/" {
        return true;
    }
    if is_wild(argument) {
        // Each directory on the way is compared: a prefix of whole segments.
        return (1..=path.len())
            .filter(|&end| matches!(path.get(end), None | Some(b'/')))
            .any(|end| glob(argument).is_some_and(|g| g.matches(&path[..end])));
    }
    path.strip_prefix(argument).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// Whether `<Files argument>` applies to the file `name`.
pub fn file(argument: &[u8], name: &[u8]) -> bool {
    if is_wild(argument) {
        glob(argument).is_some_and(|g| g.matches(name))
    } else {
        argument == name
    }
}

/// `apr_fnmatch_test`.
fn is_wild(text: &[u8]) -> bool {
    text.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// `apr_fnmatch` with `APR_FNM_PATHNAME` as an expression: no wildcard crosses a slash.
fn glob(text: &[u8]) -> Option<Pattern> {
    let mut out = b"^".to_vec();
    let mut class = false;
    for &byte in text {
        match byte {
            b'*' if !class => out.extend_from_slice(b"[^/]*"),
            b'?' if !class => out.extend_from_slice(b"[^/]"),
            b'[' if !class => {
                class = true;
                out.push(byte);
            }
            b']' => {
                class = false;
                out.push(byte);
            }
            b'!' if out.ends_with(b"[") => out.push(b'^'),
            _ if byte.is_ascii_alphanumeric() || class || !byte.is_ascii() => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', byte]),
        }
    }
    out.push(b'$');
    Pattern::compile(&out, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &[u8] = b"/.well-known/acme-challenge/token";

    #[test]
    fn a_prefix_ends_on_a_segment_border() {
        assert!(prefix(PATH, b"/.well-known/acme-challenge").is_some());
        assert!(prefix(PATH, b"/.well-known/acme-challenge/").is_some());
        assert!(prefix(PATH, b"/.well-known//acme-challenge/").is_some());
        assert_eq!(prefix(PATH, b"/"), Some(1));
        assert_eq!(prefix(PATH, b"/.well-known/acme"), None);
        assert_eq!(prefix(PATH, b"/.Well-Known/"), None);
    }

    #[test]
    fn expressions_have_lookahead() {
        let spared = Pattern::compile(b"^/(?!\\.well-known/acme-challenge/)(.*)$", false).unwrap();
        assert!(!spared.matches(PATH));
        assert!(spared.matches(b"/other"));
    }

    #[test]
    fn a_pattern_that_tries_without_end_is_given_up() {
        let endless = Pattern::compile(b"^(?:(?:a+)+$|a+!$)", false).unwrap();
        assert!(endless.matches(b"aaaa!"));
        assert!(!endless.matches(b"aaaaaaaaaaaaaaaaaaa!"), "it matches, after 2^19 tries");
    }

    #[test]
    fn groups_are_substituted() {
        let pattern = Pattern::compile(b"^/.well-known/acme-challenge/(.*)$", false).unwrap();
        assert_eq!(pattern.substitute(PATH, b"/srv/$1$9.$").unwrap(), b"/srv/token.$");
        assert_eq!(pattern.substitute(b"/x", b"/srv/$1"), None);
    }

    #[test]
    fn locations_match_like_the_location_walk() {
        assert!(location(b"/", PATH));
        assert!(location(b"/.well-known", PATH));
        assert!(location(b"/.well-known/*/token", PATH));
        assert!(!location(b"/.well", PATH));
        assert!(!location(b"/*", PATH));
    }

    #[test]
    fn directories_match_themselves_and_what_is_below() {
        assert!(directory(b"/", b"/var/www"));
        assert!(directory(b"/var/www/", b"/var/www/html/.well-known"));
        assert!(directory(b"/var/*/html", b"/var/www/html/.well-known"));
        assert!(!directory(b"/var/w", b"/var/www"));
    }

    #[test]
    fn files_match_by_name() {
        assert!(file(b"*.php", b"a.php") && !file(b"*.php", b"token") && file(b"token", b"token"));
    }
}
