//! pure: the text of one Apache configuration file as lossless logical lines.
//!
//! Bytes in, spans out; the bytes are never changed here and never decoded.
//! Follows `ap_cfg_getline_core` and `ap_getword_conf` of Apache 2.4
//! (`server/util.c`). It does not know which lines are active: conditionals,
//! variables and macros are Apache's to resolve, and `dump` reads its answer.

use std::ops::Range;

use crate::apache::misread::Error;

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Vec<u8>,
    lines: Vec<LogicalLine>,
    /// Why nothing may be written into it.
    sealed: Option<String>,
}

/// One logical line: a physical line with its continuations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalLine {
    /// Where it stands in the file, line ends included.
    pub span: Range<usize>,
    /// Number of its first physical line, from 1.
    pub first: u32,
    /// Number of its last physical line: the one Apache names.
    pub last: u32,
    /// What Apache parses: continuations joined, blanks around it cut.
    pub text: Vec<u8>,
}

impl Document {
    /// Splits `bytes` into logical lines.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let mut lines = Vec::new();
        let (mut start, mut number) = (0, 1);
        while start < bytes.len() {
            let (mut at, first, mut text) = (start, number, Vec::new());
            loop {
                let end = bytes[at..].iter().position(|&b| b == b'\n').map(|n| at + n + 1);
                let physical = &bytes[at..end.unwrap_or(bytes.len())];
                if physical.contains(&0) {
                    return Err(Error::Nul(number));
                }
                at = end.unwrap_or(bytes.len());
                number += 1;
                let Some(part) = continued(physical) else {
                    text.extend_from_slice(physical);
                    break;
                };
                text.extend_from_slice(part);
                if at == bytes.len() {
                    break;
                }
            }
            let text = text.trim_ascii_apache().to_vec();
            lines.push(LogicalLine { span: start..at, first, last: number - 1, text });
            start = at;
        }
        Ok(Self { bytes, lines, sealed: None })
    }

    /// The same, and why nothing may be written into it.
    #[must_use]
    pub fn sealed(self, why: String) -> Self {
        Self { sealed: Some(why), ..self }
    }

    /// Why nothing may be written into it, if so.
    pub fn seal(&self) -> Option<&str> {
        self.sealed.as_deref()
    }

    /// The file as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All logical lines, in order; their spans cover the file without gaps.
    pub fn lines(&self) -> &[LogicalLine] {
        &self.lines
    }

    /// The logical line that ends on physical line `last`.
    pub fn line_ending_at(&self, last: u32) -> Option<&LogicalLine> {
        let index = self.lines.binary_search_by_key(&last, |line| line.last).ok()?;
        self.lines.get(index)
    }

    /// The line that closes the section which `open` opens.
    ///
    /// Every section in between must nest, as Apache demands even of the parts
    /// that a false condition skips.
    pub fn closing_line(&self, open: &LogicalLine) -> Result<&LogicalLine, Error> {
        let unclosed = || Error::Unclosed(open.last);
        let mut stack: Vec<Vec<u8>> = Vec::new();
        let from = self.lines.partition_point(|line| line.span.start < open.span.start);
        for line in &self.lines[from..] {
            match line.section() {
                Some(Section::Opens(name)) => stack.push(name),
                Some(Section::Closes(name)) => {
                    if stack.pop().is_none_or(|opened| opened != name) {
                        return Err(unclosed());
                    }
                    if stack.is_empty() {
                        return Ok(line);
                    }
                }
                None => {}
            }
        }
        Err(unclosed())
    }

    /// The line end this file uses: CR LF if its first line does.
    pub fn line_end(&self) -> &'static [u8] {
        match self.bytes.iter().position(|&b| b == b'\n') {
            Some(at) if at > 0 && self.bytes[at - 1] == b'\r' => b"\r\n",
            _ => b"\n",
        }
    }
}

/// What a line does to the nesting of sections; names in lower case.
#[derive(Debug, PartialEq, Eq)]
enum Section {
    Opens(Vec<u8>),
    Closes(Vec<u8>),
}

impl LogicalLine {
    /// A comment, with all the physical lines it swallows.
    pub fn is_comment(&self) -> bool {
        self.text.first() == Some(&b'#')
    }

    /// The directive's name as written, or `None` for a comment or blank line.
    pub fn name(&self) -> Option<Vec<u8>> {
        if self.is_comment() { None } else { words(&self.text).next() }
    }

    fn section(&self) -> Option<Section> {
        let name = self.name()?;
        let name = name.strip_prefix(b"<")?;
        let cut = |n: &[u8]| n.split(|&b| b == b'>').next().unwrap_or(n).to_ascii_lowercase();
        Some(match name.strip_prefix(b"/") {
            Some(name) => Section::Closes(cut(name)),
            None => Section::Opens(cut(name)),
        })
    }
}

/// The words of a directive as `ap_getword_conf` cuts them.
pub fn words(text: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_apache();
        let quote = *rest.first()?;
        let quoted = matches!(quote, b'"' | b'\'');
        let (word, used) = if quoted { quoted_word(rest, quote) } else { plain_word(rest) };
        rest = &rest[used..];
        Some(word)
    })
}

fn quoted_word(text: &[u8], quote: u8) -> (Vec<u8>, usize) {
    let (mut word, mut at) = (Vec::new(), 1);
    while at < text.len() && text[at] != quote {
        if text[at] == b'\\' && text.get(at + 1).is_some_and(|&b| b == quote || b == b'\\') {
            at += 1;
        }
        word.push(text[at]);
        at += 1;
    }
    (word, (at + 1).min(text.len()))
}

fn plain_word(text: &[u8]) -> (Vec<u8>, usize) {
    let (mut word, mut at) = (Vec::new(), 0);
    while at < text.len() && !is_space(text[at]) {
        if text[at] == b'\\' && text.get(at + 1) == Some(&b'\\') {
            at += 1;
        }
        word.push(text[at]);
        at += 1;
    }
    (word, at)
}

/// `apr_isspace`: LF ends lines, all others are blanks, a lone CR too.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

trait ApacheBlanks {
    fn trim_start_apache(&self) -> &[u8];
    fn trim_ascii_apache(&self) -> &[u8];
}

impl ApacheBlanks for [u8] {
    fn trim_start_apache(&self) -> &[u8] {
        let start = self.iter().position(|&b| !is_space(b)).unwrap_or(self.len());
        &self[start..]
    }
    fn trim_ascii_apache(&self) -> &[u8] {
        let text = self.trim_start_apache();
        let end = text.iter().rposition(|&b| !is_space(b)).map_or(0, |at| at + 1);
        &text[..end]
    }
}

/// The part of a physical line before its backslash, if a line end follows that backslash.
fn continued(physical: &[u8]) -> Option<&[u8]> {
    let line = physical.strip_suffix(b"\n")?;
    line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<(u32, u32, String)> {
        let document = Document::parse(bytes.to_vec()).unwrap();
        let text = |l: &LogicalLine| String::from_utf8_lossy(&l.text).into_owned();
        document.lines().iter().map(|l| (l.first, l.last, text(l))).collect()
    }

    #[test]
    fn a_continuation_joins_without_a_blank() {
        assert_eq!(
            texts(b"Proxy\\\nPass /a http://h/\nB\n"),
            [(1, 2, "ProxyPass /a http://h/".into()), (3, 3, "B".into())]
        );
    }

    #[test]
    fn a_comment_swallows_its_continuation() {
        let document = Document::parse(b"# note \\\r\nProxyPass / x\r\nB".to_vec()).unwrap();
        assert_eq!(document.lines().len(), 2);
        assert!(document.lines()[0].is_comment());
        assert_eq!(document.line_ending_at(3).unwrap().name().unwrap(), b"B");
    }

    #[test]
    fn a_double_backslash_still_continues_and_a_blank_after_it_does_not() {
        assert_eq!(texts(b"A \\\\\nB\n"), [(1, 2, "A \\B".into())]);
        assert_eq!(texts(b"A \\ \nB\n").len(), 2);
    }

    #[test]
    fn a_backslash_at_the_end_of_the_file_is_literal_without_a_line_end() {
        assert_eq!(texts(b"A \\"), [(1, 1, "A \\".into())]);
        assert_eq!(texts(b"A \\\n"), [(1, 1, "A".into())]);
    }

    #[test]
    fn nul_is_refused_with_its_line() {
        assert_eq!(Document::parse(b"A\nB\0\n".to_vec()), Err(Error::Nul(2)));
    }

    #[test]
    fn words_follow_apache() {
        let cut = |t: &str| -> Vec<String> {
            words(t.as_bytes()).map(|w| String::from_utf8(w).unwrap()).collect()
        };
        assert_eq!(cut(r#""/a""http://h/""#), ["/a", "http://h/"]);
        assert_eq!(cut(r#"A "b \" c" 'd"' e\.f g\\h"#), ["A", "b \" c", "d\"", r"e\.f", r"g\h"]);
        assert_eq!(cut(r#"Include "x.conf"#), ["Include", "x.conf"]);
        assert_eq!(cut(r"a\ b"), [r"a\", "b"]);
    }

    #[test]
    fn a_section_closes_at_its_own_level() {
        let text =
            b"<VirtualHost *:80>\n<IfModule x>\n# </VirtualHost>\n</ifmodule>\n</virtualhost >\nX";
        let document = Document::parse(text.to_vec()).unwrap();
        let open = &document.lines()[0];
        assert_eq!(document.closing_line(open).unwrap().first, 5);
        let broken = Document::parse(b"<A>\n<B>\n</A>\n".to_vec()).unwrap();
        assert_eq!(broken.closing_line(&broken.lines()[0]), Err(Error::Unclosed(1)));
    }
}
