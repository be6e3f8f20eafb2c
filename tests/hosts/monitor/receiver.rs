//! test: an HTTP server on loopback that takes what is posted, or does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openssl::ssl::SslAcceptor;
use serde_json::Value;

/// How it answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// With this line of status and headers.
    Says(&'static str),
    /// Not at all, until the client leaves.
    Never,
    /// A byte now and then, without an end.
    Dribbles,
}

/// What it got.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A server that lives as long as the test.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    pub(crate) fn start(answer: Answer) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).unwrap(), None, answer)
    }

    pub(crate) fn on(listener: TcpListener, tls: Option<SslAcceptor>, answer: Answer) -> Self {
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&posts);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                match &tls {
                    None => serve(stream, answer, &log),
                    // A client that does not believe the certificate leaves here.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream) {
                            serve(stream, answer, &log);
                        }
                    }
                }
            }
        });
        Self { address, posts }
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

fn serve(stream: impl Read + Write, answer: Answer, log: &Mutex<Vec<Post>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    log.lock().unwrap().push(Post { head, body });
    let stream = stream.get_mut();
    match answer {
        // The client may have left.
        Answer::Says(status) => {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).ok();
        }
        Answer::Never => {
            stream.read_exact(&mut [0]).ok();
        }
        Answer::Dribbles => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").ok();
            while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
