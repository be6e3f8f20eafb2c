//! pure: the CA's request as the configuration sees it.
//!
//! Plain HTTP, port 80, GET, no cookies, no upgrade (RFC 8555 §8.3): enough to
//! decide most conditions without sending anything. What cannot be known is `None`.

use std::path::Path;

use crate::base::names::{CHALLENGE_PATH, Hostname};

/// One validation request for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    host: Hostname,
    path: String,
    file: Option<String>,
    /// certbot's file for the token, and whether it is there.
    planted: Option<(String, bool)>,
    /// `SERVER_NAME`, if it can be told.
    server_name: Option<String>,
}

impl Request {
    /// A token of the usual length with every kind of character a token may have.
    pub const SAMPLE: &'static str = "Certbaton_0-samplesamplesamplesamplesamplZ";

    /// The request for a token of `host`.
    pub fn new(host: &Hostname) -> Self {
        Self::for_token(host, Self::SAMPLE)
    }

    /// The request for `token` of `host`.
    pub fn for_token(host: &Hostname, token: &str) -> Self {
        Self {
            host: host.clone(),
            path: format!("{CHALLENGE_PATH}{token}"),
            file: None,
            planted: None,
            server_name: Some(host.to_string()),
        }
    }

    /// The same as a vhost sees it that goes by a name of its own (`UseCanonicalName`).
    #[must_use]
    pub fn called(&self, server_name: Option<String>) -> Self {
        Self { server_name, ..self.clone() }
    }

    /// The same once it is mapped to a token file in `directory`; it exists unless it was said not to.
    #[must_use]
    pub fn mapped_to(&self, directory: &Path) -> Self {
        Self { file: Some(self.file_in(directory)), ..self.clone() }
    }

    /// The same, of a token that certbot on this host has put into `directory`, or, if not
    /// `is_there`, that another host has somewhere else.
    #[must_use]
    pub fn planted(&self, directory: &Path, is_there: bool) -> Self {
        Self { planted: Some((self.file_in(directory), is_there)), ..self.clone() }
    }

    fn file_in(&self, directory: &Path) -> String {
        let token = self.path.strip_prefix(CHALLENGE_PATH).unwrap_or(Self::SAMPLE);
        directory.join(token).display().to_string()
    }

    /// Whether there is a file at `path`, if that is known; doubled slashes mean nothing.
    pub fn has(&self, path: &str) -> Option<bool> {
        let is_at = |file: &str| {
            let parts = |path: &str| {
                path.split('/').filter(|p| !p.is_empty()).map(str::to_owned).collect::<Vec<_>>()
            };
            path.starts_with('/') && parts(path) == parts(file)
        };
        match (&self.planted, &self.file) {
            (Some((file, is_there)), _) if is_at(file) => Some(*is_there),
            (_, Some(file)) if is_at(file) => Some(true),
            _ => None,
        }
    }

    /// A text of `mod_rewrite` with its variables filled in, if all are known.
    pub fn filled(&self, text: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        // What a `RewriteMap` makes of it is not known.
        if text.contains("${") {
            return None;
        }
        let (mut out, mut rest) = (String::new(), text.as_str());
        while let Some(at) = rest.find("%{") {
            let end = at + rest[at..].find('}')? + 1;
            out += &rest[..at];
            out += &self.variable(&rest.as_bytes()[at..end])?;
            rest = &rest[end..];
        }
        (!rest.contains('%')).then(|| out + rest)
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
            "REQUEST_FILENAME" | "SCRIPT_FILENAME" => self.file.clone()?,
            "HTTP_HOST" => self.host.to_string(),
            "SERVER_NAME" => self.server_name.clone()?,
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
