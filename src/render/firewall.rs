//! pure: nftables rules that let only the proxy's ports in.
//!
//! A table of its own, replaced as a whole each time it is loaded; the machine's other rules stay,
//! and what they drop stays dropped.

use std::collections::BTreeSet;

use crate::render::strings::{Interface, Label};

/// The machine, as far as its door goes.
#[derive(Debug, Clone, Copy)]
pub struct Firewall<'a> {
    /// The interface that faces the Internet; `None`: all but loopback.
    pub interface: Option<&'a Interface>,
    /// TCP ports beside those of the proxy.
    pub ports: &'a BTreeSet<u16>,
    /// Whether nothing may be passed on to other machines behind it: a tunnel gives them public addresses.
    pub shields: bool,
}

/// The rules.
pub fn rules(name: &Label, door: Firewall<'_>) -> String {
    let proxy = [80, 443];
    let ports: BTreeSet<u16> = door.ports.iter().copied().chain(proxy).collect();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let ports = ports.join(", ");
    let outside = match door.interface {
        Some(interface) => format!("iifname != \"{interface}\" accept"),
        None => "iifname \"lo\" accept".to_owned(),
    };
    let table = format!("inet certbaton-{name}");
    let icmp = "meta l4proto { icmp, ipv6-icmp } accept";
    let mut text = format!(
        "# Load it at boot by `include \"/etc/nftables.d/*.nft\"` at the end of /etc/nftables.conf.
table {table}
delete table {table}
table {table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        {outside}
        ct state established,related accept
        ct state invalid drop
        {icmp}
        ip6 saddr fe80::/10 udp dport 546 accept comment \"DHCPv6: its answers belong to no connection\"
        tcp dport {{ {ports} }} accept
        drop
    }}
"
    );
    if let Some(interface) = door.interface.filter(|_| door.shields) {
        let forward = format!(
            "    # The tunnel gives every machine behind this one an address that the world can reach.
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname != \"{interface}\" accept
        ct state established,related accept
        {icmp}
        drop
    }}
"
        );
        text.push_str(&forward);
    }
    text + "}\n"
}
