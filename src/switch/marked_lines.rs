//! pure: the marked lines that certbaton inserts, and how to take them out again.
//!
//! A block names the routes it is for and carries a hash of itself, so a file
//! explains and repairs itself when the journal is gone. Only a block that is
//! byte for byte ours is ever removed.

use std::ops::Range;

use crate::apache::document::{Document, LogicalLine};
use crate::base::names::{Hostname, Route, Webroot};

/// A file with its intact blocks taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped {
    /// The user's bytes.
    pub bytes: Vec<u8>,
    /// Routes the removed blocks were for, sorted, each once.
    pub routes: Vec<Route>,
    /// Routes of the blocks that stay, sorted, each once.
    pub kept: Vec<Route>,
    /// Physical lines the blocks took, in the file as it was.
    pub lines: Vec<Range<u32>>,
    /// Marked lines that are not as we wrote them: left in `bytes`.
    pub damaged: Vec<Range<u32>>,
}

/// What every line of ours that is a comment begins with.
const MARK: &[u8] = b"# certbaton: ";
const BEGIN: &str = "# certbaton: begin ";
const END: &str = "# certbaton: end ";
const INDENT: &str = "    ";
const NOTICE: &str =
    "# certbaton: for a renewal on this host; \"certbaton recover\" removes these lines";

/// The block of `directives` for `routes`, each line ended by `line_end`.
pub fn render(routes: &[Route], directives: &[String], line_end: &[u8]) -> Vec<u8> {
    let routes: Vec<String> = routes.iter().map(encode).collect();
    let routes = routes.join(" ");
    let mut body = vec![NOTICE.to_owned()];
    body.extend(directives.iter().cloned());
    let hash = fingerprint(&routes, body.iter().map(String::as_bytes));
    let mut out = Vec::new();
    let begin = format!("{BEGIN}{hash} {routes}");
    let end = format!("{END}{hash}");
    for line in [begin].iter().chain(&body).chain([&end]) {
        out.extend_from_slice(INDENT.as_bytes());
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(line_end);
    }
    out
}

/// Takes all intact blocks out of `document`.
pub fn strip(document: &Document) -> Stripped {
    take_out(document, |_| true)
}

/// Whether a file may have lines of ours at all; much quicker than reading it.
pub fn is_marked(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

/// Takes every intact block out of which no route stays: one vhost's challenge path goes back
/// with the last of its names.
pub fn take_out(document: &Document, goes: impl Fn(&Route) -> bool) -> Stripped {
    let lines = document.lines();
    let (routes, kept, damaged) = (vec![], vec![], vec![]);
    let mut out = Stripped { bytes: Vec::new(), routes, kept, lines: vec![], damaged };
    let mut at = 0;
    while at < lines.len() {
        let marked = lines[at].text.starts_with(MARK);
        match marked.then(|| intact(document, at)) {
            Some(Some((routes, count))) if !routes.iter().all(&goes) => {
                out.kept.extend(routes);
                let block = lines[at].span.start..lines[at + count - 1].span.end;
                out.bytes.extend_from_slice(&document.bytes()[block]);
                at += count;
            }
            Some(Some((routes, count))) => {
                out.lines.push(lines[at].first..lines[at + count - 1].last + 1);
                out.routes.extend(routes);
                at += count;
            }
            other => {
                if other.is_some() {
                    out.damaged.push(lines[at].first..lines[at].last + 1);
                }
                out.bytes.extend_from_slice(&document.bytes()[lines[at].span.clone()]);
                at += 1;
            }
        }
    }
    for routes in [&mut out.routes, &mut out.kept] {
        routes.sort();
        routes.dedup();
    }
    out.damaged = joined(&out.damaged, lines);
    out
}

/// The routes and the number of lines of the block that begins at line `at`.
fn intact(document: &Document, at: usize) -> Option<(Vec<Route>, usize)> {
    let lines = &document.lines()[at..];
    let begin = std::str::from_utf8(written(document, lines.first()?)?).ok()?;
    let (hash, routes) = begin.strip_prefix(BEGIN)?.split_once(' ')?;
    let end = format!("{END}{hash}");
    let last = lines.iter().position(|line| line.text == end.as_bytes())?;
    let whole: Option<Vec<&[u8]>> = lines[..=last].iter().map(|l| written(document, l)).collect();
    let (body, _) = whole.as_ref()?.get(1..)?.split_at(last - 1);
    if fingerprint(routes, body.iter().copied()) != hash {
        return None;
    }
    let routes: Option<Vec<Route>> = routes.split(' ').map(decode).collect();
    Some((routes?, last + 1))
}

/// The line without what `render` puts around it: our indentation and one line end.
fn written<'a>(document: &'a Document, line: &LogicalLine) -> Option<&'a [u8]> {
    let raw = document.bytes()[line.span.clone()].strip_suffix(b"\n")?;
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw).strip_prefix(INDENT.as_bytes())?;
    // Nothing but what Apache trims may surround the text, and nothing is continued.
    (line.first == line.last && raw.trim_ascii_start() == line.text).then_some(raw)
}

/// Neighbouring damage, and what lies between two markers, reads as one.
fn joined(damaged: &[Range<u32>], lines: &[LogicalLine]) -> Vec<Range<u32>> {
    let begins = |r: &Range<u32>| {
        lines.iter().any(|l| l.first == r.start && l.text.starts_with(BEGIN.as_bytes()))
    };
    let mut out: Vec<Range<u32>> = Vec::new();
    for range in damaged {
        match out.last_mut() {
            Some(last) if !begins(range) => last.end = range.end,
            _ => out.push(range.clone()),
        }
    }
    out
}

fn encode(route: &Route) -> String {
    format!("{}={}", route.name, route.webroot.as_str().replace(' ', "%20"))
}

fn decode(text: &str) -> Option<Route> {
    let (name, webroot) = text.split_once('=')?;
    let webroot = Webroot::parse(&webroot.replace("%20", " ")).ok()?;
    Some(Route { name: Hostname::parse(name).ok()?, webroot })
}

fn fingerprint<'a>(routes: &str, body: impl Iterator<Item = &'a [u8]>) -> String {
    let mut text = routes.as_bytes().to_vec();
    for line in body {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    crate::base::fingerprint::fingerprint(&text, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route {
            name: Hostname::parse("a.example.org").unwrap(),
            webroot: Webroot::parse("/srv/my www").unwrap(),
        }
    }

    fn document(bytes: Vec<u8>) -> Document {
        Document::parse(bytes).unwrap()
    }

    fn with_block(line_end: &[u8]) -> Vec<u8> {
        let block =
            render(&[route()], &["<L>".into(), "    ProxyPass !".into(), "</L>".into()], line_end);
        [b"<A>\n".as_slice(), &block, b"</A>"].concat()
    }

    #[test]
    fn a_block_comes_out_whole() {
        for line_end in [&b"\n"[..], b"\r\n"] {
            let stripped = strip(&document(with_block(line_end)));
            assert_eq!(stripped.bytes, b"<A>\n</A>");
            assert_eq!(stripped.routes, [route()]);
            assert_eq!(stripped.lines, std::iter::once(2..8).collect::<Vec<_>>());
            assert!(stripped.damaged.is_empty());
        }
    }

    #[test]
    fn a_block_that_someone_changed_stays() {
        let text = String::from_utf8(with_block(b"\n")).unwrap();
        let edits = [
            text.replace("ProxyPass !", "ProxyPass / http://x/"),
            text.replace("a.example.org", "b.example.org"),
            text.replace("    ProxyPass !", "  ProxyPass !"),
            text.replace("ProxyPass !\n", "ProxyPass !  \n"),
            text.replace("ProxyPass !", "ProxyPass !\n    # mine"),
            text.replace("# certbaton: end", "# certbaton: END"),
        ];
        for edited in edits {
            let stripped = strip(&document(edited.clone().into_bytes()));
            assert_eq!(stripped.bytes, edited.as_bytes(), "{edited}");
            assert_eq!(stripped.damaged.len(), 1, "{edited}");
            assert!(stripped.routes.is_empty());
        }
    }

    #[test]
    fn what_others_write_around_a_block_is_theirs() {
        let text = String::from_utf8(with_block(b"\n")).unwrap();
        let edited = text.replace("<A>\n", "<A>\nB c\n").replace("</A>", "D\n</A>\n");
        let stripped = strip(&document(edited.into_bytes()));
        assert_eq!(stripped.bytes, b"<A>\nB c\nD\n</A>\n");
    }
}
