//! pure: other ways to write the same configuration.
//!
//! Each mutation changes the bytes and never the meaning, so what is planned
//! must stay the same. It has a line splitter of its own: the one under test
//! must not decide where it may be tested.

use proptest::prelude::*;

/// One change, at a place that is taken modulo what there is.
#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    /// Which file.
    pub(crate) file: usize,
    /// Which line.
    line: usize,
    /// Where in the line, or how much.
    detail: usize,
    kind: Kind,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CrLfEverywhere,
    CrLfHere,
    BlankLine,
    Comment,
    Latin1Comment,
    SwallowingComment,
    LookAlikeComment,
    Split,
    Case,
    Indent,
    Trailing,
    QuotedName,
    QuotedWord,
    Conditional,
    WholeConditional,
    ExtraVhost,
    Macro,
    NoFinalNewline,
}

const KINDS: [Kind; 18] = [
    Kind::CrLfEverywhere,
    Kind::CrLfHere,
    Kind::BlankLine,
    Kind::Comment,
    Kind::Latin1Comment,
    Kind::SwallowingComment,
    Kind::LookAlikeComment,
    Kind::Split,
    Kind::Case,
    Kind::Indent,
    Kind::Trailing,
    Kind::QuotedName,
    Kind::QuotedWord,
    Kind::Conditional,
    Kind::WholeConditional,
    Kind::ExtraVhost,
    Kind::Macro,
    Kind::NoFinalNewline,
];

/// Up to `most` mutations.
pub(crate) fn mutations(most: usize) -> impl Strategy<Value = Vec<Mutation>> {
    let one = (0..8_usize, 0..64_usize, 0..256_usize, prop::sample::select(&KINDS[..]));
    let one = one.prop_map(|(file, line, detail, kind)| Mutation { file, line, detail, kind });
    prop::collection::vec(one, 1..=most)
}

impl Mutation {
    /// `bytes` written differently.
    pub(crate) fn applied(&self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = logical(bytes);
        if lines.is_empty() {
            return bytes.to_vec();
        }
        let at = self.line % lines.len();
        match self.kind {
            Kind::CrLfEverywhere => return with_cr_lf(bytes),
            Kind::CrLfHere => lines[at] = with_cr_lf(&lines[at]),
            Kind::BlankLine => lines.insert(at, b" \t\n".to_vec()),
            Kind::Comment => lines.insert(at, b"\t# a note \\ \n".to_vec()),
            Kind::Latin1Comment => lines.insert(at, b"# f\xfcr die Verl\xe4ngerung\n".to_vec()),
            Kind::SwallowingComment => {
                lines.insert(at, b"# off: \\\n  ProxyPass / http://192.0.2.9/\n".to_vec());
            }
            Kind::LookAlikeComment => lines.insert(at, b"# certbaton is used here\n".to_vec()),
            Kind::Split => lines[at] = split(&lines[at], self.detail),
            Kind::Case => lines[at] = recased(&lines[at], self.detail),
            Kind::Indent => {
                let blanks = [&b"\t"[..], b"        ", b"\x0b ", b"\x0c\t "];
                lines[at].splice(..0, blanks[self.detail % blanks.len()].iter().copied());
            }
            Kind::Trailing => lines[at] = trailed(&lines[at]),
            Kind::QuotedName => lines[at] = quoted_name(&lines[at]),
            Kind::QuotedWord => lines[at] = quoted_word(&lines[at], self.detail),
            Kind::Conditional => conditional(&mut lines, at),
            Kind::WholeConditional => {
                lines.insert(0, b"<IfModule alias_module>\n".to_vec());
                end_last_line(&mut lines);
                lines.push(b"</IfModule>\n".to_vec());
            }
            Kind::ExtraVhost => {
                end_last_line(&mut lines);
                lines.push(EXTRA_VHOST.as_bytes().to_vec());
            }
            Kind::Macro => {
                end_last_line(&mut lines);
                let name = format!("M{}x{}", self.detail, lines.len());
                lines.push(EXTRA_MACRO.replace("@NAME@", &name).into_bytes());
            }
            Kind::NoFinalNewline => {
                let last = lines.last_mut().unwrap();
                if !is_continued(last) {
                    last.truncate(text_end(last));
                }
            }
        }
        lines.concat()
    }
}

/// Lines with their continuations, line ends included.
fn logical(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    for physical in bytes.split_inclusive(|&b| b == b'\n') {
        match lines.last_mut() {
            Some(line) if open => line.extend_from_slice(physical),
            _ => lines.push(physical.to_vec()),
        }
        open = ends_in_backslash(physical);
    }
    lines
}

fn ends_in_backslash(physical: &[u8]) -> bool {
    physical.ends_with(b"\\\n") || physical.ends_with(b"\\\r\n")
}

fn is_continued(line: &[u8]) -> bool {
    line.split_inclusive(|&b| b == b'\n').any(ends_in_backslash)
}

/// Where the line end begins.
fn text_end(line: &[u8]) -> usize {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    text.strip_suffix(b"\r").unwrap_or(text).len()
}

fn start(line: &[u8]) -> usize {
    line.iter().position(|b| !b.is_ascii_whitespace() && *b != 0x0b).unwrap_or(line.len())
}

/// Neither a comment nor blank, and on one physical line.
fn is_plain_directive(line: &[u8]) -> bool {
    let start = start(line);
    start < line.len() && line[start] != b'#' && !is_continued(line)
}

fn with_cr_lf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in bytes {
        if byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

/// Continued anywhere: nothing is put in the place of a continuation.
fn split(line: &[u8], detail: usize) -> Vec<u8> {
    let end = text_end(line);
    if !is_plain_directive(line) || end < 2 {
        return line.to_vec();
    }
    let at = 1 + detail % (end - 1);
    // After a backslash the two would read as one and a continuation.
    if line[at - 1] == b'\\' {
        return line.to_vec();
    }
    let line_end: &[u8] = if detail.is_multiple_of(2) { b"\\\n" } else { b"\\\r\n" };
    [&line[..at], line_end, &line[at..]].concat()
}

fn recased(line: &[u8], detail: usize) -> Vec<u8> {
    let mut out = line.to_vec();
    if !is_plain_directive(line) {
        return out;
    }
    let mut at = start(line);
    while out.get(at).is_some_and(|b| matches!(b, b'<' | b'/')) {
        at += 1;
    }
    let name = out[at..].iter_mut().take_while(|b| b.is_ascii_alphabetic());
    for (index, byte) in name.enumerate() {
        if detail >> (index % 8) & 1 == 1 {
            *byte ^= 0x20;
        }
    }
    out
}

fn trailed(line: &[u8]) -> Vec<u8> {
    let end = text_end(line);
    if !is_plain_directive(line) {
        return line.to_vec();
    }
    [&line[..end], b" \t", &line[end..]].concat()
}

fn quoted_name(line: &[u8]) -> Vec<u8> {
    let at = start(line);
    let length = line[at..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let ends = line.get(at + length).is_none_or(u8::is_ascii_whitespace);
    if !is_plain_directive(line) || length == 0 || !ends {
        return line.to_vec();
    }
    [&line[..at], b"\"", &line[at..at + length], b"\"", &line[at + length..]].concat()
}

/// Quotes the last word where a word is a word for every tokenizer.
fn quoted_word(line: &[u8], detail: usize) -> Vec<u8> {
    let end = text_end(line);
    let text = &line[..end];
    let name = text[start(text)..].split(u8::is_ascii_whitespace).next().unwrap_or(b"");
    let safe = [&b"proxypass"[..], b"servername", b"serveralias", b"documentroot", b"redirect"];
    let last = text.iter().rposition(u8::is_ascii_whitespace).map_or(end, |at| at + 1);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"./:_-*!".contains(b);
    let takes = safe.contains(&name.to_ascii_lowercase().as_slice());
    if !is_plain_directive(line) || !takes || last == end || !text[last..].iter().all(plain) {
        return line.to_vec();
    }
    let quote: &[u8] = if detail.is_multiple_of(2) { b"\"" } else { b"'" };
    [&line[..last], quote, &line[last..end], quote, &line[end..]].concat()
}

/// One directive in conditions that hold.
fn conditional(lines: &mut [Vec<u8>], at: usize) {
    let line = &lines[at];
    let first = line.get(start(line)).copied().unwrap_or(b'#');
    if !is_plain_directive(line) || first == b'<' {
        return;
    }
    let mut whole = b"  <IfModule !no_such_module>\n<ifmodule mod_alias.c>\n".to_vec();
    whole.extend_from_slice(&line[..text_end(line)]);
    whole.extend_from_slice(b"\n</IFMODULE>\n  </IfModule>\n");
    lines[at] = whole;
}

fn end_last_line(lines: &mut [Vec<u8>]) {
    let last = lines.last_mut().unwrap();
    if ends_in_backslash(last) {
        last.push(b'\n');
    } else if !last.ends_with(b"\n") {
        // A backslash at the end of the file is literal until a line end follows.
        last.extend_from_slice(if last.ends_with(b"\\") { b" \n" } else { b"\n" });
    }
}

/// On a port that nobody listens on: it answers for nobody.
const EXTRA_VHOST: &str = "<VirtualHost *:8099>
    ServerName extra.example.org
    <IfModule proxy_module>
        ProxyPass / http://127.0.0.1:8002/
    </IfModule>
</VirtualHost>
";

/// A use of a macro whose description holds line numbers.
const EXTRA_MACRO: &str = "<IfModule macro_module>
<Macro @NAME@ $name>
<VirtualHost *:8098>
    ServerName $name
    Redirect /.well-known/acme-challenge/ http://127.0.0.1:8001/
</VirtualHost>
</Macro>
Use @NAME@ @NAME@.example.org
</IfModule>
";
