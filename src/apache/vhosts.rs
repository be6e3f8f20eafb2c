//! pure: which `<VirtualHost>` answers for a name on an address.
//!
//! Follows `ap_update_vhost_given_ip` and `check_hostalias` (`server/vhost.c`):
//! the address decides first, then the first vhost of that address whose
//! `ServerName` or `ServerAlias` fits, else the first one of all.

use std::net::IpAddr;

use crate::apache::document::words;
use crate::apache::dump::{Dump, Node, Origin};
use crate::names::Hostname;

/// The server as one vhost sees it: its own directives and the main server's.
#[derive(Debug, Clone)]
pub struct Vhost<'a> {
    /// The `<VirtualHost>` section; `None` is the main server itself.
    pub node: Option<&'a Node>,
    /// Directives of the main server, in order, without other vhosts.
    pub main: Vec<&'a Node>,
}

impl<'a> Vhost<'a> {
    /// Where its `<VirtualHost>` line stands.
    pub fn origin(&self) -> Option<&'a Origin> {
        self.node.map(|node| &node.origin)
    }

    /// Its own directives, in order.
    pub fn own(&self) -> impl DoubleEndedIterator<Item = &'a Node> + Clone {
        self.node.map_or(&[][..], |node| &node.children).iter()
    }

    /// All directives that count for it, the main server's first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &'a Node> + Clone {
        self.main.clone().into_iter().chain(self.own())
    }

    /// The words of the last `name` directive, its own before the main server's.
    pub fn last(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        self.all().rfind(|node| node.name == name).map(|node| words(&node.arguments).collect())
    }

    /// Whether a `ServerName` or `ServerAlias` of its own fits `host`.
    pub fn is_named(&self, host: &Hostname) -> bool {
        self.own().any(|node| match node.name.as_str() {
            "servername" => {
                words(&node.arguments).next().is_some_and(|n| server_name(&n) == host.as_str())
            }
            "serveralias" => words(&node.arguments).any(|n| alias_fits(&n, host)),
            _ => false,
        })
    }

    /// All names it answers to by exact spelling.
    pub fn names(&self) -> Vec<Hostname> {
        let mut names = Vec::new();
        for node in self.own() {
            let found: Vec<String> = match node.name.as_str() {
                "servername" => words(&node.arguments).take(1).map(|n| server_name(&n)).collect(),
                "serveralias" => words(&node.arguments)
                    .map(|n| String::from_utf8_lossy(&n).into_owned())
                    .collect(),
                _ => continue,
            };
            names.extend(found.iter().filter_map(|n| Hostname::parse(n).ok()));
        }
        names
    }
}

/// All vhosts, in the order of the configuration; the main server is not among them.
pub fn vhosts(dump: &Dump) -> Vec<Vhost<'_>> {
    let main: Vec<&Node> = dump.config.iter().filter(|n| n.name != "<virtualhost").collect();
    let sections = dump.config.iter().filter(|n| n.name == "<virtualhost");
    sections.map(|node| Vhost { node: Some(node), main: main.clone() }).collect()
}

/// The server that answers `host` on `port` of `address`.
///
/// `address` is `None` for every address that no vhost names.
pub fn answering<'a>(
    dump: &'a Dump,
    address: Option<IpAddr>,
    port: u16,
    host: &Hostname,
) -> Vhost<'a> {
    let all = vhosts(dump);
    let on_port = |bound: Option<u16>| bound.is_none_or(|p| p == port);
    let bound = |wanted: Option<IpAddr>| -> Vec<&Origin> {
        let bindings = dump.bindings.iter().filter(|b| b.address == wanted && on_port(b.port));
        // `*` counts only where nothing says `*:80` (`find_ipaddr`, `find_default_server`).
        let exact = bindings.clone().any(|b| b.port.is_some());
        bindings.filter(|b| b.port.is_some() == exact).map(|b| &b.vhost).collect()
    };
    let mut candidates = address.map(|ip| bound(Some(ip))).unwrap_or_default();
    if candidates.is_empty() {
        candidates = bound(None);
    }
    // Few are named so: only those are looked for among the many candidates.
    let named: Vec<&Vhost<'a>> = all.iter().filter(|v| v.is_named(host)).collect();
    let at = |among: &[&Vhost<'a>], origin: &Origin| {
        among.iter().find(|v| v.origin() == Some(origin)).map(|v| (*v).clone())
    };
    let by_name = candidates.iter().find_map(|origin| at(&named, origin));
    let first = || {
        let all: Vec<&Vhost<'a>> = all.iter().collect();
        candidates.iter().find_map(|origin| at(&all, origin))
    };
    let main = || Vhost {
        node: None,
        main: dump.config.iter().filter(|n| n.name != "<virtualhost").collect(),
    };
    by_name.or_else(first).unwrap_or_else(main)
}

/// The addresses that some vhost names on `port`: each may answer differently.
pub fn bound_addresses(dump: &Dump, port: u16) -> Vec<IpAddr> {
    let on_port = dump.bindings.iter().filter(|b| b.port.is_none_or(|p| p == port));
    let mut addresses: Vec<IpAddr> = on_port.filter_map(|b| b.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// `ServerName [scheme://]name[:port]`.
fn server_name(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word).to_ascii_lowercase();
    let name = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    name.split(':').next().unwrap_or(name).trim_end_matches('.').to_owned()
}

/// `ap_strcasecmp_match`: `*` and `?` in an alias match any characters.
fn alias_fits(alias: &[u8], host: &Hostname) -> bool {
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|from| fits(rest, &text[from..])),
            Some((b'?', rest)) => !text.is_empty() && fits(rest, &text[1..]),
            Some((byte, rest)) => {
                text.first().is_some_and(|t| t.eq_ignore_ascii_case(byte)) && fits(rest, &text[1..])
            }
        }
    }
    fits(alias, host.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &[u8] = b"VirtualHost configuration:
192.0.2.1:80           ip.example.org (/s/a.conf:1)
*:80                   is a NameVirtualHost
         port 80 namevhost b.example.org (/s/a.conf:11)
         port 80 namevhost c.example.org (/s/a.conf:21)
*:443                  d.example.org (/s/a.conf:31)
# In file: /s/a.conf
#   1:
<VirtualHost 192.0.2.1:80>
  #   2:
  ServerName ip.example.org
</VirtualHost>
#  11:
<VirtualHost *:80>
  #  12:
  ServerName http://b.example.org:80
</VirtualHost>
#  21:
<VirtualHost *:80>
  #  22:
  ServerName C.example.org
  #  23:
  ServerAlias *.c.example.org ip.example.org
</VirtualHost>
#  31:
<VirtualHost *:443>
  #  32:
  ServerName d.example.org
</VirtualHost>
";

    fn line(address: Option<&str>, name: &str) -> Option<u32> {
        let dump = Dump::parse(OUTPUT).unwrap();
        let address = address.map(|a| a.parse().unwrap());
        let host = Hostname::parse(name).unwrap();
        answering(&dump, address, 80, &host).origin().map(|o| o.line)
    }

    #[test]
    fn the_address_decides_before_the_name() {
        assert_eq!(line(Some("192.0.2.1"), "c.example.org"), Some(1));
        assert_eq!(line(Some("192.0.2.9"), "ip.example.org"), Some(21));
    }

    #[test]
    fn names_wild_aliases_and_the_default() {
        assert_eq!(line(None, "b.example.org"), Some(11));
        assert_eq!(line(None, "c.example.org"), Some(21));
        assert_eq!(line(None, "x.c.example.org"), Some(21));
        assert_eq!(line(None, "unknown.example.org"), Some(11));
        assert_eq!(line(None, "d.example.org"), Some(11));
    }

    #[test]
    fn every_port_counts_only_where_no_vhost_names_the_port() {
        let any = String::from_utf8_lossy(OUTPUT).replace("*:443 ", "*:*   ");
        let dump = Dump::parse(any.as_bytes()).unwrap();
        let host = Hostname::parse("d.example.org").unwrap();
        let line = |port| answering(&dump, None, port, &host).origin().map(|o| o.line);
        assert_eq!((line(80), line(8080)), (Some(11), Some(31)));
    }

    #[test]
    fn without_a_vhost_the_main_server_answers() {
        let dump = Dump::parse(b"# In file: /f\n#   1:\nListen 80\n").unwrap();
        let host = Hostname::parse("a.example.org").unwrap();
        assert!(answering(&dump, None, 80, &host).origin().is_none());
    }
}
