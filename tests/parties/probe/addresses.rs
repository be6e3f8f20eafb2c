//! test: which addresses a CA asks, and when the second (Boulder `va/http.go`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use certbaton::base::clock::Deadline;
use certbaton::ca::probe::{Validation, fetch, validate};
use certbaton::ca::redirect::{Ports, RedirectRefusal};
use certbaton::ca::resolve::Pinned;
use certbaton::ca::validation::{Failure, Reach};

use crate::probe::server::{
    Act, NAME, Names, Server, V4, V6, answer, both, closed, good, later, name, nonce, redirect,
    v4_only,
};

fn dual() -> Names {
    Names(vec![(NAME, vec![V4, V6])])
}

fn asked(report: &Validation) -> Vec<IpAddr> {
    report.hops.iter().map(|h| h.at.address.ip()).collect()
}

// Boulder: newHTTPValidationTarget
#[test]
fn v6_is_asked_first_and_alone_if_it_answers() {
    let (v6, v4) = both();
    let v6 = Server::on(v6, None, |_| Act::Reply(good()));
    let v4 = Server::on(v4, None, |_| Act::Reply(good()));
    let report = validate(&name(NAME), &nonce(), v6.ports(), &dual(), &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!((report.address, asked(&report)), (Some(V6), vec![V6]));
    assert!(v4.requests().is_empty());
}

// Boulder: fallbackErr
#[test]
fn v4_is_asked_if_v6_refuses_the_connection() {
    let (_refusing, v4) = v4_only(|_| Act::Reply(good()));
    let report = validate(&name(NAME), &nonce(), v4.ports(), &dual(), &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!((report.address, asked(&report)), (Some(V4), vec![V6, V4]));
    let first = report.hops[0].outcome.as_ref().unwrap_err();
    assert_eq!(first.reach(), Reach::Nothing);
}

// Boulder: fallbackErr, preresolvedDialer.DialContext
#[test]
fn v4_is_asked_if_v6_swallows_packets_and_time_is_left() {
    let (hole, v4) = v4_only(|_| Act::Reply(good()));
    let _filling = hole.swallow();
    let deadline = Deadline::after(Duration::from_secs(3));
    let report = validate(&name(NAME), &nonce(), v4.ports(), &dual(), &deadline);
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(asked(&report), [V6, V4]);
    assert!(matches!(report.hops[0].outcome, Err(Failure::Dial { .. })), "{report:?}");
}

// Boulder: fallbackErr, "only dial errors"
#[test]
fn v4_is_not_asked_if_v6_answers_wrong_or_breaks_off() {
    let acts: [fn() -> Act; 4] = [
        || Act::Reply(answer(404, b"")),
        || Act::Reply(answer(200, b"another")),
        || Act::Reset(Vec::new()),
        || Act::Reply(redirect(301, "http://unknown.example/")),
    ];
    for act in acts {
        let (v6, v4) = both();
        let v6 = Server::on(v6, None, move |_| act());
        let v4 = Server::on(v4, None, |_| Act::Reply(good()));
        let report = validate(&name(NAME), &nonce(), v6.ports(), &dual(), &later());
        assert!(report.verdict.is_err(), "{report:?}");
        assert_eq!((report.address, asked(&report)), (Some(V6), vec![V6]));
        assert!(v4.requests().is_empty());
    }
}

// Boulder: va/dns.go, getAddrs
#[test]
fn a_name_without_addresses_or_unknown_is_asked_nothing() {
    let ports = Ports { http: 1, https: 1 };
    let report = validate(&name(NAME), &nonce(), ports, &Names(vec![(NAME, vec![])]), &later());
    assert!(matches!(report.verdict, Err(Failure::NoAddress(_))), "{report:?}");
    let report = validate(&name(NAME), &nonce(), ports, &Names(vec![]), &later());
    assert!(matches!(report.verdict, Err(Failure::Resolve { .. })), "{report:?}");
    assert!(report.hops.is_empty() && report.address.is_none());
}

// Boulder: processRedirect (the target's own v4 is never tried), then
// processHTTPValidation (a dial error anywhere retries the first URL on v4)
#[test]
fn a_redirect_whose_dial_fails_sends_the_first_url_to_v4() {
    let (v6, v4) = both();
    let v6 = Server::on(v6, None, |_| Act::Reply(redirect(302, "https://other.example/")));
    let v4 = Server::on(v4, None, |_| Act::Reply(good()));
    let (_refusing, alive) = v4_only(|_| Act::Reply(good()));
    let ports = Ports { http: v6.port(), https: alive.port() };
    let names = Names(vec![(NAME, vec![V6, V4]), ("other.example", vec![V6, V4])]);
    let report = validate(&name(NAME), &nonce(), ports, &names, &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(asked(&report), [V6, V6, V4]);
    assert_eq!(v4.requests().len(), 1);
    assert!(alive.requests().is_empty());
}

// Boulder: processRedirect, `records` outlives the fallback
#[test]
fn the_second_try_may_not_redirect_to_what_the_first_has_asked() {
    let (v6, v4) = both();
    let reply = || Act::Reply(redirect(302, "https://other.example/"));
    let v6 = Server::on(v6, None, move |_| reply());
    let _v4 = Server::on(v4, None, move |_| reply());
    let refusing = closed(V6, 0).unwrap();
    let ports = Ports { http: v6.port(), https: refusing.port() };
    let names = Names(vec![(NAME, vec![V6, V4]), ("other.example", vec![V6])]);
    let report = validate(&name(NAME), &nonce(), ports, &names, &later());
    assert_eq!(asked(&report), [V6, V6, V4]);
    let Err(Failure::Redirect { source, .. }) = report.verdict else { panic!("{report:?}") };
    assert_eq!(source, RedirectRefusal::Loop("https://other.example/".to_owned()));
}

#[test]
fn a_pinned_walk_stays_at_its_address_through_redirects_among_its_names() {
    let (v6, v4) = both();
    let to_other = |path: &str| match path {
        "/x" => Act::Reply(good()),
        _ => Act::Reply(redirect(302, "http://www.site.example/x")),
    };
    let v6 = Server::on(v6, None, to_other);
    let v4 = Server::on(v4, None, to_other);
    let names = BTreeSet::from([name(NAME), name("www.site.example")]);
    let pinned = Pinned { address: V4, names, otherwise: Names(vec![]) };
    let report = fetch(&name(NAME), &nonce(), V4, v4.ports(), &pinned, &later());
    assert!(report.verdict.is_ok(), "{report:?}");
    assert_eq!(asked(&report), [V4, V4]);
    assert!(v6.requests().is_empty());
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new(this);
    again.args(["--exact", "probe::answers::the_request_is_the_cas_with_the_bare_name_as_host"]);
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        again.env(variable, "http://127.0.0.1:1");
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
