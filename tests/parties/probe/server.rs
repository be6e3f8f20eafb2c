//! test: servers on loopback that misbehave on purpose, and a resolver by table.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, iter};

use certbaton::base::clock::Deadline;
use certbaton::base::names::{ChallengeToken, Hostname};
use certbaton::ca::redirect::Ports;
use certbaton::ca::resolve::Resolve;
use certbaton::ca::validation::Nonce;
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, getsockname,
    listen, setsockopt, socket,
};
use openssl::ssl::SslAcceptor;

pub(crate) const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
pub(crate) const NAME: &str = "site.example";

/// What a server does with one request.
pub(crate) enum Act {
    /// Sends this and closes.
    Reply(Vec<u8>),
    /// Sends this and waits until the client leaves.
    Hold(Vec<u8>),
    /// Sends this and resets the connection.
    Reset(Vec<u8>),
    /// Sends this, then a byte now and then until the client leaves.
    Dribble(Vec<u8>),
}

/// One server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The heads of all requests, one per connection.
    seen: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// On any port of `address`; `act` is given the request's path.
    pub(crate) fn start(address: IpAddr, act: impl Fn(&str) -> Act + Send + 'static) -> Self {
        Self::on(TcpListener::bind((address, 0)).unwrap(), None, act)
    }

    pub(crate) fn on(
        listener: TcpListener,
        tls: Option<SslAcceptor>,
        act: impl Fn(&str) -> Act + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                match &tls {
                    None => serve(&stream, stream.try_clone().unwrap(), &log, &act),
                    Some(tls) => {
                        if let Ok(session) = tls.accept(stream.try_clone().unwrap()) {
                            serve(&stream, session, &log, &act);
                        }
                    }
                }
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports { http: self.port(), https: 1 }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    socket: &TcpStream,
    mut stream: impl Read + Write,
    log: &Mutex<Vec<String>>,
    act: &impl Fn(&str) -> Act,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(head);
    let (bytes, then) = match act(&path) {
        Act::Reply(bytes) => (bytes, None),
        Act::Hold(bytes) => {
            stream.write_all(&bytes).ok();
            stream.read_exact(&mut [0]).ok();
            return;
        }
        Act::Reset(bytes) => (bytes, Some(true)),
        Act::Dribble(bytes) => (bytes, Some(false)),
    };
    stream.write_all(&bytes).ok();
    match then {
        None => {}
        Some(true) => {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(socket, Linger, &linger).unwrap();
        }
        Some(false) => {
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(30));
            }
        }
    }
}

/// A port that refuses connections and that nobody else gets: bound, and not
/// listened to. `None` if it is in use.
pub(crate) fn closed(address: IpAddr, port: u16) -> Option<Closed> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let wanted = SockaddrStorage::from(SocketAddr::new(address, port));
    bind(socket.as_raw_fd(), &wanted).ok().map(|()| Closed(socket))
}

/// The port lives as long as this.
pub(crate) struct Closed(OwnedFd);

impl Closed {
    pub(crate) fn port(&self) -> u16 {
        let bound: SockaddrStorage = getsockname(self.0.as_raw_fd()).unwrap();
        bound
            .as_sockaddr_in()
            .map_or_else(|| bound.as_sockaddr_in6().unwrap().port(), SockaddrIn::port)
    }

    /// From now on connections are taken by nobody, and then packets dropped,
    /// as by a black hole: its queue is full.
    pub(crate) fn swallow(&self) -> Vec<TcpStream> {
        listen(&self.0, Backlog::new(0).unwrap()).unwrap();
        let address = SocketAddr::new(V6, self.port());
        let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let filling: Vec<_> = iter::from_fn(fill).collect();
        assert!(!filling.is_empty());
        filling
    }
}

/// A server on 127.0.0.1 whose port is closed on `::1`.
pub(crate) fn v4_only(act: impl Fn(&str) -> Act + Send + 'static) -> (Closed, Server) {
    let pair = || {
        let v4 = TcpListener::bind((V4, 0)).unwrap();
        closed(V6, v4.local_addr().unwrap().port()).map(|v6| (v6, v4))
    };
    let (v6, v4) = iter::repeat_with(pair).flatten().next().unwrap();
    (v6, Server::on(v4, None, act))
}

/// Two listeners with one port, on `::1` and on 127.0.0.1.
pub(crate) fn both() -> (TcpListener, TcpListener) {
    iter::repeat_with(|| {
        let v6 = TcpListener::bind((V6, 0)).unwrap();
        let v4 = TcpListener::bind((V4, v6.local_addr().unwrap().port()));
        v4.ok().map(|v4| (v6, v4))
    })
    .flatten()
    .next()
    .unwrap()
}

/// A resolver that knows these names and no other.
pub(crate) struct Names(pub(crate) Vec<(&'static str, Vec<IpAddr>)>);

impl Resolve for Names {
    fn addresses(&self, host: &Hostname, _: &Deadline) -> io::Result<Vec<IpAddr>> {
        let found = self.0.iter().find(|(name, _)| *name == host.as_str());
        found.map(|(_, a)| a.clone()).ok_or_else(|| io::Error::other("no such name"))
    }
}

pub(crate) fn name(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

pub(crate) fn nonce() -> Nonce {
    let token = "certbaton-0123456789abcdefghijklmnopqrstuvw";
    let content = format!("{token}.ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg");
    Nonce { token: ChallengeToken::parse(token).unwrap(), content }
}

/// A complete answer with a length.
pub(crate) fn answer(status: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The nonce, as it should be answered.
pub(crate) fn good() -> Vec<u8> {
    answer(200, nonce().content.as_bytes())
}

/// A redirect.
pub(crate) fn redirect(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(400))
}

pub(crate) fn later() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}
