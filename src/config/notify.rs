//! pure: `[notify]` and `[metrics]`: who is told, and where monitoring reads.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::base::redacted;

/// How changes reach a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// A program and its arguments; the message comes on standard input.
    pub command: Option<Command>,
    /// Where the message is posted.
    pub post: Option<Post>,
}

impl Notify {
    /// Whether whoever knows it could use it: the path of a webhook is its password.
    pub fn holds_a_secret(&self) -> bool {
        let secret_url = |post: &Post| post.url.path() != "/" || post.url.query().is_some();
        let secret_words = |command: &Command| redacted::holds_a_secret(&command.arguments);
        self.post.as_ref().is_some_and(secret_url)
            || self.command.as_ref().is_some_and(secret_words)
    }
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Absolute path.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
}

impl Command {
    /// The program's absolute path, then its arguments; an error is what is wrong.
    pub(super) fn parse(words: Vec<String>) -> Result<Self, &'static str> {
        let mut words = words.into_iter();
        let program = words.next().map(PathBuf::from).filter(|path| path.is_absolute());
        let program = program.ok_or("does not begin with the absolute path of a program")?;
        let arguments: Vec<String> = words.collect();
        // What execve(2) would end at.
        let is_cut = |text: &str| text.contains('\0');
        if arguments.iter().any(|word| is_cut(word)) || is_cut(&program.to_string_lossy()) {
            return Err("contains a NUL");
        }
        Ok(Self { program, arguments })
    }
}

impl fmt::Display for Command {
    /// For people, not for a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        match redacted::command(&self.arguments) {
            words if words.is_empty() => Ok(()),
            words => write!(f, " {words}"),
        }
    }
}

/// Where the message goes by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// `https`, or `http` to this host itself.
    pub url: Url,
    /// A file with more header lines, for root alone: tokens.
    pub header_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NotifyFragment {
    command: Option<Vec<String>>,
    url: Option<String>,
    header_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MetricsFragment {
    textfile: Option<PathBuf>,
}

/// Which key, and what is wrong with it.
type Wrong = (&'static str, &'static str);

impl NotifyFragment {
    pub(super) fn check(self) -> Result<Notify, Wrong> {
        let command = self
            .command
            .map(Command::parse)
            .transpose()
            .map_err(|problem| ("notify.command", problem))?;
        if self.header_file.as_deref().is_some_and(Path::is_relative) {
            return Err(("notify.header-file", "is not an absolute path"));
        }
        let Some(text) = self.url else {
            return match self.header_file {
                None => Ok(Notify { command, post: None }),
                Some(_) => Err(("notify.header-file", "is for a url, and there is none")),
            };
        };
        let url = checked_url(&text).map_err(|problem| ("notify.url", problem))?;
        Ok(Notify { command, post: Some(Post { url, header_file: self.header_file }) })
    }
}

/// What is posted tells of failures, and may carry a token: not in the clear through a network.
fn checked_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let host = url.host_str().ok_or("is not a URL with a host")?;
    let bare = host.trim_matches(['[', ']']);
    let is_here = bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a password; put an Authorization line into header-file");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err("is neither https nor http to an address of this host (127.0.0.1, [::1])"),
    }
}

impl MetricsFragment {
    pub(super) fn check(self) -> Result<Option<PathBuf>, Wrong> {
        let wrong = |problem| Err(("metrics.textfile", problem));
        let Some(path) = self.textfile else { return Ok(None) };
        // node_exporter collector/textfile.go reads nothing else.
        let is_read = path.extension().is_some_and(|extension| extension == "prom");
        if !path.is_absolute() {
            return wrong("is not an absolute path");
        }
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return wrong("contains `..`");
        }
        if is_read { Ok(Some(path)) } else { wrong("does not end in .prom") }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    #[test]
    fn a_command_and_a_url_are_taken() {
        let text = "[notify]\ncommand = [\"/bin/x\", \"a b\"]\nurl = \"https://n.example/x?y\"\n\
            header-file = \"/etc/certbaton/headers\"\n[metrics]\ntextfile = \"/var/lib/x/c.prom\"";
        let settings = Settings::parse("f", text).unwrap();
        let command = settings.notify.command.unwrap();
        assert_eq!((command.program, command.arguments), ("/bin/x".into(), vec!["a b".into()]));
        assert_eq!(settings.notify.post.unwrap().url.as_str(), "https://n.example/x?y");
        assert_eq!(settings.textfile, Some("/var/lib/x/c.prom".into()));
        for url in ["http://127.0.0.1:8080/", "http://[::1]/x"] {
            assert!(Settings::parse("f", &format!("[notify]\nurl = \"{url}\"")).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_could_be_run_read_or_heard_by_others_is_refused() {
        for text in [
            "[notify]\ncommand = []",
            "[notify]\ncommand = [\"mail\", \"root\"]",
            "[notify]\ncommand = \"/bin/mail root\"",
            "[notify]\ncommand = [\"/bin/x\", \"a\\u0000b\"]",
            "[notify]\nurl = \"http://n.example/\"",
            "[notify]\nurl = \"http://localhost/\"",
            "[notify]\nurl = \"ftp://n.example/\"",
            "[notify]\nurl = \"file:///etc/passwd\"",
            "[notify]\nurl = \"https://me:secret@n.example/\"",
            "[notify]\nurl = \"n.example\"",
            "[notify]\nheader-file = \"/etc/x\"",
            "[notify]\nurl = \"https://n.example/\"\nheader-file = \"x\"",
            "[notify]\nurll = \"https://n.example/\"",
            "[metrics]\ntextfile = \"c.prom\"",
            "[metrics]\ntextfile = \"/var/lib/x/c.txt\"",
            "[metrics]\ntextfile = \"/var/lib/../c.prom\"",
        ] {
            assert!(Settings::parse("f", text).is_err(), "{text}");
        }
    }
}
