//! pure: something that is wrong, the line that is to blame, and what to write instead.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::codes::Code;
use crate::base::names::{HostLabel, Hostname};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Renewals go well; something else may not.
    Warning,
    /// A renewal fails, or a wrong certificate is served.
    Problem,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which kind, for machines.
    pub code: Code,
    /// The host where it is to be put right; none if that is no host's.
    pub host: Option<HostLabel>,
    /// The names that it concerns; empty: all.
    #[serde(default)]
    pub names: Vec<Hostname>,
    /// `FILE:LINE`, a DNS record, a unit.
    pub place: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// One about all names, and of no host yet; a problem where the code leaves that open.
    pub fn new(
        code: Code,
        place: Option<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, remedy) = (what.into(), remedy.into());
        let severity = code.severity().unwrap_or(Severity::Problem);
        Self { severity, code, host: None, names: Vec::new(), place, what, remedy }
    }

    /// As bad as this where the code leaves it open.
    #[must_use]
    pub fn severity(self, severity: Severity) -> Self {
        Self { severity: self.code.severity().unwrap_or(severity), ..self }
    }

    /// To be put right on `host`.
    #[must_use]
    pub fn on(self, host: &HostLabel) -> Self {
        Self { host: Some(host.clone()), ..self }
    }

    /// About these names.
    #[must_use]
    pub fn about(self, names: Vec<Hostname>) -> Self {
        Self { names, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}: ")?;
        }
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}
