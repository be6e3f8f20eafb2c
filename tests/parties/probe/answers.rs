//! test: what a CA accepts for an answer (Boulder `va/http.go`).

use std::time::Duration;

use certbaton::base::clock::{Deadline, Stopwatch};
use certbaton::ca::probe::{Validation, fetch};
use certbaton::ca::redirect::Ports;
use certbaton::ca::validation::{Failure, Reach};

use crate::probe::server::{
    Act, NAME, Names, Server, V4, V6, answer, closed, good, later, name, nonce, soon,
};

fn probe(act: impl Fn(&str) -> Act + Send + 'static, deadline: &Deadline) -> Validation {
    let server = Server::start(V6, act);
    fetch(&name(NAME), &nonce(), V6, server.ports(), &Names(vec![]), deadline)
}

fn verdict(reply: Vec<u8>) -> Result<(), Failure> {
    probe(move |_| Act::Reply(reply.clone()), &later()).verdict
}

fn padded(length: usize) -> Vec<u8> {
    format!("{:<length$}", nonce().content).into_bytes()
}

fn body_after(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n\r\n", body].concat()
}

// Boulder: setupHTTPValidation, processHTTPValidation
#[test]
fn the_request_is_the_cas_with_the_bare_name_as_host() {
    let server = Server::start(V4, |_| Act::Hold(good()));
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &Names(vec![]), &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(report.hops.len(), 1);
    assert_eq!(report.hops[0].at.address, server.address);
    assert_eq!(report.hops[0].outcome.as_ref().ok(), Some(&200));
    let head = server.requests().remove(0).to_ascii_lowercase();
    let path = nonce().token.url_path().to_ascii_lowercase();
    assert!(head.starts_with(&format!("get {path} http/1.1\r\n")), "{head}");
    for line in ["host: site.example", "accept: */*", "connection: close"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(head.contains("\r\nuser-agent: certbaton/"), "{head}");
    assert_eq!(head.matches("\r\n").count(), 6, "no header more: {head}");
}

// Boulder: processHTTPValidation, `httpResponse.StatusCode != 200`
#[test]
fn only_status_200_passes() {
    for status in [201, 204, 206, 300, 304, 401, 403, 404, 500, 502, 503] {
        let body: &[u8] =
            if matches!(status, 204 | 304) { b"" } else { nonce().content.leak().as_bytes() };
        let failure = verdict(answer(status, body)).unwrap_err();
        assert!(matches!(failure, Failure::Status { status: s, .. } if s == status), "{failure:?}");
        assert_eq!(failure.reach(), Reach::Another { status });
        assert!(!failure.falls_back());
    }
}

// Boulder: processHTTPValidation, `maxResponseSize`
#[test]
fn of_a_body_127_bytes_pass_and_128_do_not() {
    assert!(verdict(answer(200, &padded(127))).is_ok());
    for length in [128, 129, 60_000] {
        let failure = verdict(answer(200, &padded(length))).unwrap_err();
        assert!(matches!(failure, Failure::TooLong { .. }), "{length}: {failure:?}");
        assert_eq!(failure.reach(), Reach::Another { status: 200 });
    }
}

// Boulder: processHTTPValidation, `io.LimitedReader`
#[test]
fn what_lies_beyond_the_limit_is_never_waited_for() {
    let report = probe(|_| Act::Hold(answer(200, &padded(128))), &later());
    assert!(matches!(report.verdict, Err(Failure::TooLong { .. })), "{report:?}");
    let endless = body_after("HTTP/1.1 200 X", &padded(128));
    let report = probe(move |_| Act::Hold(endless.clone()), &later());
    assert!(matches!(report.verdict, Err(Failure::TooLong { .. })), "{report:?}");
}

// Boulder: validateHTTP01, `TrimRightFunc(…, unicode.IsSpace)`
#[test]
fn white_space_at_the_end_is_trimmed_as_unicode_has_it() {
    for end in ["", "\n", "\r\n", " \t\r\n", "\u{b}\u{c}", "\u{a0}", "\u{85}", "\u{2003}\u{3000}"] {
        assert!(verdict(answer(200, (nonce().content + end).as_bytes())).is_ok(), "{end:?}");
    }
    let latin1 = [nonce().content.as_bytes(), b"\xa0"].concat();
    let before = format!(" {}", nonce().content).into_bytes();
    let mark = format!("{}\u{feff}", nonce().content).into_bytes();
    let nul = [nonce().content.as_bytes(), b"\0"].concat();
    for body in [latin1, before, mark, nul, Vec::new(), b"another".to_vec()] {
        let failure = verdict(answer(200, &body)).unwrap_err();
        assert!(matches!(failure, Failure::Mismatch { .. }), "{failure:?}");
    }
}

// Boulder: processHTTPValidation; Go's `net/http` reads the framing
#[test]
fn every_framing_of_http_1_passes() {
    let content = nonce().content;
    let content = content.as_bytes();
    let (first, second) = content.split_at(40);
    let chunk = |c: &[u8]| [format!("{:x}\r\n", c.len()).as_bytes(), c, b"\r\n"].concat();
    let chunked = [chunk(first), chunk(second), b"0\r\n\r\n".to_vec()].concat();
    for reply in [
        body_after("HTTP/1.0 200 OK", content),
        body_after("HTTP/1.1 200 OK\r\nConnection: close", content),
        body_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &chunked),
        [b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), good()].concat(),
    ] {
        let shown = String::from_utf8_lossy(&reply).into_owned();
        assert!(verdict(reply).is_ok(), "{shown}");
    }
}

// Boulder: processHTTPValidation, "Error reading HTTP response body"
#[test]
fn half_an_answer_is_none_even_if_the_half_is_the_nonce() {
    let content = nonce().content;
    let content = content.as_bytes();
    for reply in [
        body_after("HTTP/1.1 200 OK\r\nContent-Length: 120", content),
        body_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"57\r\ncertbaton-01"),
        b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(),
        b"this is not HTTP\r\n\r\n".to_vec(),
        Vec::new(),
    ] {
        let failure = verdict(reply).unwrap_err();
        assert!(matches!(failure, Failure::Broken { .. }), "{failure:?}");
        assert_eq!(failure.reach(), Reach::Silence);
        assert!(!failure.falls_back());
    }
}

// Boulder: fallbackErr, not op "dial"
#[test]
fn a_reset_before_or_within_the_answer_is_no_answer() {
    let half = body_after("HTTP/1.1 200 OK\r\nContent-Length: 120", b"x");
    for reply in [Vec::new(), half] {
        let report = probe(move |_| Act::Reset(reply.clone()), &later());
        assert!(matches!(report.verdict, Err(Failure::Broken { .. })), "{report:?}");
    }
}

// Boulder: processHTTPValidation, the deadline of its context
#[test]
fn whoever_stalls_is_left_at_the_deadline_wherever_he_stalls() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 120\r\n".to_vec();
    let half = [head.clone(), b"\r\ncert".to_vec()].concat();
    let acts: [fn(Vec<u8>) -> Act; 2] = [Act::Hold, Act::Dribble];
    for (stall, act) in acts.into_iter().enumerate() {
        for start in [Vec::new(), b"HTTP/1.1 200 OK\r\nX: ".to_vec(), half.clone()] {
            if stall == 1 && start.is_empty() {
                continue; // a blank first byte is not HTTP: refused at once
            }
            let watch = Stopwatch::start();
            let report = probe(move |_| act(start.clone()), &soon());
            assert!(matches!(report.verdict, Err(Failure::Stalled { .. })), "{report:?}");
            // The server, too, is gone by now: the connection was closed.
            assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
            assert!(report.hops[0].elapsed < Duration::from_secs(2), "{report:?}");
        }
    }
}

// Boulder: preresolvedDialer.DialContext, the deadline of its context
#[test]
fn after_the_deadline_nothing_is_asked() {
    let server = Server::start(V4, |_| Act::Reply(good()));
    let late = Deadline::after(Duration::ZERO);
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &Names(vec![]), &late);
    assert!(matches!(report.verdict, Err(Failure::NoTime(_))), "{report:?}");
    assert!(server.requests().is_empty());
}

// Boulder: fallbackErr, op "dial"
#[test]
fn nobody_listening_is_a_failed_dial_which_names_url_address_and_cause() {
    let closed = closed(V4, 0).unwrap();
    let ports = Ports { http: closed.port(), https: 1 };
    let report = fetch(&name(NAME), &nonce(), V4, ports, &Names(vec![]), &later());
    let failure = report.verdict.unwrap_err();
    assert!(failure.falls_back());
    assert_eq!(failure.reach(), Reach::Nothing);
    let path = nonce().token.url_path();
    let at = format!("http://{NAME}{path} at 127.0.0.1:{}", ports.http);
    assert_eq!(
        failure.to_string(),
        format!("no connection for {at}; see that a server listens there and no firewall drops it")
    );
    let cause = std::error::Error::source(&failure).unwrap().to_string();
    assert_eq!(cause, "Connection refused (os error 111)");
}
