//! pure: what one host tells of itself for a check: who answers each name there, and what is wrong.

use serde::{Deserialize, Serialize};

use crate::base::finding::Finding;
use crate::base::names::{Hostname, Webroot};

/// One host, inspected by its own agent; nothing on it was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// Each name that was asked for, and each that certbot renews here.
    pub names: Vec<InspectedName>,
    /// What is wrong here, whatever others see.
    pub findings: Vec<Finding>,
    /// What starts renewals here: timers, lines of cron; none where that cannot be told.
    #[serde(default)]
    pub starts: Option<Vec<String>>,
}

/// Who answers the challenge path of a name on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InspectedName {
    /// The name.
    pub name: Hostname,
    /// The lineages of this host that hold it.
    pub lineages: Vec<String>,
    /// Where certbot puts its files, if it renews the name by webroot.
    pub webroot: Option<Webroot>,
    /// The `<VirtualHost>` on port 80 that answers, as `FILE:LINE`.
    pub vhost: Option<String>,
    /// Who answers.
    pub answerer: Answerer,
    /// Who answers for tokens that no file is there for, if another does.
    #[serde(default)]
    pub otherwise: Option<Answerer>,
    /// Why no switch could make the webroot answer; empty if one could.
    pub obstacles: Vec<Finding>,
}

impl InspectedName {
    /// Who answers for tokens of other hosts.
    pub fn for_others(&self) -> &Answerer {
        self.otherwise.as_ref().unwrap_or(&self.answerer)
    }
}

/// Who answers the challenge path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answerer {
    /// certbot's webroot.
    Webroot,
    /// Another server, by a proxy directive or a rewrite.
    Passed(Directive),
    /// A redirect sends the CA elsewhere.
    Redirected(Directive),
    /// Another directory of this host.
    Elsewhere(Directive),
    /// Nobody: access is denied.
    Denied(Directive),
    /// A script, a handler, a module.
    Taken(Directive),
    /// An ACME account's thumbprint, which is the target.
    Account(Directive),
    /// No vhost of that name on port 80, or no Apache.
    Nobody,
    /// It cannot be told.
    Unknown,
}

/// A directive of Apache's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Directive {
    /// `FILE:LINE`; none where a default decides (`DocumentRoot` of the main server).
    pub place: Option<String>,
    /// What stands there.
    pub text: String,
    /// The URL or directory it leads to, if the line tells.
    pub target: Option<String>,
}
