//! pure: what is written about a run: one event a line of JSON, appended when it happens.
//!
//! Events and not one record at the end: a keeper that is killed leaves a
//! beginning without an end, and that is how its death is seen. Lines that are
//! not understood are passed over, whether a power cut tore them or a newer
//! certbaton wrote them.

use std::ffi::OsString;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::harmless;
use crate::base::process::Process;
use crate::base::redacted;
use crate::switch::order::SwitchReport;

/// Names a run; sorts by its beginning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// One event of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// Of which run.
    pub run: RunId,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The run began.
    Began(Began),
    /// The lease was asked for.
    Asked {
        /// Who grants it; none: the lock of this host.
        arbiter: Option<String>,
    },
    /// The lease was granted.
    Granted {
        /// Its fencing token.
        token: Option<u64>,
        /// Why it was done without the arbiter, if so (`lease.break-glass`).
        without: Option<String>,
    },
    /// Routes, and Apache, are as they were ordered to be; proven on every address.
    Switched(Switched),
    /// They could not be.
    NotSwitched {
        /// Why, and in what state things are.
        why: String,
    },
    /// The names answer, as the CA asks, from outside of this host's own configuration.
    Proven {
        /// The names.
        names: Vec<String>,
        /// How long that took.
        millis: u64,
    },
    /// They do not.
    NotProven {
        /// Why.
        why: String,
        /// How long that took.
        millis: u64,
    },
    /// A lineage that certbot takes up although it cannot be proven.
    LeftOut(Omission),
    /// certbot got a certificate.
    Deployed(Deployed),
    /// The lease was lost.
    Lost {
        /// Why.
        why: String,
    },
    /// A host was asked to renew by a coordinator, and answered.
    Host {
        /// Which.
        host: String,
        /// Lineages with a new certificate.
        renewed: Vec<String>,
        /// Why it did not do it.
        failure: Option<String>,
        /// How long that took.
        millis: u64,
    },
    /// A lineage was not renewed, although it should have been.
    NotRenewed {
        /// Its name, or the first name of a certificate that was to be the first.
        lineage: String,
        /// Why, in the CA's own words where it said something.
        why: String,
    },
    /// The lease is free.
    Released,
    /// The run is over.
    Ended {
        /// Exit code.
        exit: u8,
        /// What went wrong; empty: nothing.
        text: String,
    },
    /// Of another version.
    #[serde(other)]
    Unknown,
}

/// What kind of run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One run of certbot, as its keeper saw it.
    Renewal,
    /// `certbaton switch`.
    Switch,
    /// `certbaton recover`, and what hooks give back when a keeper is gone.
    Recovery,
    /// `renew-coordinate`.
    Coordination,
}

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Began {
    /// What kind.
    pub kind: Kind,
    /// On which host.
    pub host: String,
    /// Who wanted it.
    pub by: By,
    /// The process that writes this.
    pub process: Process,
    /// Which boot of the machine that process belongs to.
    pub boot: String,
    /// The lineages that it is about, as far as they are known before.
    pub lineages: Vec<String>,
    /// A rehearsal.
    pub dry_run: bool,
    /// Also what is not due.
    pub forced: bool,
}

/// Who wanted a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct By {
    /// The person, where one typed it.
    pub user: Option<String>,
    /// The process whose life the run's is.
    pub pid: Option<i32>,
    /// Its command line.
    pub command: String,
}

/// A switch that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Switched {
    /// The names that this host answers now.
    pub local: Vec<String>,
    /// The names that went back to the peer.
    pub returned: Vec<String>,
    /// The files that were replaced.
    pub files: Vec<String>,
    /// Whether Apache, or what is in its place, was reloaded.
    pub reloaded: bool,
    /// How long each step took.
    pub steps: Vec<Step>,
}

/// One step of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub millis: u64,
}

/// A lineage that cannot be proven, so that nothing is switched for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Omission {
    /// Its name.
    pub lineage: String,
    /// Why.
    pub why: String,
    /// Whether certbot fails with it in this run, or only if the CA wants it renewed.
    pub due: bool,
}

/// A lineage that has a new certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deployed {
    /// Its name.
    pub lineage: String,
    /// Its host names.
    pub names: Vec<String>,
    /// Serial number of the certificate before, if there was one.
    pub before: Option<String>,
    /// Serial number of the new one, if it can be read.
    pub serial: Option<String>,
    /// Its end.
    pub not_after: Option<Timestamp>,
    /// Why it is not served as it should be; none: that is proven.
    pub failure: Option<String>,
    /// How long reload and proof took.
    pub millis: u64,
}

impl Deployed {
    /// The lineage, else the name that the certificate is for: not all that calls hooks is certbot.
    pub fn whose(&self) -> &str {
        let named = self.names.first().map_or("", String::as_str);
        if self.lineage.is_empty() { named } else { &self.lineage }
    }
}

/// An entry as a line, bounded in length.
pub fn line(entry: &LogEntry) -> Result<Vec<u8>, serde_json::Error> {
    let mut text =
        serde_json::to_vec(&LogEntry { event: bounded(entry.event.clone()), ..entry.clone() })?;
    text.push(b'\n');
    Ok(text)
}

/// The entries of a file, and how many of its lines are none.
pub fn read(bytes: &[u8]) -> (Vec<LogEntry>, usize) {
    let lines = bytes.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut damaged = 0;
    let known = |line| {
        let entry = serde_json::from_slice::<LogEntry>(line);
        damaged += usize::from(entry.is_err());
        entry.ok()
    };
    (lines.filter_map(known).collect(), damaged)
}

impl By {
    /// A process with the command line `words`.
    pub fn process(pid: i32, words: &[OsString]) -> Self {
        let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
        Self { user: None, pid: Some(pid), command: cut(redacted::command(&words)) }
    }

    /// For people, in short.
    pub fn text(&self) -> String {
        let command = short(&self.command);
        match (&self.user, self.pid) {
            (Some(user), _) => format!("{command} ({user})"),
            (None, Some(pid)) => format!("{command}, process {pid}"),
            (None, None) => command,
        }
    }
}

/// A command line without its interpreter, paths of programs, and what is too long to read.
fn short(command: &str) -> String {
    let mut words = command.split(' ').peekable();
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut program = words.next().map(name).unwrap_or_default();
    let script = words.peek().is_some_and(|word| word.starts_with('/'));
    if script && ["python", "perl", "sh", "bash"].iter().any(|i| program.starts_with(i)) {
        program = words.next().map(name).unwrap_or_default();
    }
    let text = words.fold(program, |text, word| text + " " + word);
    match text.char_indices().nth(READABLE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl From<&SwitchReport> for Switched {
    fn from(report: &SwitchReport) -> Self {
        let step = |(name, took): &(&str, Duration)| Step {
            name: (*name).to_owned(),
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        Self {
            local: report.local.iter().map(|route| route.name.to_string()).collect(),
            returned: report.returned.iter().map(ToString::to_string).collect(),
            files: report.replaced.iter().map(|file| file.display().to_string()).collect(),
            reloaded: report.reloaded.is_some(),
            steps: report.steps.iter().map(step).collect(),
        }
    }
}

fn bounded(event: Event) -> Event {
    match event {
        Event::Began(began) => Event::Began(Began {
            lineages: few(began.lineages),
            by: By { command: cut(began.by.command), ..began.by },
            ..began
        }),
        Event::Granted { token, without } => Event::Granted { token, without: without.map(cut) },
        Event::Switched(switched) => Event::Switched(Switched {
            local: few(switched.local),
            returned: few(switched.returned),
            files: few(switched.files),
            ..switched
        }),
        Event::NotSwitched { why } => Event::NotSwitched { why: cut(why) },
        Event::Proven { names, millis } => Event::Proven { names: few(names), millis },
        Event::NotProven { why, millis } => Event::NotProven { why: cut(why), millis },
        Event::Deployed(deployed) => Event::Deployed(Deployed {
            names: few(deployed.names),
            failure: deployed.failure.map(cut),
            ..deployed
        }),
        Event::LeftOut(left) => Event::LeftOut(Omission { why: cut(left.why), ..left }),
        Event::NotRenewed { lineage, why } => Event::NotRenewed { lineage, why: cut(why) },
        Event::Lost { why } => Event::Lost { why: cut(why) },
        Event::Host { host, renewed, failure, millis } => {
            Event::Host { host, renewed: few(renewed), failure: failure.map(cut), millis }
        }
        Event::Ended { exit, text } => Event::Ended { exit, text: cut(text) },
        short @ (Event::Asked { .. } | Event::Released | Event::Unknown) => short,
    }
}

fn cut(text: impl AsRef<str>) -> String {
    harmless::line(text.as_ref(), LONGEST_TEXT)
}

fn few(mut list: Vec<String>) -> Vec<String> {
    list.truncate(LONGEST_LIST);
    list
}

impl RunId {
    /// Of the run that process `pid` began `at`.
    pub fn new(at: Timestamp, pid: i32) -> Self {
        let millis = at.subsec_millisecond().unsigned_abs();
        Self(format!("{}.{millis:03}-{pid}", at.strftime("%Y%m%dT%H%M%S")))
    }

    /// Checks `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'T' | b'.' | b'-');
        let good = (1..=40).contains(&text.len()) && text.bytes().all(plain);
        good.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| {
            format!("not the id of a run, as certbaton status --history prints them: {text:?}")
        })
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters of a text.
const LONGEST_TEXT: usize = 2000;

/// Characters of a command line that people read.
const READABLE: usize = 60;

/// Names, or files, of one event.
const LONGEST_LIST: usize = 1000;

#[cfg(test)]
mod tests;
