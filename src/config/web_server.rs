//! pure: `[web-server]`: how another web server than Apache is tested and reloaded.

use std::fmt;

use serde::Deserialize;

use super::notify::Command;

/// The web server of a host where nothing is switched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebServer {
    /// Says by its exit code whether its configuration is good.
    pub test: Command,
    /// Makes it load its configuration, and its certificates, anew.
    pub reload: Command,
}

impl fmt::Display for WebServer {
    /// What people call it: the program that tests it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.test.program.file_name().unwrap_or_default().to_string_lossy())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WebServerFragment {
    test: Vec<String>,
    reload: Vec<String>,
}

impl WebServerFragment {
    /// An error is the key, and what is wrong with it.
    pub(super) fn check(self) -> Result<WebServer, (&'static str, &'static str)> {
        let of = |key, words| Command::parse(words).map_err(|problem| (key, problem));
        let test = of("web-server.test", self.test)?;
        Ok(WebServer { test, reload: of("web-server.reload", self.reload)? })
    }
}
