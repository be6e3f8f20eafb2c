//! pure: the strings that could hurt root, each a type that cannot hold a bad one.
//!
//! Nothing here touches the system. A value that exists has passed its check.

pub mod near;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The URL path prefix of every HTTP-01 challenge (RFC 8555 §8.3), with both slashes.
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// The port of every HTTP-01 request (RFC 8555 §8.3).
pub const HTTP_PORT: u16 = 80;

/// Where the certificates are looked at that a name is served with.
pub const HTTPS_PORT: u16 = 443;

/// Where the challenge files of a webroot are (certbot `plugins/webroot.py`).
pub const CHALLENGE_DIRECTORY: &str = ".well-known/acme-challenge";

/// Why a string was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a DNS host name.
    #[error("not a host name: {0:?}")]
    Hostname(String),
    /// Not an absolute, plain directory path.
    #[error("not an absolute path without `..`, quotes or control characters: {0:?}")]
    Webroot(String),
    /// Not base64url.
    #[error("not a challenge token (base64url characters only): {0:?}")]
    Token(String),
    /// Not a thumbprint.
    #[error("not the thumbprint of an account (43 base64url characters): {0:?}")]
    Thumbprint(String),
}

/// How a checked string is written, and read by serde and by clap: each reader checks it.
macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }
    };
}

/// A DNS host name, lower case, without a final dot.
///
/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes, 253 in all
/// (RFC 1035 §2.3.4; `_` occurs in practice). No wildcard: HTTP-01 has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

impl Hostname {
    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() <= 253 && name.split('.').all(label) {
            Ok(Self(name))
        } else {
            Err(Error::Hostname(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a certificate for `pattern` is for it, by itself or by a wildcard (RFC 6125 §6.4.3).
    pub fn is_covered_by(&self, pattern: &str) -> bool {
        let parent = self.0.split_once('.').map(|(_, parent)| parent);
        let suffix = pattern.strip_prefix("*.");
        pattern.eq_ignore_ascii_case(&self.0)
            || suffix.zip(parent).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
    }
}

as_text!(Hostname);

/// The directory that certbot's `--webroot-path` names.
///
/// Absolute, no `..`, and no character that means something in an Apache directive,
/// pattern or substitution: it is written into configuration files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Webroot(String);

impl Webroot {
    /// Checks `text` and drops trailing and doubled slashes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::Webroot(text.to_owned());
        let plain = |c: char| !c.is_control() && !"\"'\\$%?*[]{}<>".contains(c);
        if !text.starts_with('/') || !text.chars().all(plain) {
            return Err(refused());
        }
        let mut clean = String::new();
        for part in text.split('/').filter(|p| !p.is_empty() && *p != ".") {
            if part == ".." {
                return Err(refused());
            }
            clean.push('/');
            clean.push_str(part);
        }
        if clean.is_empty() { Err(refused()) } else { Ok(Self(clean)) }
    }

    /// The directory as text, without a final slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The directory that holds the challenge files, without a final slash.
    pub fn challenge_directory(&self) -> PathBuf {
        self.as_path().join(CHALLENGE_DIRECTORY)
    }
}

as_text!(Webroot);

/// A name whose challenges this host answers, and from where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The name.
    pub name: Hostname,
    /// certbot's webroot for it.
    pub webroot: Webroot,
}

/// A challenge token: base64url characters only (RFC 8555 §8.3), so that it is
/// a plain file name and a plain URL segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeToken(String);

impl ChallengeToken {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let good = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if good { Ok(Self(text.to_owned())) } else { Err(Error::Token(text.to_owned())) }
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL path under which the token is fetched.
    pub fn url_path(&self) -> String {
        format!("{CHALLENGE_PATH}{}", self.0)
    }
}

/// The RFC 7638 thumbprint of an ACME account's key, by SHA-256: 43 characters of base64url (RFC 8555 §8.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match ChallengeToken::parse(text) {
            Ok(ChallengeToken(text)) if text.len() == 43 => Ok(Self(text)),
            _ => Err(Error::Thumbprint(text.to_owned())),
        }
    }

    /// What a CA wants to see for `token` of this account: the key authorization.
    pub fn authorizes(&self, token: &ChallengeToken) -> String {
        format!("{}.{}", token.0, self.0)
    }
}

as_text!(Thumbprint);

/// A host as the configuration calls it: letters, digits, `-`, `_` and `.`, not first a `-` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostLabel(String);

/// Where ssh connects to: one word that cannot be an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(String);

impl HostLabel {
    /// Checks `text`.
    pub fn parse(text: &str) -> Option<Self> {
        is_word(text, b"-_.").then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Destination {
    /// Checks `text`.
    pub fn parse(text: &str) -> Option<Self> {
        is_word(text, b"-_.@:[]%").then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// At most 253 letters, digits and `also`; neither an option nor a hidden file.
fn is_word(text: &str, also: &[u8]) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || also.contains(&b);
    (1..=253).contains(&text.len()) && text.bytes().all(known) && !text.starts_with(['-', '.'])
}

impl TryFrom<String> for HostLabel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("not a name for a host: {text:?}"))
    }
}

impl From<HostLabel> for String {
    fn from(name: HostLabel) -> Self {
        name.0
    }
}

impl fmt::Display for HostLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_lower_case_without_final_dot() {
        assert_eq!(Hostname::parse("WWW.Example.ORG.").unwrap().as_str(), "www.example.org");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for bad in
            ["", ".", "a..b", "-a.example", "a b", "*.example.org", "a/b", "ä.example", "a\n"]
        {
            assert!(Hostname::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_webroot_is_absolute_and_plain() {
        assert_eq!(Webroot::parse("//srv//www/./x/").unwrap().as_str(), "/srv/www/x");
        for bad in [
            "",
            "/",
            "srv",
            "/srv/../etc",
            "/a\"b",
            "/a\nb",
            "/a$b",
            "/a%b",
            "/a\\b",
            "/a*",
            "/a?b",
        ] {
            assert!(Webroot::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_one_plain_segment() {
        assert_eq!(
            ChallengeToken::parse("aZ-_9").unwrap().url_path(),
            "/.well-known/acme-challenge/aZ-_9"
        );
        for bad in ["", "..", "a/b", "a b", "a%2f"] {
            assert!(ChallengeToken::parse(bad).is_err(), "{bad:?}");
        }
    }
}
