//! pure: the `#` that an old hook put before ProxyPass lines, told from those that a person wrote.
//!
//! A hook marks all lines of a kind in one go. So lines of a file of which some
//! are marked and others of the same kind are not were marked by a person; and
//! a line that its twin, the file of the same name in sites-available, holds
//! with fewer `#` was marked since a2ensite linked the two.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::base::codes::Code;
use crate::base::finding::Finding;

/// What is known of one file that an old hook wrote to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The file without the `#` that are certainly the hook's.
    pub after: Vec<u8>,
    /// Lines that are commented out, from 1, and nobody can tell by whom.
    pub unsure: Vec<usize>,
}

/// Judges `live`, the file that Apache reads, by its `twin`, if there is one.
pub fn judge(live: &[u8], twin: Option<&[u8]>) -> Judgement {
    let (now, before) = (Hashes::of(live), Hashes::of(twin.unwrap_or_default()));
    let mut seen = Hashes::default();
    let lines: Vec<&[u8]> = live.split_inclusive(|&b| b == b'\n').collect();
    let mut kinds: BTreeMap<Kind, Vec<(usize, Proxied<'_>, Option<usize>)>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(line) = Proxied::of(line) else { continue };
        let original = before.of_same(&line, &now, &seen);
        seen.note(&line);
        kinds.entry(line.kind()).or_default().push((at, line, original));
    }
    let mut after: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    let mut unsure = Vec::new();
    for marked in kinds.into_values() {
        let fewest = marked.iter().map(|(_, line, _)| line.hashes).min().unwrap_or(0);
        // One that was left alone is none that the hook knows, unless a person had marked it.
        if fewest == 0 {
            continue;
        }
        for (at, line, original) in marked {
            match original {
                Some(before) if before <= line.hashes => after[at] = line.with(before),
                Some(_) => {}
                None if fewest > 1 => after[at] = line.with(line.hashes - fewest),
                None => unsure.push(at + 1),
            }
        }
    }
    unsure.sort_unstable();
    Judgement { after: after.concat(), unsure }
}

/// A word to a person for each of `lines` of `text`, which Apache reads as `file`.
pub fn unsure(file: &str, text: &[u8], lines: &[usize]) -> Vec<Finding> {
    let of = |at: &usize| {
        let line = text.split(|&b| b == b'\n').nth(at - 1).unwrap_or_default();
        let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        Finding::new(
            Code::OldHookLine,
            Some(format!("{file}:{at}")),
            format!("commented out, by the old hook or by a person: {line}"),
            "remove the # if the line is wanted, then run systemctl reload apache2; else delete the line",
        )
    };
    lines.iter().map(of).collect()
}

/// The first line, from 1, in which two texts differ.
pub fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let lines = |text| <[u8]>::split_inclusive(text, |&b: &u8| b == b'\n');
    1 + lines(one).zip(lines(other)).take_while(|(one, other)| one == other).count()
}

/// A ProxyPass line of any sort, active or commented out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proxied<'a> {
    /// What stands before the name, `#` among it.
    head: &'a [u8],
    /// From the name on.
    rest: &'a [u8],
    hashes: usize,
}

/// What a pattern can tell lines by: the directive, and whether it is for challenges.
type Kind = (Vec<u8>, bool);

impl<'a> Proxied<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let head = HEAD.find(line)?;
        let (head, rest) = line.split_at(head.end() - b"proxypass".len());
        Some(Self { head, rest, hashes: head.iter().filter(|&&b| b == b'#').count() })
    }

    fn kind(&self) -> Kind {
        let name = self.rest.split(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_challenge = self.rest.windows(ACME.len()).any(|window| window == ACME);
        (name.to_ascii_lowercase(), is_challenge)
    }

    /// The line behind so many `#`: the first ones go.
    fn with(&self, hashes: usize) -> Vec<u8> {
        let mut over = self.hashes.saturating_sub(hashes);
        let keep = |b: &&u8| {
            let goes = **b == b'#' && over > 0;
            over -= usize::from(goes);
            !goes
        };
        let mut line: Vec<u8> = self.head.iter().filter(keep).copied().collect();
        line.extend_from_slice(self.rest);
        line
    }
}

/// How many `#` each ProxyPass line of a file has, in order, by the line without them.
#[derive(Default)]
struct Hashes(BTreeMap<Vec<u8>, Vec<usize>>);

impl Hashes {
    fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        let lines = text.split_inclusive(|&b| b == b'\n').filter_map(Proxied::of);
        lines.for_each(|line| all.note(&line));
        all
    }

    fn note(&mut self, line: &Proxied<'_>) {
        self.0.entry(line.with(0)).or_default().push(line.hashes);
    }

    fn like(&self, line: &Proxied<'_>) -> &[usize] {
        self.0.get(&line.with(0)).map_or(&[], Vec::as_slice)
    }

    /// How many the same line of the twin has: of several alike, if they have as many or are as many.
    fn of_same(&self, line: &Proxied<'_>, live: &Self, seen: &Self) -> Option<usize> {
        let (here, first) = (self.like(line), self.like(line).first()?);
        if here.iter().all(|hashes| hashes == first) {
            return Some(*first);
        }
        let counted = here.len() == live.like(line).len();
        here.get(seen.like(line).len()).filter(|_| counted).copied()
    }
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
    #ProxyPass /old http://old/
    ProxyPass /.well-known/acme-challenge/ http://vps/.well-known/acme-challenge/
    ProxyPass / http://app/
    ProxyPassReverse / http://app/
\tproxypassmatch ^/x http://app/
</VirtualHost>";

    /// As `s/^(\s*)(ProxyPass)/$1#$2/i` and its kin do it.
    fn hook(text: &str, line_start: bool) -> String {
        let one = |line: &str| {
            let at = line.len() - line.trim_start().len();
            if !line[at..].to_ascii_lowercase().starts_with("proxypass") {
                return line.to_owned();
            }
            let at = if line_start { 0 } else { at };
            format!("{}#{}", &line[..at], &line[at..])
        };
        text.split_inclusive('\n').map(one).collect()
    }

    /// As `s/ProxyPass/#ProxyPass/` does it.
    fn careless(text: &str) -> String {
        text.replace("ProxyPass", "#ProxyPass").replace("proxypass", "#proxypass")
    }

    fn restored(live: &str, twin: Option<&str>) -> (String, Vec<usize>) {
        let found = judge(live.as_bytes(), twin.map(str::as_bytes));
        (String::from_utf8(found.after).unwrap(), found.unsure)
    }

    #[test]
    fn the_twin_tells_what_the_hook_wrote() {
        let original = (SITE.to_owned(), Vec::new());
        let mut lives = vec![hook(SITE, false), hook(SITE, true), SITE.into()];
        lives.extend([SITE.replace("    Pr", "    ##Pr").replace("\tp", "\t##p")]);
        for live in lives {
            assert_eq!(restored(&live, Some(SITE)), original, "{live}");
        }
    }

    #[test]
    fn a_careless_pattern_marks_comments_too() {
        let site = SITE.replace("    # ProxyPass is below\n", "");
        let once = careless(&site);
        assert_eq!(restored(&once, Some(&site)), (site.clone(), Vec::new()));
        assert_eq!(restored(&careless(&once), Some(&site)), (site.clone(), Vec::new()));
        // Its way back took the user's own # away as well: that is no mark of the hook.
        let back = site.replace("#ProxyPass", "ProxyPass");
        assert_eq!(restored(&back, Some(&site)).0, back);
        assert_eq!(first_difference(back.as_bytes(), site.as_bytes()), 3);
    }

    #[test]
    fn a_pattern_for_challenges_alone_is_known_by_its_kind() {
        let live = SITE.replace("    ProxyPass /.well", "    #ProxyPass /.well");
        assert_eq!(restored(&live, Some(SITE)), (SITE.to_owned(), Vec::new()));
    }

    #[test]
    fn what_a_person_commented_out_stays_so() {
        let two = "ProxyPass /a http://a/\nProxyPass /b http://b/\n";
        let live = two.replace("ProxyPass /b", "#ProxyPass /b");
        assert_eq!(restored(&live, Some(two)), (live.clone(), Vec::new()));
    }

    #[test]
    fn the_same_line_in_several_vhosts_is_each_its_own() {
        let site = "ProxyPass /a http://a/\n#ProxyPass /a http://a/\n";
        let live = site.replace("ProxyPass", "#ProxyPass");
        assert_eq!(restored(&live, Some(site)), (site.to_owned(), Vec::new()));
        assert_eq!(restored(&hook(site, true), Some(site)), (site.to_owned(), Vec::new()));
        // Which of the two is gone?
        let one = "#ProxyPass /a http://a/\n";
        assert_eq!(restored(one, Some(site)), (one.to_owned(), vec![1]));
    }

    #[test]
    fn without_a_twin_only_a_second_run_is_certain() {
        let two = "  ProxyPass /a http://a/\n  ProxyPassReverse /a http://a/\n";
        let once = hook(two, false);
        assert_eq!(restored(&once, None), (once.clone(), vec![1, 2]));
        let twice = two.replace("Pr", "##Pr");
        assert_eq!(restored(&twice, None), (two.to_owned(), Vec::new()));
        let more = format!("{twice}###ProxyPass /c http://c/\n");
        assert_eq!(restored(&more, None).0, format!("{two}#ProxyPass /c http://c/\n"));
        // The twin lacks one of the lines: it was added since.
        let added = format!("{once}  #ProxyPass /new http://n/\n");
        let (after, unsure) = restored(&added, Some(two));
        assert_eq!(after, format!("{two}  #ProxyPass /new http://n/\n"));
        assert_eq!(unsure, [3]);
    }
}
