//! pure: what holder and arbiter say to each other: one JSON object a line.
//!
//! The arbiter speaks first (`Hello`). Unknown words end the conversation: a
//! newer version is told by the number, never guessed. Lines are bounded; what
//! the words lead to is in `rules` (arbiter) and `holder`.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::harmless;
use crate::base::process;
use crate::lease::store;

/// The version of these words; both ends must have the same.
pub const VERSION: u32 = 1;

/// Longest line of the lease's own words, in bytes with its end.
pub const MAX_LINE: usize = 4096;

/// The first line of a conversation, from the arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hello {
    /// `VERSION`.
    pub version: u32,
    /// The host that the arbiter runs on.
    pub host: String,
    /// Who the caller is, by its key.
    pub caller: String,
    /// A holder that is silent for so long has lost the lease, in milliseconds (`lease.grace`).
    pub grace_millis: u64,
}

/// A rising number: who has a lower one than the last granted is nobody's holder.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(pub u64);

/// One request for the lease, however often it is made: chosen at random by the holder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub String);

/// What a person should know about a holder or waiter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Purpose {
    /// The machine's own name for itself; who it is, its key says.
    pub host: String,
    /// The process that renews.
    pub pid: i32,
    /// What it renews, for people.
    pub why: String,
}

/// From the holder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// The lease, now or when it is free. With `held`, a holder whose connection broke
    /// wants to go on with the token it has.
    Acquire {
        /// Names this request.
        request: RequestId,
        /// The highest token this caller ever saw: the next is higher, whatever the arbiter forgot.
        floor: Token,
        /// The token it holds already.
        held: Option<Token>,
        /// For people.
        purpose: Purpose,
    },
    /// Still here.
    Beat {
        /// Counts up, comes back with the answer.
        number: u64,
    },
    /// Done: the next may begin at once.
    Release,
    /// Who holds, who waits.
    Status,
    /// Takes the lease away from the holder of `token`, and of no other.
    Break {
        /// The token.
        token: Token,
    },
}

/// From the arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ArbiterAnswer {
    /// Not yet; said again every `times::BEAT`, and whenever it changes.
    Waiting {
        /// What it waits for.
        reason: Waiting,
    },
    /// It is yours.
    Granted {
        /// The fencing token.
        token: Token,
    },
    /// A heartbeat was received, and the lease is still yours.
    Beaten {
        /// The number it came with.
        number: u64,
    },
    /// It is not yours any more: stop now.
    Lost {
        /// Why, for people.
        why: String,
    },
    /// It is free.
    Released,
    /// Who holds, who waits.
    Status(LeaseState),
    /// The holder of the token was told to stop.
    Broken,
    /// The request cannot be had; nothing was changed.
    Refused {
        /// Why, for people.
        why: String,
    },
}

/// Why a waiter waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Waiting {
    /// Others are before it, one of them the holder.
    Behind {
        /// How many wait before it.
        waiters: usize,
        /// Who holds, if anybody does.
        holder: Option<HolderStatus>,
    },
    /// Its turn, but who had the lease may not know yet that it is lost.
    Grace {
        /// How long, at most, in milliseconds.
        millis: u64,
    },
}

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HolderStatus {
    /// By its key.
    pub name: String,
    /// Its token.
    pub token: Token,
    /// For people.
    pub purpose: Purpose,
    /// For how long, in milliseconds.
    pub held_millis: u64,
    /// Since its last heartbeat, in milliseconds.
    pub silent_millis: u64,
    /// Whether its connection is open.
    pub connected: bool,
}

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WaiterStatus {
    /// By its key.
    pub name: String,
    /// For people.
    pub purpose: Purpose,
    /// For how long, in milliseconds.
    pub waited_millis: u64,
}

/// Everything about the lease now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseState {
    /// Who has it.
    pub holder: Option<HolderStatus>,
    /// Who waits, first come first.
    pub queue: Vec<WaiterStatus>,
    /// The last token granted.
    pub token: Token,
}

/// Why nothing more comes of a conversation about the lease.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any word.
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
    /// Not one of these words.
    #[error("a line that is not understood (is one side of another version?)")]
    Unknown(#[source] serde_json::Error),
    /// An arbiter of another version.
    #[error(
        "the arbiter speaks version {0} of the lease, this host version {VERSION}; install the same certbaton on both"
    )]
    Version(u32),
    /// The other side is gone.
    #[error("the other side closed the connection")]
    Closed,
    /// The system said no.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// It says more than anybody has to say about a lease.
    #[error("the other side says more than {0} bytes, and no end")]
    Flood(u64),
    /// It takes nothing in.
    #[error("the other side takes nothing in for {} s", .0.as_secs())]
    Deaf(Duration),
    /// What leads to the arbiter does not start, or our own process cannot be looked at.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The configuration has none.
    #[error("no arbiter is configured; set arbiter in [lease]")]
    NoArbiter,
    /// The sockets.
    #[error("cannot make the connection to the arbiter")]
    Socket(#[source] io::Error),
    /// Standard input and output.
    #[error("cannot use standard input and output")]
    Standard(#[source] io::Error),
    /// Waiting for the caller.
    #[error("cannot wait for the caller")]
    Wait(#[source] io::Error),
    /// The caller says nothing any more.
    #[error("the caller said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// What the arbiter remembers.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The arbiter's directory.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The user who owns it.
    #[error("cannot become the user that the arbiter's directory belongs to")]
    Owner(#[source] io::Error),
    /// No answer.
    #[error("the arbiter of the lease cannot be reached: {said}")]
    Unreachable {
        /// What ssh said, else what we saw.
        said: String,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Process(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::NoArbiter => Exit::Config,
            Self::Unreachable { .. } => Exit::Busy,
            Self::TooLong
            | Self::Unknown(_)
            | Self::Version(_)
            | Self::Closed
            | Self::Broken(_)
            | Self::Flood(_)
            | Self::Deaf(_)
            | Self::Socket(_)
            | Self::Standard(_)
            | Self::Wait(_)
            | Self::Silent(_)
            | Self::Owner(_) => Exit::Failed,
        }
    }
}

/// At most 200 characters, none of which needs an escape in JSON: some of them fit in a line.
pub fn clipped(text: &str) -> String {
    harmless::line(text, 200).replace(['"', '\\'], " ")
}

impl Purpose {
    /// With texts of a bounded length.
    #[must_use]
    pub fn clipped(&self) -> Self {
        Self { host: clipped(&self.host), pid: self.pid, why: clipped(&self.why) }
    }
}

/// A word as a line.
pub fn line(word: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(word).map_err(Error::Unknown)?;
    text.push(b'\n');
    if text.len() > MAX_LINE { Err(Error::TooLong) } else { Ok(text) }
}

/// The word of a line, with or without its end.
pub fn word<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    if line.len() > MAX_LINE {
        return Err(Error::TooLong);
    }
    harmless::word(line).map_err(Error::Unknown)
}

/// The first line; another version is told by its number, whatever else the line holds or lacks.
pub fn hello(line: &[u8]) -> Result<Hello, Error> {
    #[derive(Deserialize)]
    struct Numbered {
        version: u32,
    }
    match word(line)? {
        Numbered { version: VERSION } => word(line),
        Numbered { version } => Err(Error::Version(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_line_and_come_back() {
        let ask = Ask::Acquire {
            request: RequestId("r1".into()),
            floor: Token(7),
            held: None,
            purpose: Purpose { host: "home".into(), pid: 3, why: "cloud.example.org".into() },
        };
        let text = line(&ask).unwrap();
        assert_eq!(text.iter().filter(|&&b| b == b'\n').count(), 1);
        assert_eq!(word::<Ask>(&text).unwrap(), ask);
        assert_eq!(line(&Ask::Release).unwrap(), b"\"release\"\n");
    }

    #[test]
    fn what_is_too_long_or_unknown_is_no_word() {
        let why = "x".repeat(MAX_LINE);
        assert!(matches!(line(&ArbiterAnswer::Lost { why }), Err(Error::TooLong)));
        assert!(matches!(word::<Ask>(&vec![b'x'; MAX_LINE + 1]), Err(Error::TooLong)));
        assert!(matches!(
            word::<Ask>(b"{\"beat\":{\"number\":1,\"x\":2}}"),
            Err(Error::Unknown(_))
        ));
    }

    #[test]
    fn another_version_is_told_by_its_number() {
        let strange = br#"{"version":99,"speaker":"vps"}"#;
        assert!(matches!(hello(strange), Err(Error::Version(99))));
        let short = br#"{"version":1,"host":"vps","caller":"home"}"#;
        assert!(matches!(hello(short), Err(Error::Unknown(_))));
        assert!(matches!(hello(br#"{"host":"vps"}"#), Err(Error::Unknown(_))));
    }
}
