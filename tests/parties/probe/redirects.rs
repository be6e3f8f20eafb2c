//! test: which redirects a CA follows (Boulder `va/http.go`).

use std::io;
use std::net::{IpAddr, TcpListener};

use certbaton::base::clock::Deadline;
use certbaton::base::names::Hostname;
use certbaton::ca::probe::{Validation, fetch};
use certbaton::ca::redirect::{Ports, RedirectRefusal};
use certbaton::ca::resolve::Resolve;
use certbaton::ca::validation::{Failure, Reach};
use openssl::ssl::SslVersion;

use crate::probe::certificate::{acceptor, self_signed};
use crate::probe::server::{
    Act, NAME, Names, Server, V4, V6, answer, closed, good, later, name, nonce, redirect, soon,
};

fn here() -> Names {
    Names(vec![(NAME, vec![V4]), ("other.example", vec![V4])])
}

/// The challenge path redirects so, and all else has the nonce.
fn via(status: u16, location: &str) -> (Server, Validation) {
    let location = location.to_owned();
    let server = Server::start(V4, move |path| {
        let challenge = path == nonce().token.url_path();
        Act::Hold(if challenge { redirect(status, &location) } else { good() })
    });
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &here(), &later());
    (server, report)
}

fn refusal(status: u16, location: &str) -> RedirectRefusal {
    let (server, report) = via(status, location);
    assert_eq!(server.requests().len(), 1, "nothing more is asked: {report:?}");
    assert_eq!(report.hops.len(), 1);
    match report.verdict {
        Err(failure @ Failure::Redirect { .. }) => {
            assert_eq!(failure.reach(), Reach::Another { status });
            let Failure::Redirect { source, .. } = failure else { unreachable!() };
            source
        }
        other => panic!("{other:?}"),
    }
}

// Boulder: processRedirect, `acceptableRedirects`
#[test]
fn four_statuses_are_followed_and_303_is_not() {
    for status in [301, 302, 307, 308] {
        let (server, report) = via(status, "http://site.example/moved");
        assert!(report.verdict.is_ok(), "{report:?}");
        assert_eq!(report.hops.len(), 2);
        assert_eq!(report.hops[0].outcome.as_ref().ok(), Some(&status));
        assert_eq!(server.requests().len(), 2, "one connection for each request");
    }
    assert_eq!(refusal(303, "http://site.example/moved"), RedirectRefusal::Status(303));
}

// Boulder: processHTTPValidation; Go's `redirectBehavior` decides what a redirect is
#[test]
fn a_redirect_without_location_and_other_3xx_are_wrong_statuses() {
    let (_, report) = via(305, "http://site.example/moved");
    assert!(matches!(report.verdict, Err(Failure::Status { status: 305, .. })), "{report:?}");
    let server = Server::start(V4, |_| Act::Reply(answer(302, b"")));
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &here(), &later());
    assert!(matches!(report.verdict, Err(Failure::Status { status: 302, .. })), "{report:?}");
}

// Boulder: processRedirect, `req.URL` as Go resolved it
#[test]
fn a_relative_location_stays_with_host_and_address() {
    for (location, path) in [
        ("/moved?a=b", "/moved?a=b"),
        ("moved", "/.well-known/acme-challenge/moved"),
        ("../moved", "/.well-known/moved"),
        ("//other.example/moved", "/moved"),
        ("HTTP://SITE.EXAMPLE/moved", "/moved"),
    ] {
        let (server, report) = via(302, location);
        assert!(report.verdict.is_ok(), "{location}: {report:?}");
        let second = &server.requests()[1];
        assert!(second.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{second}");
    }
}

// Boulder: setupHTTPValidation; Go's `refererForURL`
#[test]
fn the_second_request_names_the_new_host_and_where_it_came_from() {
    let (server, report) = via(301, "http://other.example/moved");
    assert!(report.verdict.is_ok(), "{report:?}");
    let second = server.requests()[1].to_ascii_lowercase();
    assert!(second.contains("\r\nhost: other.example\r\n"), "{second}");
    assert!(second.contains("\r\nreferer: http://site.example/.well-known/"), "{second}");
}

// Boulder: extractRequestTarget, one per check
#[test]
fn scheme_port_and_host_of_a_redirect_are_checked() {
    let scheme = |s: &str| RedirectRefusal::Scheme(s.to_owned());
    assert_eq!(refusal(301, "ftp://site.example/x"), scheme("ftp"));
    assert_eq!(refusal(301, "mailto:root@site.example"), scheme("mailto"));
    assert_eq!(refusal(301, "file:///etc/passwd"), scheme("file"));
    let port = refusal(301, "http://site.example:2/x");
    assert!(matches!(port, RedirectRefusal::Port { port: 2, .. }), "{port:?}");
    let glued = refusal(301, "https://site.example.well-known/acme-challenge/x");
    assert_eq!(glued, RedirectRefusal::Glued("site.example.well-known".to_owned()));
    assert_eq!(refusal(301, "https:///x"), RedirectRefusal::NoHost("https:///x".to_owned()));
    assert_eq!(refusal(301, "http://localhost/x"), RedirectRefusal::NoTopLevel(name("localhost")));
    assert_eq!(refusal(301, "http://127.0.0.1/x"), RedirectRefusal::Reserved(V4));
    assert_eq!(refusal(301, "http://[::1]/x"), RedirectRefusal::Reserved(V6));
    let bad = "http://site.example:x/";
    assert_eq!(refusal(301, bad), RedirectRefusal::Unreadable(bad.to_owned()));
}

// Boulder: extractRequestTarget, `va.httpPort` and `va.httpsPort`
#[test]
fn a_port_that_is_named_may_be_either_of_the_two() {
    let other = Server::start(V4, |_| Act::Reply(good()));
    let location = format!("http://site.example:{}/x", other.port());
    let server = Server::start(V4, move |_| Act::Reply(redirect(302, &location)));
    let ports = Ports { http: server.port(), https: other.port() };
    let report = fetch(&name(NAME), &nonce(), V4, ports, &here(), &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert!(other.requests()[0].contains(&format!("site.example:{}\r\n", other.port())));
}

// Boulder: processRedirect, `maxPathSize`
#[test]
fn a_path_of_2000_bytes_is_followed_and_one_more_is_not() {
    let path = |n: usize| format!("/{}", "p".repeat(n - 1));
    let (_, report) = via(301, &path(2000));
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(refusal(301, &path(2001)), RedirectRefusal::TooLong(2001));
}

// Boulder: processRedirect, "Redirect loop detected"
#[test]
fn a_loop_ends_where_it_closes() {
    let own = format!("http://{NAME}{}", nonce().token.url_path());
    assert_eq!(refusal(302, &own), RedirectRefusal::Loop(own.clone()));
    let server =
        Server::start(V4, |path| Act::Reply(redirect(302, if path == "/a" { "/b" } else { "/a" })));
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &here(), &later());
    assert_eq!(report.hops.len(), 3, "{report:?}");
    let Err(Failure::Redirect { source, .. }) = report.verdict else { panic!("{report:?}") };
    assert_eq!(source, RedirectRefusal::Loop("http://site.example/a".to_owned()));
}

// Boulder: processRedirect, `numRedirects > maxRedirect`
#[test]
fn eleven_redirects_are_followed_and_twelve_are_not() {
    let run = |redirects: usize| {
        let server = Server::start(V4, move |path| {
            let done = path.strip_prefix("/r/").map_or(0, |n| n.parse::<usize>().unwrap());
            let next = redirect(307, &format!("/r/{}", done + 1));
            Act::Reply(if done == redirects { good() } else { next })
        });
        fetch(&name(NAME), &nonce(), V4, server.ports(), &here(), &later())
    };
    let report = run(11);
    assert!(report.verdict.is_ok(), "{report:?}");
    let report = run(12);
    assert_eq!(report.hops.len(), 12);
    let Err(Failure::Redirect { source, .. }) = report.verdict else { panic!("{report:?}") };
    assert_eq!(source, RedirectRefusal::TooMany);
}

// Boulder: processRedirect, newHTTPValidationTarget
#[test]
fn a_name_that_does_not_resolve_ends_the_walk() {
    let (_, report) = via(301, "http://unknown.example/x");
    let Err(Failure::Resolve { host, .. }) = &report.verdict else { panic!("{report:?}") };
    assert_eq!(host.as_str(), "unknown.example");
}

fn to_https(port: u16) -> (Server, Ports) {
    let server =
        Server::start(V4, |path| Act::Reply(redirect(301, &format!("https://{NAME}{path}"))));
    let ports = Ports { http: server.port(), https: port };
    (server, ports)
}

// Boulder: httpTransport, `InsecureSkipVerify`
#[test]
fn https_is_followed_whatever_its_certificate_says() {
    let certificate = self_signed("someone-else.invalid");
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let tls = acceptor(&certificate).build();
    let secure = Server::on(listener, Some(tls), |_| Act::Reply(good()));
    let (_plain, ports) = to_https(secure.port());
    let report = fetch(&name(NAME), &nonce(), V4, ports, &here(), &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(report.hops[1].at.address, secure.address);
    let head = secure.requests().remove(0).to_ascii_lowercase();
    assert!(head.contains("\r\nhost: site.example\r\n"), "{head}");
}

// Boulder: processRedirect, `req.Response.TLS.Version`
#[test]
fn tls_before_1_2_is_refused() {
    let mut old = acceptor(&self_signed(NAME));
    old.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
    old.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    old.set_cipher_list("DEFAULT@SECLEVEL=0").unwrap();
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let secure = Server::on(listener, Some(old.build()), |_| Act::Reply(good()));
    let (_plain, ports) = to_https(secure.port());
    let report = fetch(&name(NAME), &nonce(), V4, ports, &here(), &later());
    assert!(matches!(report.verdict, Err(Failure::Handshake { .. })), "{report:?}");
}

// Boulder: fallbackErr, not op "dial"
#[test]
fn plain_http_where_tls_was_promised_and_a_handshake_that_hangs_are_no_failed_dials() {
    let mute = TcpListener::bind((V4, 0)).unwrap();
    let mute_port = mute.local_addr().unwrap().port();
    let talker = TcpListener::bind((V4, 0)).unwrap();
    let talker_port = talker.local_addr().unwrap().port();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = talker.accept().unwrap();
        io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        io::Read::read_to_end(&mut stream, &mut Vec::new()).ok();
    });
    for (port, deadline) in [(talker_port, later()), (mute_port, soon())] {
        let (_plain, ports) = to_https(port);
        let report = fetch(&name(NAME), &nonce(), V4, ports, &here(), &deadline);
        let failure = report.verdict.unwrap_err();
        assert!(matches!(failure, Failure::Handshake { .. }), "{failure:?}");
        assert!(!failure.falls_back());
    }
    talk.join().unwrap();
}

// Boulder: fallbackErr, op "dial"
#[test]
fn https_that_nobody_serves_is_a_failed_dial() {
    let closed = closed(V4, 0).unwrap();
    let (_plain, ports) = to_https(closed.port());
    let report = fetch(&name(NAME), &nonce(), V4, ports, &here(), &later());
    assert!(matches!(report.verdict, Err(Failure::Dial { .. })), "{report:?}");
}

/// A resolver that leads to where nothing may be asked.
struct Fenced(Names);

impl Resolve for Fenced {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        self.0.addresses(host, deadline)
    }

    fn permits(&self, address: IpAddr) -> bool {
        address == V4
    }
}

#[test]
fn no_redirect_leads_to_an_address_that_may_not_be_asked() {
    let inside = Server::start(V6, |_| Act::Hold(good()));
    let fence = Fenced(Names(vec![(NAME, vec![V4]), ("inside.example", vec![V6])]));
    let server = Server::start(V4, |_| Act::Hold(redirect(302, "http://inside.example/x")));
    let report = fetch(&name(NAME), &nonce(), V4, server.ports(), &fence, &later());
    assert!(matches!(report.verdict, Err(Failure::Forbidden(V6))), "{report:?}");
    assert_eq!(report.hops.len(), 1, "it was not even dialled");
    let direct = fetch(&name(NAME), &nonce(), V6, server.ports(), &fence, &later());
    assert!(matches!(direct.verdict, Err(Failure::Forbidden(V6))), "{direct:?}");
    assert_eq!(inside.requests().len(), 0);
}
