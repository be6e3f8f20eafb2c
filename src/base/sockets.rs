//! system: which sockets and pipes a process holds, and on which it listens.
//!
//! Each is its inode: parent and children of a server share them
//! (proc_pid_fd(5), proc_pid_net(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::sys::socket::sockopt::{AcceptConn, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getsockname, getsockopt, setsockopt,
    socket,
};
use rustix::io::Errno;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::base::files;
use crate::base::process::{self, PidFd, Process, descriptors};

/// Whether a server could listen on `address`; nothing answers there meanwhile, since nothing listens.
pub fn can_bind(address: SocketAddr) -> io::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    // Without the family here, whoever listens does so by another one.
    let flags = SockFlag::SOCK_CLOEXEC;
    let Ok(socket) = socket(family, SockType::Stream, flags, None) else { return Ok(()) };
    setsockopt(&socket, ReuseAddr, &true)?;
    match bind(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Err(errno @ (nix::Error::EADDRINUSE | nix::Error::EADDRNOTAVAIL)) => Err(errno.into()),
        _ => Ok(()),
    }
}

/// Descriptors of one kind: number and inode.
pub type Descriptors = BTreeMap<i32, u64>;

/// What a process holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HeldDescriptors {
    /// Its sockets.
    pub sockets: Descriptors,
    /// Its pipes.
    pub pipes: Descriptors,
}

/// All sockets and pipes that `pid` holds; none if it has ended.
pub fn held(pid: i32) -> io::Result<HeldDescriptors> {
    let mut held = HeldDescriptors::default();
    let listed = descriptors::find(pid, |number, link| {
        // Nothing of one that is closed meanwhile.
        match link.ok().and_then(kind) {
            Some((Kind::Socket, inode)) => held.sockets.insert(number, inode),
            Some((Kind::Pipe, inode)) => held.pipes.insert(number, inode),
            None => None,
        };
        None::<()>
    });
    match listed {
        Err(error) if is_gone(&error) => Ok(held),
        listed => listed.map(|_| held),
    }
}

/// Whether `pid` has one of `sockets` under the number that is noted with it.
pub fn any_open(pid: i32, sockets: &Descriptors) -> bool {
    sockets.iter().any(|(number, inode)| is_at(pid, *number, (Kind::Socket, *inode)))
}

/// The inodes of those of `pipes` that `pid` has under the numbers that are noted with them.
pub fn still_open(pid: i32, pipes: &Descriptors) -> BTreeSet<u64> {
    let is_open = |(number, inode): &(&i32, &u64)| is_at(pid, **number, (Kind::Pipe, **inode));
    pipes.iter().filter(is_open).map(|(_, inode)| *inode).collect()
}

fn is_at(pid: i32, number: i32, expected: (Kind, u64)) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}"));
    link.is_ok_and(|link| kind(link.as_os_str().as_bytes()) == Some(expected))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socket,
    Pipe,
}

/// Kind and inode, which proc_pid_fd(5) shows in the place of a path; nothing of a file.
fn kind(link: &[u8]) -> Option<(Kind, u64)> {
    let link = str::from_utf8(link).ok()?.strip_suffix(']')?;
    let inode = |kind: &str| link.strip_prefix(kind)?.parse().ok();
    let socket = inode("socket:[").map(|inode| (Kind::Socket, inode));
    socket.or_else(|| inode("pipe:[").map(|inode| (Kind::Pipe, inode)))
}

/// Those of the `held` sockets on which `process` listens by TCP, by inode.
pub fn listening(process: &PidFd, held: &HeldDescriptors) -> io::Result<BTreeMap<u64, SocketAddr>> {
    match asked(process, held.sockets.keys()) {
        // A kernel before 5.6, or a sandbox without CAP_SYS_PTRACE.
        Err(Errno::NOSYS | Errno::PERM) => {
            let inodes = held.sockets.values().copied().collect();
            listed(process.process().pid, &inodes)
        }
        found => Ok(found?),
    }
}

/// Asks each socket itself, by a duplicate of it (pidfd_getfd(2)).
fn asked<'a>(
    process: &PidFd,
    descriptors: impl Iterator<Item = &'a i32>,
) -> Result<BTreeMap<u64, SocketAddr>, Errno> {
    let mut found = BTreeMap::new();
    for descriptor in descriptors {
        let socket = match pidfd_getfd(process, *descriptor, PidfdGetfdFlags::empty()) {
            // Closed, or ended, meanwhile.
            Err(Errno::BADF | Errno::SRCH) => continue,
            socket => socket?,
        };
        let errno = |errno: nix::Error| Errno::from_raw_os_error(errno as i32);
        let listens = match getsockopt(&socket, AcceptConn) {
            // Closed meanwhile, and its number given to something else.
            Err(nix::Error::ENOTSOCK) => continue,
            listens => listens.map_err(errno)?,
        };
        if listens {
            let name = getsockname::<SockaddrStorage>(socket.as_raw_fd()).map_err(errno)?;
            let v4 = name.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
            let address =
                v4.or_else(|| name.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())));
            let inode = rustix::fs::fstat(&socket)?.st_ino;
            found.extend(address.map(|address| (inode, address)));
        }
    }
    Ok(found)
}

/// Looks for `held` in the kernel's tables of the network namespace of `pid`: some
/// milliseconds each, since it walks all their hash chains.
fn listed(pid: i32, held: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, SocketAddr>> {
    let mut found = tables(&format!("{pid}/net"))?;
    found.retain(|inode, _| held.contains(inode));
    Ok(found)
}

/// The listening sockets of the tables in `directory` below /proc.
fn tables(directory: &str) -> io::Result<BTreeMap<u64, SocketAddr>> {
    let mut found = BTreeMap::new();
    for table in ["tcp", "tcp6"] {
        let text = match files::read_kernel(&format!("{directory}/{table}"))
            .map_err(files::Error::into_io)
        {
            // No such table: a kernel without IPv6.
            Err(error) if is_gone(&error) => continue,
            text => text?,
        };
        found.extend(String::from_utf8_lossy(&text).lines().filter_map(listener));
    }
    Ok(found)
}

/// All addresses on which anybody listens by TCP in our own network namespace.
pub fn all_listening() -> io::Result<BTreeMap<u64, SocketAddr>> {
    tables("thread-self/net")
}

/// Who listens on `port`, in our own network namespace: of several the one that was first.
pub fn holder(port: u16) -> io::Result<Option<Process>> {
    let mut wanted = all_listening()?;
    wanted.retain(|_, address| address.port() == port);
    let mut found: Vec<Process> = Vec::new();
    for pid in process::all().map_err(io::Error::other)? {
        // One that may not be looked at is none that can be named.
        let Ok(held) = held(pid) else { continue };
        if held.sockets.values().any(|inode| wanted.contains_key(inode)) {
            found.extend(process::identify(pid).ok());
        }
    }
    Ok(found.into_iter().min_by_key(|process| (process.start_time, process.pid)))
}

/// The addresses of this host's interfaces, link-local ones excepted: they need a zone.
pub fn interface_addresses() -> io::Result<BTreeSet<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs()?;
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    });
    let link_local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    Ok(addresses.filter(|ip| !link_local(ip)).collect())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// A line of `/proc/net/tcp`: local address in field 2, state in field 4, inode in field 10.
fn listener(line: &str) -> Option<(u64, SocketAddr)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let words: Option<Vec<u32>> = (0..address.len() / 8)
        .map(|n| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok())
        .collect();
    // Each word is printed in the machine's byte order.
    let octets: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip: IpAddr = match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)?.into(),
        _ => <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from)?.into(),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((fields.get(9)?.parse().ok()?, SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn our_own_listeners_are_found_by_the_sockets_and_by_the_tables() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let connected = std::net::TcpStream::connect(v4.local_addr().unwrap()).unwrap();
        let own = PidFd::open(process::own().unwrap()).unwrap();
        let pid = own.process().pid;
        let held = held(pid).unwrap();
        let listed = listed(pid, &held.sockets.values().copied().collect()).unwrap();
        for found in [listening(&own, &held).unwrap(), listed] {
            let found: Vec<SocketAddr> = found.into_values().collect();
            assert!(found.contains(&v4.local_addr().unwrap()), "{found:?}");
            assert!(found.contains(&v6.local_addr().unwrap()), "{found:?}");
            assert!(!found.contains(&connected.local_addr().unwrap()), "{found:?}");
        }
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing() {
        assert_eq!(held(i32::MAX).unwrap(), HeldDescriptors::default());
    }
}
