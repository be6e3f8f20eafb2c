//! system: what the name servers of this host say, each kind of record by itself.
//!
//! Not the system's resolver (`resolve`): no `/etc/hosts`, no search list, and an
//! absent record, an absent name and a failure are told apart (RFC 2308).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::base::clock::Deadline;
use crate::base::files;
use crate::base::names::Hostname;
use crate::ca::caa::{self, CaaRecord, Relevant};
use crate::ca::resolve::Resolve;

/// What there is of one kind under a name, aliases (CNAME) followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsAnswer<T> {
    /// Records, in the order of the answer.
    Records(Vec<T>),
    /// The name is there, records of this kind are not.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoName,
}

impl<T> DnsAnswer<T> {
    /// The records, if any.
    pub fn records(self) -> Vec<T> {
        match self {
            Self::Records(records) => records,
            Self::NoData | Self::NoName => Vec::new(),
        }
    }
}

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Who may issue certificates.
    Caa,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
        })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `/etc/resolv.conf`.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A name that no question can hold.
    #[error("{0} cannot be asked for in DNS")]
    Name(Hostname),
    /// Nobody answered in time, which need not be the name's fault: it is the same for all names.
    #[error("no answer from {servers}: {why}; see that a name server runs there")]
    Silent {
        /// Who was asked.
        servers: String,
        /// What happened at the last attempt.
        why: io::Error,
    },
    /// The server answered that it cannot answer.
    #[error(
        "{server} answers {code} about {kind} of {name}, which stops a CA too; see that the zone's name servers and its DNSSEC signatures are in order"
    )]
    Failed {
        /// The name.
        name: Hostname,
        /// The kind.
        kind: RecordType,
        /// Who answered.
        server: SocketAddr,
        /// `SERVFAIL`, `REFUSED`, ….
        code: String,
    },
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameservers(Vec<SocketAddr>);

impl Nameservers {
    /// Those of `/etc/resolv.conf`.
    pub fn system() -> Result<Self, Error> {
        match files::read_foreign(Path::new("/etc/resolv.conf")) {
            Ok(bytes) => Ok(Self::of(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.is_missing() => Ok(Self::of("")),
            Err(error) => Err(error.into()),
        }
    }

    /// These, in this order.
    pub fn these(servers: Vec<SocketAddr>) -> Self {
        Self(servers)
    }

    /// resolv.conf(5): at most three, and this host if there is none.
    fn of(text: &str) -> Self {
        let words = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let server = |words: Vec<&str>| match words[..] {
            ["nameserver", address, ..] => with_zone(address),
            _ => None,
        };
        let mut found: Vec<SocketAddr> = words.filter_map(server).take(3).collect();
        if found.is_empty() {
            found.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Self(found)
    }

    /// The IPv4 addresses of `name`.
    pub fn ipv4(&self, name: &Hostname, deadline: &Deadline) -> Result<DnsAnswer<Ipv4Addr>, Error> {
        self.ask(name, RecordType::A, deadline, |data| match data {
            RData::A(a) => Some(Ipv4Addr::from(a.address)),
            _ => None,
        })
    }

    /// The IPv6 addresses of `name`.
    pub fn ipv6(&self, name: &Hostname, deadline: &Deadline) -> Result<DnsAnswer<Ipv6Addr>, Error> {
        self.ask(name, RecordType::Aaaa, deadline, |data| match data {
            RData::AAAA(a) => Some(Ipv6Addr::from(a.address)),
            _ => None,
        })
    }

    /// Whether there is no address under `name`, of either kind, by the servers' own word: where
    /// one of the two is not answered, nobody knows.
    pub fn denies(&self, name: &Hostname, deadline: &Deadline) -> bool {
        let v6 = || self.ipv6(name, deadline).is_ok_and(|found| found.records().is_empty());
        let v4 = || self.ipv4(name, deadline).is_ok_and(|found| found.records().is_empty());
        v6() && v4()
    }

    /// The CAA records of `name` itself.
    pub fn caa(&self, name: &Hostname, deadline: &Deadline) -> Result<DnsAnswer<CaaRecord>, Error> {
        self.ask(name, RecordType::Caa, deadline, |data| match data {
            RData::CAA(caa) => Some(CaaRecord {
                flags: caa.flag,
                tag: caa.tag.to_string(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            }),
            _ => None,
        })
    }

    /// The CAA records that count for `name`.
    pub fn relevant_caa(
        &self,
        name: &Hostname,
        deadline: &Deadline,
    ) -> Result<Option<Relevant>, Error> {
        caa::relevant(name, |at| Ok(self.caa(at, deadline)?.records()))
    }

    fn both(&self, host: &Hostname, deadline: &Deadline) -> Result<Vec<IpAddr>, Error> {
        let (v6, v4) = (self.ipv6(host, deadline), self.ipv4(host, deadline));
        match (v6, v4) {
            (Err(error), Err(_)) => Err(error),
            (v6, v4) => {
                let v6 = v6.map(DnsAnswer::records).unwrap_or_default();
                let v4 = v4.map(DnsAnswer::records).unwrap_or_default();
                Ok(v6.into_iter().map(IpAddr::V6).chain(v4.into_iter().map(IpAddr::V4)).collect())
            }
        }
    }

    fn ask<T>(
        &self,
        name: &Hostname,
        kind: RecordType,
        deadline: &Deadline,
        read: impl Fn(&RData<'_>) -> Option<T>,
    ) -> Result<DnsAnswer<T>, Error> {
        let qname = Name::new(name.as_str()).map_err(|_| Error::Name(name.clone()))?;
        let mut why = io::Error::from(io::ErrorKind::TimedOut);
        let mut failed = None;
        for server in std::iter::repeat_n(&self.0, ROUNDS).flatten() {
            let Some(left) = deadline.remaining() else { break };
            let attempt = Deadline::after(left.min(ATTEMPT_TIME));
            let reply = match exchange(*server, &qname, kind, &attempt) {
                Ok(reply) => reply,
                Err(error) => {
                    why = error;
                    continue;
                }
            };
            // Was parsed once already.
            let Ok(packet) = Packet::parse(&reply) else { continue };
            match packet.rcode() {
                RCODE::NoError => return Ok(found(&packet, &qname, read)),
                RCODE::NameError => return Ok(DnsAnswer::NoName),
                code => {
                    let (name, server) = (name.clone(), *server);
                    let code = code_name(code);
                    failed = failed.or(Some(Error::Failed { name, kind, server, code }));
                }
            }
        }
        let silent = || {
            let servers: Vec<String> = self.0.iter().map(SocketAddr::to_string).collect();
            Error::Silent { servers: servers.join(", "), why }
        };
        Err(failed.unwrap_or_else(silent))
    }
}

/// Both families, as the CA asks for them: an error only if both fail (`va/dns.go:getAddrs`).
/// An address that Boulder drops as reserved stays: a laboratory has nothing else.
impl Resolve for Nameservers {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        self.both(host, deadline).map_err(io::Error::other)
    }
}

/// What `packet` holds for the name, by whatever aliases it lists.
fn found<T>(
    packet: &Packet<'_>,
    name: &Name<'_>,
    read: impl Fn(&RData<'_>) -> Option<T>,
) -> DnsAnswer<T> {
    let mut owner = name.clone();
    for _ in 0..packet.answers.len() {
        let alias = packet.answers.iter().find_map(|record| match &record.rdata {
            RData::CNAME(alias) if record.name == owner => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    let own = packet.answers.iter().filter(|record| record.name == owner);
    let records: Vec<T> = own.filter_map(|record| read(&record.rdata)).collect();
    if records.is_empty() { DnsAnswer::NoData } else { DnsAnswer::Records(records) }
}

/// One question and its answer; by TCP too if it does not fit (RFC 7766).
///
/// Without EDNS: what is asked for here is short, and some routers' forwarders fail on it.
fn exchange(
    server: SocketAddr,
    name: &Name<'_>,
    kind: RecordType,
    deadline: &Deadline,
) -> io::Result<Vec<u8>> {
    let mut id = [0; 2];
    openssl::rand::rand_bytes(&mut id)?;
    let mut query = Packet::new_query(u16::from_be_bytes(id));
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let kind = match kind {
        RecordType::A => TYPE::A,
        RecordType::Aaaa => TYPE::AAAA,
        RecordType::Caa => TYPE::CAA,
    };
    let question = Question::new(name.clone(), QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false);
    query.questions.push(question);
    let bytes = query.build_bytes_vec().map_err(io::Error::other)?;
    let reply = by_udp(server, &bytes, &query, deadline)?;
    let is_cut = Packet::parse(&reply).map_or(true, |p| p.has_flags(PacketFlag::TRUNCATION));
    if is_cut { by_tcp(server, &bytes, &query, deadline) } else { Ok(reply) }
}

fn by_udp(
    server: SocketAddr,
    bytes: &[u8],
    query: &Packet<'_>,
    deadline: &Deadline,
) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The kernel picks a random port (RFC 5452), and passes only what comes from `server`.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(bytes)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let length = socket.recv(&mut buffer)?;
        if is_reply(&buffer[..length], query) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

fn by_tcp(
    server: SocketAddr,
    bytes: &[u8],
    query: &Packet<'_>,
    deadline: &Deadline,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat())?;
    let mut read = |wanted: usize| {
        let mut buffer = vec![0; wanted];
        let mut done = 0;
        while done < wanted {
            stream.set_read_timeout(Some(left(deadline)?))?;
            match stream.read(&mut buffer[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => done += more,
            }
        }
        io::Result::Ok(buffer)
    };
    let length = read(2)?;
    let reply = read(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
    let other = || io::Error::new(io::ErrorKind::InvalidData, "an answer to another question");
    let is_whole = is_reply(&reply, query) && Packet::parse(&reply).is_ok();
    if is_whole { Ok(reply) } else { Err(other()) }
}

/// Whether `bytes` answer this very question. What is cut off may not be readable to its end,
/// so only the header and the question are looked at.
fn is_reply(bytes: &[u8], query: &Packet<'_>) -> bool {
    let Ok(question) = query.build_bytes_vec() else { return false };
    let header = |n: usize| bytes.get(n).copied().unwrap_or_default();
    let asked = question.get(12..).unwrap_or_default();
    let echoed = bytes.get(12..12 + asked.len()).unwrap_or_default();
    header(2) & 0x80 != 0
        && bytes.get(..2) == question.get(..2)
        // A server that fails may leave the question out.
        && (echoed.eq_ignore_ascii_case(asked) || (header(3) & 0x0f != 0 && header(5) == 0))
}

fn left(deadline: &Deadline) -> io::Result<Duration> {
    deadline.remaining().ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// The names that dig(1) uses.
fn code_name(code: RCODE) -> String {
    match code {
        RCODE::FormatError => "FORMERR".to_owned(),
        RCODE::ServerFailure => "SERVFAIL".to_owned(),
        RCODE::NotImplemented => "NOTIMP".to_owned(),
        RCODE::Refused => "REFUSED".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An address, for link-local ones with the zone that they need: `fe80::1%eth0`.
fn with_zone(text: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    let index = zone.parse().or_else(|_| nix::net::if_::if_nametoindex(zone)).ok()?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, index).into())
}

const PORT: u16 = 53;

/// resolv.conf(5): `attempts`, and `timeout` a little shorter.
const ROUNDS: usize = 2;
const ATTEMPT_TIME: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_resolv_conf_are_read_as_glibc_reads_them() {
        let of = |text: &str| Nameservers::of(text).0.iter().map(ToString::to_string).collect();
        let none: Vec<String> = of("# nameserver 192.0.2.1\nsearch a.example\noptions edns0\n");
        assert_eq!(none, ["127.0.0.1:53"]);
        let four: Vec<String> =
            of("nameserver 192.0.2.1\nnameserver\t2001:db8::1 # home\nnameserver nonsense\n\
             nameserver fe80::1%1\nnameserver 192.0.2.4\n");
        assert_eq!(four, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]);
    }
}
