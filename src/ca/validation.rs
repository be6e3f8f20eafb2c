//! pure: the verdict of a CA on one HTTP-01 validation, and why it is bad.
//!
//! Boulder's choice of addresses and its rules for an answer (`va/http.go`,
//! `va/dns.go`); its redirect rules are in `redirect`, the requests in `probe`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;

use crate::base::names::{ChallengeToken, Hostname, Thumbprint};
use crate::ca::redirect::{Ports, RedirectRefusal, Target, UrlHost};

/// Boulder's `maxResponseSize`: an answer that fills it has failed, so 127
/// bytes is the most that passes.
pub const MAX_RESPONSE_SIZE: usize = 128;

/// What has to come back, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce {
    /// The file name below the challenge path.
    pub token: ChallengeToken,
    /// The content of the file: without white space at its end, and shorter
    /// than [`MAX_RESPONSE_SIZE`].
    pub content: String,
}

/// A request: what was asked, and where it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The URL.
    pub url: Arc<Url>,
    /// The address connected to.
    pub address: SocketAddr,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.url, self.address)
    }
}

/// Why a validation fails. `Arc`, since a hop and the verdict both tell it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// An address instead of a name; HTTP-01 URLs here are of names.
    #[error("{0} is no name that a URL can hold")]
    NotAName(Hostname),
    /// The resolver failed.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: Hostname,
        /// The resolver's error.
        source: Arc<io::Error>,
    },
    /// The name has no address.
    #[error("{0} has neither an A nor an AAAA record")]
    NoAddress(Hostname),
    /// An address that is not asked: somebody else wants to see what only this host can reach.
    #[error("{0} is neither a public address nor one of our hosts: not asked")]
    Forbidden(IpAddr),
    /// The overall deadline passed before this request.
    #[error("no time left to ask {0}; raise the deadline")]
    NoTime(Arc<Url>),
    /// The HTTP client could not be set up.
    #[error("cannot set up an HTTP client")]
    Client(#[source] Arc<io::Error>),
    /// No TCP connection (Go's `net.OpError` with op `dial`).
    #[error("no connection for {at}; see that a server listens there and no firewall drops it")]
    Dial {
        /// The request.
        at: At,
        /// Refused, unreachable, timed out.
        source: Arc<io::Error>,
    },
    /// Connected, but TLS did not come about.
    #[error("no TLS 1.2 or newer for {at}")]
    Handshake {
        /// The request.
        at: At,
        /// The error of the TLS library.
        source: Arc<io::Error>,
    },
    /// Connected, but then nothing, or not all, came until the deadline.
    #[error("no complete answer in time for {at}")]
    Stalled {
        /// The request.
        at: At,
    },
    /// Connected, but the answer broke off or is not HTTP.
    #[error("no complete HTTP answer for {at}")]
    Broken {
        /// The request.
        at: At,
        /// Reset, end of file, syntax.
        source: Arc<io::Error>,
    },
    /// Not 200.
    #[error("status {status} instead of 200 for {at}; this path is not answered from the webroot")]
    Status {
        /// The request.
        at: At,
        /// The status.
        status: u16,
    },
    /// 200, but more than a challenge file.
    #[error(
        "an answer of {MAX_RESPONSE_SIZE} bytes or more for {at}: {start:?}…; another host or webroot serves this path"
    )]
    TooLong {
        /// The request.
        at: At,
        /// Its first bytes.
        start: String,
    },
    /// 200, but not the nonce.
    #[error(
        "another answer than the planted file's for {at}: {got:?}; another host or webroot serves this path"
    )]
    Mismatch {
        /// The request.
        at: At,
        /// What came, white space at the end removed.
        got: String,
    },
    /// A redirect that the CA does not follow.
    #[error("redirect (status {status}) that the CA does not follow from {at}")]
    Redirect {
        /// The request that was answered so.
        at: At,
        /// The status.
        status: u16,
        /// The rule.
        source: RedirectRefusal,
    },
}

impl Failure {
    /// Not what was planted, but what a CA wants to see for `account`: another host answers for it.
    pub fn authorizes(&self, nonce: &Nonce, account: Option<&Thumbprint>) -> bool {
        let Self::Mismatch { got, .. } = self else { return false };
        account.is_some_and(|account| account.authorizes(&nonce.token) == *got)
    }
}

/// What a failure says about who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody took the connection, or it was never tried.
    Nothing,
    /// Somebody took the connection and gave no HTTP answer.
    Silence,
    /// Somebody else answered, or the right one with something else.
    Another {
        /// The last status.
        status: u16,
    },
}

impl Failure {
    /// What it says about who is there.
    pub fn reach(&self) -> Reach {
        match self {
            Self::NotAName(_)
            | Self::Resolve { .. }
            | Self::NoAddress(_)
            | Self::NoTime(_)
            | Self::Forbidden(_)
            | Self::Client(_)
            | Self::Dial { .. } => Reach::Nothing,
            Self::Handshake { .. } | Self::Stalled { .. } | Self::Broken { .. } => Reach::Silence,
            Self::Status { status, .. } | Self::Redirect { status, .. } => {
                Reach::Another { status: *status }
            }
            Self::TooLong { .. } | Self::Mismatch { .. } => Reach::Another { status: 200 },
        }
    }

    /// Whether the CA tries IPv4 after this failure over IPv6: only if the
    /// dial failed (`fallbackErr`), be it the first or a redirect's.
    pub fn falls_back(&self) -> bool {
        matches!(self, Self::Dial { .. })
    }
}

/// The addresses that the CA tries, at most one of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPair {
    /// The first IPv6 address, else the first IPv4 address.
    pub first: IpAddr,
    /// The first IPv4 address, if `first` is IPv6.
    pub fallback: Option<IpAddr>,
}

/// Chooses among a name's addresses (`newHTTPValidationTarget`); `None` if
/// there are none. Reserved ranges, which Boulder's resolver drops, stay: a
/// name in a laboratory has nothing else.
pub fn choose(addresses: &[IpAddr]) -> Option<AddressPair> {
    let mut addresses = addresses.iter().map(IpAddr::to_canonical);
    let v6 = addresses.clone().find(IpAddr::is_ipv6);
    let v4 = addresses.find(IpAddr::is_ipv4);
    match (v6, v4) {
        (Some(first), fallback) => Some(AddressPair { first, fallback }),
        (None, Some(first)) => Some(AddressPair { first, fallback: None }),
        (None, None) => None,
    }
}

/// The first request for a nonce (`processHTTPValidation`: the URL never names
/// the port, so `Host` is the bare name also where tests use another one).
pub fn first_target(name: &Hostname, nonce: &Nonce, ports: Ports) -> Result<Target, Failure> {
    let refused = || Failure::NotAName(name.clone());
    let url = Url::parse(&format!("http://{name}{}", nonce.token.url_path()));
    let url = url.map_err(|_| refused())?;
    // `192.0.2.1` passes for a host name; no resolver would be asked for it.
    if url.domain() != Some(name.as_str()) {
        return Err(refused());
    }
    Ok(Target { url, host: UrlHost::Name(name.clone()), port: ports.http })
}

/// The request for a bare address (RFC 8738 §4).
pub fn at_address(address: IpAddr, nonce: &Nonce, ports: Ports) -> Result<At, Failure> {
    let at = SocketAddr::new(address, ports.http);
    let host = match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let url = Url::parse(&format!("http://{host}{}", nonce.token.url_path()));
    let url = url.map_err(|error| Failure::Client(Arc::new(io::Error::other(error))))?;
    Ok(At { url: Arc::new(url), address: at })
}

/// Status 200 and no other (`processHTTPValidation`).
pub fn judge_status(at: &At, status: u16) -> Result<(), Failure> {
    if status == 200 { Ok(()) } else { Err(Failure::Status { at: at.clone(), status }) }
}

/// Shorter than [`MAX_RESPONSE_SIZE`] (`processHTTPValidation`), and equal to
/// the nonce but for Unicode white space at its end (`validateHTTP01`).
pub fn judge_body(at: &At, body: &[u8], nonce: &Nonce) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(body);
    if body.len() >= MAX_RESPONSE_SIZE {
        return Err(Failure::TooLong { at: at.clone(), start: text.chars().take(40).collect() });
    }
    // A byte that is not UTF-8 becomes U+FFFD, which no nonce contains.
    let got = text.trim_end();
    if got == nonce.content {
        Ok(())
    } else {
        Err(Failure::Mismatch { at: at.clone(), got: got.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(addresses: &[&str]) -> Option<(String, Option<String>)> {
        let addresses: Vec<_> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        choose(&addresses).map(|c| (c.first.to_string(), c.fallback.map(|f| f.to_string())))
    }

    #[test]
    fn the_first_v6_is_tried_then_the_first_v4_and_no_other() {
        let some =
            |first: &str, second: Option<&str>| Some((first.to_owned(), second.map(str::to_owned)));
        assert_eq!(choice(&["1.1.1.1", "2::1", "1.1.1.2", "2::2"]), some("2::1", Some("1.1.1.1")));
        assert_eq!(choice(&["2::2", "2::1"]), some("2::2", None));
        assert_eq!(choice(&["::ffff:1.1.1.1"]), some("1.1.1.1", None));
        assert_eq!(choice(&[]), None);
    }

    #[test]
    fn an_address_is_no_name_even_if_it_looks_like_one() {
        let nonce = Nonce { token: ChallengeToken::parse("t").unwrap(), content: "t.x".to_owned() };
        for name in ["192.0.2.1", "1", "a.1"] {
            let name = Hostname::parse(name).unwrap();
            let target = first_target(&name, &nonce, Ports::PUBLIC);
            assert!(matches!(target, Err(Failure::NotAName(_))), "{target:?}");
        }
    }
}
