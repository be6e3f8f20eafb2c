//! pure: hooks that are saved in certbot's renewal files and options, found and taken out, all other bytes kept.

use crate::certbot::configobj::{self, Entry, Value};
use crate::certbot::ini;

/// When certbot runs a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before the first challenge.
    Pre,
    /// After each renewed lineage.
    Deploy,
    /// At the end.
    Post,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pre, Self::Deploy, Self::Post];

    /// The directory below renewal-hooks.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Deploy => "deploy",
            Self::Post => "post",
        }
    }

    /// The one of an option.
    pub fn of(key: &str) -> Option<Self> {
        match key.replace('-', "_").as_str() {
            "pre_hook" => Some(Self::Pre),
            "renew_hook" | "deploy_hook" => Some(Self::Deploy),
            "post_hook" => Some(Self::Post),
            _ => None,
        }
    }
}

/// A hook in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHook {
    /// When certbot runs it.
    pub stage: Stage,
    /// As it is called there.
    pub key: String,
    /// What is run.
    pub command: String,
    /// Its first and last line, from 1.
    pub lines: (usize, usize),
}

/// The hooks of a renewal file, by its entries.
pub fn in_renewal(entries: &[Entry]) -> Vec<SavedHook> {
    let hooks = entries.iter().filter(|entry| entry.section == ["renewalparams"]);
    let saved = hooks.filter_map(|entry| {
        let stage = Stage::of(&entry.key)?;
        let command = match &entry.value {
            Value::Single(text) => text.clone(),
            Value::List(items) => items.join(", "),
        };
        // Only a triple-quoted value has line ends, and has them all.
        let last = entry.line + command.matches('\n').count();
        (command != "None").then(|| SavedHook {
            stage,
            key: entry.key.clone(),
            command,
            lines: (entry.line, last),
        })
    });
    saved.collect()
}

/// The hooks of a `cli.ini`.
pub fn in_options(text: &str) -> Vec<SavedHook> {
    let one = |(line, at): (&str, usize)| {
        let setting = ini::parse(line).pop()?;
        let stage = Stage::of(&setting.key)?;
        Some(SavedHook { stage, key: setting.key, command: setting.value, lines: (at, at) })
    };
    text.lines().zip(1..).filter_map(one).collect()
}

/// `bytes` without the lines of `gone`.
pub fn without(bytes: &[u8], gone: &[SavedHook]) -> Vec<u8> {
    each_line(bytes, gone, |_| Vec::new())
}

/// `bytes` with the lines of `gone` commented out, each below a line that says why.
pub fn commented_out(bytes: &[u8], gone: &[SavedHook]) -> Vec<u8> {
    each_line(bytes, gone, |line| {
        let end: &[u8] = if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
        [NOTE.as_bytes(), end, b"# ", line].concat()
    })
}

/// A hook that was commented out stands where certbot would not take it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misplaced;

/// `bytes` with the lines that [`commented_out`] took out as they were, if there are any.
///
/// certbot indents comments as it writes their section, and moves one to the section that it adds
/// below it. It skips a lineage whose file has a key twice (`ConfigObj`, `DuplicateError`).
pub fn put_back(bytes: &[u8]) -> Option<Result<Vec<u8>, Misplaced>> {
    let is_note = |line: &[u8]| line.trim_ascii() == NOTE.as_bytes();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    if !lines.iter().any(|line| is_note(line)) {
        return None;
    }
    let is_below = |at: usize| at > 0 && is_note(lines[at - 1]);
    let whole = lines.iter().enumerate().filter(|(_, line)| !is_note(line));
    let kept = whole.map(|(at, line)| match line.trim_ascii_start().strip_prefix(b"# ") {
        Some(hook) if is_below(at) => hook,
        _ => line,
    });
    let after = kept.collect::<Vec<&[u8]>>().concat();
    // Options have no sections, and certbot takes one twice.
    let is_renewal = lines.iter().any(|line| line.trim_ascii() == b"[renewalparams]");
    Some(if !is_renewal || is_only_more_hooks(bytes, &after) { Ok(after) } else { Err(Misplaced) })
}

/// Whether a renewal file `after` is `before` with hooks more.
fn is_only_more_hooks(before: &[u8], after: &[u8]) -> bool {
    let parsed = |bytes| configobj::parse(bytes).ok();
    let Some((before, after)) = parsed(before).zip(parsed(after)) else { return false };
    let is_in = |entries: &[Entry], wanted: &Entry| {
        let same = |entry: &&Entry| entry.key == wanted.key && entry.section == wanted.section;
        entries.iter().find(same).is_some_and(|entry| entry.value == wanted.value)
    };
    let kept = before.iter().all(|entry| is_in(&after, entry));
    let more: Vec<Entry> = after.into_iter().filter(|entry| !is_in(&before, entry)).collect();
    kept && !more.is_empty() && in_renewal(&more).len() == more.len()
}

/// Above a line that was commented out, so that this can be undone by the file alone.
const NOTE: &str =
    "# certbaton init: commented out, certbaton's own hooks in renewal-hooks do this now";

fn each_line(bytes: &[u8], chosen: &[SavedHook], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let is_chosen = |at: &usize| chosen.iter().any(|s| (s.lines.0..=s.lines.1).contains(at));
    let lines = bytes.split_inclusive(|&b| b == b'\n').zip(1..);
    lines.flat_map(|(line, at)| if is_chosen(&at) { change(line) } else { line.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENEWAL: &str = "# renew_before_expiry = 30 days\r
version = 2.1.0\r
[renewalparams]\r
authenticator = webroot\r
pre_hook = \"perl -pi -e 's/^(\\s*)(ProxyPass)/$1#$2/' /x\" # mine\r
renew_hook = '''a \"b\"\r
c 'd''''\r
server = s\r
post_hook = None\r
[[webroot_map]]\r
pre_hook = /srv/www";

    #[test]
    fn a_hook_leaves_a_renewal_file_and_nothing_else_does() {
        let found = in_renewal(&configobj::parse(RENEWAL.as_bytes()).unwrap());
        let told: Vec<_> = found.iter().map(|s| (s.key.as_str(), s.lines)).collect();
        assert_eq!(told, [("pre_hook", (5, 5)), ("renew_hook", (6, 7))]);
        let left = without(RENEWAL.as_bytes(), &found[..1]);
        let expected = RENEWAL.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 4);
        assert_eq!(left, expected.map(|(_, l)| l).collect::<String>().into_bytes());
        let left = without(RENEWAL.as_bytes(), &found);
        assert!(String::from_utf8(left).unwrap().contains("webroot\r\nserver = s\r\n"));
    }

    #[test]
    fn an_option_is_commented_out_below_the_reason() {
        let text = "# all\npre-hook = perl x\nrenew-hook: y\n; pre-hook = z\nkey-type = rsa\npost_hook = z";
        let found = in_options(text);
        let told: Vec<_> = found.iter().map(|s| (s.command.as_str(), s.lines.0)).collect();
        assert_eq!(told, [("perl x", 2), ("y", 3), ("z", 6)]);
        let old = [found[0].clone(), found[2].clone()];
        let left = String::from_utf8(commented_out(text.as_bytes(), &old));
        let expected = format!(
            "# all\n{NOTE}\n# pre-hook = perl x\nrenew-hook: y\n; pre-hook = z\nkey-type = rsa\n{NOTE}\n# post_hook = z"
        );
        assert_eq!(left.unwrap(), expected);
        assert_eq!(put_back(expected.as_bytes()), Some(Ok(text.as_bytes().to_vec())));
        assert_eq!(put_back(text.as_bytes()), None);
    }

    #[test]
    fn a_hook_of_several_lines_comes_back_byte_for_byte() {
        let found = in_renewal(&configobj::parse(RENEWAL.as_bytes()).unwrap());
        let out = commented_out(RENEWAL.as_bytes(), &found);
        let left = configobj::parse(&out).unwrap();
        assert_eq!(in_renewal(&left), []);
        assert_eq!(put_back(&out), Some(Ok(RENEWAL.as_bytes().to_vec())));
        // certbot has written the file again since, with its own line ends.
        let again = String::from_utf8(out).unwrap().replace("\r\n", "\n");
        assert_eq!(
            put_back(again.as_bytes()),
            Some(Ok(RENEWAL.replace("\r\n", "\n").into_bytes()))
        );
    }

    #[test]
    fn a_hook_comes_back_only_where_certbot_takes_it() {
        let head = "version = 2.1.0\n[renewalparams]\nserver = s\n";
        let comment = format!("{NOTE}\n# pre_hook = perl x\n");
        let is_good = |text: String| put_back(text.as_bytes()).unwrap().is_ok();
        assert!(is_good(format!("{head}{comment}[[webroot_map]]\na.example = /w\n")));
        // certbot wrote it again, indented.
        assert!(is_good(format!("{head}    {NOTE}\n    # pre_hook = perl x\n")));
        // certbot saved another one since.
        assert!(!is_good(format!("{head}{comment}pre_hook = mine\n")));
        // certbot moved the comment into the section that it added.
        assert!(!is_good(format!("{head}[acme_renewal_info]\n{comment}ari_retry_after = x\n")));
        assert!(!is_good(format!("{head}[[webroot_map]]\na.example = /w\n{comment}")));
    }
}
