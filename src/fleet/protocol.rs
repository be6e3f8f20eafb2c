//! pure: what a coordinator and the agents of its hosts say to each other: one JSON object a line.
//!
//! One order, then answers until the agent ends. Closing the agent's standard
//! input at any time calls the order off.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::exit::{CarriesExit, Exit};
use crate::base::harmless;
use crate::base::names::Hostname;
use crate::ca::sight::{Planting, Question, Sight};
use crate::fleet::host_report::HostReport;
use crate::fleet::inspection::Inspection;

/// The version of these words; both ends must have the same.
pub const VERSION: u32 = 2;

/// Longest order, in bytes with its end: it comes where the lease's own words come.
pub const MAX_ORDER: usize = crate::lease::wire::MAX_LINE;

/// Longest answer, in bytes with its end: some thousand lineages.
pub const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Longest line of a program's output that is passed on, in bytes.
pub const MAX_TEXT: usize = 2048;

/// certbot's name for a lineage: a plain file name that cannot be an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LineageName(String);

/// An order and the version of its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Envelope {
    /// `VERSION`.
    pub version: u32,
    /// What is to be done.
    pub order: AgentOrder,
}

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AgentOrder {
    /// Look at the host; change nothing.
    Look(LookOrder),
    /// Run certbot.
    Renew(RenewalOrder),
    /// Look at who answers the challenges of these names, and of all that certbot renews.
    Inspect(InspectOrder),
    /// Plant a nonce for each of these names that certbot proves by a webroot, for all such if
    /// there are none; it is there until the caller hangs up, at most two minutes.
    Plant(PlantOrder),
    /// Ask for nonces as the CA asks.
    Probe(Question),
}

/// For what a host is to look at itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LookOrder {
    /// For what matters to a renewal.
    Survey,
    /// For how things are, and what is wrong.
    Status,
}

/// Of which names a host is to say who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InspectOrder {
    /// The names.
    pub names: Vec<Hostname>,
}

/// For which names a host is to plant nonces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlantOrder {
    /// The names.
    pub names: Vec<Hostname>,
}

/// One renewal on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RenewalOrder {
    /// These lineages, one run of certbot each; all in one run if empty.
    pub cert_names: Vec<LineageName>,
    /// Also what is not due.
    pub force: bool,
    /// Rehearse only.
    pub dry_run: bool,
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentAnswer {
    /// Still at it.
    Alive,
    /// Something a person may like to follow.
    Line {
        /// One line, bounded.
        text: String,
    },
    /// What was found; the last answer to `Look`.
    Report(Box<HostReport>),
    /// What became of each lineage; the last answer to `Renew`.
    Renewed(Vec<Renewed>),
    /// Who answers; the last answer to `Inspect`.
    Inspected(Box<Inspection>),
    /// What is planted; the last answer to `Plant`, which goes on.
    Planted(Vec<Planting>),
    /// What was seen of each name; the last answer to `Probe`.
    Seen(Vec<Sight>),
    /// The order could not be carried out.
    Failed {
        /// The exit code that says of which kind the failure is.
        exit: u8,
        /// Why, for people.
        why: String,
    },
}

/// An order whose type says what answers it.
pub trait Answered: Into<AgentOrder> {
    /// What its last answer holds.
    type Answer;

    /// What `answer` holds; none if it answers another order.
    fn answered(answer: AgentAnswer) -> Option<Self::Answer>;
}

macro_rules! answered {
    ($type:ty, $order:ident => $word:expr, $said:pat => $holds:expr, $answer:ty) => {
        impl From<$type> for AgentOrder {
            fn from($order: $type) -> Self {
                $word
            }
        }

        impl Answered for $type {
            type Answer = $answer;

            fn answered(answer: AgentAnswer) -> Option<$answer> {
                match answer {
                    $said => Some($holds),
                    _ => None,
                }
            }
        }
    };
}

answered!(LookOrder, order => Self::Look(order), AgentAnswer::Report(report) => *report, HostReport);
answered!(RenewalOrder, order => Self::Renew(order), AgentAnswer::Renewed(all) => all, Vec<Renewed>);
answered!(InspectOrder, order => Self::Inspect(order), AgentAnswer::Inspected(all) => *all, Inspection);
answered!(PlantOrder, order => Self::Plant(order), AgentAnswer::Planted(all) => all, Vec<Planting>);
answered!(Question, order => Self::Probe(order), AgentAnswer::Seen(sights) => sights, Vec<Sight>);

/// A lineage before and after a run of certbot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Renewed {
    /// Its name.
    pub name: String,
    /// The serial number on disk before, if there was a certificate.
    pub before: Option<String>,
    /// The serial number on disk after.
    pub after: Option<String>,
    /// How certbot ended: its code, or none if a signal ended it.
    pub status: Option<i32>,
    /// Why it was not renewed, in the CA's own sentence, if certbot passed one on.
    #[serde(default)]
    pub why: Option<String>,
}

/// Why a line is not understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any word.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// Not one of these words.
    #[error("a line that is not understood (is one side of another version?)")]
    Unknown(#[source] serde_json::Error),
    /// Another version.
    #[error(
        "unsupported protocol version {0} (this is {VERSION}): install the same certbaton on all hosts"
    )]
    Version(u32),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::TooLong(_) | Self::Unknown(_) | Self::Version(_) => Exit::Failed,
        }
    }
}

/// An order or answer as a line.
pub fn line(word: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(word).map_err(Error::Unknown)?;
    text.push(b'\n');
    Ok(text)
}

/// The order of a line; another version is told by its number, whatever else the line holds.
pub fn order(line: &[u8]) -> Result<AgentOrder, Error> {
    #[derive(Deserialize)]
    struct Numbered {
        version: u32,
    }
    if line.len() > MAX_ORDER {
        return Err(Error::TooLong(MAX_ORDER));
    }
    let Numbered { version } = word(line)?;
    if version != VERSION {
        return Err(Error::Version(version));
    }
    Ok(word::<Envelope>(line)?.order)
}

/// Whether a line is meant as an order, of whatever version; the lease's words have no such field.
pub fn is_order(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(rename = "order")]
        _order: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Marked>(line).is_ok()
}

/// The answer of a line.
pub fn answer(line: &[u8]) -> Result<AgentAnswer, Error> {
    if line.len() > MAX_ANSWER {
        return Err(Error::TooLong(MAX_ANSWER));
    }
    harmless::word(line).map_err(Error::Unknown)
}

fn word<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    // Each name of an order is checked by its type: what is odd is refused, not mended.
    serde_json::from_slice(line).map_err(Error::Unknown)
}

/// A program's line as text that is safe on a terminal: bounded, without control characters.
pub fn shown(line: &[u8]) -> String {
    harmless::line(&String::from_utf8_lossy(&line[..line.len().min(MAX_TEXT)]), MAX_TEXT)
}

impl LineageName {
    /// Checks `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| !harmless::is_harmful(c) && c != '/';
        let good = (1..=255).contains(&text.len())
            && !text.starts_with(['-', '.'])
            && text.chars().all(plain);
        good.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LineageName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("not the name of a lineage: {text:?}"))
    }
}

impl std::str::FromStr for LineageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl From<LineageName> for String {
    fn from(name: LineageName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renew(name: &str) -> String {
        format!(
            r#"{{"version":2,"order":{{"renew":{{"cert-names":["{name}"],"force":false,"dry-run":true}}}}}}"#
        )
    }

    #[test]
    fn orders_are_one_line_and_come_back() {
        let renewal = RenewalOrder {
            cert_names: vec![LineageName::parse("a.example").unwrap()],
            force: false,
            dry_run: true,
        };
        let envelope = Envelope { version: VERSION, order: AgentOrder::Renew(renewal) };
        let text = line(&envelope).unwrap();
        assert_eq!(String::from_utf8_lossy(&text).trim_end(), renew("a.example"));
        assert_eq!(order(&text).unwrap(), envelope.order);
    }

    #[test]
    fn an_order_that_root_must_not_follow_is_none() {
        for name in ["--force-renewal", "../x", ".hidden", "", "a\\nb", "a\\u202eb"] {
            assert!(matches!(order(renew(name).as_bytes()), Err(Error::Unknown(_))), "{name}");
        }
        let more = renew("a").replace("\"force\"", "\"program\":\"/x\",\"force\"");
        assert!(matches!(order(more.as_bytes()), Err(Error::Unknown(_))));
        assert!(matches!(order(&vec![b' '; MAX_ORDER + 1]), Err(Error::TooLong(_))));
    }

    #[test]
    fn an_order_is_told_from_the_words_of_the_lease() {
        assert!(is_order(renew("a").as_bytes()));
        assert!(is_order(br#"{"version":9,"order":"conquer"}"#));
        let acquire = crate::lease::wire::Ask::Beat { number: 1 };
        assert!(!is_order(&crate::lease::wire::line(&acquire).unwrap()));
        assert!(!is_order(b"\"release\"") && !is_order(b"junk"));
    }

    #[test]
    fn another_version_is_told_by_its_number() {
        let error = order(br#"{"version":9,"order":{"conquer":{}},"x":1}"#).unwrap_err();
        assert!(matches!(error, Error::Version(9)), "{error}");
    }

    #[test]
    fn output_cannot_play_with_the_terminal() {
        assert_eq!(shown(b"a\x1b[2Jb\r\n"), "a [2Jb");
        assert_eq!(shown(&[b'x'; MAX_TEXT * 2]).len(), MAX_TEXT);
    }
}
