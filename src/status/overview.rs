//! pure: the whole of a status, as `certbaton status --json` prints it (`doc/schema/status.json`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::finding::Finding;
use crate::check::health::Hold;
use crate::history::record::RunId;
use crate::history::run::Run;
use crate::lease;

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// 1; counts up when a field changes its meaning or goes away.
    pub version: u32,
    /// When it was looked at.
    pub at: Timestamp,
    /// The exit code: 0 all is well, 1 warning, 2 critical, 3 nothing could be looked at.
    pub exit: u8,
    /// What is wrong, worst first.
    pub wrong: Vec<Wrong>,
    /// The lease.
    pub lease: LeaseStatus,
    /// Each host of the configuration, in its order.
    pub hosts: Vec<HostStatus>,
}

/// How bad something is, as Nagios says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Somebody should look at it these days.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wrong {
    /// Which kind, as in the table of doc/schema/findings.md.
    pub code: String,
    /// Names the condition, the same as long as it lasts: `expiry/HOST/LINEAGE`.
    pub key: String,
    /// How bad.
    pub severity: Severity,
    /// What, on which host, and what to do.
    pub text: String,
}

/// Who may renew, and who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseStatus {
    /// The host that grants it; none: each host has a lock of its own.
    pub arbiter: Option<String>,
    /// What the arbiter says; none where there is no arbiter, or no answer.
    pub now: Option<lease::wire::Status>,
    /// Why there is no answer.
    pub failure: Option<String>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostStatus {
    /// What it is called.
    pub name: String,
    /// It is the one that was asked.
    pub own: bool,
    /// Why it cannot be reached now. None, and nothing found: it is not asked from here, since its
    /// `[[host]]` has no `ssh`, which is no fault.
    pub unreachable: Option<String>,
    /// When it said what follows; before now where it cannot be reached.
    pub seen: Option<Timestamp>,
    /// What it said, if it ever did.
    pub found: Option<Found>,
    /// By how many seconds its clock is ahead of that of the host that asked; below zero: behind.
    #[serde(default)]
    pub clock_ahead: i64,
}

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
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
    pub lineages: Vec<LineageStatus>,
    /// The last run of this host, if one is remembered.
    pub last_run: Option<Run>,
    /// What else a person should know.
    pub notes: Vec<String>,
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
    pub name: String,
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
pub struct LineageStatus {
    /// What it is called.
    pub name: String,
    /// All its names, wildcards and addresses too.
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

impl LineageStatus {
    /// Sets what depends on the time of the status.
    pub fn at(&mut self, now: Timestamp) {
        self.days_left = self.not_after.duration_since(now).as_secs().div_euclid(86_400);
    }
}

impl HostStatus {
    /// Whether `found` is what the host says now.
    pub fn is_fresh(&self) -> bool {
        self.unreachable.is_none() && self.found.is_some()
    }
}
