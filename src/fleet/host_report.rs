//! pure: what an agent tells of its host: everything that matters to a renewal.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::names::Hostname;
pub use crate::certbot::due::Due;

/// The directories of certbot's `renewal-hooks`.
pub const HOOKS: [&str; 3] = ["pre", "deploy", "post"];

/// A host as its agent found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostReport {
    /// The version of certbaton there.
    pub program: String,
    /// Its own time of day.
    pub clock: Timestamp,
    /// The addresses of its interfaces.
    pub addresses: BTreeSet<IpAddr>,
    /// Why the configuration of Apache, or of what is in its place, cannot be used; `None`: its own test passes.
    pub apache: Option<String>,
    /// Who answers the challenges.
    pub routes: Routes,
    /// A renewal holds this host's lease.
    pub under_way: bool,
    /// certbot, if it is there.
    pub certbot: Option<CertbotReport>,
    /// What it renews.
    pub lineages: Vec<LineageReport>,
    /// File systems that a renewal writes to.
    pub disks: Vec<DiskRoom>,
    /// What else a person should know.
    pub notes: Vec<String>,
    /// What it said and cannot be; noted by who heard it.
    #[serde(skip)]
    pub odd: Vec<String>,
}

/// The routes of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Routes {
    /// Names that are switched to this host now.
    pub local: Vec<Hostname>,
    /// Marked lines that somebody changed.
    pub damaged: Vec<String>,
    /// Whether Apache may still serve what is switched no more.
    pub pending: bool,
}

/// certbot on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CertbotReport {
    /// The program.
    pub program: PathBuf,
    /// Its version, as it prints it.
    pub version: String,
    /// It asks the CA what is due, so that files cannot tell.
    pub asks_ca: bool,
    /// Known traps of this version.
    pub traps: Vec<String>,
    /// Which of `pre`, `deploy`, `post` are installed in `renewal-hooks` and can be run.
    pub hooks: BTreeSet<String>,
}

/// One lineage of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LineageReport {
    /// Its name.
    pub name: String,
    /// Its host names.
    pub names: Vec<Hostname>,
    /// All its names, as a CA counts them.
    pub name_set: BTreeSet<String>,
    /// The CA's directory, if it is not certbot's default.
    pub server: Option<String>,
    /// How certbot proves the names.
    pub authenticator: String,
    /// Why it cannot be renewed now: a webroot that is gone, and the like.
    pub obstacle: Option<String>,
    /// Whether its own file runs certbaton's pre-hook.
    pub own_hook: bool,
    /// Serial number of the certificate on disk.
    pub serial: String,
    /// SHA-256 of that certificate in hex; none from a host that does not tell it yet.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// End of validity.
    pub not_after: Timestamp,
    /// Whether certbot renews it.
    pub due: Due,
    /// Certificates that certbot got for it lately and keeps.
    pub issued: Vec<Issued>,
    /// Whether the web server of its host names its certificate: a mail server's may be nobody's
    /// there. None: that cannot be told.
    #[serde(default)]
    pub served_here: Option<bool>,
}

/// A certificate that a CA issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issued {
    /// Serial number.
    pub serial: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// All its names.
    pub name_set: BTreeSet<String>,
}

/// Room on a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskRoom {
    /// A directory on it.
    pub path: PathBuf,
    /// Bytes free for root.
    pub free: u64,
}
