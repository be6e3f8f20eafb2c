//! pure: text that others wrote, made harmless: no controls, nothing that reorders or hides, bounded.
//!
//! Peers, DNS, HTTP answers, certificates and files of users may say what they like; what a
//! terminal, a mail or the log makes of it is for us to say. So whatever a peer's line holds goes
//! through [`word`], every error through [`text`] on its way to people, and all that is printed
//! once more: there is no way past.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// On one line, of at most `most` characters.
pub fn line(text: &str, most: usize) -> String {
    let plain = |c| if is_harmful(c) { ' ' } else { c };
    let mut rest = text.trim_end().chars();
    let mut out: String = rest.by_ref().take(most).map(plain).collect();
    if rest.next().is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// The same with its lines and tabs, and however long it is.
pub fn text(text: &str) -> String {
    let plain = |c| if is_harmful(c) && !matches!(c, '\n' | '\t') { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// What is printed: as [`text`], but colours (ECMA-48 SGR) and the line ends of a file stay.
pub fn printed(all: &str) -> String {
    let mut out = String::with_capacity(all.len());
    let mut rest = all;
    while let Some(at) = rest.find(['\x1b', '\r']) {
        out += &text(&rest[..at]);
        rest = &rest[at..];
        let kept = colour(rest).or_else(|| rest.starts_with("\r\n").then_some(2));
        let end = kept.unwrap_or(1);
        out += if kept.is_some() { &rest[..end] } else { " " };
        rest = &rest[end..];
    }
    out + &text(rest)
}

/// The length of a colour that `text` begins with.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    rest[end..].starts_with('m').then_some(2 + end + 1)
}

/// What a line of JSON says, each of its texts made harmless.
pub fn word<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_value(value(serde_json::from_slice(json)?))
}

fn value(value_: Value) -> Value {
    match value_ {
        Value::String(text) => Value::String(line(&text, MOST)),
        Value::Array(list) => Value::Array(list.into_iter().map(value).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, inner)| (line(&key, MOST), value(inner))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value_,
    }
}

/// Whether `c` does something to what is around it instead of being seen: controls (C0, DEL, C1),
/// what reorders (Unicode TR9), and what takes no room (TR36: invisible characters).
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters of one text of a peer.
const MOST: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Escape, C1, newline, right-to-left override, zero width, isolate, tag, byte order mark.
    const NASTY: &str = "a\x1b[2J\u{9b}2J\r\nb\u{202e}c\u{200b}d\u{2066}e\u{e0041}f\u{feff}\x07\0";

    #[test]
    fn nothing_that_plays_with_a_terminal_is_left() {
        assert_eq!(line(NASTY, 100), "a [2J 2J  b c d e f   ");
        assert_eq!(text("a\n\tb\x1b]0;x\x07"), "a\n\tb ]0;x ");
        assert!(
            line(NASTY, 100)
                .chars()
                .chain(text(NASTY).chars())
                .all(|c| !is_harmful(c) || c == '\n')
        );
        assert_eq!(line("häßlich – ok 漢字", 100), "häßlich – ok 漢字");
        assert_eq!(line(&"x".repeat(9), 5), "xxxx…");
        assert_eq!(line("xxxxx", 5), "xxxxx");
    }

    #[test]
    fn every_text_of_a_peer_is_harmless_wherever_it_stands() {
        let nasty =
            serde_json::json!({ "a": [NASTY, { NASTY: NASTY.repeat(9999) }], "n": u64::MAX });
        let heard: Value = word(nasty.to_string().as_bytes()).unwrap();
        assert_eq!(heard["n"], u64::MAX);
        let all = heard.to_string();
        assert!(!all.contains("\\u") && !all.chars().any(is_harmful), "{all}");
        assert!(all.len() < 2 * MOST);
    }

    #[test]
    fn what_is_printed_keeps_colours_and_line_ends_alone() {
        let ours = "\x1b[1mhome\x1b[0m\n+\tServerName a\r\n";
        assert_eq!(printed(ours), ours);
        assert_eq!(printed("a\rb\x1b[2Jc\x1b[31"), "a b [2Jc [31");
        assert_eq!(printed("\u{202e}x\x1b"), " x ");
    }
}
