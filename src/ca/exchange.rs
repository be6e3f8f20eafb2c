//! system: one HTTP request over one new connection to one given address.
//!
//! No proxy, cookie, retry, redirect or verified certificate, and nothing kept
//! afterwards. It knows how an answer can fail to come, not what it should be.

use std::error::Error;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use native_tls::{Protocol, TlsConnector};
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, CONNECTION, LOCATION, REFERER};
use reqwest::{Url, redirect, retry};

use crate::base::clock::{self, Deadline, Unfinished};
use crate::base::threads;
use crate::ca::validation::{At, Failure, MAX_RESPONSE_SIZE};

/// Boulder's `singleDialTimeout` (`va/va.go`).
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// At most [`MAX_RESPONSE_SIZE`] bytes of the body, and none of it unless
    /// the status is 200.
    pub body: Vec<u8>,
}

/// Prepares in the background what the first request needs: the TLS library
/// loads every root certificate of the system (40 ms) even where none is used.
pub fn prepare() {
    // Without a thread, the first request does it.
    threads::start("tls", || LazyLock::force(&CONNECTOR).is_ok()).ok();
}

/// Asks for `at.url` at `at.address`. `referer` is the URL that redirected
/// here; Go sends it, so servers may see it. The dial may take
/// [`DIAL_TIMEOUT`] and nine tenths of the time left, so that a dial that
/// hangs can be told from an answer that does.
pub fn exchange(
    at: &At,
    referer: Option<&Arc<Url>>,
    deadline: &Deadline,
) -> Result<HttpResponse, Failure> {
    deadline.remaining().ok_or_else(|| Failure::NoTime(Arc::clone(&at.url)))?;
    let work = {
        let (at, referer, deadline) = (at.clone(), referer.cloned(), *deadline);
        move || ask(&at, referer.as_deref(), &deadline)
    };
    // The client's own timeout bounds each read of the body, not their sum.
    match clock::within(deadline, work) {
        Ok(done) => done,
        Err(Unfinished::Passed(_)) => Err(Failure::Stalled { at: at.clone() }),
        Err(error @ Unfinished::Thread(_)) => Err(Failure::Client(Arc::new(error.into()))),
    }
}

fn ask(at: &At, referer: Option<&Url>, deadline: &Deadline) -> Result<HttpResponse, Failure> {
    let left = deadline.remaining().ok_or_else(|| Failure::NoTime(Arc::clone(&at.url)))?;
    let client = client(at, left)?;
    let mut request =
        client.get(Url::clone(&at.url)).header(ACCEPT, "*/*").header(CONNECTION, "close");
    // Go's `refererForURL`: not from https to http.
    if let Some(from) = referer.filter(|r| r.scheme() == "http" || at.url.scheme() == "https") {
        request = request.header(REFERER, from.as_str());
    }
    let response = request.send().map_err(|e| failure(at, e, deadline))?;
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION);
    let location = location.map(|l| String::from_utf8_lossy(l.as_bytes()).into_owned());
    let body = if status == 200 { read(at, response)? } else { Vec::new() };
    Ok(HttpResponse { status, location, body })
}

fn client(at: &At, left: Duration) -> Result<Client, Failure> {
    let connector = CONNECTOR.as_ref().map_err(|e| Failure::Client(Arc::clone(e)))?;
    let builder = Client::builder()
        .tls_backend_preconfigured(connector.clone())
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(DIAL_TIMEOUT.min(left * 9 / 10))
        .timeout(left)
        .user_agent(USER_AGENT)
        .resolve(at.url.host_str().unwrap_or_default(), at.address);
    builder.build().map_err(|e| Failure::Client(Arc::new(io::Error::other(e))))
}

/// Boulder's `io.LimitedReader`: what is beyond the limit is never read.
#[expect(clippy::disallowed_methods, reason = "no more than the limit is read")]
fn read(at: &At, response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::with_capacity(MAX_RESPONSE_SIZE);
    let limit = MAX_RESPONSE_SIZE as u64;
    match response.take(limit).read_to_end(&mut body) {
        Ok(_) => Ok(body),
        Err(e) if is_timeout(&e) => Err(Failure::Stalled { at: at.clone() }),
        Err(e) => Err(Failure::Broken { at: at.clone(), source: Arc::new(e) }),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<reqwest::Error>());
    inner.is_some_and(reqwest::Error::is_timeout)
}

fn failure(at: &At, error: reqwest::Error, deadline: &Deadline) -> Failure {
    let at = at.clone();
    let timeout = error.is_timeout();
    let connecting = error.is_connect();
    let tls = connecting && at.url.scheme() == "https" && {
        let by_library = causes(&error).any(<dyn Error>::is::<native_tls::Error>);
        // One timeout covers dial and handshake; another dial tells them apart.
        by_library || (timeout && is_listening(at.address, deadline))
    };
    let source = Arc::new(cause(error));
    match (connecting, tls, timeout) {
        (_, true, _) => Failure::Handshake { at, source },
        (true, false, _) => Failure::Dial { at, source },
        (false, _, true) => Failure::Stalled { at },
        (false, _, false) => Failure::Broken { at, source },
    }
}

fn is_listening(address: SocketAddr, deadline: &Deadline) -> bool {
    let left = deadline.remaining().map(|left| left.min(Duration::from_secs(1)));
    left.is_some_and(|left| TcpStream::connect_timeout(&address, left).is_ok())
}

/// The system's error if there is one below all the layers, else their chain.
fn cause(error: reqwest::Error) -> io::Error {
    let code = causes(&error).find_map(|e| e.downcast_ref::<io::Error>()?.raw_os_error());
    match code {
        Some(code) => io::Error::from_raw_os_error(code),
        None if error.is_timeout() => io::ErrorKind::TimedOut.into(),
        None => io::Error::other(error.without_url()),
    }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |e| Error::source(*e))
}

/// One for all clients: see [`prepare`]. Boulder's `InsecureSkipVerify`: who is
/// being validated has no certificate yet.
static CONNECTOR: LazyLock<Result<TlsConnector, Arc<io::Error>>> = LazyLock::new(|| {
    let built = TlsConnector::builder()
        .danger_accept_invalid_certs(true)
        .danger_accept_invalid_hostnames(true)
        .disable_built_in_roots(true)
        .min_protocol_version(Some(Protocol::Tlsv12))
        .build();
    built.map_err(|e| Arc::new(io::Error::other(e)))
});

const USER_AGENT: &str = concat!("certbaton/", env!("CARGO_PKG_VERSION"), " (probe)");
