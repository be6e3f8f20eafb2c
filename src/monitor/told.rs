//! pure: what was told, what is wrong now, and what is therefore to be said.
//!
//! One [`AlarmLedger`] for each way of telling. It turns what is wrong *now* into
//! what has *changed*, once each, and keeps what could not be delivered.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::base::codes::Code;
use crate::base::harmless;
use crate::status::overview::{Overview, Urgency, Wrong};

/// What can be seen now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Situation {
    /// All that is wrong.
    pub wrong: Vec<Wrong>,
    /// Hosts of which nothing can be seen now: what was wrong there counts as still wrong.
    pub blind: BTreeSet<String>,
}

impl Situation {
    /// What a status says.
    pub fn of(status: &Overview) -> Self {
        let blind = status.hosts.iter().filter(|host| !host.is_fresh());
        Self { wrong: status.wrong.clone(), blind: blind.map(|host| host.name.clone()).collect() }
    }
}

/// What became of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemEvent {
    /// It is there, or it got worse.
    Failure,
    /// It is over.
    Recovery,
}

impl ProblemEvent {
    /// As programs read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Recovery => "recovery",
        }
    }
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Announcement {
    /// What became of it.
    pub event: ProblemEvent,
    /// Which problem.
    pub key: String,
    /// How bad; after a recovery, how bad it was.
    pub severity: Urgency,
    /// Where; none if that is no host's.
    pub host: Option<String>,
    /// What, where, and what to do; after a recovery, as it was last told.
    pub text: String,
    /// When this became known here.
    pub at: Timestamp,
    /// Since when the problem has been known here.
    pub since: Timestamp,
}

/// A problem that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Open {
    /// As how bad it was told; none if it was not yet.
    told: Option<Urgency>,
    host: Option<String>,
    text: String,
    since: Timestamp,
}

/// What one way of telling has said, and has yet to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct AlarmLedger {
    open: BTreeMap<String, Open>,
    /// Not delivered yet, the oldest first.
    waiting: Vec<Announcement>,
    /// How many more there were, and are forgotten.
    omitted: u64,
}

impl AlarmLedger {
    /// Takes in what is seen `now`.
    pub fn see(&mut self, seen: &Situation, now: Timestamp) {
        for Wrong { code, key, severity, host, text } in &seen.wrong {
            let open = self.open.entry(key.clone()).or_insert_with(|| Open {
                told: None,
                host: host.clone(),
                text: short(text),
                since: now,
            });
            let lasts = open.told.is_some() || now.duration_since(open.since) >= patience(code);
            if lasts && open.told < Some(*severity) {
                open.text = short(text);
                let (host, text, since) = (open.host.clone(), open.text.clone(), open.since);
                let (event, key, at) = (ProblemEvent::Failure, key.clone(), now);
                let severity = *severity;
                self.waiting.push(Announcement { event, key, severity, host, text, at, since });
            }
            if lasts {
                // It may have eased: that is not said, but worse again is.
                open.told = Some(*severity);
            }
        }
        let is_there: BTreeSet<&str> = seen.wrong.iter().map(|wrong| wrong.key.as_str()).collect();
        let is_over = |key: &str, open: &Open| {
            let is_hidden = open.host.as_ref().is_some_and(|host| seen.blind.contains(host));
            !is_there.contains(key) && !is_hidden
        };
        for (key, open) in self.open.extract_if(.., |key, open| is_over(key, open)) {
            let Open { told: Some(severity), host, text, since } = open else { continue };
            let (event, at) = (ProblemEvent::Recovery, now);
            self.waiting.push(Announcement { event, key, severity, host, text, at, since });
        }
        let excess = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..excess);
        self.omitted += excess as u64;
    }

    /// What has to be said.
    pub fn waiting(&self) -> &[Announcement] {
        &self.waiting
    }

    /// How many older changes could not be kept.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// How many problems there are that were told, or are about to be.
    pub fn open(&self) -> usize {
        self.open.values().filter(|open| open.told.is_some()).count()
    }

    /// All of it has been said.
    pub fn delivered(&mut self) {
        self.waiting.clear();
        self.omitted = 0;
    }
}

/// What a screen takes, without what could confuse a terminal or a mail.
fn short(text: &str) -> String {
    harmless::line(text, MAX_TEXT)
}

/// How long it has to last until it is told. Home lines get a new address once a day, machines are
/// rebooted: that a host is out of reach now and then is no news.
fn patience(code: &Code) -> SignedDuration {
    match code {
        Code::HostUnreachable | Code::ArbiterUnreachable => SignedDuration::from_mins(15),
        _ => SignedDuration::ZERO,
    }
}

/// So many undelivered changes are kept: the newest.
pub const MAX_WAITING: usize = 50;

/// Characters of a problem's text.
const MAX_TEXT: usize = 1000;

#[cfg(test)]
mod tests;
