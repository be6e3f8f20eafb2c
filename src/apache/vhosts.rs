//! pure: which `<VirtualHost>` answers for a name on an address.
//!
//! Follows `ap_update_vhost_given_ip` and `check_hostalias` (`server/vhost.c`):
//! the address decides first, then the first vhost of that address whose
//! `ServerName`, `ServerAlias` or `<VirtualHost NAME>` fits, else the first one of all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::apache::dump::{Binding, Dump, Node, Origin};
use crate::apache::request::Request;
use crate::base::names::Hostname;
use crate::base::names::near::nearest;

/// The server as one vhost sees it: its own directives and the main server's.
#[derive(Debug, Clone)]
pub struct Vhost<'a> {
    /// The `<VirtualHost>` section; `None` is the main server itself.
    pub node: Option<&'a Node>,
    /// The name that Apache gives it because it has no `ServerName`.
    given: Option<&'a str>,
    /// Apache has this `<VirtualHost>`, and lists none of its directives: a program makes it
    /// (`mod_perl`).
    pub unseen: Option<&'a Origin>,
    /// Directives of the main server, in order, without other vhosts.
    pub main: Vec<&'a Node>,
}

impl<'a> Vhost<'a> {
    /// Where its `<VirtualHost>` line stands.
    pub fn origin(&self) -> Option<&'a Origin> {
        self.node.map(|node| &node.origin).or(self.unseen)
    }

    /// Its own directives, in order.
    pub fn own(&self) -> impl DoubleEndedIterator<Item = &'a Node> + Clone {
        self.node.map_or(&[][..], |node| &node.children).iter()
    }

    /// All directives that count for it, the main server's first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &'a Node> + Clone {
        self.main.clone().into_iter().chain(self.own())
    }

    /// The last `name` directive, its own before the main server's.
    pub fn last(&self, name: &str) -> Option<&'a Node> {
        self.all().rfind(|node| node.name == name)
    }

    /// Its `DocumentRoot`.
    pub fn document_root(&self, dump: &Dump) -> Vec<u8> {
        let own = self.last("documentroot").and_then(|node| node.words().next());
        own.unwrap_or_else(|| dump.document_root.clone().into_bytes())
    }

    /// Whether a name that counts for it fits `host`.
    pub fn is_named(&self, host: &Hostname) -> bool {
        self.is_named_by_directive(host) || self.opened_for().any(|name| name == *host)
    }

    /// The same for connections to `address`: a name of the `<VirtualHost>` line counts on the
    /// addresses that it stands for alone (`sar->virthost` in `check_hostalias`).
    fn is_named_on(&self, host: &Hostname, address: Option<IpAddr>) -> bool {
        self.is_named_by_directive(host)
            || !self.spells_out(address) && self.opened_for().any(|name| name == *host)
    }

    fn is_named_by_directive(&self, host: &Hostname) -> bool {
        self.origin().is_some() && self.name().is_some_and(|name| name == host.as_str())
            || self
                .own()
                .filter(|node| node.name == "serveralias")
                .any(|node| node.words().any(|alias| alias_fits(&alias, host)))
    }

    /// What Apache calls it, in lower case: its last `ServerName`, else the name that it gives it.
    fn name(&self) -> Option<String> {
        let is_main = self.origin().is_none();
        let level = if is_main { self.main.clone() } else { Vec::new() };
        let own = level.into_iter().chain(self.own()).rfind(|node| node.name == "servername");
        match own {
            Some(node) => node.words().next().map(|word| server_name(&word)),
            None => self.given.map(str::to_ascii_lowercase),
        }
    }

    /// `request` with the `SERVER_NAME` that it has here (`ap_get_server_name`, core.c).
    pub fn sees(&self, request: &Request) -> Request {
        match self.last("usecanonicalname").map(|node| node.first().to_ascii_lowercase()).as_deref()
        {
            Some(b"on") => request.called(self.name()),
            Some(b"dns") => request.called(None),
            _ => request.clone(),
        }
    }

    /// The names in its `<VirtualHost NAME:PORT>` line.
    fn opened_for(&self) -> impl Iterator<Item = Hostname> + use<'a> {
        let words = self.node.into_iter().flat_map(Node::words);
        words.filter_map(|word| {
            let text = String::from_utf8_lossy(&word).into_owned();
            let host = text.rsplit_once(':').map_or(&*text, |(host, _)| host);
            let is_address = host.parse::<IpAddr>().is_ok() || host.starts_with(['[', '_']);
            Hostname::parse(host).ok().filter(|_| !is_address)
        })
    }

    /// Whether its `<VirtualHost>` line has `address` as such.
    fn spells_out(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let mut words = self.node.into_iter().flat_map(Node::words);
        words.any(|word| {
            let text = String::from_utf8_lossy(&word).into_owned();
            let host = match text.strip_prefix('[') {
                Some(rest) => rest.split(']').next().unwrap_or(rest),
                None => text.split(':').next().unwrap_or(&text),
            };
            host.parse() == Ok(address)
        })
    }

    /// All names it answers to by exact spelling.
    pub fn names(&self) -> Vec<Hostname> {
        let aliases = self.own().filter(|node| node.name == "serveralias");
        let aliases = aliases.flat_map(Node::words);
        let aliases = aliases.map(|word| String::from_utf8_lossy(&word).into_owned());
        let written = self.name().into_iter().chain(aliases);
        let mut names: Vec<Hostname> =
            written.filter_map(|name| Hostname::parse(&name).ok()).collect();
        let opened = self.opened_for().filter(|n| !names.contains(n));
        names.extend(opened.collect::<Vec<_>>());
        names
    }
}

/// All vhosts, in the order of the configuration; the main server is not among them.
pub fn vhosts(dump: &Dump) -> Vec<Vhost<'_>> {
    let main: Vec<&Node> = dump.main().collect();
    let given = |node: &Node| {
        // Most are named: the others alone are looked for among the many bindings.
        let is_named = node.children.iter().any(|child| child.name == "servername");
        let mut bindings = dump.bindings.iter().filter(|_| !is_named);
        bindings.find(|binding| binding.vhost == node.origin).map(|binding| &*binding.name)
    };
    let vhost =
        |node| Vhost { node: Some(node), given: given(node), unseen: None, main: main.clone() };
    dump.sections().map(vhost).collect()
}

/// The name of some vhost that `name` is most likely a slip of, or that is a slip of it, and the
/// line that has it.
pub fn near<'a>(dump: &'a Dump, name: &Hostname) -> Option<(Hostname, &'a Origin)> {
    let all = vhosts(dump);
    let named = all.iter().flat_map(|vhost| vhost.names().into_iter().map(move |n| (n, vhost)));
    let named: Vec<(Hostname, &Vhost<'a>)> = named.collect();
    let near = nearest(name, named.iter().map(|(name, _)| name))?;
    let (_, vhost) = named.iter().find(|(name, _)| name == near)?;
    let mut lines = vhost.own().filter(|n| matches!(n.name.as_str(), "servername" | "serveralias"));
    let has = |node: &&Node| node.words().any(|word| server_name(&word) == near.as_str());
    let line = lines.find(has).map(|node| &node.origin);
    Some((near.clone(), line.or(vhost.origin())?))
}

/// All vhosts, and those that Apache has and whose directives it does not list, each once.
fn with_unseen<'a>(dump: &'a Dump) -> Vec<Vhost<'a>> {
    let mut known: BTreeSet<&Origin> = dump.sections().map(|node| &node.origin).collect();
    let fresh = dump.bindings.iter().filter(|binding| known.insert(&binding.vhost));
    let main: Vec<&Node> = dump.main().collect();
    let vhost = |binding: &'a Binding| Vhost {
        node: None,
        given: Some(&binding.name),
        unseen: Some(&binding.vhost),
        main: main.clone(),
    };
    vhosts(dump).into_iter().chain(fresh.map(vhost)).collect()
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
    let all = with_unseen(dump);
    let candidates = candidates(dump, address, port);
    // Few are named so: only those are looked for among the many candidates.
    let calls = |v: &Vhost<'a>| v.is_named_on(host, address) || is_alias(dump, v, host);
    let named: Vec<&Vhost<'a>> = all.iter().filter(|v| calls(v)).collect();
    let at = |among: &[&Vhost<'a>], origin: &Origin| {
        among.iter().find(|v| v.origin() == Some(origin)).map(|v| (*v).clone())
    };
    let by_name = candidates.iter().find_map(|origin| at(&named, origin));
    by_name.unwrap_or_else(|| first(dump, address, port))
}

/// Whether Apache prints `host`, or what fits it, as another name of a vhost that it does not list.
fn is_alias(dump: &Dump, vhost: &Vhost<'_>, host: &Hostname) -> bool {
    let Some(origin) = vhost.unseen else { return false };
    let mut bindings = dump.bindings.iter().filter(|binding| binding.vhost == *origin);
    bindings.any(|binding| binding.aliases.iter().any(|alias| alias_fits(alias.as_bytes(), host)))
}

/// The vhosts of an address, in order of precedence.
fn candidates(dump: &Dump, address: Option<IpAddr>, port: u16) -> Vec<&Origin> {
    let on_port = |bound: Option<u16>| bound.is_none_or(|p| p == port);
    let bound = |wanted: Option<IpAddr>| -> Vec<&Origin> {
        let bindings = dump.bindings.iter().filter(|b| b.address == wanted && on_port(b.port));
        // `*` counts only where nothing says `*:80` (`find_ipaddr`, `find_default_server`).
        let exact = bindings.clone().any(|b| b.port.is_some());
        bindings.filter(|b| b.port.is_some() == exact).map(|b| &b.vhost).collect()
    };
    let own = address.map(|ip| bound(Some(ip))).unwrap_or_default();
    if own.is_empty() { bound(None) } else { own }
}

/// The server that decides about connections to `port` of `address`, and answers what no vhost is named for.
pub fn first(dump: &Dump, address: Option<IpAddr>, port: u16) -> Vhost<'_> {
    let all = with_unseen(dump);
    let found = candidates(dump, address, port)
        .into_iter()
        .find_map(|origin| all.iter().find(|vhost| vhost.origin() == Some(origin)).cloned());
    found.unwrap_or_else(|| Vhost {
        node: None,
        given: None,
        unseen: None,
        main: dump.main().collect(),
    })
}

/// The addresses on which `vhost` is reached at `port`; `None` is any that no vhost names.
pub fn addresses_of(dump: &Dump, vhost: &Vhost<'_>, port: u16) -> Vec<Option<IpAddr>> {
    let Some(origin) = vhost.origin() else { return vec![None] };
    let bound = dump.bindings.iter().filter(|b| b.vhost == *origin);
    let bound = bound.filter(|b| b.port.is_none_or(|p| p == port));
    let mut addresses: Vec<Option<IpAddr>> = bound.map(|b| b.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
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
    fn a_vhost_without_a_name_has_the_one_that_apache_prints_and_a_name_in_its_line_counts() {
        let output = b"VirtualHost configuration:
127.0.0.1:80           is a NameVirtualHost
         port 80 namevhost first.example.org (/f:1)
         port 80 namevhost www.example.net (/f:3)
*:80                   is a NameVirtualHost
         port 80 namevhost Home.example.org (/f:5)
         port 80 namevhost home.example.org (/f:7)
         port 80 namevhost b.example.org (/f:9)
# In file: /f
#   1:
<VirtualHost 127.0.0.1:80>
  #   2:
  ServerName first.example.org
</VirtualHost>
#   3:
<VirtualHost one.example.org:80>
  #   4:
  ServerName www.example.net
</VirtualHost>
#   5:
<VirtualHost *:80>
#   7:
<VirtualHost *:80>
  #   8:
  ServerName home.example.org
</VirtualHost>
#   9:
<VirtualHost *:80>
  #  10:
  ServerName a.example.org
  #  11:
  ServerName b.example.org
</VirtualHost>
";
        let dump = Dump::parse(output).unwrap();
        let line = |address: Option<&str>, name: &str| {
            let host = Hostname::parse(name).unwrap();
            let address = address.map(|a| a.parse().unwrap());
            answering(&dump, address, 80, &host).origin().map(|o| o.line)
        };
        let loopback = Some("127.0.0.1");
        assert_eq!(line(loopback, "one.example.org"), Some(3));
        assert_eq!(line(loopback, "home.example.org"), Some(1));
        assert_eq!(line(None, "home.example.org"), Some(5));
        assert_eq!(line(None, "a.example.org"), Some(5), "the last ServerName counts");
        assert_eq!(line(None, "b.example.org"), Some(9));
        let names: Vec<_> = vhosts(&dump)[1].names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["www.example.net", "one.example.org"]);
    }

    #[test]
    fn a_vhost_whose_directives_are_not_listed_answers_its_names_all_the_same() {
        let output = b"VirtualHost configuration:
*:80                   is a NameVirtualHost
         port 80 namevhost one.example.org (/f:1)
         port 80 namevhost perl.example.org (mod_perl:2)
                 alias www.perl.example.org
            wild alias *.perl.example.org
# In file: /f
#   1:
<VirtualHost *:80>
  #   2:
  ServerName one.example.org
</VirtualHost>
";
        let dump = Dump::parse(output).unwrap();
        let answers = |name: &str| {
            let vhost = answering(&dump, None, 80, &Hostname::parse(name).unwrap());
            (vhost.unseen.is_some(), vhost.origin().unwrap().to_string())
        };
        for name in ["perl.example.org", "www.perl.example.org", "x.perl.example.org"] {
            assert_eq!(answers(name), (true, "mod_perl:2".to_owned()));
        }
        assert_eq!(answers("one.example.org"), (false, "/f:1".to_owned()));
    }

    #[test]
    fn without_a_vhost_the_main_server_answers() {
        let dump = Dump::parse(b"# In file: /f\n#   1:\nListen 80\n").unwrap();
        let host = Hostname::parse("a.example.org").unwrap();
        assert!(answering(&dump, None, 80, &host).origin().is_none());
    }
}
