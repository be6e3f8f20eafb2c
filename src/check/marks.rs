//! pure: ProxyPass lines behind a `#`, which an old hook may have put there.
//!
//! A hook marks all lines of a kind in one go. So lines of a file of which some
//! are marked and others of the same kind are not were marked by a person.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::base::codes::Code;
use crate::base::finding::Finding;

/// A line that is commented out, as are all of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedLine {
    /// Its number, from 1.
    pub number: usize,
    /// How many `#` each of its kind has at least.
    pub fewest: usize,
}

/// The lines of `text` that an old hook may have commented out.
pub fn commented_out(text: &[u8]) -> Vec<MarkedLine> {
    let mut kinds: BTreeMap<Kind, Vec<(usize, usize)>> = BTreeMap::new();
    for (line, number) in text.split(|&b| b == b'\n').zip(1..) {
        if let Some((kind, hashes)) = kind(line) {
            kinds.entry(kind).or_default().push((number, hashes));
        }
    }
    let mut found = Vec::new();
    for lines in kinds.into_values() {
        let fewest = lines.iter().map(|(_, hashes)| *hashes).min().unwrap_or(0);
        // One that was left alone is none that the hook knows, unless a person had marked it.
        if fewest > 0 {
            found.extend(lines.iter().map(|(number, _)| MarkedLine { number: *number, fewest }));
        }
    }
    found.sort_unstable_by_key(|line| line.number);
    found
}

/// A word to a person about that line of `text`, which Apache reads as `file`.
pub fn finding(file: &str, text: &[u8], line: usize) -> Finding {
    let place = Some(format!("{file}:{line}"));
    let line = text.split(|&b| b == b'\n').nth(line - 1).unwrap_or_default();
    let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
    Finding::new(
        Code::OldHookLine,
        place,
        format!("commented out, by the old hook or by a person: {line}"),
        "remove the # if the line is wanted, then run systemctl reload apache2; else delete the line",
    )
}

/// The first line, from 1, in which two texts differ.
pub fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let lines = |text| <[u8]>::split_inclusive(text, |&b: &u8| b == b'\n');
    1 + lines(one).zip(lines(other)).take_while(|(one, other)| one == other).count()
}

/// What a pattern can tell lines by: the directive, and whether it is for challenges.
type Kind = (Vec<u8>, bool);

/// The kind of a ProxyPass line, active or commented out, and how many `#` stand before it.
fn kind(line: &[u8]) -> Option<(Kind, usize)> {
    let head = HEAD.find(line)?;
    let (head, rest) = line.split_at(head.end() - b"proxypass".len());
    let name = rest.split(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_challenge = rest.windows(ACME.len()).any(|window| window == ACME);
    let hashes = head.iter().filter(|&&b| b == b'#').count();
    Some(((name.to_ascii_lowercase(), is_challenge), hashes))
}

/// Up to the end of the name's first nine letters.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, used by the tests below")]
    Regex::new(r"^[ \t]*#*[ \t]*#*(?i-u:ProxyPass)").expect("a constant pattern")
});

const ACME: &[u8] = b"acme-challenge";

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "<VirtualHost *:80>\r
    ServerName a.example
    # ProxyPass is below
    ProxyPass /.well-known/acme-challenge/ http://vps/.well-known/acme-challenge/
    ProxyPass / http://app/
    ProxyPassReverse / http://app/
\tproxypassmatch ^/x http://app/
</VirtualHost>";

    fn told(text: &str) -> Vec<(usize, usize)> {
        commented_out(text.as_bytes()).iter().map(|line| (line.number, line.fewest)).collect()
    }

    #[test]
    fn what_a_hook_marked_once_or_twice_is_told_by_its_line() {
        assert_eq!(told(SITE), []);
        for (mark, fewest) in [("#", 1), ("##", 2)] {
            let marked = SITE.replace("    Pr", &format!("    {mark}Pr"));
            let marked = marked.replace("\tp", &format!("\t{mark}p"));
            // The comment in words is of the kind of `ProxyPass /`, and has one `#` whoever wrote the others.
            assert_eq!(told(&marked), [(3, 1), (4, fewest), (5, 1), (6, fewest), (7, fewest)]);
        }
    }

    #[test]
    fn a_pattern_for_challenges_alone_is_known_by_its_kind() {
        assert_eq!(told(&SITE.replace("    ProxyPass /.well", "#    ProxyPass /.well")), [(4, 1)]);
    }

    #[test]
    fn what_a_person_commented_out_stays_so() {
        assert_eq!(told("ProxyPass /a http://a/\n#ProxyPass /b http://b/\n"), []);
    }

    #[test]
    fn a_line_is_told_as_it_stands() {
        let found = finding("/s.conf", b"a\r\n\t#ProxyPass / http://app/\r\n", 2);
        assert_eq!(found.place.as_deref(), Some("/s.conf:2"));
        assert!(found.what.ends_with(": #ProxyPass / http://app/"), "{}", found.what);
    }
}
