//! pure: the strings of a description, each a type that cannot break out of the file it is written to.
//!
//! Apache, nftables, fail2ban and inadyn quote differently; so what means something to any of them is refused.

use std::fmt;

use serde::Deserialize;

use crate::base::names::Webroot;

/// Declares a string that is checked when it is read.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(format!("not {}: {text:?}", $what)) }
            }
        }

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked!(
    /// The name of a gateway, and so of its files and its table.
    Label,
    "a name of 1 to 32 letters, digits and -, the first a letter",
    |text| (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

checked!(
    /// An absolute path without anything that could be quoting.
    Path,
    "an absolute path without `..`, quotes or control characters",
    |text| Webroot::parse(text).is_ok_and(|path| path.as_str() == text)
);

checked!(
    /// The URL of an application: `http` or `https`, with a `/` at its end.
    Backend,
    "an http or https URL that ends in a / and has no user, query, quotes or variables",
    |text| {
        let Ok(url) = reqwest::Url::parse(text) else { return false };
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && text.ends_with('/')
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\$%{}<>?#`".contains(&b))
    }
);

impl Backend {
    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https:")
    }
}

checked!(
    /// What the browser says when it asks for a password.
    Realm,
    "words without quotes, backslashes, variables or control characters",
    |text| !text.trim().is_empty()
        && text.chars().all(|c| !c.is_control() && !"\"\\%${}".contains(c))
);

checked!(
    /// A network interface (`dev_valid_name`, net/core/dev.c), without nftables' wildcard.
    Interface,
    "the name of a network interface",
    |text| (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
);

checked!(
    /// A user, an id or a key of a service.
    Credential,
    "a word without blanks, quotes, backslashes, variables or control characters",
    |text| !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\${}".contains(&b))
);

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> bool {
        Backend::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn a_backend_is_a_plain_url() {
        for good in ["http://[::1]:8080/", "https://app.lan/x/", "http://127.0.0.1/"] {
            assert!(backend(good), "{good}");
        }
        for bad in [
            "http://app",
            "ftp://app/",
            "http://a@b/",
            "http://a/?b/",
            "http://a/$1/",
            "http://a/ b/",
            "http://a/\"/",
            "unix:/run/a|http://a/",
        ] {
            assert!(!backend(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_can_break_out_of_its_quotes() {
        for bad in ["a\"b", "a\nb", "a\\b", "${a}", "%{ENV:A}"] {
            assert!(Realm::try_from(bad.to_owned()).is_err(), "{bad}");
            assert!(Credential::try_from(bad.to_owned()).is_err() || bad.starts_with('%'));
            assert!(Path::try_from(format!("/{bad}")).is_err(), "{bad}");
            assert!(Label::try_from(bad.to_owned()).is_err(), "{bad}");
            assert!(Interface::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
