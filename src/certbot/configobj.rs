//! pure: the syntax of Python's `ConfigObj` (5.0.8), in which certbot writes `renewal/*.conf`.
//!
//! Interpolation (`%(key)s`) is left as it stands: certbot never writes it.
//! What `ConfigObj` refuses is refused here too, by line.

const QUOTES: [char; 2] = ['"', '\''];

/// One `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The names of the sections around it, outermost first.
    pub section: Vec<String>,
    /// The key, unquoted.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Its line, from 1.
    pub line: usize,
}

/// A value, as its commas say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No comma outside quotes.
    Single(String),
    /// `a, b`; `a,`; `,`.
    List(Vec<String>),
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// Neither a section nor `key = value`.
    #[error("neither a section nor `key = value`")]
    Line,
    /// Quotes or commas that do not add up.
    #[error("badly quoted value or list")]
    Value,
    /// Brackets that do not match, or a level left out.
    #[error("a section that does not nest")]
    Nesting,
    /// The same key or section twice.
    #[error("{0:?} is there twice")]
    Duplicate(String),
    /// Not text.
    #[error("not UTF-8")]
    Encoding,
}

/// Reads a whole file; an error carries its line, from 1.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, (usize, Syntax)> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        (before.split(|b| *b == b'\n').count(), Syntax::Encoding)
    })?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut section: Vec<String> = Vec::new();
    let mut sections: Vec<Vec<String>> = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    while let Some((raw, line)) = lines.next() {
        let at_line = |syntax| (line, syntax);
        let content = raw.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some((depth, name)) = marker(content).map_err(at_line)? {
            if depth > section.len() + 1 {
                return Err((line, Syntax::Nesting));
            }
            section.truncate(depth - 1);
            section.push(name);
            if sections.contains(&section) {
                return Err((line, Syntax::Duplicate(section.join("/"))));
            }
            sections.push(section.clone());
            continue;
        }
        let (key, rest) = keyword(raw).ok_or((line, Syntax::Line))?;
        let value = match opening_triple(rest) {
            Some(quote) => {
                let more = lines.by_ref().map(|(raw, _)| raw);
                Value::Single(triple(rest, quote, more).ok_or((line, Syntax::Value))?)
            }
            None => value(rest).ok_or((line, Syntax::Value))?,
        };
        let entry = Entry { section: section.clone(), key, value, line };
        if entries.iter().any(|known| (&known.section, &known.key) == (&section, &entry.key)) {
            return Err((line, Syntax::Duplicate(entry.key)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// `[[name]] # comment` with its depth; nothing if the line is no section.
fn marker(line: &str) -> Result<Option<(usize, String)>, Syntax> {
    let opened = line.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
    let depth = line[..line.len() - opened.len()].matches('[').count();
    if depth == 0 {
        return Ok(None);
    }
    let (name, rest) = match quoted(opened, &[']']).next() {
        Some(found) => found,
        None => opened.split_at(opened.find(']').unwrap_or(opened.len())),
    };
    let after = rest.trim_start_matches(|c: char| c == ']' || c.is_whitespace());
    let closed = rest[..rest.len() - after.len()].matches(']').count();
    let name = name.trim();
    if closed == 0 || name.is_empty() || !(after.is_empty() || after.starts_with('#')) {
        // ConfigObj then tries the line as a key.
        return Ok(None);
    }
    if depth == closed { Ok(Some((depth, name.to_owned()))) } else { Err(Syntax::Nesting) }
}

/// The key, unquoted, and what follows `=`.
fn keyword(raw: &str) -> Option<(String, &str)> {
    let line = raw.trim();
    let (key, rest) = match quoted(line, &['=']).find(|(_, rest)| !rest.is_empty()) {
        Some((key, rest)) => (key, rest.strip_prefix('=')?),
        // In an indented line the pattern takes the last space for the key's first letter.
        None if raw == raw.trim_start() && line.starts_with(['"', '\'', '=']) => return None,
        None => line.split_once('=')?,
    };
    Some((key.trim_end().to_owned(), rest.trim()))
}

/// The ways to read a quoted text at the start: ended by its quote with one of
/// `ends`, or nothing, behind it; each with the rest from there on.
fn quoted<'a>(text: &'a str, ends: &[char]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let quote = text.chars().next().filter(|c| QUOTES.contains(c));
    let inside = text.get(1..).unwrap_or_default();
    let ends = ends.to_vec();
    quote.into_iter().flat_map(move |quote| inside.match_indices(quote)).filter_map(
        move |(at, _)| {
            let rest = inside[at + 1..].trim_start();
            (rest.is_empty() || rest.starts_with(ends.as_slice())).then(|| (&inside[..at], rest))
        },
    )
}

/// A value of one line, without its comment.
fn value(text: &str) -> Option<Value> {
    if is_end(text) {
        return Some(Value::Single(String::new()));
    }
    if let Some(after) = text.strip_prefix(',') {
        // A lone comma is the empty list.
        return is_end(after.trim_start()).then(|| Value::List(Vec::new()));
    }
    let (mut items, is_list) = items(text)?;
    if is_list { Some(Value::List(items)) } else { items.pop().map(Value::Single) }
}

/// The items of a value, and whether a comma makes it a list. A quote that
/// leads nowhere is tried as a part of the text, as a regular expression does.
fn items(text: &str) -> Option<(Vec<String>, bool)> {
    let with_rest = |(item, rest): (&str, &str)| {
        let Some(after) = rest.strip_prefix(',') else {
            return Some((vec![item.to_owned()], false));
        };
        let after = after.trim_start();
        let (mut found, _) = if is_end(after) { (Vec::new(), true) } else { items(after)? };
        found.insert(0, item.to_owned());
        Some((found, true))
    };
    if text.starts_with(QUOTES) {
        return quoted(text, &[',', '#']).find_map(with_rest);
    }
    let (bare, rest) = text.split_at(text.find([',', '#']).unwrap_or(text.len()));
    if bare.is_empty() { None } else { with_rest((bare.trim_end(), rest)) }
}

fn is_end(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

fn opening_triple(text: &str) -> Option<&'static str> {
    ["'''", "\"\"\""].into_iter().find(|quote| text.starts_with(quote))
}

/// A triple-quoted text, which may go on for lines; only a comment may follow.
fn triple<'a>(first: &'a str, quote: &str, more: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    for line in std::iter::once(&first[quote.len()..]).chain(more) {
        if line.contains(quote) {
            let ends = |at: &usize| {
                line.get(*at..)
                    .and_then(|rest| rest.strip_prefix(quote))
                    .map(str::trim)
                    .is_some_and(is_end)
            };
            let end = (0..line.len()).find(ends)?;
            return Some(text + &line[..end]);
        }
        text.push_str(line);
        text.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Value {
        let mut entries = parse(line.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1, "{line:?}");
        entries.remove(0).value
    }

    #[test]
    fn values_are_read_as_configobj_writes_them() {
        // Where it is a pair of quotes: what ConfigObj 5.0.8 wrote for this value.
        for (line, expected) in [
            ("b = \"with, comma\"", "with, comma"),
            ("c = '''with 'single' and \"double\"'''", "with 'single' and \"double\""),
            ("d = 100%", "100%"),
            ("e = \"\"", ""),
            ("e =", ""),
            ("g = \"#x\"", "#x"),
            ("h = a\"b", "a\"b"),
            ("i = \" lead\"", " lead"),
            ("n = '''multi\nline'''", "multi\nline"),
            ("o = a # b", "a"),
        ] {
            assert_eq!(one(line), Value::Single(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_comma_makes_a_list() {
        for (line, expected) in [
            ("a = x,", &["x"] as &[&str]),
            ("f = ,", &[]),
            ("l = \"a,b\", c'd, e", &["a,b", "c'd", "e"]),
            ("m = /p, # comment, too", &["/p"]),
        ] {
            let expected = expected.iter().map(|&item| item.to_owned()).collect();
            assert_eq!(one(line), Value::List(expected), "{line}");
        }
    }

    #[test]
    fn sections_nest_and_close() {
        let text = "top = 1\n[a]\nx = 1\n[[b]] # c\ny = a = b\n\"q k\" = 2\n[c]\nx = 2\n";
        let found: Vec<_> = parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|e| format!("{}:{}@{}", e.section.join("/"), e.key, e.line))
            .collect();
        assert_eq!(found, [":top@1", "a:x@3", "a/b:y@5", "a/b:q k@6", "c:x@8"]);
    }

    #[test]
    fn what_configobj_refuses_is_refused_by_line() {
        for (text, line, syntax) in [
            ("a = 1\nnonsense\n", 2, Syntax::Line),
            ("= 1", 1, Syntax::Line),
            ("a = \"open", 1, Syntax::Value),
            ("a = x,,y", 1, Syntax::Value),
            ("a = '''open\nb = 1", 1, Syntax::Value),
            ("[[a]]", 1, Syntax::Nesting),
            ("[[a]", 1, Syntax::Nesting),
            ("a = 1\na = 2", 2, Syntax::Duplicate("a".to_owned())),
            ("[a]\n[a]", 2, Syntax::Duplicate("a".to_owned())),
        ] {
            assert_eq!(parse(text.as_bytes()), Err((line, syntax)), "{text:?}");
        }
        assert_eq!(parse(b"a = 1\nb = \xff"), Err((2, Syntax::Encoding)));
    }
}
