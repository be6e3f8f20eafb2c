//! pure: names that lead elsewhere, and ways that are closed.

use crate::check::setup::Change::{Address, Dnsmasq, Run};
use crate::check::setup::On::{Home, Vps};
use crate::check::setup::Renewal::{Fails, Nothing};
use crate::check::setup::{
    CLOUD_CONF, GIT, GIT_CONF, Pebble, Setup, WIKI, WIKI_CONF, host, line, public, words,
};

/// Pebble asks IPv6 or nobody (`va/va.go: resolveIP`); Boulder asks IPv4 if nobody can be reached.
const NO_FALLBACK: Pebble = Pebble::Differs("Pebble never falls back to IPv4", Fails, Fails);

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("aaaa_is_another_machine", WIKI)
        .with(&[Address(WIKI, &["192.0.2.10", "2001:db8::66"])])
        .finds(&[public("wrong-address", "AAAA 2001:db8::66", "one of your hosts")])
        .nobody_renews()
        .left_out("2001:db8::66"),
    Setup::new("aaaa_is_refused", WIKI)
        .with(&[Address(WIKI, &["192.0.2.10", "2001:db8::67"])])
        .finds(&[public("stale-record", "AAAA 2001:db8::67", "an address that a host has now")])
        .home_fails()
        .pebble(NO_FALLBACK),
    Setup::new("aaaa_is_swallowed", WIKI)
        .with(&[Address(WIKI, &["192.0.2.10", "2001:db8::68"])])
        .finds(&[public("stale-record", "AAAA 2001:db8::68", "an address that a host has now")])
        .home_fails()
        .pebble(Pebble::NotAsked("Pebble never falls back to IPv4, and needs 15 s to say so")),
    Setup::new("aaaa_is_the_vps", WIKI)
        .with(&[Address(WIKI, &["192.0.2.10", "2001:db8::10"])])
        .finds(&[words(Home, "no-record", "DNS AAAA", "publish one with the address of home")])
        .home_fails(),
    Setup::new("aaaa_is_missing", WIKI)
        .with(&[Address(WIKI, &["192.0.2.10"])])
        .finds(&[words(Home, "no-record", "DNS AAAA", "publish one with the address of home")])
        .home_fails(),
    Setup::new("a_is_another_machine", WIKI)
        .with(&[Address(WIKI, &["192.0.2.66", "2001:db8::20"])])
        .finds(&[public("wrong-address", "A 192.0.2.66", "one of your hosts").warns()]),
    Setup::new("the_name_is_gone", "cloud.example.org")
        .with(&[Address("www.cloud.example.org", &[])])
        .finds(&[public("no-address", "DNS", "publish A and AAAA")])
        .nobody_renews(),
    Setup::new("caa_forbids_every_ca", WIKI)
        .with(&[Dnsmasq("--caa-record=wiki.example.org,0,issue,;")])
        .finds(&[public("caa-forbids", "CAA", "issue")])
        .nobody_renews()
        .pebble(Pebble::NotAsked("Pebble knows no CAA")),
    Setup::new("home_is_down", WIKI)
        .from(Vps)
        .with(&[Run(Home, "systemctl stop apache2")])
        .finds(&[host(Home, "apache-not-running", "systemctl start apache2")])
        .home_fails()
        .pebble(NO_FALLBACK)
        .all(),
    Setup::new("home_is_closed_to_the_world", GIT)
        .with(&[Run(
            Home,
            "nft add table inet closed
             nft 'add chain inet closed in { type filter hook input priority 0; }'
             nft add rule inet closed in iif eth0 tcp dport 80 reject with tcp reset",
        )])
        .finds(&[words(Home, "nobody-listens", "AAAA 2001:db8::20", "Listen 80")])
        .home_fails()
        .pebble(NO_FALLBACK)
        .all()
        .left_out("2001:db8::20"),
    Setup::new("the_vps_is_closed_to_home", GIT)
        .with(&[Run(
            Vps,
            "nft add table inet closed
             nft 'add chain inet closed in { type filter hook input priority 0; }'
             nft add rule inet closed in ip6 saddr 2001:db8::20 tcp dport 80 reject with tcp reset",
        )])
        .finds(&[
            line(Home, "cannot-pass-on", CLOUD_CONF, "ProxyPass ", "firewall"),
            line(Home, "cannot-pass-on", GIT_CONF, "ProxyPass ", "firewall"),
            line(Home, "cannot-pass-on", WIKI_CONF, "ProxyPass ", "firewall"),
        ])
        .vps_fails()
        .all(),
    Setup::new("the_peer_cannot_be_asked", GIT)
        .from(Vps)
        .with(&[Run(Home, "systemctl stop ssh.socket ssh 2> /dev/null || systemctl stop ssh")])
        .finds(&[host(Home, "host-unreachable", "ssh")])
        .home(Nothing)
        .all(),
];
