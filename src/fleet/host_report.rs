//! pure: what a host says of itself: how it is, and, where a survey is asked for, what a renewal needs to know.
//!
//! Without what a survey adds, it is what `certbaton status --json` prints (`doc/schema/status.json`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::finding::Finding;
use crate::base::names::Hostname;
use crate::base::text::span;
pub use crate::certbot::due::Due;
use crate::history::record::RunId;
use crate::history::runs::Run;

/// The directories of certbot's `renewal-hooks`.
pub const HOOKS: [&str; 3] = ["pre", "deploy", "post"];

/// A host as it found itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostReport {
    /// Its own time of day.
    pub at: Timestamp,
    /// The programs.
    pub versions: Versions,
    /// Why the configuration of Apache, or of what is in its place, cannot be used; none: its own test passes.
    pub apache: Option<String>,
    /// When Apache last loaded its configuration, by whomever.
    pub last_reload: Option<Timestamp>,
    /// A renewal holds this host's lock.
    pub under_way: bool,
    /// For whom that lock is held, and how to end it.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// What starts renewals here: timers, lines of cron; none where that cannot be told.
    #[serde(default)]
    pub starts: Option<Vec<String>>,
    /// What keeps this host from renewing, whatever its web server says.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The names whose challenge path this host answers now, because they were switched.
    pub local: Vec<LocalRoute>,
    /// Marked lines that somebody changed.
    pub damaged: Vec<String>,
    /// Apache may still serve what is switched no more.
    pub pending: bool,
    /// What certbot renews here.
    pub lineages: Vec<LineageReport>,
    /// The last run of this host, if one is remembered.
    pub last_run: Option<Run>,
    /// What else a person should know.
    pub notes: Vec<String>,
    /// What a survey adds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub survey: HostSurvey,
    /// What it said and cannot be; noted by who heard it.
    #[serde(skip)]
    pub odd: Vec<String>,
}

/// What a survey adds to a host's report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostSurvey {
    /// The addresses of its interfaces.
    pub addresses: BTreeSet<IpAddr>,
    /// certbot, if it is there.
    pub certbot: Option<CertbotReport>,
    /// File systems that a renewal writes to.
    pub disks: Vec<DiskRoom>,
}

/// certbot on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CertbotReport {
    /// It asks the CA what is due, so that files cannot tell.
    pub asks_ca: bool,
    /// Known traps of this version.
    pub traps: Vec<String>,
    /// Which of `pre`, `deploy`, `post` are installed in `renewal-hooks` and can be run.
    pub hooks: BTreeSet<String>,
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

/// Which versions a host has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Versions {
    /// certbaton.
    pub certbaton: String,
    /// certbot; none: not installed, or not found out.
    pub certbot: Option<String>,
    /// Apache; none: not found out, or the web server is another one.
    pub apache: Option<String>,
    /// The web server where it is not Apache, without its version.
    #[serde(default)]
    pub web_server: Option<String>,
}

/// A name that is switched to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocalRoute {
    /// The name.
    pub name: Hostname,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
    /// By which run.
    pub run: Option<RunId>,
    /// By whom, for people.
    pub by: Option<String>,
}

/// One lineage of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LineageReport {
    /// What it is called.
    pub name: String,
    /// All its names, wildcards and addresses too, as a CA counts them; sorted.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Serial number of the certificate on disk.
    pub serial: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Whole days that are left of it at the time of the status; below zero: it has expired.
    pub days_left: i64,
    /// From when on certbot renews it by its age; also in the past. None: that cannot be told.
    pub renews_from: Option<Timestamp>,
    /// Whether `certbot renew` renews it at all (`autorenew`).
    pub automatic: bool,
    /// Why it cannot be renewed now: a webroot that is gone, and the like.
    pub obstacle: Option<String>,
    /// What the last run that was about it made of it; rehearsals only if they failed.
    pub last: Option<LastResult>,
    /// What a survey adds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub survey: LineageSurvey,
}

/// What a survey adds to a lineage's report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LineageSurvey {
    /// Its host names.
    pub hostnames: Vec<Hostname>,
    /// The CA's directory, if it is not certbot's default.
    pub server: Option<String>,
    /// How certbot proves the names.
    pub authenticator: String,
    /// Whether its own file runs certbaton's pre-hook.
    pub own_hook: bool,
    /// SHA-256 of the certificate on disk in hex, if that could be told.
    pub fingerprint: Option<String>,
    /// Certificates that certbot got for it lately and keeps.
    pub issued: Vec<Issued>,
    /// Whether the web server of its host names its certificate: a mail server's may be nobody's
    /// there. None: that cannot be told.
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

/// What a run made of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastResult {
    /// Which run.
    pub run: RunId,
    /// When that was known.
    pub at: Timestamp,
    /// What.
    pub result: LineageResult,
    /// Why.
    pub why: Option<String>,
}

/// What became of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineageResult {
    /// It has a new certificate, and that is served.
    Renewed,
    /// It stayed as it was, and was not due.
    NotDue,
    /// It should have been renewed and was not, or the new certificate is not served.
    Failed,
    /// The run goes on.
    UnderWay,
}

impl LineageReport {
    /// Sets what depends on the time of the status.
    pub fn at(&mut self, now: Timestamp) {
        self.days_left = self.not_after.duration_since(now).as_secs().div_euclid(86_400);
    }

    /// All its names, as a CA counts duplicates by.
    pub fn name_set(&self) -> BTreeSet<String> {
        self.names.iter().cloned().collect()
    }

    /// Whether a run of certbot at `now` renews it.
    pub fn due(&self, now: Timestamp) -> Due {
        Due::of(self.renews_from, self.automatic, now)
    }
}

/// Who holds a host's lock, for whom, and how to end that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hold {
    /// The keeper's pid.
    pub keeper: i32,
    /// It is stopped (SIGSTOP), and does nothing.
    pub is_stopped: bool,
    /// The process whose life the run's is; none: that cannot be told.
    pub owner: Option<i32>,
    /// The same for people.
    pub by: Option<String>,
    /// That process is there no more.
    pub is_orphaned: bool,
    /// That is a shell at which somebody called the hook: it ends when the person leaves.
    pub is_shell: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The token of its lease, if an arbiter gave one.
    pub token: Option<u64>,
}

impl Hold {
    /// For whom and since when.
    pub fn words(&self, now: Timestamp) -> String {
        let by = self.by.as_deref().unwrap_or("a run that is not known");
        let since = self
            .since
            .map_or_else(String::new, |at| format!(", for {}", span(now.duration_since(at))));
        format!(
            "lock and routes of this host are held for {by}{since} (keeper: process {})",
            self.keeper
        )
    }

    /// What ends it.
    pub fn remedy(&self) -> String {
        match self.token {
            Some(token) => format!("certbaton lease break {token}"),
            None => "certbaton lease break".to_owned(),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
