//! test: every way to answer, held against the CA's rules, our validator and the real pebble.
//!
//! In a network of its own, so that ports 80 and 443 are free. Where pebble is known to differ
//! from Boulder the row says why; any other difference is a failure.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use certbaton::base::clock::Deadline;
use certbaton::base::names::ChallengeToken;
use certbaton::ca::dns::Nameservers;
use certbaton::ca::probe::validate;
use certbaton::ca::redirect::Ports;
use certbaton::ca::validation::Nonce;
use openssl::ssl::SslAcceptor;
use support::apache::in_private_network;
use support::say;

use crate::probe::acme::{Account, Acme, Pebble};
use crate::probe::certificate::{acceptor, self_signed};
use crate::probe::dns::Dnsmasq;
use crate::probe::rows::{Dns, Pebbles, ROWS, Row, Verdict};
use crate::probe::server::{Act, Server, answer, name, redirect};

/// Where one row happens: a name and another one, each with two addresses that are its own.
pub(crate) struct Place {
    number: u8,
    thumbprint: String,
}

impl Place {
    pub(crate) fn name(&self) -> String {
        format!("case{}.example", self.number)
    }

    /// A second host, for redirects; it has both addresses, and listens only where a row says so.
    pub(crate) fn other(&self) -> String {
        format!("other{}.example", self.number)
    }

    pub(crate) fn v4(&self) -> IpAddr {
        Ipv4Addr::new(127, 0, 1, self.number).into()
    }

    pub(crate) fn v6(&self) -> IpAddr {
        Ipv6Addr::new(0xfd00, 0xc, 0, 0, 0, 0, 0, self.number.into()).into()
    }

    pub(crate) fn other_v4(&self) -> IpAddr {
        Ipv4Addr::new(127, 0, 2, self.number).into()
    }

    pub(crate) fn other_v6(&self) -> IpAddr {
        Ipv6Addr::new(0xfd00, 0xd, 0, 0, 0, 0, 0, self.number.into()).into()
    }

    /// What the challenge file has that `path` ends in.
    pub(crate) fn content(&self) -> impl Fn(&str) -> String + Send + Clone + use<> {
        let thumbprint = self.thumbprint.clone();
        move |path| format!("{}.{thumbprint}", path.rsplit('/').next().unwrap_or_default())
    }

    /// A server on port 80 whose answers are made from the path and its file's content.
    pub(crate) fn serve(
        &self,
        address: IpAddr,
        act: impl Fn(&str, &str) -> Act + Send + 'static,
    ) -> Server {
        self.listen(address, 80, None, act)
    }

    pub(crate) fn listen(
        &self,
        address: IpAddr,
        port: u16,
        tls: Option<SslAcceptor>,
        act: impl Fn(&str, &str) -> Act + Send + 'static,
    ) -> Server {
        let content = self.content();
        let listener = TcpListener::bind((address, port)).unwrap();
        Server::on(listener, tls, move |path| act(path, &content(path)))
    }

    /// The challenge file, as it should be.
    pub(crate) fn good(&self, address: IpAddr) -> Server {
        self.serve(address, file)
    }

    /// The file's content with something around it.
    pub(crate) fn framed(&self, frame: fn(&str) -> Vec<u8>) -> Vec<Server> {
        let act = move |_: &str, content: &str| Act::Reply(frame(content));
        vec![self.serve(self.v4(), act), self.serve(self.v6(), act)]
    }

    /// A redirect from the challenge path, and the file everywhere else.
    pub(crate) fn redirected(&self, status: u16, to: &str) -> Vec<Server> {
        let to = to.to_owned();
        let act = move |path: &str, content: &str| {
            let token = path.rsplit('/').next().unwrap_or_default();
            if path.starts_with("/.well-known/") {
                Act::Reply(redirect(status, &format!("{to}{token}")))
            } else {
                file(path, content)
            }
        };
        vec![self.serve(self.v4(), act.clone()), self.serve(self.v6(), act)]
    }

    /// `total` redirects one after another, then the file.
    pub(crate) fn chained(&self, total: usize) -> Vec<Server> {
        let act = move |path: &str, content: &str| {
            let done = path.strip_prefix("/r/").and_then(|rest| rest.split('/').next());
            let done = done.map_or(0, |n| n.parse::<usize>().unwrap());
            let token = path.rsplit('/').next().unwrap_or_default();
            let next = redirect(302, &format!("/r/{}/{token}", done + 1));
            if done == total { file(path, content) } else { Act::Reply(next) }
        };
        vec![self.serve(self.v4(), act), self.serve(self.v6(), act)]
    }

    /// A certificate that nobody should trust.
    pub(crate) fn tls() -> openssl::ssl::SslAcceptorBuilder {
        acceptor(&self_signed("someone-else.invalid"))
    }
}

pub(crate) fn file(_: &str, content: &str) -> Act {
    Act::Reply(answer(200, content.as_bytes()))
}

#[test]
fn our_validator_agrees_with_the_rules_and_pebble_where_it_should() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root may have a network of its own");
    }
    if let Some(absent) = [IP, NFT].into_iter().find(|program| !Path::new(program).exists()) {
        return println!("skipped: {absent} is not installed");
    }
    in_private_network(|_| agrees());
}

fn agrees() {
    let account = Account::new();
    let place = |number: usize| Place {
        number: u8::try_from(number + 1).unwrap(),
        thumbprint: account.thumbprint(),
    };
    let places: Vec<Place> = (0..ROWS.len()).map(place).collect();
    lay_network(&places);
    let records: Vec<String> = ROWS.iter().zip(&places).flat_map(|(r, p)| records(r, p)).collect();
    let Some(dns) = Dnsmasq::start(&records) else { return };
    let Some(_pebble) = Pebble::start(dns.address) else {
        return say("skipped: pebble is not installed");
    };
    let servers: Vec<Vec<Server>> =
        ROWS.iter().zip(&places).map(|(row, place)| (row.servers)(place)).collect();
    let rows = ROWS.iter().zip(&places);
    let wrong: Vec<String> = thread::scope(|scope| {
        let (account, dns) = (&account, Nameservers::these(vec![dns.address]));
        let run: Vec<_> = rows
            .map(|(row, place)| {
                let dns = dns.clone();
                scope.spawn(move || {
                    let pebble = scope.spawn(|| Acme::new(account).validate(&place.name()));
                    let ours = ours(row, place, &dns);
                    disagreement(row, &ours, &pebble.join().unwrap())
                })
            })
            .collect();
        run.into_iter().filter_map(|row| row.join().unwrap()).collect()
    });
    drop(servers);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ours(row: &Row, place: &Place, dns: &Nameservers) -> Result<(), String> {
    let token = "certbaton-0123456789abcdefghijklmnopqrstuvw";
    let nonce =
        Nonce { token: ChallengeToken::parse(token).unwrap(), content: place.content()(token) };
    let deadline = Deadline::after(row.time);
    let report = validate(&name(&place.name()), &nonce, Ports::PUBLIC, dns, &deadline);
    report.verdict.map_err(|failure| failure.to_string())
}

fn disagreement(
    row: &Row,
    ours: &Result<(), String>,
    pebbles: &Result<(), String>,
) -> Option<String> {
    let verdict = |r: &Result<(), String>| if r.is_ok() { Verdict::Passes } else { Verdict::Fails };
    let (expected, reason) = match (row.pebble, row.boulder) {
        (Pebbles::Same, boulder) => (boulder, ""),
        (Pebbles::Differs(why), Verdict::Passes) => (Verdict::Fails, why),
        (Pebbles::Differs(why), Verdict::Fails) => (Verdict::Passes, why),
    };
    let Row { case, rule, boulder, .. } = row;
    let mut text = String::new();
    if verdict(ours) != *boulder {
        writeln!(text, "{case} ({rule}): ours is {ours:?}, Boulder's {boulder:?}").unwrap();
    }
    if verdict(pebbles) != expected {
        writeln!(text, "{case}: pebble's is {pebbles:?}, expected {expected:?} {reason}").unwrap();
    }
    (!text.is_empty()).then_some(text)
}

fn lay_network(places: &[Place]) {
    let mut ip = String::new();
    let mut nft =
        "table inet hole { chain in { type filter hook input priority 0; }; }\n".to_owned();
    for (row, place) in ROWS.iter().zip(places) {
        for address in [place.v6(), place.other_v6()] {
            writeln!(ip, "addr add {address}/128 dev lo nodad").unwrap();
        }
        if matches!(row.dns, Dns::Hole) {
            let v6 = place.v6();
            writeln!(nft, "add rule inet hole in ip6 daddr {v6} tcp dport 80 drop").unwrap();
        }
    }
    fed(IP, &["-batch", "-"], &ip);
    fed(NFT, &["-f", "-"], &nft);
}

fn fed(program: &str, arguments: &[&str], text: &str) {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} {arguments:?}\n{text}");
}

fn records(row: &Row, place: &Place) -> Vec<String> {
    let record = |host: String, addresses: &[IpAddr]| {
        addresses.iter().fold(format!("--host-record={host}"), |text, a| format!("{text},{a}"))
    };
    let (v4, v6) = (place.v4(), place.v6());
    // Nobody is there, and no route leads there.
    let nowhere = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
    let own = match row.dns {
        Dns::Both | Dns::Hole => vec![v4, v6],
        Dns::V4 => vec![v4],
        Dns::V6 => vec![v6],
        Dns::Nowhere => vec![v4, nowhere],
        Dns::None => return Vec::new(),
    };
    let other = [place.other_v4(), place.other_v6()];
    vec![record(place.name(), &own), record(place.other(), &other)]
}

const IP: &str = "/usr/sbin/ip";
const NFT: &str = "/usr/sbin/nft";

/// For what stalls: long enough to be seen, and shorter than the CA's 20 s.
pub(crate) const SHORT: Duration = Duration::from_secs(4);

/// The CA's own.
pub(crate) const WHOLE: Duration = Duration::from_secs(20);
