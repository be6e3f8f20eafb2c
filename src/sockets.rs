//! system: which sockets and pipes a process holds and listens on, from `/proc`.
//!
//! Each is its inode: parent and children of a server share them
//! (proc_pid_fd(5), proc_pid_net(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The inodes of all sockets that `pid` holds; empty if it has ended.
pub fn held(pid: i32) -> io::Result<BTreeSet<u64>> {
    descriptors(pid, "socket:[")
}

/// The inodes of all pipes that `pid` holds; empty if it has ended.
pub fn pipes(pid: i32) -> io::Result<BTreeSet<u64>> {
    descriptors(pid, "pipe:[")
}

fn descriptors(pid: i32, kind: &str) -> io::Result<BTreeSet<u64>> {
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Err(error) if is_gone(&error) => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |link: &str| link.strip_prefix(kind)?.strip_suffix(']')?.parse().ok();
    Ok(links.filter_map(|link| inode(link.to_str()?)).collect())
}

/// The TCP sockets on which `pid` listens, by inode, in its own network namespace.
pub fn listening(pid: i32) -> io::Result<BTreeMap<u64, SocketAddr>> {
    let held = held(pid)?;
    let mut found = BTreeMap::new();
    for table in ["tcp", "tcp6"] {
        let text = match fs::read_to_string(format!("/proc/{pid}/net/{table}")) {
            // No such table: a kernel without IPv6.
            Err(error) if is_gone(&error) => continue,
            text => text?,
        };
        found.extend(text.lines().filter_map(listener).filter(|(inode, _)| held.contains(inode)));
    }
    Ok(found)
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
    fn our_own_listeners_are_found() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let found: Vec<SocketAddr> = listening(pid).unwrap().into_values().collect();
        assert!(found.contains(&v4.local_addr().unwrap()), "{found:?}");
        assert!(found.contains(&v6.local_addr().unwrap()), "{found:?}");
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing() {
        assert!(held(i32::MAX).unwrap().is_empty());
    }
}
