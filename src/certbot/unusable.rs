//! pure: why what certbot keeps, or was told, cannot be used; a person mends it where it stands.

use std::io;
use std::path::PathBuf;

use crate::base::certificate;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::names;
use crate::base::process;
use crate::certbot::configobj::Syntax;

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A process that cannot be looked at.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// Its configuration cannot be read.
    #[error("certbot's defaults cannot be read")]
    Defaults(#[source] files::Error),
    /// Its command line cannot be followed.
    #[error("the command line of certbot, process {pid}, cannot be followed")]
    Arguments {
        /// Its pid.
        pid: i32,
        /// Which option is why.
        source: Box<Self>,
    },
    /// A webroot on it that must not be written into Apache's configuration.
    #[error("certbot's {option} is refused; move the webroot or name it by a plainer path")]
    OptionWebroot {
        /// Which option.
        option: &'static str,
        /// What is wrong with its value.
        source: names::Error,
    },
    /// `--webroot-map` is not an object of strings.
    #[error("certbot's --webroot-map cannot be read")]
    WebrootMap(#[source] serde_json::Error),
    /// There is no list of lineages at all.
    #[error("cannot list {path}", path = .path.display())]
    Unlisted {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of a lineage that is no `NAME.conf`.
    #[error("{file}: not NAME.conf", file = .0.display())]
    FileName(PathBuf),
    /// One that is not the syntax of `ConfigObj`.
    #[error("{file}:{line}: certbot skips this lineage until the line is repaired", file = .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        source: Syntax,
    },
    /// A key without which certbot skips the lineage, too.
    #[error("{file}: no {key}; certbot skips this lineage until it is there", file = .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A list where one value belongs.
    #[error("{file}:{line}: {key} is a list; write one value, in quotes if it has a comma", file = .file.display())]
    List {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A saved webroot that must not be written into Apache's configuration.
    #[error("{file}:{line}: the webroot is refused; move it or name it by a plainer path", file = .file.display())]
    Webroot {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        source: names::Error,
    },
    /// The certificate of a lineage.
    #[error("{path}: certbot's certificate cannot be read", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: certificate::Error,
    },
    /// The key of an account is not JSON, or members are missing.
    #[error("not a private key as certbot writes it (JWK)")]
    Key(#[source] serde_json::Error),
    /// A kind of key that no ACME server takes.
    #[error("a key of an unknown kind ({0})")]
    KeyKind(String),
    /// A member with characters that base64url has not: it would not be canonical.
    #[error("its member {0} is not base64url")]
    KeyMember(&'static str),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) | Self::Defaults(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::Arguments { source, .. } => source.exit(),
            Self::OptionWebroot { .. }
            | Self::WebrootMap(_)
            | Self::Unlisted { .. }
            | Self::FileName(_)
            | Self::Syntax { .. }
            | Self::Missing { .. }
            | Self::List { .. }
            | Self::Webroot { .. }
            | Self::Certificate { .. }
            | Self::Key(_)
            | Self::KeyKind(_)
            | Self::KeyMember(_) => Exit::Failed,
        }
    }
}

impl Error {
    /// Whether certbot refuses the same file of a lineage and passes over it, so that no challenge
    /// will come of it.
    pub fn certbot_skips_it(&self) -> bool {
        match self {
            Self::File(error) => error.is_missing(),
            // `add_time_interval` fails on a list before any hook is run.
            Self::List { key, .. } => key == "renew_before_expiry",
            Self::Syntax { .. } | Self::Missing { .. } | Self::Certificate { .. } => true,
            _ => false,
        }
    }
}
