//! pure: certbot's version: when it renews, and what to know before it is relied upon.
//!
//! From its change log and `storage.py:should_autorenew`; each line says since when.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::base::codes::Code;
use crate::base::finding::Finding;

/// A version of certbot; what follows the second number changes nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// What decides whether a lineage is due.
#[derive(Debug, Clone, Copy)]
pub struct Age<'a> {
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// `renew_before_expiry` of `renewal/NAME.conf`.
    pub before_expiry: Option<&'a str>,
}

/// The number in what `certbot --version` prints, `certbot 2.1.0`.
pub fn number(printed: &str) -> Option<&str> {
    let mut numbers = printed.lines().filter_map(|line| line.strip_prefix("certbot "));
    numbers.next_back()
}

impl Version {
    /// Reads a number, `2.1.0`.
    pub fn of(number: &str) -> Option<Self> {
        let mut numbers = number.trim().split('.');
        let major = numbers.next()?.parse().ok()?;
        Some(Self { major, minor: numbers.next()?.parse().ok()? })
    }

    /// From when on this certbot renews a certificate by its age alone; `None` if that cannot be told.
    pub fn due(self, age: &Age<'_>) -> Option<Timestamp> {
        let lifetime = age.not_after.duration_since(age.not_before);
        let before = match age.before_expiry {
            Some(text) => interval(text)?,
            None if !self.is_by_lifetime() => SignedDuration::from_hours(30 * 24),
            None if lifetime < SignedDuration::from_hours(10 * 24) => lifetime / 2,
            None => lifetime / 3,
        };
        age.not_after.checked_sub(before).ok()
    }

    /// Whether it also asks the CA whether a certificate is due (ARI, RFC 9773): then no file tells.
    pub fn asks_the_ca(self) -> bool {
        self >= Self { major: 4, minor: 1 }
    }

    /// Whether there is `certbot reconfigure`.
    pub fn has_reconfigure(self) -> bool {
        self >= Self { major: 2, minor: 3 }
    }

    /// What a person has to know about it; `shortest` is the shortest lifetime of its certificates.
    pub fn traps(self, shortest: Option<SignedDuration>) -> Vec<Finding> {
        let mut traps = Vec::new();
        let mut add = |what: String, remedy| {
            traps.push(Finding::new(Code::VersionTrap, None, what, remedy));
        };
        if self < (Self { major: 3, minor: 2 }) {
            let what = format!(
                "certbot {self} runs directory hooks for `renew` alone (before 3.2): a manual `certbot certonly` switches no route"
            );
            add(what, "use `certbot renew --force-renewal --cert-name NAME`");
        }
        let month = SignedDuration::from_hours(30 * 24);
        if !self.is_by_lifetime() && shortest.is_some_and(|lifetime| lifetime <= month) {
            let what = format!(
                "certbot {self} renews 30 days before the end (before 4.0), so a certificate that lives no longer is renewed by every run until the CA refuses"
            );
            add(what, "set renew_before_expiry in its renewal/NAME.conf");
        }
        traps
    }

    /// A third of the lifetime instead of 30 days (4.0).
    fn is_by_lifetime(self) -> bool {
        self.major >= 4
    }
}

/// What people write there (`parsedatetime` reads more): numbers, each with its unit, or days alone.
fn interval(text: &str) -> Option<SignedDuration> {
    let number = |word: &str| word.parse::<i64>().ok().filter(|n| (0..=10_000).contains(n));
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    // `storage.py:add_time_interval`
    if let [days] = words[..] {
        return Some(SignedDuration::from_hours(number(days)? * 24));
    }
    let mut sum = SignedDuration::ZERO;
    for pair in words.chunks(2) {
        let [count, unit] = *pair else { return None };
        let hours = match unit.trim_end_matches('s') {
            "hour" => 1,
            "day" => 24,
            "week" => 7 * 24,
            _ => return None,
        };
        sum = sum.checked_add(SignedDuration::from_hours(number(count)? * hours))?;
    }
    (!words.is_empty()).then_some(sum)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::of(number(&format!("certbot {text}\n")).unwrap()).unwrap()
    }

    /// On which day of its life a certificate is due.
    fn day(version: Version, lifetime_days: i64, before_expiry: Option<&str>) -> Option<i64> {
        let day = |n: i64| Timestamp::from_second(n * 86_400).unwrap();
        let age = Age { not_before: day(0), not_after: day(lifetime_days), before_expiry };
        version.due(&age).map(|at| at.as_second() / 86_400)
    }

    #[test]
    fn the_rule_changed_with_4_0() {
        assert_eq!(day(version("2.1.0"), 90, None), Some(60));
        assert_eq!(day(version("2.1.0"), 45, None), Some(15));
        assert_eq!(day(version("4.0.0"), 90, None), Some(60));
        assert_eq!(day(version("5.6.0"), 45, None), Some(30));
        assert_eq!(day(version("5.6.0"), 6, None), Some(3));
    }

    #[test]
    fn what_the_file_says_goes_first_and_is_not_guessed() {
        assert_eq!(day(version("5.6.0"), 90, Some("30 days")), Some(60));
        assert_eq!(day(version("2.1.0"), 90, Some("1 week")), Some(83));
        assert_eq!(day(version("2.1.0"), 90, Some("21")), Some(69), "days");
        assert_eq!(day(version("4.0.0"), 90, Some("29 days 24 hours")), Some(60));
        for odd in ["a fortnight", "", "30 days 5", "soon"] {
            assert_eq!(day(version("2.1.0"), 90, Some(odd)), None, "{odd}");
        }
    }

    #[test]
    fn every_printed_version_is_read() {
        assert_eq!(version("2.1.0"), Version { major: 2, minor: 1 });
        assert_eq!(version("5.8.0.dev0").minor, 8);
        assert_eq!(number("certbot").and_then(Version::of), None);
        assert!(version("4.1.1").asks_the_ca() && !version("4.0.0").asks_the_ca());
    }

    #[test]
    fn traps_are_those_of_the_version() {
        let week = Some(SignedDuration::from_hours(160));
        assert_eq!(version("2.1.0").traps(week).len(), 2);
        assert_eq!(version("2.1.0").traps(None).len(), 1);
        assert_eq!(version("5.8.0").traps(week), Vec::<Finding>::new());
        let reconfigure = ["2.1.0", "2.3.0"].map(|text| version(text).has_reconfigure());
        assert_eq!(reconfigure, [false, true], "Debian 12 has 2.1");
    }
}
