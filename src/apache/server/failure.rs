//! pure: what can be wrong with the running Apache, in the words of a message.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::apache::by_hand::ByHand;
use crate::apache::complaint::Complaint;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;

/// What went wrong with Apache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None is there.
    #[error("Apache is not running{why}; certbaton never starts it: {start}")]
    NotRunning {
        /// How that is known, in brackets; may be empty.
        why: String,
        /// What starts it.
        start: String,
    },
    /// What is called so is not for us to look at.
    #[error(
        "process {pid} is called as Apache is, and cannot be looked at; it needs CAP_SYS_PTRACE and the users of the host (CapabilityBoundingSet= and PrivateUsers= of systemd.exec(5))"
    )]
    Hidden {
        /// Its process.
        pid: i32,
        /// Why.
        source: process::Error,
    },
    /// None is there, but another web server.
    #[error(
        "Apache is not running, but {} (process {pid}) listens on port 80; if that is the web server of this host, add to /etc/certbaton/config.toml above its first section: {suggestion}", program.display()
    )]
    Other {
        /// Its process.
        pid: i32,
        /// Its program.
        program: PathBuf,
        /// A line of the configuration.
        suggestion: String,
    },
    /// More than one is there.
    #[error(
        "several Apaches are running (pids {0}); set pid-file in [apache] of the configuration"
    )]
    Several(String),
    /// The pid file names something else.
    #[error("pid file {} names process {pid}, which is {what}, not a running Apache", path.display())]
    NotApache {
        /// The pid file.
        path: PathBuf,
        /// Its pid.
        pid: i32,
        /// What it is.
        what: String,
    },
    /// None is there, but somebody in a container answers.
    #[error(
        "Apache is not running here, but {} (process {pid}) in a container listens on port 80: run certbaton in there, beside certbot", program.display()
    )]
    Contained {
        /// Its process.
        pid: i32,
        /// Its program, or who passes the port on to it.
        program: PathBuf,
    },
    /// Apache refuses the configuration on disk.
    #[error(
        "{complaint}; this is what Apache says of its configuration: repair it first ({})", by_hand.test()
    )]
    Configtest {
        /// What it says.
        complaint: Complaint,
        /// How it is handled.
        by_hand: Box<ByHand>,
    },
    /// Apache refuses our candidate.
    #[error("Apache refuses the configuration with the inserted lines: {0}")]
    Candidate(Complaint),
    /// No private mount namespace.
    #[error(
        "cannot check a candidate before it is installed, so nothing is: no private mount namespace (it needs CAP_SYS_ADMIN; in a container, start that with the capability SYS_ADMIN and without an AppArmor profile that denies mounts)"
    )]
    Namespace(#[source] io::Error),
    /// The parent ended during a reload.
    #[error(
        "Apache (pid {pid}) ended while it reloaded; see its error log, then start it: {start}"
    )]
    Died {
        /// It was.
        pid: i32,
        /// What starts it.
        start: String,
    },
    /// Nothing prints what the configuration means.
    #[error(
        "Apache's mod_info.so, which tells what its configuration means, is in none of {0}, and is not built in; install it where Apache's other modules are"
    )]
    NoInfoModule(String),
    /// Old processes go on accepting connections.
    #[error(
        "Apache has reloaded, but {} of the old configuration still accepts connections after {} s; see what it does (ps -p {}), or end it: kill -KILL {}",
        listed(pids), waited.as_secs(), joined(pids, ","), joined(pids, " ")
    )]
    NotDeaf {
        /// Which.
        pids: Vec<i32>,
        /// For how long it was waited.
        waited: Duration,
    },
    /// The parent did nothing.
    #[error(
        "Apache (pid {pid}) was told to reload, and has not begun to after {} s", waited.as_secs()
    )]
    NotReloaded {
        /// The parent.
        pid: i32,
        /// For how long it was waited.
        waited: Duration,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A process could not be looked at, or a program not run.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// `/proc` could not be read.
    #[error("cannot read the sockets of Apache (pid {0})")]
    Sockets(i32, #[source] io::Error),
}

impl Error {
    /// None runs here, so nobody answers with an old configuration.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotRunning { .. } | Self::Other { .. } | Self::Contained { .. })
    }
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Process(error) | Self::Hidden { source: error, .. } => error.exit(),
            Self::NotRunning { .. }
            | Self::Other { .. }
            | Self::Several(_)
            | Self::NotApache { .. }
            | Self::Contained { .. }
            | Self::Configtest { .. }
            | Self::Candidate(_)
            | Self::Namespace(_)
            | Self::Died { .. }
            | Self::NoInfoModule(_)
            | Self::NotDeaf { .. }
            | Self::NotReloaded { .. }
            | Self::Sockets(..) => Exit::Failed,
        }
    }
}

/// `process 1`, or `each of the processes 1, 2`.
fn listed(pids: &[i32]) -> String {
    match pids {
        [pid] => format!("process {pid}"),
        pids => format!("each of the processes {}", joined(pids, ", ")),
    }
}

fn joined(pids: &[i32], between: &str) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}
