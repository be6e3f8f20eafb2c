//! system: which certificates an address serves for a name.
//!
//! A TLS handshake and nothing more: no request is sent, nothing is verified.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509Ref;
use reqwest::Url;

use crate::base::clock::{Deadline, Passed};
use crate::base::names::Hostname;
use crate::ca::exchange::DIAL_TIMEOUT;
use crate::ca::served::ServedChain;
use crate::ca::validation::{At, Failure};

/// The certificates that `address` presents for `name` (SNI), and the key of whose
/// leaf it proves to have. Fails with `NotAName`, `NoTime`, `Client`, `Dial`,
/// `Handshake` or `Stalled`.
pub fn look(
    name: &Hostname,
    address: SocketAddr,
    deadline: &Deadline,
) -> Result<ServedChain, Failure> {
    let url = Url::parse(&format!("https://{name}/"));
    let at = At { url: Arc::new(url.map_err(|_| Failure::NotAName(name.clone()))?), address };
    let ssl = client(name).map_err(|e| Failure::Client(Arc::new(e.into())))?;
    let left = deadline.remaining().ok_or_else(|| Failure::NoTime(Arc::clone(&at.url)))?;
    let socket = TcpStream::connect_timeout(&address, left.min(DIAL_TIMEOUT))
        .map_err(|e| Failure::Dial { at: at.clone(), source: Arc::new(e) })?;

    let failed = |e| Failure::Handshake { at: at.clone(), source: Arc::new(e) };
    match ssl.connect(Bounded { socket, deadline: *deadline }) {
        Ok(stream) => {
            // Only a server's copy lacks the leaf (SSL_get_peer_cert_chain(3)).
            let chain = stream.ssl().peer_cert_chain();
            let der: Result<Vec<_>, _> = chain.into_iter().flatten().map(X509Ref::to_der).collect();
            let der = der.map_err(|e| failed(e.into()))?;
            ServedChain::from_der(der).map_err(|e| failed(io::Error::other(e)))
        }
        Err(_) if deadline.remaining().is_none() => Err(Failure::Stalled { at }),
        Err(HandshakeError::SetupFailure(e)) => Err(failed(e.into())),
        Err(HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream)) => {
            let error = stream.into_error();
            Err(failed(error.into_io_error().unwrap_or_else(io::Error::other)))
        }
    }
}

/// Not `SslConnector`, which loads every root certificate of the system.
fn client(name: &Hostname) -> Result<Ssl, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_verify(SslVerifyMode::NONE);
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    let mut ssl = Ssl::new(&context.build())?;
    ssl.set_hostname(name.as_str())?;
    Ok(ssl)
}

/// A socket on which all calls together end at the deadline.
#[derive(Debug)]
struct Bounded {
    socket: TcpStream,
    deadline: Deadline,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let passed = || io::Error::new(io::ErrorKind::TimedOut, Passed);
        self.deadline.remaining().map(Some).ok_or_else(passed)
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
