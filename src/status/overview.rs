//! pure: the whole of a status, as `certbaton status --json` prints it (`doc/schema/status.json`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::codes::Code;
use crate::fleet::host_report::HostReport;
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
pub enum Urgency {
    /// Somebody should look at it these days.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Urgency {
    /// As programs read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wrong {
    /// Which kind, as in the table of doc/schema/findings.md.
    pub code: Code,
    /// Names the condition, the same as long as it lasts: `expiry/HOST/LINEAGE`.
    pub key: String,
    /// How bad.
    pub severity: Urgency,
    /// What, on which host, and what to do.
    pub text: String,
    /// Which host that is; none if it is no host's.
    #[serde(skip)]
    pub host: Option<String>,
}

/// Who may renew, and who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseStatus {
    /// The host that grants it; none: each host has a lock of its own.
    pub arbiter: Option<String>,
    /// What the arbiter says; none where there is no arbiter, or no answer.
    pub now: Option<lease::wire::LeaseState>,
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
    pub found: Option<HostReport>,
    /// By how many seconds its clock is ahead of that of the host that asked; below zero: behind.
    #[serde(default)]
    pub clock_ahead: i64,
}

impl HostStatus {
    /// Whether `found` is what the host says now.
    pub fn is_fresh(&self) -> bool {
        self.unreachable.is_none() && self.found.is_some()
    }
}
