//! pure: what is wrong with a file that a person wrote in TOML: where, what stands there, and what to write.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::near::distance;

/// The file is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Error {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        Exit::Config
    }
}

/// A file as it was written, to find again what turned out to be wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// What it is called.
    pub(crate) file: &'a str,
    /// What is in it.
    pub(crate) text: &'a str,
    /// What may be written where.
    pub(crate) examples: &'a [Example],
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Example {
    /// From the top, between dots; without a number in an array of tables.
    pub(crate) key: &'static str,
    /// The value, as TOML has it.
    pub(crate) value: &'static str,
    /// What stands there may be nobody else's to read.
    pub(crate) is_secret: bool,
}

impl<'a> Written<'a> {
    /// The bytes of `file`, if they are text.
    pub(crate) fn text(file: &str, bytes: Vec<u8>) -> Result<String, Error> {
        String::from_utf8(bytes).map_err(|error| {
            let end = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..end]).into_owned();
            let written = Written { file, text: &text, examples: &[] };
            written.at(end, "is not UTF-8 from here on; save it as UTF-8".into())
        })
    }

    /// What the parser says of it.
    pub(crate) fn refused(&self, error: &toml::de::Error) -> Error {
        let span = error.span().unwrap_or_default();
        let said = error.message();
        // These are about keys, and name them.
        let is_value = !["unknown field", "missing field", "duplicate"]
            .iter()
            .any(|start| said.starts_with(start));
        let table = DeTable::parse(self.text).ok().filter(|_| is_value);
        match table.and_then(|table| innermost(table.get_ref(), &span, "")) {
            None => {
                let hint = near(said).or_else(|| self.missing(said)).unwrap_or_default();
                self.at(span.start, format!("{}{hint}", said.trim_end()))
            }
            Some(key) => {
                let problem = expected(said).map(|kind| format!("is not {kind}"));
                self.told(&key, span, problem.as_deref().unwrap_or(said))
            }
        }
    }

    /// The value of `key` cannot be used; an index follows the name of an array (`host.1.ssh`).
    ///
    /// Where the key is missing, its table is pointed at, else the beginning.
    pub(crate) fn wrong(&self, key: &str, problem: &str) -> Error {
        let table = DeTable::parse(self.text).ok();
        let of = |key| table.as_ref().and_then(|table| find(table.get_ref(), key));
        if let Some(span) = of(key) {
            return self.told(key, span, problem);
        }
        let (parent, _) = key.rsplit_once('.').unwrap_or_default();
        let message = format!("{} {problem}{}", named(key), self.advice(key, problem, ""));
        self.at(of(parent).unwrap_or_default().start, message)
    }

    fn told(&self, key: &str, span: Range<usize>, problem: &str) -> Error {
        let name = named(key);
        let is_secret = self.example(key).is_some_and(|example| example.is_secret);
        let value = self.text.get(span.clone()).unwrap_or_default();
        // A table, or a whole list, is on the screen of who looks there.
        let shown = if is_secret
            || value.len() > LONG
            || value.contains('\n')
            || value.starts_with('[') && !value.ends_with(']')
        {
            name
        } else {
            format!("{name} = {value}")
        };
        self.at(span.start, format!("{shown}: {problem}{}", self.advice(key, problem, value)))
    }

    /// What may be written for a key that has to be there, if one alone is called so.
    fn missing(&self, said: &str) -> Option<String> {
        let (name, _) = said.strip_prefix("missing field `")?.split_once('`')?;
        let last = |example: &&Example| example.key.rsplit('.').next() == Some(name);
        let mut examples = self.examples.iter().filter(last);
        let example = examples.next().filter(|_| examples.next().is_none())?;
        Some(format!("; write for example {name} = {}", example.value))
    }

    fn example(&self, key: &str) -> Option<&'a Example> {
        self.examples.iter().find(|example| example.key == named(key))
    }

    /// What to write, unless `problem` tells it, or `value`, which is wrong, is what it would be.
    fn advice(&self, key: &str, problem: &str, value: &str) -> String {
        let last = key.rsplit('.').next().unwrap_or(key);
        let write = |example: &Example| format!("; write for example {last} = {}", example.value);
        let example = self.example(key).filter(|example| example.value != value);
        example.filter(|_| !problem.contains("; ")).map(write).unwrap_or_default()
    }

    fn at(&self, at: usize, message: String) -> Error {
        let before = self.text.get(..at).unwrap_or("");
        let column = before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1;
        let line = before.matches('\n').count() + 1;
        Error { file: self.file.to_owned(), line, column, message }
    }
}

/// The key as people know it: without indexes.
fn named(key: &str) -> String {
    let parts = key.split('.').filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}

/// Where the value of `key` is.
fn find(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let mut parts = key.split('.');
    let first = parts.next()?;
    let start = table.iter().find(|(name, _)| name.get_ref() == first)?.1;
    let found = parts.try_fold(start, |value, part| match (value.get_ref(), part.parse()) {
        (DeValue::Array(array), Ok(index)) => array.get::<usize>(index),
        (DeValue::Table(table), _) => {
            Some(table.iter().find(|(name, _)| name.get_ref() == part)?.1)
        }
        _ => None,
    })?;
    Some(found.span())
}

/// The key of the smallest value that holds all of `span`.
fn innermost(table: &DeTable<'_>, span: &Range<usize>, above: &str) -> Option<String> {
    let holds = |value: &Spanned<DeValue<'_>>| {
        let own = value.span();
        own.start <= span.start && span.end <= own.end
    };
    let below = |key: String, value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(table) => innermost(table, span, &format!("{key}.")),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, value)| {
            let DeValue::Table(table) = value.get_ref() else { return None };
            innermost(table, span, &format!("{key}.{index}."))
        }),
        _ => None,
    };
    table.iter().find_map(|(name, value)| {
        let key = format!("{above}{}", name.get_ref());
        below(key.clone(), value).or_else(|| holds(value).then_some(key))
    })
}

/// The key that an unknown one is most likely a slip of.
fn near(said: &str) -> Option<String> {
    let (unknown, known) = said.strip_prefix("unknown field `")?.split_once('`')?;
    let slips = |key: &str| distance(unknown.as_bytes(), key.as_bytes());
    let near = known.split('`').skip(1).step_by(2).min_by_key(|key| slips(key))?;
    (slips(near) <= SLIPS).then(|| format!("; is `{near}` meant?"))
}

/// What serde or jiff expect instead of another kind of value, for people.
fn expected(said: &str) -> Option<&str> {
    if said.contains("duration format") {
        return Some("a duration in hours (h), minutes (m) and seconds (s)");
    }
    let is_number = |kind: &str| ["u16", "u32", "u64", "usize"].contains(&kind);
    let kind = said.trim_end().split_once(", expected ").map(|(_, kind)| kind)?;
    if said.starts_with("invalid value") && is_number(kind) {
        return Some("a whole number that is possible here");
    }
    let kind = said.starts_with("invalid type").then_some(kind)?;
    Some(match kind {
        "a sequence" => "a list",
        "a string" | "path string" | "string" => "a text in quotes",
        "a map" => "a section",
        kind if is_number(kind) => "a whole number",
        "a boolean" => "true or false",
        kind if kind.starts_with("struct ") => "a section",
        kind if kind.contains("duration") => "a duration in quotes",
        kind => kind,
    })
}

/// With more of them it is another word.
const SLIPS: usize = 2;

/// A value that is longer is not repeated.
const LONG: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::known_keys::EXAMPLES;

    fn said(text: &str) -> String {
        Settings::parse("f", text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place_and_what_to_write() {
        let hosts = "[[host]]\nname = \"vps\"\n[[host]]\nname = \"home\"\n";
        assert_eq!(
            said(&format!("name = \"home\"\n[lease]\n  arbiter = \"vsp\"\n{hosts}")),
            "f:3:13: lease.arbiter = \"vsp\": is no name of any [[host]]; write one of theirs: vps, home"
        );
        assert_eq!(
            said("[notify]\ncommand = \"mail root\"\n"),
            "f:2:11: notify.command: is not a list; write for example command = [\"/usr/bin/mail\", \"-s\", \"certbaton\", \"root\"]"
        );
        assert_eq!(
            said("[notify]\ncommand = [\"mail\", \"root\"]\n").split("; ").next().unwrap(),
            "f:2:11: notify.command: does not begin with the absolute path of a program"
        );
        assert_eq!(
            said("[lease]\nwait = 5\n").split("; ").last().unwrap(),
            "write for example wait = \"20m\""
        );
        assert_eq!(
            said("[[host]]\nname = \"a\"\nssh = \"a\"\n[[host]]\nname = \"b\"\nssh = \"-x\"\n"),
            "f:6:7: host.ssh = \"-x\": is not a destination of ssh; write for example ssh = \"certbaton@vps.example.org\""
        );
        assert!(
            said("[lease]\ngrace = \"1h\"\n")
                .starts_with("f:2:9: lease.grace = \"1h\": is not between")
        );
    }

    #[test]
    fn what_is_missing_is_told_where_it_belongs() {
        assert!(said("[[host]]\nssh = \"a@b\"\n").starts_with("f:1:1: missing field `name`"));
        let nameless = said("[lease]\narbiter = \"a\"\n[[host]]\nname = \"a\"\n");
        assert!(nameless.starts_with("f:1:1: name is missing"), "{nameless}");
    }

    #[test]
    fn a_slip_is_told_by_what_was_meant() {
        for (text, told) in [
            ("nmae = \"home\"", "; is `name` meant?"),
            ("[lease]\nwiat = \"20m\"", "; is `wait` meant?"),
            ("[certbot]\nprogramme = \"/x\"", "; is `program` meant?"),
            ("[web-server]\ntest = [\"/bin/true\"]", "; write for example reload = ["),
            ("name = \"home\"", "there is none; add one for each host"),
            (
                "[certbot]\nduplicates-per-week = -1",
                "is not a whole number that is possible here; write for example",
            ),
        ] {
            assert!(said(text).contains(told), "{}", said(text));
        }
        assert!(!said("something-else = 1").contains("meant"));
    }

    /// What is to be written is never what stands there.
    #[test]
    fn no_remedy_repeats_the_mistake() {
        for (text, told) in [
            ("name = \"home\"", "there is none; add one for each host, as certbaton init does"),
            ("name = \"hom\"\n[[host]]\nname = \"vps\"", "any [[host]]; write one of theirs: vps"),
            (
                "name = \"home\"\n[lease]\narbiter = \"vps\"\n[[host]]\nname = \"vps\"\n[[host]]\nname = \"home\"",
                "has no ssh; write there ssh = \"certbaton@HOST\", its name or address",
            ),
        ] {
            let said = said(text);
            assert!(said.ends_with(told), "{said}");
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        for text in [
            "url = \"ftp://n.example/hush\"",
            "url = [\"https://n.example/hush\"]",
            "command = [\"curl\", \"hush\"]",
        ] {
            let said = said(&format!("[notify]\n{text}\n"));
            assert!(!said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn what_is_no_toml_or_no_text_is_told_with_its_place() {
        assert!(said("name = \n").starts_with("f:1:8: "), "{}", said("name = \n"));
        let error = Written::text("f", b"# fine\nname = \"caf\xe9\"\n".to_vec()).unwrap_err();
        assert_eq!((error.line, error.column), (2, 12));
    }

    /// All keys, from what the parser would have liked instead of another.
    #[test]
    fn every_key_has_an_example() {
        let expected = |section: &str| -> Vec<String> {
            let said = said(&format!("{section}\nno-such-key = 1\n"));
            let list = said.split(", expected ").nth(1).unwrap_or_default();
            list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let mut keys = Vec::new();
        for key in expected("") {
            let below = [expected(&format!("[{key}]")), expected(&format!("[[{key}]]"))].concat();
            if below.is_empty() {
                keys.push(key);
            } else {
                keys.extend(below.iter().map(|below| format!("{key}.{below}")));
            }
        }
        assert!(keys.len() > 15, "{keys:?}");
        for key in keys {
            assert!(EXAMPLES.iter().any(|example| example.key == key), "{key}");
        }
    }

    #[test]
    fn every_example_is_taken_where_it_is_offered() {
        for Example { key, value, .. } in EXAMPLES {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            let head = match section {
                "" => String::new(),
                "host" => "[[host]]\nname = \"x\"\n".into(),
                section => format!("[{section}]\n"),
            };
            let hosts = "[[host]]\nname = \"vps\"\nssh = \"a@b\"\n[[host]]\nname = \"home\"\n";
            let more = match *key {
                "web-server.test" => "reload = [\"/bin/true\"]\n",
                "web-server.reload" => "test = [\"/bin/true\"]\n",
                "notify.header-file" => "url = \"https://n.example/\"\n",
                _ => "",
            };
            let own = if *key == "name" { "" } else { "name = \"home\"\n" };
            let head = if *key == "host.name" { "[[host]]\n".into() } else { head };
            let hosts = if *key == "host.name" { "[[host]]\nname = \"home\"\n" } else { hosts };
            let text = format!("{own}{head}{name} = {value}\n{more}{hosts}");
            assert!(Settings::parse("f", &text).is_ok(), "{}", said(&text));
        }
    }
}
