//! pure: `[apache]` and `[web-server]`: which Apache, or how another web server is tested and reloaded.

use std::fmt;
use std::path::{Path, PathBuf};

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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ApacheFragment {
    pid_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WebServerFragment {
    test: Vec<String>,
    reload: Vec<String>,
}

/// Which key, and what is wrong with it.
type Wrong = (&'static str, &'static str);

/// Apache's pid file, and the web server in its place: at most one of the two.
pub(super) fn checked(
    apache: ApacheFragment,
    other: Option<WebServerFragment>,
) -> Result<(Option<PathBuf>, Option<WebServer>), Wrong> {
    let pid_file = apache.pid_file;
    if pid_file.as_deref().is_some_and(Path::is_relative) {
        return Err(("apache.pid-file", "is not an absolute path"));
    }
    if pid_file.is_some() && other.is_some() {
        return Err(("web-server", "is there beside apache.pid-file: which of the two is it?"));
    }
    let of = |key, words| Command::parse(words).map_err(|problem| (key, problem));
    let Some(WebServerFragment { test, reload }) = other else { return Ok((pid_file, None)) };
    let test = of("web-server.test", test)?;
    let reload = of("web-server.reload", reload)?;
    Ok((pid_file, Some(WebServer { test, reload })))
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    const NGINX: &str = "[web-server]\ntest = [\"/usr/sbin/nginx\", \"-t\"]\n";

    #[test]
    fn another_web_server_has_a_test_and_a_reload() {
        let text = format!("{NGINX}reload = [\"/bin/systemctl\", \"reload\", \"nginx\"]\n");
        let server = Settings::parse("f", &text).unwrap().web_server.unwrap();
        assert_eq!(server.to_string(), "nginx");
        assert_eq!(server.reload.to_string(), "/bin/systemctl reload nginx");
    }

    #[test]
    fn half_of_it_a_shells_words_and_two_servers_are_refused() {
        let said = |text: &str| Settings::parse("f", text).unwrap_err().to_string();
        assert!(said(NGINX).contains("missing field `reload`"), "{}", said(NGINX));
        for reload in ["[\"nginx\"]", "[]", "\"nginx -s reload\""] {
            said(&format!("{NGINX}reload = {reload}\n"));
        }
        let both = format!("{NGINX}reload = [\"/bin/x\"]\n[apache]\npid-file = \"/run/a\"\n");
        assert!(said(&both).contains("which of the two"), "{}", said(&both));
    }
}
