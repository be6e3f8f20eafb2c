//! pure: `/etc/certbaton/config.toml`, and what holds where it says nothing.
//!
//! Small on purpose: what can be found out is found out. Unknown keys are
//! refused with line and column, since a misspelt one would be silent otherwise.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// Where the configuration is, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/certbaton/config.toml";

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Journal; survives a reboot.
    pub state_directory: PathBuf,
    /// Locks and the keeper's socket; empty after a reboot.
    pub runtime_directory: PathBuf,
    /// Which Apache, where several run.
    pub pid_file: Option<PathBuf>,
    /// certbot's configuration directory, where its command line does not tell.
    pub certbot_directory: PathBuf,
    /// How long a pre-hook waits for another renewal.
    pub lease_wait: Duration,
    /// How long a switch may take until every address gives the right answer.
    pub proof_time: Duration,
}

/// The file is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not TOML, or a key or value that is not known.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be used.
    #[error("{file}: {key}: {problem}")]
    Value {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Fragment {
    state_directory: Option<PathBuf>,
    runtime_directory: Option<PathBuf>,
    apache: ApacheFragment,
    certbot: CertbotFragment,
    lease: LeaseFragment,
    proof: ProofFragment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ApacheFragment {
    pid_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct CertbotFragment {
    config_directory: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LeaseFragment {
    wait: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ProofFragment {
    time: Option<SignedDuration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_directory: "/var/lib/certbaton".into(),
            runtime_directory: "/run/certbaton".into(),
            pid_file: None,
            certbot_directory: "/etc/letsencrypt".into(),
            lease_wait: Duration::from_mins(20),
            proof_time: Duration::from_secs(20),
        }
    }
}

impl Settings {
    /// Reads the text of `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let fragment: Fragment = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or("");
            let column = before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1;
            let (line, message) = (before.matches('\n').count() + 1, error.message());
            Error::Syntax { file: file.into(), line, column, message: message.into() }
        })?;
        let wrong = |key, problem| Error::Value { file: file.to_owned(), key, problem };
        let absolute = |key, given: Option<PathBuf>, default: PathBuf| {
            let path = given.unwrap_or(default);
            if path.is_absolute() { Ok(path) } else { Err(wrong(key, "is not an absolute path")) }
        };
        let positive = |key, given: Option<SignedDuration>, default: Duration| match given {
            None => Ok(default),
            Some(given) => Duration::try_from(given)
                .ok()
                .filter(|d| !d.is_zero())
                .ok_or_else(|| wrong(key, "is not a duration above zero")),
        };
        let default = Self::default();
        let pid_file = fragment.apache.pid_file;
        if pid_file.as_deref().is_some_and(Path::is_relative) {
            return Err(wrong("apache.pid-file", "is not an absolute path"));
        }
        Ok(Self {
            state_directory: absolute(
                "state-directory",
                fragment.state_directory,
                default.state_directory,
            )?,
            runtime_directory: absolute(
                "runtime-directory",
                fragment.runtime_directory,
                default.runtime_directory,
            )?,
            pid_file,
            certbot_directory: absolute(
                "certbot.config-directory",
                fragment.certbot.config_directory,
                default.certbot_directory,
            )?,
            lease_wait: positive("lease.wait", fragment.lease.wait, default.lease_wait)?,
            proof_time: positive("proof.time", fragment.proof.time, default.proof_time)?,
        })
    }

    /// The journal of switches.
    pub fn journal(&self) -> PathBuf {
        self.state_directory.join("journal")
    }

    /// What the last switch to this host wrote.
    pub fn last_switch(&self) -> PathBuf {
        self.state_directory.join("last-switch.json")
    }

    /// The lock that every switch takes.
    pub fn switch_lock(&self) -> PathBuf {
        self.runtime_directory.join("switch.lock")
    }

    /// The local lease.
    pub fn lease_lock(&self) -> PathBuf {
        self.runtime_directory.join("lease.lock")
    }

    /// Where the keeper listens.
    pub fn keeper_socket(&self) -> PathBuf {
        self.runtime_directory.join("keeper.sock")
    }

    /// What the renewal under way is about.
    pub fn run_file(&self) -> PathBuf {
        self.runtime_directory.join("run.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(Settings::parse("f", "").unwrap(), Settings::default());
    }

    #[test]
    fn durations_are_written_as_people_say_them() {
        let settings = Settings::parse("f", "[lease]\nwait = \"1h 5m\"\n").unwrap();
        assert_eq!(settings.lease_wait, Duration::from_mins(65));
    }

    #[test]
    fn an_unknown_key_is_refused_where_it_stands() {
        let error = Settings::parse("f", "[apache]\n  pid-fill = \"/x\"\n").unwrap_err();
        let Error::Syntax { line, column, message, .. } = error else { panic!("{error}") };
        assert_eq!((line, column), (2, 3));
        assert!(message.contains("pid-fill"), "{message}");
    }

    #[test]
    fn values_that_could_hurt_are_refused() {
        for text in [
            "state-directory = \"x\"",
            "[apache]\npid-file = \"x\"",
            "[lease]\nwait = \"-5s\"",
            "[proof]\ntime = \"0s\"",
        ] {
            assert!(Settings::parse("f", text).is_err(), "{text}");
        }
    }
}
