//! system: the servers behind the proxy: the other host and an application.
//!
//! Each says its word, the host and the path it was asked for, so that a test
//! can tell who answered what. Threads of the test; they end when dropped.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Network;

/// What a backend speaks.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// uwsgi, whose answers are HTTP.
    Uwsgi,
    /// AJP/1.3, as Tomcat.
    Ajp,
}

/// A listening backend; stops when dropped.
pub struct Backend {
    at: Place,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Backend {
    /// Listens on `address` of the private network.
    pub fn on(address: &str, word: &'static str, protocol: Protocol, _network: &Network) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let at = Place::Tcp(listener.local_addr().unwrap());
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(READ_LIMIT))?;
            Ok(stream)
        };
        Self::serving(at, accept, word, protocol)
    }

    /// Listens for HTTP on a socket file that everybody may use.
    pub fn at(path: &Path, word: &'static str) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(READ_LIMIT))?;
            Ok(stream)
        };
        Self::serving(Place::Unix(path.to_owned()), accept, word, Protocol::Http)
    }

    fn serving<S: Read + Write + Send + 'static>(
        at: Place,
        accept: impl Fn() -> io::Result<S> + Send + 'static,
        word: &'static str,
        protocol: Protocol,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while let Ok(mut stream) = accept() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away early is its own business.
                thread::spawn(move || speak(&mut stream, word, protocol).unwrap_or_default());
            }
        });
        Self { at, over, thread: Some(thread) }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let woken = match &self.at {
            Place::Tcp(address) => TcpStream::connect(address).is_ok(),
            Place::Unix(path) => UnixStream::connect(path).is_ok(),
        };
        if let Some(thread) = self.thread.take()
            && woken
        {
            thread.join().unwrap();
        }
    }
}

fn speak<S: Read + Write>(stream: &mut S, word: &str, protocol: Protocol) -> io::Result<()> {
    match protocol {
        Protocol::Http => {
            let head = head(stream)?;
            let path = head.split(' ').nth(1).unwrap_or("?");
            let host = head.lines().find_map(|l| l.strip_prefix("Host: ")).unwrap_or("?");
            answer_http(stream, &format!("{word} {host} {path}\n"))
        }
        Protocol::Uwsgi => {
            // uwsgi packet: modifier1, size (16 bit little endian), modifier2.
            let mut start = [0; 4];
            stream.read_exact(&mut start)?;
            stream.read_exact(&mut vec![0; u16::from_le_bytes([start[1], start[2]]).into()])?;
            answer_http(stream, &format!("{word} uwsgi\n"))
        }
        Protocol::Ajp => answer_ajp(stream, &format!("{word} ajp\n")),
    }
}

fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answer_http(stream: &mut impl Write, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// The least of AJP/1.3: requests begin 0x1234, answers `AB`, both then a
/// 16-bit length. 10 is a ping, 9 its answer; 2 a request, answered by headers
/// (4), one body chunk (3) and the end (5, no reuse).
fn answer_ajp<S: Read + Write>(stream: &mut S, body: &str) -> io::Result<()> {
    let mut start = [0; 4];
    loop {
        stream.read_exact(&mut start)?;
        let mut packet = vec![0; u16::from_be_bytes([start[2], start[3]]).into()];
        stream.read_exact(&mut packet)?;
        match packet.first() {
            Some(10) => stream.write_all(&ajp_packet(&[9]))?,
            Some(2) => break,
            _ => {}
        }
    }
    let string = |s: &str| {
        let mut out = u16::try_from(s.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(s.as_bytes());
        out.push(0);
        out
    };
    let mut headers = vec![4, 0, 200];
    headers.extend(string("OK"));
    headers.extend([0, 1, 0xA0, 0x01]);
    headers.extend(string("text/plain"));
    let mut chunk = vec![3];
    chunk.extend(string(body));
    for payload in [headers, chunk, vec![5, 0]] {
        stream.write_all(&ajp_packet(&payload))?;
    }
    Ok(())
}

fn ajp_packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = b"AB".to_vec();
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

const READ_LIMIT: Duration = Duration::from_secs(10);
