//! pure: `/etc/certbaton/config.toml`, and what holds where it says nothing.
//!
//! Small on purpose: what can be found out is found out. Unknown keys are
//! refused with line and column, since a misspelt one would be silent otherwise.

pub mod context;
mod known_keys;
pub mod mistake;
pub mod notify;
pub mod web_server;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::names::{Destination, HostLabel};
use crate::base::own_directories::{RuntimeDirectory, StateDirectory};
pub use crate::config::mistake::Error;
use crate::config::notify::Notify;
use crate::config::web_server::WebServer;

/// Where the configuration is, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/certbaton/config.toml";

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Journal; survives a reboot.
    pub state_directory: StateDirectory,
    /// Locks and the keeper's socket; empty after a reboot.
    pub runtime_directory: RuntimeDirectory,
    /// Which Apache, where several run.
    pub pid_file: Option<PathBuf>,
    /// The web server, where it is not Apache and nothing is switched.
    pub web_server: Option<WebServer>,
    /// certbot's configuration directory, where its command line does not tell.
    pub certbot_directory: PathBuf,
    /// The certbot that the coordinator starts; found where packages put it if `None`.
    pub certbot_program: Option<PathBuf>,
    /// How many certificates of exactly the same names the CA gives in 7 days, where that is not known.
    pub duplicates_per_week: Option<u32>,
    /// What this host is called; `None` where there is only one.
    pub name: Option<HostLabel>,
    /// All hosts that answer for the same names, in the order in which they renew.
    pub hosts: Vec<Host>,
    /// The host that grants the lease; `None`: a lock on this host is all there is.
    pub arbiter: Option<HostLabel>,
    /// This long before a certificate expires it is renewed also without an arbiter; never if `None`.
    pub break_glass: Option<Duration>,
    /// How other hosts are reached.
    pub ssh_config: PathBuf,
    /// How long a pre-hook waits for another renewal.
    pub lease_wait: Duration,
    /// How long a host that is ordered to renew may take for each lineage, once it is its turn.
    pub lease_renewal: Duration,
    /// How long the arbiter waits for a silent holder, the same on all hosts; not in the manual.
    pub lease_grace: Duration,
    /// How long a switch may take until every address gives the right answer.
    pub proof_time: Duration,
    /// From when on the age of a certificate is something that is wrong.
    pub thresholds: Thresholds,
    /// Who is told of failures and recoveries.
    pub notify: Notify,
    /// Where node_exporter reads.
    pub textfile: Option<PathBuf>,
    /// The file that all this was read from, if it holds a secret and everybody can read it.
    pub exposed: Option<PathBuf>,
}

/// One of the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What it is called.
    pub name: HostLabel,
    /// How ssh reaches it: `USER@HOST`, or a `Host` of the ssh configuration. `None`: from here, it is not.
    pub ssh: Option<Destination>,
    /// Its addresses, where the names of `ssh` do not tell; private ones are asked only if they are here.
    pub addresses: Vec<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_directory: "/var/lib/certbaton".into(),
            runtime_directory: "/run/certbaton".into(),
            pid_file: None,
            web_server: None,
            certbot_directory: "/etc/letsencrypt".into(),
            certbot_program: None,
            duplicates_per_week: None,
            name: None,
            hosts: Vec::new(),
            arbiter: None,
            break_glass: None,
            ssh_config: "/etc/certbaton/ssh_config".into(),
            lease_wait: Duration::from_mins(20),
            lease_renewal: Duration::from_mins(5),
            lease_grace: GRACE,
            proof_time: Duration::from_secs(20),
            thresholds: Thresholds::default(),
            notify: Notify::default(),
            textfile: None,
            exposed: None,
        }
    }
}

/// From when on a certificate is too old; what is not said follows from its lifetime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// `[status] warning-days`.
    pub warning_days: Option<u32>,
    /// `[status] critical-days`.
    pub critical_days: Option<u32>,
}

/// `[lease] grace` where it is not said: an arbiter that has not heard of a holder for so long
/// grants anew.
pub const GRACE: Duration = Duration::from_secs(30);

/// What may be said instead: with less, a busy machine alone would lose the lease; with more, a
/// dead holder would block everybody.
pub const GRACES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

#[cfg(test)]
mod tests;
