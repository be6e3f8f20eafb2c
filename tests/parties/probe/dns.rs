//! test: DNS as the CA asks it, against dnsmasq, and against servers that misbehave.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use certbaton::base::clock::{Deadline, Stopwatch};
use certbaton::ca::caa::{self, Issuance, Objection};
use certbaton::ca::dns::{DnsAnswer, Error, Nameservers};
use certbaton::ca::resolve::Resolve;

use crate::probe::server::{V4, later, name};

const DNSMASQ: &str = "/usr/sbin/dnsmasq";

/// Debian's dnsmasq on a port of its own; it ends when dropped.
pub(crate) struct Dnsmasq {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Dnsmasq {
    /// `None` where it is not installed.
    pub(crate) fn start(records: &[String]) -> Option<Self> {
        if !Path::new(DNSMASQ).exists() {
            println!("skipped: dnsmasq is not installed");
            return None;
        }
        (0..10).find_map(|_| Self::attempt(records))
    }

    fn attempt(records: &[String]) -> Option<Self> {
        let port = UdpSocket::bind((V4, 0)).unwrap().local_addr().unwrap().port();
        let mut child = Command::new(DNSMASQ)
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--listen-address=127.0.0.1", "--local=/example/"])
            .args(["--log-facility=-", "--local-ttl=0"])
            .arg(format!("--port={port}"))
            .args(records)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        // Said after it has bound its sockets; where another one has the port, it ends before.
        let is_up = lines.any(|line| line.contains("started"));
        thread::spawn(move || lines.count());
        let started = Self { child, address: SocketAddr::new(V4, port) };
        is_up.then_some(started)
    }

    fn servers(&self) -> Nameservers {
        Nameservers::these(vec![self.address])
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn records(list: &[&str]) -> Vec<String> {
    list.iter().map(|record| format!("--{record}")).collect()
}

#[test]
fn each_kind_is_asked_apart_and_absent_names_differ_from_absent_records() {
    let list = records(&[
        "host-record=both.example,192.0.2.1,2001:db8::1",
        "host-record=four.example,192.0.2.4",
        "host-record=six.example,2001:db8::6",
        "cname=alias.example,both.example",
    ]);
    let Some(server) = Dnsmasq::start(&list) else { return };
    let servers = server.servers();
    let v4 = |n: &str| servers.ipv4(&name(n), &later()).unwrap();
    let v6 = |n: &str| servers.ipv6(&name(n), &later()).unwrap();
    let (one, two): (Ipv4Addr, Ipv6Addr) =
        ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    for name in ["both.example", "alias.example"] {
        assert_eq!(v4(name), DnsAnswer::Records(vec![one]), "{name}");
        assert_eq!(v6(name), DnsAnswer::Records(vec![two]), "{name}");
    }
    assert_eq!(v6("four.example"), DnsAnswer::NoData);
    assert_eq!(v4("six.example"), DnsAnswer::NoData);
    assert_eq!(v4("none.example"), DnsAnswer::NoName);
    // Nobody to forward to: dnsmasq refuses.
    let refused = servers.ipv4(&name("elsewhere.invalid"), &later()).unwrap_err();
    assert!(refused.to_string().contains("answers REFUSED about A of elsewhere"), "{refused}");
}

#[test]
fn what_does_not_fit_into_a_datagram_comes_by_tcp() {
    let many: Vec<String> =
        (1..=60).map(|n| format!("--host-record=many.example,192.0.2.{n}")).collect();
    let Some(server) = Dnsmasq::start(&many) else { return };
    let found = server.servers().ipv4(&name("many.example"), &later()).unwrap().records();
    assert_eq!(found.len(), 60);
}

#[test]
fn the_caa_records_that_count_are_the_nearest() {
    let list = records(&[
        "host-record=www.a.example,192.0.2.1",
        "caa-record=a.example,0,issue,letsencrypt.org; validationmethods=dns-01",
        "caa-record=a.example,0,iodef,mailto:root@a.example",
        "caa-record=own.a.example,0,issue,letsencrypt.org",
        "caa-record=critical.example,128,tbs,unknown",
        "caa-record=closed.example,0,issue,;",
        "dns-rr=raw.example,257,000569737375656c657473656e63727970742e6f7267",
    ]);
    let Some(server) = Dnsmasq::start(&list) else { return };
    let verdict = |n: &str| {
        let request = Issuance {
            issuer: "letsencrypt.org",
            wildcard: false,
            method: "http-01",
            account: None,
        };
        let found = server.servers().relevant_caa(&name(n), &later()).unwrap();
        let at = found.as_ref().map(|found| found.at.as_str().to_owned());
        (at.unwrap_or_default(), caa::judge(found.as_ref(), &request))
    };
    for n in ["a.example", "www.a.example", "absent.www.a.example"] {
        let (at, objection) = verdict(n);
        assert_eq!(at, "a.example", "{n}");
        assert!(matches!(objection, Err(Objection::Method { .. })), "{n}: {objection:?}");
    }
    assert_eq!(verdict("own.a.example"), ("own.a.example".to_owned(), Ok(())));
    assert_eq!(verdict("www.raw.example"), ("raw.example".to_owned(), Ok(())));
    assert_eq!(verdict("free.example"), (String::new(), Ok(())));
    let (_, objection) = verdict("critical.example");
    assert!(matches!(objection, Err(Objection::Critical { .. })), "{objection:?}");
    let (_, objection) = verdict("closed.example");
    assert!(matches!(objection, Err(Objection::Issuer { .. })), "{objection:?}");
}

/// A name server that answers each question by `act`, which is given its bytes and may send many.
fn play(act: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            for reply in act(&buffer[..length]) {
                socket.send_to(&reply, from).ok();
            }
        }
    });
    address
}

/// The answer 192.0.2.`last` to `query`.
fn reply(query: &[u8], last: u8) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2] |= 0x80;
    reply[7] = 1;
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
    reply
}

fn fails(query: &[u8], code: u8) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2] |= 0x80;
    reply[3] |= code;
    reply
}

fn first(found: Result<DnsAnswer<Ipv4Addr>, Error>) -> u8 {
    found.unwrap().records()[0].octets()[3]
}

// RFC 5452 §9.1
#[test]
fn answers_to_other_questions_are_not_taken() {
    let server = play(|query| {
        let (mut id, mut question) = (reply(query, 1), reply(query, 2));
        id[0] ^= 1;
        question[13] ^= 1;
        vec![id, question, query.to_vec(), vec![], reply(query, 3)]
    });
    let servers = Nameservers::these(vec![server]);
    assert_eq!(first(servers.ipv4(&name("a.example"), &later())), 3);
}

#[test]
fn a_server_that_fails_or_is_not_there_leaves_it_to_the_next() {
    let (failing, good) = (play(|q| vec![fails(q, 2)]), play(|q| vec![reply(q, 9)]));
    let nobody = UdpSocket::bind((V4, 0)).unwrap().local_addr().unwrap();
    let servers = Nameservers::these(vec![nobody, failing, good]);
    let watch = Stopwatch::start();
    assert_eq!(first(servers.ipv4(&name("a.example"), &later())), 9);
    assert!(watch.elapsed() < Duration::from_secs(2), "a refused port is known at once");

    let error = Nameservers::these(vec![nobody, failing]).caa(&name("a.example"), &later());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("answers SERVFAIL about CAA of a.example"), "{error}");
    // What could be hidden by an error is not climbed past.
    let error = Nameservers::these(vec![failing]).relevant_caa(&name("a.example"), &later());
    assert!(matches!(error, Err(Error::Failed { .. })), "{error:?}");
}

#[test]
fn silence_ends_at_the_deadline_by_udp_and_by_tcp() {
    let mute = play(|_| Vec::new());
    // It says "too long, come by TCP" and then nothing.
    let tcp = TcpListener::bind((V4, 0)).unwrap();
    let cut = UdpSocket::bind(tcp.local_addr().unwrap()).unwrap();
    let half = cut.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = cut.recv_from(&mut buffer) {
            let mut reply = buffer[..length].to_vec();
            reply[2] |= 0x82;
            cut.send_to(&reply, from).ok();
        }
    });
    for server in [mute, half] {
        let watch = Stopwatch::start();
        let deadline = Deadline::after(Duration::from_millis(300));
        let found = Nameservers::these(vec![server]).ipv4(&name("a.example"), &deadline);
        assert!(matches!(found, Err(Error::Silent { .. })), "{found:?}");
        assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    }
}

// Boulder: va/dns.go, getAddrs
#[test]
fn one_family_that_fails_does_not_hide_the_other_and_both_are_an_error() {
    const AAAA: u8 = 28;
    let half = play(|query| {
        let is_v6 = query[query.len() - 3] == AAAA;
        vec![if is_v6 { fails(query, 2) } else { reply(query, 4) }]
    });
    let found = Nameservers::these(vec![half]).addresses(&name("a.example"), &later());
    assert_eq!(found.unwrap(), [IpAddr::from([192, 0, 2, 4])]);
    let none = Nameservers::these(vec![play(|query| vec![fails(query, 2)])]);
    let error = none.addresses(&name("a.example"), &later()).unwrap_err();
    assert!(error.to_string().contains("SERVFAIL about AAAA of a.example"), "{error}");
}
