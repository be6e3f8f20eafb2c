//! pure: what the port of a vhost speaks to this host's own test of it.
//!
//! A connection is Apache's matter before any name is known, so one vhost decides
//! for all on its address: the first (`ap_update_vhost_given_ip`, vhost.c), or
//! for the PROXY protocol any (`remoteip_hook_pre_connection`, mod_remoteip.c).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::apache::dump::{Dump, Node};
use crate::apache::refusal::Refusal;
use crate::apache::vhosts::{Vhost, addresses_of, first, vhosts};

/// Why a plain HTTP request from this host to `vhost` on `port` gets no HTTP answer.
pub fn refused(dump: &Dump, vhost: &Vhost<'_>, port: u16) -> Option<Refusal> {
    let bound = addresses_of(dump, vhost, port);
    bound.into_iter().find_map(|address| {
        let first = first(dump, address, port);
        let switched_on = |name: &str| first.all().rfind(|n| n.name == name).filter(|n| n.is_on());
        if let Some(node) = switched_on("sslengine").or_else(|| switched_on("protocolecho")) {
            return Some(Refusal::not_http(&node.origin, port));
        }
        let reached = match address {
            Some(ip) => vec![ip],
            None => loopback(dump, port),
        };
        // This host asks itself: both ends have the same address.
        let asked = reached.iter().filter(|ip| !is_excepted(dump, **ip));
        let asked: Vec<IpAddr> = asked.copied().collect();
        let node = asked.iter().find_map(|ip| proxy_protocol(dump, *ip, port))?;
        Some(Refusal::proxy_protocol(&node.origin, &asked))
    })
}

/// The line that makes Apache expect the PROXY protocol on an address of its own.
///
/// Each vhost's line counts for all its addresses; of several for the very same the last,
/// and `Off` for any that covers it wins (`remoteip_enable_proxy_protocol`).
fn proxy_protocol(dump: &Dump, local: IpAddr, port: u16) -> Option<&Node> {
    let lines = |node: &&Node| node.name == "remoteipproxyprotocol";
    let mut said: BTreeMap<(Option<IpAddr>, Option<u16>), &Node> = BTreeMap::new();
    for node in dump.config.iter().filter(lines) {
        said.insert((None, None), node);
    }
    for vhost in vhosts(dump) {
        for node in vhost.own().filter(lines) {
            for binding in dump.bindings.iter().filter(|b| Some(&b.vhost) == vhost.origin()) {
                said.insert((binding.address, binding.port), node);
            }
        }
    }
    let covers = |(address, on): &(Option<IpAddr>, Option<u16>)| {
        address.is_none_or(|ip| ip == local) && on.is_none_or(|p| p == port)
    };
    let mut covering = said.iter().filter(|(at, _)| covers(at)).map(|(_, node)| *node);
    let found = covering.clone().find(|node| node.is_on())?;
    covering.all(Node::is_on).then_some(found)
}

/// Whether `RemoteIPProxyProtocolExceptions` spares connections from `client`; wherever it
/// stands, it counts for all.
fn is_excepted(dump: &Dump, client: IpAddr) -> bool {
    let nodes = dump.config.iter().chain(dump.sections().flat_map(|n| &n.children));
    let mut lines = nodes.filter(|n| n.name == "remoteipproxyprotocolexceptions");
    lines.any(|n| n.words().any(|w| covers(&String::from_utf8_lossy(&w), client)))
}

/// `apr_ipsubnet_test`: an address, `address/bits`, `address/mask`, or the first bytes of one.
fn covers(subnet: &str, ip: IpAddr) -> bool {
    let (address, mask) = subnet.split_once('/').map_or((subnet, None), |(a, m)| (a, Some(m)));
    match (address.parse(), ip) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(ip)) => {
            let mask = match mask {
                Some(mask) => {
                    mask.parse().map_or_else(|_| bits(mask, 32), |m: Ipv4Addr| m.to_bits())
                }
                None => u32::MAX,
            };
            net.to_bits() & mask == ip.to_bits() & mask
        }
        (Ok(IpAddr::V6(net)), IpAddr::V6(ip)) => {
            let length: u32 = mask.map_or(Ok(128), str::parse).unwrap_or(128).min(128);
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            net.to_bits() & mask == ip.to_bits() & mask
        }
        (Err(_), IpAddr::V4(ip)) if mask.is_none() => {
            ip.to_string().starts_with(&format!("{}.", address.trim_end_matches('.')))
        }
        _ => false,
    }
}

fn bits(length: &str, of: u32) -> u32 {
    let length = length.parse().unwrap_or(of).min(of);
    u32::MAX.checked_shl(of - length).unwrap_or(0)
}

/// The loopback addresses that Apache listens on at `port`.
fn loopback(dump: &Dump, port: u16) -> Vec<IpAddr> {
    let listens = dump.config.iter().filter(|n| n.name == "listen");
    let places = listens.filter_map(|n| n.words().next());
    let places: Vec<String> =
        places.map(|place| String::from_utf8_lossy(&place).into_owned()).collect();
    let suffix = format!(":{port}");
    let here =
        places.iter().filter(|place| **place == port.to_string() || place.ends_with(&suffix));
    let is_v4 = |place: &&String| {
        let host = place.strip_suffix(&suffix).unwrap_or_default();
        host.parse::<Ipv4Addr>().is_ok()
    };
    let four_alone =
        !places.is_empty() && here.clone().count() > 0 && here.clone().all(|p| is_v4(&p));
    let six = (!four_alone).then_some(Ipv6Addr::LOCALHOST.into());
    [Some(Ipv4Addr::LOCALHOST.into()), six].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample;

    fn line(text: &str) -> Option<u32> {
        let dump = sample::dump(text, &[]);
        let vhost = vhosts(&dump).into_iter().next_back().unwrap();
        refused(&dump, &vhost, 80).map(|refusal| refusal.origin.unwrap().line)
    }

    fn two(first: &str, second: &str) -> Option<u32> {
        line(&format!(
            "<VirtualHost *:80>\n{first}\n</VirtualHost>\n<VirtualHost *:80>\n{second}\n</VirtualHost>"
        ))
    }

    #[test]
    fn any_vhost_of_the_address_has_it_expect_the_proxy_protocol() {
        assert_eq!(two("RemoteIPProxyProtocol On", "ServerName b"), Some(2));
        assert_eq!(two("ServerName a", "RemoteIPProxyProtocol On"), Some(5));
        assert_eq!(two("RemoteIPProxyProtocol On", "RemoteIPProxyProtocol Off"), None);
        assert_eq!(two("ServerName a", "ServerName b"), None);
        let main = "RemoteIPProxyProtocol On\n<VirtualHost *:80>\n</VirtualHost>";
        assert_eq!(line(main), Some(1));
    }

    #[test]
    fn exceptions_have_to_cover_every_address_that_is_asked() {
        let excepting = |list: &str| {
            two("RemoteIPProxyProtocol On", &format!("RemoteIPProxyProtocolExceptions {list}"))
        };
        assert_eq!(excepting("127.0.0.0/8 ::1"), None);
        assert_eq!(excepting("127. ::/0"), None);
        assert_eq!(excepting("127.0.0.0/255.0.0.0"), Some(2));
        assert_eq!(excepting("10.0.0.0/8 ::1"), Some(2));
        let text = "Listen 0.0.0.0:80\nRemoteIPProxyProtocolExceptions 127.0.0.1\n\
            <VirtualHost *:80>\nRemoteIPProxyProtocol On\n</VirtualHost>";
        assert_eq!(line(text), None);
    }

    #[test]
    fn the_first_vhost_of_the_address_decides_what_is_spoken() {
        assert_eq!(two("SSLEngine on", "ServerName b"), Some(2));
        assert_eq!(two("ServerName a", "SSLEngine on"), None);
        assert_eq!(two("ProtocolEcho On", "ServerName b"), Some(2));
    }
}
