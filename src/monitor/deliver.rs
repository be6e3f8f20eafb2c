//! system: carries one message out of this host, in bounded time: to a program, or by HTTP.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{redirect, retry};

use crate::base::clock::{self, Deadline, Unfinished};
use crate::base::command::Program;
use crate::base::command::piped::Next;
use crate::base::files;
use crate::config::notify::{Command, Post};
use crate::monitor::{self, Error};

/// Gives `body` to the program on standard input, `variables` in its environment.
pub fn run(
    command: &Command,
    body: &[u8],
    variables: &[(&str, String)],
    patience: Duration,
) -> Result<(), Error> {
    let deadline = Deadline::after(patience);
    let path = files::trusted_program(&command.program)?;
    let arguments = command.arguments.iter().map(Into::into).collect();
    let mut program = Program::plain(path.clone(), arguments);
    program.environment.extend(variables.iter().map(|(key, value)| (key.into(), value.into())));
    let failed = |source| monitor::failed(format!("cannot talk to {}", path.display()), source);
    let mut running = program.talk_with(body, MAX_LINE)?;
    let mut said = String::new();
    while let Some(left) = deadline.remaining() {
        match running.next(&[], left).map_err(failed)? {
            Next::Err(line) => said = String::from_utf8_lossy(&line).into_owned(),
            Next::Ended => break,
            Next::Out(_) | Next::Woken(_) | Next::Silence => {}
        }
    }
    let left = deadline.remaining().unwrap_or_default();
    match running.end(left).map_err(failed)? {
        None => {
            running.kill_all();
            Err(slow(&path.display(), patience))
        }
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{} ended with {status}: {said}", path.display()).into()),
    }
}

/// Posts `body`, which is JSON. Certificates are verified, redirects are failures.
pub fn post(post: &Post, body: &[u8], patience: Duration) -> Result<(), Error> {
    let host = post.url.host_str().unwrap_or_default().to_owned();
    let headers = headers(post)?;
    let (url, body, to) = (post.url.clone(), body.to_owned(), host.clone());
    let work = move || -> Result<(), Error> {
        let failed = |error: reqwest::Error| unposted(&to, error.without_url());
        let port = url.port_or_known_default().unwrap_or_default();
        let unresolved = |source| monitor::failed(format!("cannot resolve {to}"), source);
        let name = to.trim_matches(['[', ']']);
        let addresses: Vec<_> = (name, port).to_socket_addrs().map_err(unresolved)?.collect();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .timeout(patience)
            // Else reqwest resolves on a thread of its own, and panics where there is none left.
            .resolve_to_addrs(&to, &addresses)
            .user_agent(concat!("certbaton/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(failed)?;
        let answer = client.post(url).headers(headers).body(body).send().map_err(failed)?;
        let status = answer.status();
        let refused = || format!("{to} answered {status}").into();
        status.is_success().then_some(()).ok_or_else(refused)
    };
    // The client's own timeout does not hold for the resolver.
    match clock::within(&Deadline::after(patience), work) {
        Ok(done) => done,
        Err(Unfinished::Passed(_)) => Err(slow(&host, patience)),
        Err(unfinished @ Unfinished::Thread(_)) => {
            Err(unposted(&host, io::Error::from(unfinished)))
        }
    }
}

fn slow(to: &impl fmt::Display, patience: Duration) -> Error {
    format!("{to} did not take it in {} s", patience.as_secs()).into()
}

/// The host alone: the URL may itself be a secret.
fn unposted(host: &str, source: impl Into<Error>) -> Error {
    monitor::failed(format!("cannot post to {host}"), source)
}

fn headers(post: &Post) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Some(path) = &post.header_file else { return Ok(headers) };
    let bytes = files::read_secret(path)?;
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let header = || {
            let colon = line.iter().position(|&b| b == b':')?;
            let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
            let mut value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        };
        let wrong = || {
            let place = format!("{}:{}", path.display(), index + 1);
            format!("{place}: not a header line, such as `Authorization: Bearer …`")
        };
        let (name, value) = header().ok_or_else(wrong)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Longer lines of a program come in pieces.
const MAX_LINE: usize = 500;
