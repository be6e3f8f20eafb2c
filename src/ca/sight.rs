//! pure: what one host plants for a check, and what it sees of a name when it asks as the CA asks.
//!
//! Words between the host that checks and the agents that it asks. Why an
//! answer is wrong is words for people and a kind for the verdict.

use std::io;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::cause::chain;
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::{ChallengeToken, HostLabel, Hostname, Thumbprint, Webroot};
use crate::ca::caa::Relevant;
use crate::ca::served::{ExpectedCertificate, Identity, ServedChain, judge};
use crate::ca::validation::{Failure, MAX_RESPONSE_SIZE, Nonce};

/// The content of a planted file: its name, a dot, and what only its host knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(Nonce);

/// A file planted below a webroot, and the names that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Planting {
    /// certbot's webroot.
    pub webroot: Webroot,
    /// The names that certbot proves by it.
    pub names: Vec<Hostname>,
    /// What was planted, or why it could not be.
    pub planted: Planted,
    /// The account that they are proven for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Thumbprint>,
}

/// Whether a file could be planted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planted {
    /// Its content.
    Content(Content),
    /// Why not.
    Failed(String),
}

/// What an agent is to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Question {
    /// What is planted, and on which host.
    pub nonces: Vec<WantedNonce>,
    /// The names, each with those of `nonces` that are planted for it.
    pub names: Vec<(Hostname, Vec<usize>)>,
}

/// A nonce and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WantedNonce {
    /// The host that planted it.
    pub host: HostLabel,
    /// What has to come back.
    pub content: Content,
    /// Or what the CA would want to see for this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Thumbprint>,
}

/// A name as one host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sight {
    /// The name.
    pub name: Hostname,
    /// Its addresses in the order of the answer, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// What of its records cannot be had, and why.
    pub unresolved: Option<String>,
    /// Its CAA records, or its nearest parent's.
    pub caa: Option<Relevant>,
    /// Why nobody can tell them, a CA included.
    pub caa_unknown: Option<String>,
    /// What the CA would say of each nonce: one address of each kind, the second only if no
    /// connection comes about.
    pub validated: Vec<NonceAnswer>,
    /// What each address says to each nonce.
    pub fetched: Vec<NonceAnswer>,
    /// What each address presents.
    pub presented: Vec<Presented>,
}

/// An answer to a nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NonceAnswer {
    /// Whose nonce.
    pub nonce: HostLabel,
    /// Where it was asked for; none if there was nowhere to ask.
    pub address: Option<IpAddr>,
    /// What came.
    pub answer: Answer,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The nonce, by the CA's rules.
    Same,
    /// Something else, or nothing.
    Missed(Miss),
}

/// Why a nonce did not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Miss {
    /// Of which kind.
    pub kind: MissKind,
    /// The request that failed.
    pub url: Option<String>,
    /// It was not the first request: a redirect led there.
    pub redirected: bool,
    /// For people.
    pub why: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissKind {
    /// No way there: from here, or from a router on the way.
    Unreachable,
    /// Somebody says that nobody is there.
    Refused,
    /// Nobody says anything to a connection.
    BlackHole,
    /// Connected, and then no HTTP answer in time.
    Silence,
    /// Connected, and then something that is no HTTP answer, or no TLS.
    Broken,
    /// Another status.
    Status(u16),
    /// Status 200 and something else.
    Another,
    /// A redirect that the CA does not follow.
    Redirect,
    /// The name, or that of a redirect, has no address.
    Unresolved,
    /// It was not asked.
    NotAsked,
}

/// What an address presents on port 443.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Presented {
    /// The address.
    pub address: IpAddr,
    /// The certificate, if there is one.
    pub leaf: Option<Leaf>,
    /// Why there is none.
    pub miss: Option<Miss>,
}

/// A certificate as it is presented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leaf {
    /// Its serial number.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// What is wrong with it and with those presented along with it, whatever is on disk.
    pub faults: Vec<Finding>,
}

impl Content {
    /// What is planted.
    pub fn nonce(&self) -> &Nonce {
        &self.0
    }
}

impl From<Nonce> for Content {
    fn from(nonce: Nonce) -> Self {
        Self(nonce)
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        content.0.content
    }
}

impl TryFrom<String> for Content {
    type Error = String;

    fn try_from(content: String) -> Result<Self, String> {
        let bad = || "not the content of a challenge file".to_owned();
        let (token, rest) = content.split_once('.').ok_or_else(bad)?;
        let token = ChallengeToken::parse(token).map_err(|_| bad())?;
        // The rest is as plain as a token.
        ChallengeToken::parse(rest).map_err(|_| bad())?;
        if content.len() >= MAX_RESPONSE_SIZE {
            return Err(bad());
        }
        Ok(Self(Nonce { token, content }))
    }
}

impl Leaf {
    /// What `chain` is for `name`; what should be there instead is for its host to say.
    pub fn of(chain: &ServedChain, name: &Hostname, now: Timestamp) -> Self {
        let Identity { serial, not_after, .. } = chain.identity.clone();
        let faults = judge(chain, &ExpectedCertificate::told(chain.identity.clone()), name, now);
        Self { serial, not_after, faults }
    }

    /// Which one it is.
    pub fn identity(&self) -> Identity {
        Identity { serial: self.serial.clone(), not_after: self.not_after, fingerprint: None }
    }

    /// Whether it is for the name that it was presented for.
    pub fn covers(&self) -> bool {
        self.faults.iter().all(|fault| fault.code != Code::ServedNotCovered)
    }
}

impl Sight {
    /// What `address` said to the nonce of `host`.
    pub fn answer(&self, host: &HostLabel, address: IpAddr) -> Option<&Answer> {
        let asked = |asked: &&NonceAnswer| asked.nonce == *host && asked.address == Some(address);
        self.fetched.iter().find(asked).map(|asked| &asked.answer)
    }
}

impl Miss {
    /// A failure in the words of the wire.
    pub fn of(failure: &Failure, redirected: bool) -> Self {
        let at = match failure {
            Failure::Dial { at, .. }
            | Failure::Handshake { at, .. }
            | Failure::Stalled { at }
            | Failure::Broken { at, .. }
            | Failure::Status { at, .. }
            | Failure::TooLong { at, .. }
            | Failure::Mismatch { at, .. }
            | Failure::Redirect { at, .. } => Some(at),
            _ => None,
        };
        let url = at.map(|at| at.url.to_string());
        // A verdict, not what came: that is for who may ask there himself.
        let why = match failure {
            Failure::TooLong { at, .. } | Failure::Mismatch { at, .. } => format!(
                "another answer than the planted file's for {at}; another host or webroot serves this path"
            ),
            failure => chain(failure),
        };
        Self { kind: MissKind::of(failure), url, redirected, why }
    }

    /// That it was not asked, and why.
    pub fn not_asked(why: &str) -> Self {
        Self { kind: MissKind::NotAsked, url: None, redirected: false, why: why.to_owned() }
    }

    /// No connection came about at the first address, so the CA tries the other kind.
    pub fn falls_back(&self) -> bool {
        !self.redirected
            && matches!(self.kind, MissKind::Refused | MissKind::BlackHole | MissKind::Unreachable)
    }
}

impl MissKind {
    /// Of a dial that failed.
    pub fn of_dial(error: &io::Error) -> Self {
        use io::ErrorKind::{
            AddrNotAvailable, HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock,
        };
        match error.kind() {
            HostUnreachable | NetworkUnreachable | AddrNotAvailable => Self::Unreachable,
            TimedOut | WouldBlock => Self::BlackHole,
            _ => Self::Refused,
        }
    }

    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Dial { source, .. } => Self::of_dial(source),
            Failure::Stalled { .. } => Self::Silence,
            Failure::Handshake { .. } | Failure::Broken { .. } => Self::Broken,
            Failure::Status { status, .. } => Self::Status(*status),
            Failure::TooLong { .. } | Failure::Mismatch { .. } => Self::Another,
            Failure::Redirect { .. } => Self::Redirect,
            Failure::Resolve { .. } | Failure::NoAddress(_) => Self::Unresolved,
            Failure::NotAName(_)
            | Failure::NoTime(_)
            | Failure::Forbidden(_)
            | Failure::Client(_) => Self::NotAsked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_is_no_challenge_file_is_refused() {
        let parse = |text: &str| serde_json::from_value::<Content>(text.into());
        assert_eq!(parse("a-b.c_d").unwrap().nonce().token.as_str(), "a-b");
        let long = format!("a.{}", "b".repeat(MAX_RESPONSE_SIZE));
        for bad in ["", "a", "a/b.c", "../x.y", "a.b c", &long] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
