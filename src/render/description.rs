//! pure: the description of a gateway: what is said once, and what follows from it.
//!
//! Small on purpose; unknown keys are refused with line and column, as in `config`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;

use crate::base::names::{Hostname, Webroot};
use crate::config::mistake::{Error, Written};
use crate::render::strings::{Backend, Credential, Interface, Label, Path, Realm};

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What its files are called.
    pub name: Label,
    /// Where `A` leads.
    pub vps: Vps,
    /// Where `AAAA` leads.
    pub home: Home,
    /// How home's address at the tunnel's other end is kept right.
    pub tunnel: Option<Tunnel>,
    /// The names.
    pub sites: Vec<Site>,
}

/// The machine with the public IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Vps {
    /// How home reaches it: a name of its own, which none of the sites has.
    pub name: Hostname,
    /// Whence its requests come to home.
    pub addresses: Vec<IpAddr>,
    /// Where its certbot writes.
    #[serde(default = "webroot")]
    pub webroot: Webroot,
    /// Who vouches for home's certificates.
    #[serde(default = "authorities")]
    pub authorities: Path,
    /// The interface that faces the Internet; all but loopback if there is none.
    pub interface: Option<Interface>,
    /// More TCP ports to let in.
    #[serde(default = "ssh")]
    pub ports: BTreeSet<u16>,
}

/// The machine at home.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Home {
    /// How the VPS reaches it: a name with an AAAA record alone.
    pub name: Hostname,
    /// Where its certbot writes.
    #[serde(default = "webroot")]
    pub webroot: Webroot,
    /// Who vouches for the applications' certificates.
    #[serde(default = "authorities")]
    pub authorities: Path,
    /// The interface that the world comes by: the tunnel's. What comes by others is not filtered.
    pub interface: Interface,
    /// More TCP ports to let in.
    #[serde(default)]
    pub ports: BTreeSet<u16>,
}

/// A tunnel of Hurricane Electric's tunnelbroker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tunnel {
    /// Whose it is.
    pub user: Credential,
    /// Its number.
    pub id: Credential,
    /// Where the update key is, on the machine that renders.
    pub update_key_file: Option<Path>,
}

/// An application, under its names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// Its names; certbot's lineage is called as the first.
    pub names: Vec<Hostname>,
    /// Where home finds the application.
    pub backend: Backend,
    /// certbot's lineage, where it is called otherwise.
    pub lineage: Option<Hostname>,
    /// Whether the application speaks WebSocket.
    #[serde(default)]
    pub websocket: bool,
    /// htpasswd's file, on both machines; no password without.
    pub password_file: Option<Path>,
    /// What the password is for.
    pub realm: Option<Realm>,
    /// For how many days browsers refuse to come without TLS.
    pub hsts_days: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Fragment {
    name: Label,
    vps: Vps,
    home: Home,
    tunnel: Option<Tunnel>,
    #[serde(rename = "site", default)]
    sites: Vec<Site>,
}

impl Description {
    /// Reads the bytes of `file`.
    pub fn read(file: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::parse(file, &Written::text(file, bytes)?)
    }

    /// Reads the text of `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let written = Written { file, text, examples: &[] };
        let Fragment { name, vps, home, tunnel, sites } =
            toml::from_str(text).map_err(|error| written.refused(&error))?;
        let wrong = |key: &str, problem| Err(written.wrong(key, problem));
        if vps.addresses.is_empty() {
            return wrong("vps.addresses", "is empty: home could not tell the VPS from a client");
        }
        if vps.name == home.name {
            return wrong("home.name", "is the VPS's name");
        }
        if sites.is_empty() {
            return wrong("site", "is missing: a gateway has at least one [[site]]");
        }
        let mut known = BTreeSet::new();
        for (index, site) in sites.iter().enumerate() {
            let wrong = |key, problem| wrong(&format!("site.{index}.{key}"), problem);
            if site.names.is_empty() {
                return wrong("names", "is empty");
            }
            for name in &site.names {
                if *name == vps.name || *name == home.name {
                    // The VPS would ask itself, or home would.
                    return wrong("names", "has the name by which the machines reach each other");
                }
                if !known.insert(name) {
                    return wrong("names", "has a name twice, or that of another site");
                }
            }
            if site.realm.is_some() && site.password_file.is_none() {
                return wrong("realm", "is for a password, and there is no password-file");
            }
        }
        Ok(Self { name, vps, home, tunnel, sites })
    }
}

impl Site {
    /// certbot's lineage.
    pub fn lineage_name(&self) -> &Hostname {
        self.lineage.as_ref().unwrap_or(&self.names[0])
    }
}

fn webroot() -> Webroot {
    #[expect(clippy::expect_used, reason = "a constant path, used by the test below")]
    Webroot::parse("/var/www/html").expect("a constant path")
}

fn authorities() -> Path {
    #[expect(clippy::expect_used, reason = "a constant path, used by the test below")]
    Path::try_from("/etc/ssl/certs/ca-certificates.crt".to_owned()).expect("a constant path")
}

fn ssh() -> BTreeSet<u16> {
    BTreeSet::from([22])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"gateway\"
[vps]
name = \"vps.example.org\"
addresses = [\"192.0.2.10\"]
[home]
name = \"home.example.org\"
interface = \"he-ipv6\"
";

    fn parse(rest: &str) -> Result<Description, String> {
        Description::parse("f", &[HEAD, rest].concat()).map_err(|error| error.to_string())
    }

    const SITE: &str = "[[site]]\nnames = [\"a.example.org\"]\nbackend = \"http://[::1]:8080/\"\n";

    #[test]
    fn what_is_not_said_is_as_debian_has_it() {
        let found = parse(SITE).unwrap();
        assert_eq!(found.vps.webroot.as_str(), "/var/www/html");
        assert_eq!(found.home.authorities.as_str(), "/etc/ssl/certs/ca-certificates.crt");
        assert_eq!((found.vps.ports.len(), found.home.ports.len()), (1, 0));
        assert_eq!(found.sites[0].lineage_name().as_str(), "a.example.org");
    }

    #[test]
    fn an_unknown_key_and_a_bad_value_are_refused_where_they_stand() {
        let error = parse(&SITE.replace("backend", "backent")).unwrap_err();
        assert!(error.starts_with("f:10:1: unknown field `backent`"), "{error}");
        let error = parse(&SITE.replace("8080/", "8080/$1/")).unwrap_err();
        assert!(error.starts_with("f:10:11: site.backend = "), "{error}");
        assert!(error.contains("not an http or https URL"), "{error}");
    }

    #[test]
    fn a_name_leads_to_one_site_and_to_no_machine() {
        assert!(parse(&[SITE, SITE].concat()).unwrap_err().contains("twice"));
        let own = SITE.replace("a.example.org", "vps.example.org");
        assert!(parse(&own).unwrap_err().contains("reach each other"));
        assert!(parse("").unwrap_err().contains("site is missing"));
    }

    #[test]
    fn a_realm_needs_a_password() {
        assert!(parse(&[SITE, "realm = \"x\"\n"].concat()).unwrap_err().contains("password-file"));
    }
}
