//! pure: the CA's request as the configuration sees it.
//!
//! Plain HTTP, port 80, GET, no cookies, no upgrade (RFC 8555 §8.3): enough to
//! decide most conditions without sending anything. What cannot be known is `None`.

use crate::names::{CHALLENGE_PATH, Hostname};

/// One validation request for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    host: Hostname,
    path: String,
}

impl Request {
    /// A token of the usual length with every kind of character a token may have.
    pub const SAMPLE: &'static str = "Certbaton_0-samplesamplesamplesamplesamplZ";

    /// The request for a token of `host`.
    pub fn new(host: &Hostname) -> Self {
        Self { host: host.clone(), path: format!("{CHALLENGE_PATH}{}", Self::SAMPLE) }
    }

    /// The URL path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name asked for.
    pub fn host(&self) -> &Hostname {
        &self.host
    }

    /// The value of a `RewriteCond` test string, if it is known beforehand.
    pub fn variable(&self, test: &[u8]) -> Option<String> {
        let test = std::str::from_utf8(test).ok()?;
        let name = test.strip_prefix("%{")?.strip_suffix('}')?.to_ascii_uppercase();
        Some(match name.as_str() {
            "REQUEST_URI" => self.path.clone(),
            "HTTP_HOST" => self.host.to_string(),
            "SERVER_PORT" => "80".to_owned(),
            "REQUEST_METHOD" => "GET".to_owned(),
            "HTTPS" => "off".to_owned(),
            "REQUEST_SCHEME" => "http".to_owned(),
            "THE_REQUEST" => format!("GET {} HTTP/1.1", self.path),
            "QUERY_STRING" | "HTTP_COOKIE" | "HTTP_REFERER" | "HTTP:UPGRADE"
            | "HTTP:CONNECTION" | "REMOTE_USER" | "PATH_INFO" => String::new(),
            _ => return None,
        })
    }
}
