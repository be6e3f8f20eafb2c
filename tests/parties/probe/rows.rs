//! test: the rules table: each way to answer, whose rule decides, and what comes out.
//!
//! Boulder's functions are those of `va/http.go` unless another file is named.

use std::time::Duration;

use openssl::ssl::SslVersion;

use crate::probe::matrix::{Place, SHORT, WHOLE, file};
use crate::probe::server::{Act, Server, answer, redirect};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    Fails,
}
use Verdict::{Fails, Passes};

/// What pebble 2.4.0 (`va/va.go`) makes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pebbles {
    Same,
    /// The opposite, and why.
    Differs(&'static str),
}
use Pebbles::{Differs, Same};

/// Which records the name has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dns {
    Both,
    V4,
    V6,
    /// Both; packets to the IPv6 address vanish.
    Hole,
    /// Both; there is no route to the IPv6 address.
    Nowhere,
    None,
}

pub(crate) struct Row {
    pub(crate) case: &'static str,
    /// Boulder's function.
    pub(crate) rule: &'static str,
    pub(crate) dns: Dns,
    pub(crate) boulder: Verdict,
    pub(crate) pebble: Pebbles,
    pub(crate) time: Duration,
    pub(crate) servers: fn(&Place) -> Vec<Server>,
}

const fn row(
    case: &'static str,
    rule: &'static str,
    dns: Dns,
    boulder: Verdict,
    pebble: Pebbles,
    servers: fn(&Place) -> Vec<Server>,
) -> Row {
    Row { case, rule, dns, boulder, pebble, time: WHOLE, servers }
}

const fn stalling(mut row: Row) -> Row {
    row.time = SHORT;
    row
}

const NO_FALLBACK: &str = "since it never tries a second address (resolveIP)";
const TRIMS_LESS: &str = "since it trims only line ends and tabs (whitespaceCutset)";
const GO_REDIRECTS: &str = "since it follows redirects as Go does by default (fetchHTTP)";

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    // Addresses
    row("both addresses answer", "newHTTPValidationTarget", Dns::Both, Passes, Same,
        |p| vec![p.good(p.v4()), p.good(p.v6())]),
    row("only IPv4 in DNS", "newHTTPValidationTarget", Dns::V4, Passes, Same, |p| vec![p.good(p.v4())]),
    row("only IPv6 in DNS", "newHTTPValidationTarget", Dns::V6, Passes, Same, |p| vec![p.good(p.v6())]),
    row("neither in DNS", "va/dns.go: getAddrs", Dns::None, Fails, Same, |_| vec![]),
    row("IPv6 right, IPv4 wrong", "newHTTPValidationTarget", Dns::Both, Passes, Same,
        |p| vec![p.good(p.v6()), p.serve(p.v4(), |_, _| Act::Reply(answer(404, b"")))]),
    row("IPv6 refused, IPv4 right", "fallbackErr", Dns::Both, Passes, Differs(NO_FALLBACK),
        |p| vec![p.good(p.v4())]),
    row("IPv6 black-holed, IPv4 right", "va/va.go: singleDialTimeout", Dns::Hole, Passes, Differs(NO_FALLBACK),
        |p| vec![p.good(p.v4())]),
    row("IPv6 without a route, IPv4 right", "fallbackErr", Dns::Nowhere, Passes, Differs(NO_FALLBACK),
        |p| vec![p.good(p.v4())]),
    row("IPv6 wrong, IPv4 right", "fallbackErr", Dns::Both, Fails, Same,
        |p| vec![p.good(p.v4()), p.serve(p.v6(), |_, _| Act::Reply(answer(404, b"")))]),
    row("IPv6 resets, IPv4 right", "fallbackErr", Dns::Both, Fails, Same,
        |p| vec![p.good(p.v4()), p.serve(p.v6(), |_, _| Act::Reset(Vec::new()))]),
    stalling(row("IPv6 mute, IPv4 right", "fallbackErr", Dns::Both, Fails, Same,
        |p| vec![p.good(p.v4()), p.serve(p.v6(), |_, _| Act::Hold(Vec::new()))])),
    row("both refuse", "fallbackErr", Dns::Both, Fails, Same, |_| vec![]),

    // Answers
    row("HTTP/1.0", "processHTTPValidation", Dns::Both, Passes, Same,
        |p| p.framed(|c| format!("HTTP/1.0 200 OK\r\n\r\n{c}").into_bytes())),
    row("chunked", "processHTTPValidation", Dns::Both, Passes, Same,
        |p| p.framed(|c| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{c}\r\n0\r\n\r\n", c.len()).into_bytes())),
    row("status 201 with the right file", "processHTTPValidation", Dns::Both, Fails, Same,
        |p| p.framed(|c| answer(201, c.as_bytes()))),
    row("another file", "validateHTTP01", Dns::Both, Fails, Same,
        |p| p.framed(|_| answer(200, b"another"))),
    row("half an answer", "processHTTPValidation", Dns::Both, Fails, Same,
        |p| p.framed(|c| format!("HTTP/1.1 200 OK\r\nContent-Length: 120\r\n\r\n{c}").into_bytes())),
    stalling(row("a slow answer that never ends", "processHTTPValidation: ctx deadline", Dns::Both, Fails, Same,
        |p| vec![p.serve(p.v6(), |_, _| Act::Dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".to_vec()))])),
    row("127 bytes with line ends", "maxResponseSize", Dns::Both, Passes, Same,
        |p| p.framed(|c| answer(200, format!("{c:\n<127}").as_bytes()))),
    row("128 bytes with line ends", "maxResponseSize", Dns::Both, Fails, Differs("since it reads all (fetchHTTP)"),
        |p| p.framed(|c| answer(200, format!("{c:\n<128}").as_bytes()))),
    row("a line end after the file", "validateHTTP01", Dns::Both, Passes, Same,
        |p| p.framed(|c| answer(200, format!("{c}\r\n").as_bytes()))),
    row("a space after the file", "validateHTTP01", Dns::Both, Passes, Differs(TRIMS_LESS),
        |p| p.framed(|c| answer(200, format!("{c} ").as_bytes()))),
    row("a Unicode space after the file", "validateHTTP01", Dns::Both, Passes, Differs(TRIMS_LESS),
        |p| p.framed(|c| answer(200, format!("{c}\u{a0}\u{2003}").as_bytes()))),
    row("a space before the file", "validateHTTP01", Dns::Both, Fails, Same,
        |p| p.framed(|c| answer(200, format!(" {c}").as_bytes()))),

    // Redirects
    row("301 on the same host", "processRedirect", Dns::Both, Passes, Same, |p| p.redirected(301, "/moved/")),
    row("308 on the same host", "processRedirect", Dns::Both, Passes, Same, |p| p.redirected(308, "/moved/")),
    row("303", "processRedirect: acceptableRedirects", Dns::Both, Fails, Differs(GO_REDIRECTS),
        |p| p.redirected(303, "/moved/")),
    row("to another host, IPv6 first", "processRedirect: newHTTPValidationTarget", Dns::Both, Passes, Same,
        |p| [p.redirected(302, &format!("http://{}/", p.other())), vec![p.good(p.other_v6()),
            p.serve(p.other_v4(), |_, _| Act::Reply(answer(404, b"")))]].concat_all()),
    row("to another host that is down, IPv4 right", "processHTTPValidation: retry after fallbackErr", Dns::Both, Passes, Differs(NO_FALLBACK),
        |p| { let to = format!("http://{}/x", p.other());
              vec![p.good(p.v4()), p.serve(p.v6(), move |_, _| Act::Reply(redirect(302, &to)))] }),
    row("to another host's IPv4 only by its own fallback", "processRedirect: no fallback of its own", Dns::V6, Fails, Same,
        |p| [p.redirected(302, &format!("http://{}/", p.other())), vec![p.good(p.other_v4())]].concat_all()),
    row("to https whose certificate nobody trusts", "newHTTPClient: InsecureSkipVerify", Dns::Both, Passes, Same,
        |p| [p.redirected(301, &format!("https://{}/", p.other())),
            vec![p.listen(p.other_v6(), 443, Some(Place::tls().build()), file)]].concat_all()),
    row("to https by TLS 1.1", "processRedirect: req.Response.TLS.Version", Dns::Both, Fails, Same,
        |p| { let mut old = Place::tls();
              old.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
              old.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
              old.set_cipher_list("DEFAULT@SECLEVEL=0").unwrap();
              [p.redirected(301, &format!("https://{}/", p.other())),
               vec![p.listen(p.other_v6(), 443, Some(old.build()), file)]].concat_all() }),
    row("to port 8080", "extractRequestTarget", Dns::Both, Fails, Differs(GO_REDIRECTS),
        |p| [p.redirected(301, &format!("http://{}:8080/", p.other())),
            vec![p.listen(p.other_v6(), 8080, None, file)]].concat_all()),
    row("to a private address", "extractRequestTarget: IsReservedAddr", Dns::Both, Fails, Differs(GO_REDIRECTS),
        |p| [p.redirected(301, &format!("http://{}/", p.other_v4())), vec![p.good(p.other_v4())]].concat_all()),
    row("host and path glued together", "extractRequestTarget", Dns::Both, Fails, Same,
        |p| p.redirected(301, &format!("http://{}.well-known/acme-challenge/", p.name()))),
    row("a loop", "processRedirect: loop detection", Dns::Both, Fails, Same,
        |p| p.redirected(302, "/.well-known/acme-challenge/")),
    row("9 redirects", "processRedirect: maxRedirect", Dns::Both, Passes, Same, |p| p.chained(9)),
    row("11 redirects", "processRedirect: maxRedirect", Dns::Both, Passes, Differs(GO_REDIRECTS), |p| p.chained(11)),
    row("12 redirects", "processRedirect: maxRedirect", Dns::Both, Fails, Same, |p| p.chained(12)),
    row("a path of 2001 bytes", "processRedirect: maxPathSize", Dns::Both, Fails, Differs(GO_REDIRECTS),
        |p| p.redirected(301, &format!("/{}/", "p".repeat(2001)))),
];

trait ConcatAll {
    fn concat_all(self) -> Vec<Server>;
}

impl<const N: usize> ConcatAll for [Vec<Server>; N] {
    fn concat_all(self) -> Vec<Server> {
        self.into_iter().flatten().collect()
    }
}
