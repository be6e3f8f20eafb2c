//! pure: why a host was not set up or taken back, and in what state it is now.

use std::io;
use std::path::PathBuf;

use crate::apache::server;
use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;
use crate::certbot::{scope, unusable};
use crate::config;
use crate::setup::keys;
use crate::setup::role::{Doubt, Role};
use crate::switch::report;

/// Why not. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can be asked.
    #[error(
        "not a terminal, so cannot ask for confirmation; nothing was changed: add --yes to make the changes above, or --dry-run to only show them"
    )]
    Nobody,
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
    /// Somebody else was quicker.
    #[error("{} was changed since it was shown; nothing was changed: run this again", .0.display())]
    Moved(PathBuf),
    /// The terminal.
    #[error("cannot read the answer; nothing was changed")]
    Answer(#[source] io::Error),
    /// Another configuration file.
    #[error(
        "units and hooks read /etc/certbaton/config.toml, so that is the one to set up: leave --config {} out", .0.display()
    )]
    OtherConfig(PathBuf),
    /// What a command needs to know.
    #[error("{0}")]
    Missing(&'static str),
    /// A renewal.
    #[error("{0}; nothing was changed: wait for its end, then run this again")]
    UnderWay(String),
    /// A program that belongs to it.
    #[error("{program} has to be beside certbaton, in {directory}; copy it there")]
    NoProgram {
        /// Which.
        program: &'static str,
        /// Where.
        directory: String,
        /// Why it cannot be used.
        source: files::Error,
    },
    /// A path that needs quotes.
    #[error(
        "the programs are in {}, which cannot be written into units and sudoers; copy them to /usr/local/bin", .0.display()
    )]
    ProgramDirectory(PathBuf),
    /// Another user of that name.
    #[error(
        "the user certbaton has the home directory {}, not /var/lib/certbaton-ssh: it is somebody else's; rename it (usermod -l)", .0.display()
    )]
    ForeignAccount(PathBuf),
    /// No user.
    #[error(
        "there is no user certbaton, and no systemd to make it: useradd --system --home-dir /var/lib/certbaton-ssh --shell /bin/sh certbaton, then run this again"
    )]
    NoAccount,
    /// A host key that nobody vouched for.
    #[error(
        "nobody has said yet that {host} has the key {fingerprint}; compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there, then add --host-key {fingerprint}"
    )]
    Unproven {
        /// The host.
        host: String,
        /// What it says itself.
        fingerprint: keys::Fingerprint,
    },
    /// Another host key.
    #[error(
        "host key mismatch for {host}: expected {wanted}, got {found} (wrong host, or a man in the middle)"
    )]
    OtherKey {
        /// The host.
        host: String,
        /// What was asked for.
        wanted: keys::Fingerprint,
        /// What it has.
        found: String,
    },
    /// No host key.
    #[error(
        "{0} has no host key that ssh-keyscan finds on port {1}; nothing was changed: see that sshd runs there and listens on that port (--port if it is another), and that no firewall keeps this host from it"
    )]
    NoKey(String, u16),
    /// `--vps` is this host.
    #[error(
        "--vps {0} leads to this host itself; nothing was changed: on the vps run certbaton init --role vps, and this on the other host"
    )]
    OwnAddress(String),
    /// No host key by the login.
    #[error(
        "{0} has no /etc/ssh/ssh_host_ed25519_key.pub; leave --ssh out and give --host-key SHA256:…"
    )]
    NoKeyFile(String),
    /// A key of ours that is none.
    #[error("{}: {problem}", path.display())]
    OwnKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The way to the vps.
    #[error(
        "everything is in place here, but {host} does not answer as it should: {said}; repair that, then run this again"
    )]
    Way {
        /// The vps.
        host: String,
        /// What it, or ssh, said.
        said: String,
    },
    /// sshd keeps the user out that others call as.
    #[error(
        "everything is in place here, but sshd does not let the user certbaton in: {0}; let it in in /etc/ssh/sshd_config (add certbaton to AllowUsers, say), then systemctl reload ssh"
    )]
    KeptOut(String),
    /// Another role than the configuration's.
    #[error(
        "the configuration says that this host is {now}, so it does not become {wanted}; nothing was changed: if that is meant, add --change-role"
    )]
    OtherRole {
        /// By the configuration.
        now: Role,
        /// By the command.
        wanted: Role,
    },
    /// Another role than DNS has it in.
    #[error("{0}; nothing was changed: if {1} is meant all the same, add --change-role")]
    Doubtful(Doubt, Role),
    /// It cannot be switched.
    #[error("a renewal on this host would fail, so nothing was changed: {}", chain(.0))]
    Unswitchable(report::Error),
    /// Apache and its routes.
    #[error(transparent)]
    Switch(#[from] report::Error),
    /// What is commented out now may be so on purpose.
    #[error(
        "certbot is running, and its hooks may have changed Apache's files just now; nothing was changed: wait until it has ended, then try again"
    )]
    CertbotRuns,
    /// Our own lines are in the files.
    #[error(
        "the challenge path of {0} is switched to this host; nothing was changed: run certbaton recover, then try again"
    )]
    Switched(String),
    /// The rights of a script cannot be seen.
    #[error("cannot look at {}", .0.display())]
    Mode(PathBuf, #[source] io::Error),
    /// A program did not start or did not end, or who holds certbot's lock cannot be seen.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// certbot is not there.
    #[error(
        "certbot is not there; install it (apt install certbot), or name it in [certbot] program of /etc/certbaton/config.toml"
    )]
    NoCertbot,
    /// certbot's files.
    #[error(transparent)]
    Certbot(#[from] unusable::Error),
    /// certbot's names.
    #[error(transparent)]
    Scope(Box<scope::Error>),
    /// Apache.
    #[error(transparent)]
    Apache(#[from] server::Error),
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The configuration file says something else.
    #[error(
        "{file} says otherwise: {what}; {write}, or move the file away, then run this again; nothing was changed"
    )]
    Otherwise {
        /// The file.
        file: String,
        /// What is asked for, and what is there.
        what: String,
        /// What to write there.
        write: String,
    },
    /// The manifest.
    #[error("{} is not as certbaton writes it; what it installed is not known", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Changes of files failed on the way, and everything is as before.
    #[error("{}; everything is as before", chain(.0.as_ref()))]
    Undone(Box<Error>),
    /// They failed on the way, and so did the undoing.
    #[error("{}; undoing it failed too: {}; certbaton uninstall takes back what was written", chain(cause.as_ref()), chain(obstacle.as_ref()))]
    NotUndone {
        /// The first failure.
        cause: Box<Error>,
        /// Why it could not be undone.
        obstacle: Box<Error>,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A program of the system's said no.
    #[error("{command} failed: {said}")]
    Failed {
        /// The whole command.
        command: String,
        /// What it said.
        said: String,
    },
    /// A person's login on another host, or what was to be done there.
    #[error("ssh {destination} ({what}) ended with {status}{said}")]
    Remote {
        /// Where to.
        destination: String,
        /// What for.
        what: &'static str,
        /// How it ended.
        status: String,
        /// What it said last, after a colon.
        said: String,
    },
    /// Files are in place, and something after them failed.
    #[error("{}; the files are in place: repair that and run this again, or take them back with certbaton uninstall", chain(.0.as_ref()))]
    Halfway(Box<Error>),
    /// Something was taken back, and something not.
    #[error("{}; not everything was taken back: repair that and run certbaton uninstall again", chain(.0.as_ref()))]
    HalfBack(Box<Error>),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Nobody
            | Self::OtherConfig(_)
            | Self::Missing(_)
            | Self::OwnAddress(_)
            | Self::OtherRole { .. }
            | Self::Doubtful(..) => Exit::Usage,
            Self::UnderWay(_) | Self::CertbotRuns => Exit::Busy,
            Self::Otherwise { .. } => Exit::Config,
            Self::Undone(cause) => cause.exit(),
            Self::NotUndone { .. } | Self::Halfway(_) | Self::HalfBack(_) => Exit::NotUndone,
            Self::NoProgram { source, .. } => source.exit(),
            Self::Switch(error) | Self::Unswitchable(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::Certbot(error) => error.exit(),
            Self::Scope(error) => error.exit(),
            Self::Apache(error) => error.exit(),
            Self::Config(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::KeptOut(_)
            | Self::Failed { .. }
            | Self::Remote { .. }
            | Self::Manifest { .. }
            | Self::NoCertbot
            | Self::Switched(_)
            | Self::Mode(..)
            | Self::Declined
            | Self::Moved(_)
            | Self::Answer(_)
            | Self::ProgramDirectory(_)
            | Self::ForeignAccount(_)
            | Self::NoAccount
            | Self::Unproven { .. }
            | Self::OtherKey { .. }
            | Self::NoKey(..)
            | Self::NoKeyFile(_)
            | Self::OwnKey { .. }
            | Self::Way { .. } => Exit::Failed,
        }
    }
}
