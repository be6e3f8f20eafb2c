//! pure: whether the condition of an `<If>` holds for a challenge request.
//!
//! The part of Apache's expressions (`ap_expr`, `util_expr_parse.y`) that people
//! write about requests: comparisons of one variable, patterns, `!`, `&&`, `||`
//! and parentheses. All else is `Maybe`, never an error.

use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::apache::DEEPEST;
use crate::apache::likelihood::Likelihood;
use crate::apache::pattern::Pattern;
use crate::apache::request::Request;

/// Whether `text`, an expression as Apache has it, holds for `request`.
pub fn holds(text: &[u8], request: &Request) -> Likelihood {
    let Some(tokens) = tokens(text) else { return Likelihood::Maybe };
    let mut reader = Reader { tokens: &tokens, request, deepest: DEEPEST };
    match reader.either() {
        Some(answer) if reader.tokens.is_empty() => answer,
        _ => Likelihood::Maybe,
    }
}

struct Reader<'a> {
    tokens: &'a [Vec<u8>],
    request: &'a Request,
    /// How many more `!` and `(` may stand in each other.
    deepest: usize,
}

impl Reader<'_> {
    fn take(&mut self, token: &[u8]) -> bool {
        let found = self.tokens.first().is_some_and(|t| t == token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn either(&mut self) -> Option<Likelihood> {
        let mut answer = self.both()?;
        while self.take(b"||") {
            answer = answer.or(self.both()?);
        }
        Some(answer)
    }

    fn both(&mut self) -> Option<Likelihood> {
        let mut answer = self.term()?;
        while self.take(b"&&") {
            answer = answer.and(self.term()?);
        }
        Some(answer)
    }

    fn term(&mut self) -> Option<Likelihood> {
        self.deepest = self.deepest.checked_sub(1)?;
        let answer = self.nested();
        self.deepest += 1;
        answer
    }

    fn nested(&mut self) -> Option<Likelihood> {
        if self.take(b"!") {
            return self.term().map(|answer| !answer);
        }
        if self.take(b"(") {
            let answer = self.either()?;
            return self.take(b")").then_some(answer);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Likelihood> {
        let left = self.next()?;
        match &left[..] {
            b"true" => return Some(Likelihood::Yes),
            b"false" => return Some(Likelihood::No),
            _ => {}
        }
        let value = self.value(&left);
        let operator = self.next()?;
        let right = self.next()?;
        let known = |test: &dyn Fn(&str) -> Option<bool>| {
            value.as_deref().and_then(test).map_or(Likelihood::Maybe, Likelihood::from)
        };
        Some(match &operator[..] {
            b"=~" => known(&|v| Some(pattern(&right)?.matches(v.as_bytes()))),
            b"!~" => !known(&|v| Some(pattern(&right)?.matches(v.as_bytes()))),
            b"==" | b"=" => known(&|v| Some(self.value(&right)? == v)),
            b"!=" => !known(&|v| Some(self.value(&right)? == v)),
            _ => return None,
        })
    }

    /// A quoted string without variables, or one variable.
    fn value(&self, token: &[u8]) -> Option<String> {
        match token {
            [quote @ (b'\'' | b'"'), inner @ .., last] if quote == last => {
                let plain = !inner.contains(&b'%') && !inner.contains(&b'\\');
                let text = String::from_utf8_lossy(inner).into_owned();
                if plain { Some(text) } else { self.request.variable(inner) }
            }
            _ => self.request.variable(token),
        }
    }
}

/// `/…/flags` or `m#…#flags`, where any mark may stand for `#`.
fn pattern(token: &[u8]) -> Option<Pattern> {
    let body = token.strip_prefix(b"m").unwrap_or(token);
    let (mark, rest) = body.split_first()?;
    let end = rest.iter().rposition(|b| b == mark)?;
    Pattern::compile(&rest[..end], rest[end..].contains(&b'i'))
}

/// The tokens; `None` where something is none of ours.
fn tokens(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = text.trim_ascii();
    // Apache takes the argument with or without quotes around it.
    if let [b'"', inner @ .., b'"'] = rest {
        rest = inner;
    }
    let mut out = Vec::new();
    while !rest.is_empty() {
        let found = TOKEN.find(rest)?;
        out.push(found.as_bytes().to_vec());
        rest = rest[found.end()..].trim_ascii_start();
    }
    Some(out)
}

static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, used by the tests below")]
    Regex::new(
        r#"(?-u)^(?:&&|\|\||=~|!~|==|!=|=|!|\(|\)|true\b|false\b|%\{[^}]*\}|'[^']*'|"[^"]*"|m#[^#]*#[a-z]*|m\|[^|]*\|[a-z]*|/(?:[^/\\]|\\.)*/[a-z]*)"#,
    )
    .expect("a constant pattern")
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::Hostname;
    use Likelihood::{Maybe, No, Yes};

    fn asked(text: &str) -> Likelihood {
        holds(text.as_bytes(), &Request::new(&Hostname::parse("a.example.org").unwrap()))
    }

    #[test]
    fn comparisons_of_the_request_are_decided() {
        assert_eq!(asked(r#""%{REQUEST_URI} =~ m#^/\.well-known/#""#), Yes);
        assert_eq!(asked(r#""%{REQUEST_URI} !~ m#^/\.well-known/#""#), No);
        assert_eq!(asked("%{REQUEST_URI} =~ /^.\\/x/"), No);
        assert_eq!(asked("%{HTTP_HOST} == 'A.example.org'"), No);
        assert_eq!(asked("'%{HTTPS}' != 'on'"), Yes);
    }

    #[test]
    fn what_is_nested_without_end_is_doubt() {
        let nested =
            |depth: usize| asked(&format!("{}true{}", "(".repeat(depth), ")".repeat(depth)));
        assert_eq!(nested(50), Yes);
        assert_eq!(nested(200_000), Maybe);
        assert_eq!(asked(&"!".repeat(200_000)), Maybe);
    }

    #[test]
    fn the_exception_that_refusals_recommend_is_understood() {
        let spared =
            r#""%{HTTPS} != 'on' && !(%{REQUEST_URI} =~ m#^/\.well-known/acme-challenge/#)""#;
        assert_eq!(asked(spared), No);
        assert_eq!(asked(&spared.replace("&&", "||")), Yes);
    }

    #[test]
    fn what_is_not_understood_is_doubt_unless_the_rest_decides() {
        assert_eq!(asked("-R '10.0.0.0/8'"), Maybe);
        assert_eq!(asked("%{REMOTE_ADDR} == '192.0.2.1' && %{REQUEST_URI} =~ m#^/x#"), No);
        assert_eq!(asked("%{REMOTE_ADDR} == '192.0.2.1'"), Maybe);
        assert_eq!(asked("%{HTTPS} == "), Maybe);
    }
}
