//! pure: certbot's `renewal/NAME.conf`, as a lineage: its names, its webroots, its files.
//!
//! Keys it does not use are not looked at. The names are those of the
//! certificate, as for certbot (`renewal.py:reconstitute`), so the caller
//! supplies them; `webroot_map` may lack some and keep others that are gone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::base::exit::Exit;
use crate::base::names::{Hostname, Webroot};
use crate::certbot::configobj::{self, Entry, Value};
use crate::certbot::unusable::Error;

/// One certificate that certbot renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Its name: that of the file without `.conf`.
    pub name: String,
    /// The host names of its certificate, without wildcards.
    pub names: Vec<Hostname>,
    /// The addresses of its certificate.
    pub addresses: Vec<IpAddr>,
    /// Which plugin proves the names.
    pub authenticator: String,
    /// The webroot of each name that has one of its own.
    pub webroot_map: BTreeMap<Hostname, Webroot>,
    /// Every `-w` it was made with; the last serves names that are not in the map.
    pub webroot_paths: Vec<Webroot>,
    /// Link to the certificate.
    pub cert: PathBuf,
    /// Link to the certificate with its chain.
    pub fullchain: PathBuf,
    /// Link to the key.
    pub privkey: PathBuf,
    /// The saved pre-hook.
    pub pre_hook: Option<String>,
    /// The saved post-hook.
    pub post_hook: Option<String>,
    /// The saved deploy hook (the key stays `renew_hook`, `storage.py`).
    pub renew_hook: Option<String>,
    /// The ACME server's directory.
    pub server: Option<String>,
    /// Which of its accounts (`accounts/SERVER/ID`).
    pub account: Option<String>,
    /// How long before its end it is renewed, as the person wrote it.
    pub renew_before_expiry: Option<String>,
    /// The certbot that wrote the file last.
    pub version: Option<String>,
    /// `renew` passes over it (`autorenew = False`, `storage.py:autorenewal_is_enabled`).
    pub is_manual: bool,
}

impl Lineage {
    /// The saved webroot of `name`, as `plugins/webroot.py:_set_webroots` picks it.
    pub fn webroot_of(&self, name: &Hostname) -> Option<&Webroot> {
        self.webroot_map.get(name).or_else(|| self.webroot_paths.last())
    }

    /// The saved webroot of an address, which is in no map here.
    pub fn webroot_of_addresses(&self) -> Option<&Webroot> {
        self.webroot_paths.last().or_else(|| self.webroot_map.values().next())
    }

    /// Whether names are proven by files in a webroot.
    pub fn is_webroot(&self) -> bool {
        self.authenticator == "webroot"
    }
}

/// A lineage whose files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// Why, with file and line.
    pub reason: String,
    /// Whether certbot passes over it as well, so that no challenge will come of it.
    pub certbot_skips_it: bool,
    /// Where its certificate is, whatever else cannot be used.
    pub cert: PathBuf,
    /// How a program ends that can do nothing without it.
    pub exit: Exit,
}

/// The section with the options of the renewal process.
const PARAMETERS: &[&str] = &["renewalparams"];

/// Reads the text of `file`; the lineage has no `names` yet.
pub fn parse(file: &Path, text: &[u8]) -> Result<Lineage, Error> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str()?.strip_suffix(".conf"))
        .ok_or_else(|| Error::FileName(file.to_owned()))?;
    let entries = configobj::parse(text).map_err(|(line, source)| Error::Syntax {
        file: file.to_owned(),
        line,
        source,
    })?;
    let conf = Conf { file, entries };
    let hook = |key| conf.optional(PARAMETERS, key);
    Ok(Lineage {
        name: name.to_owned(),
        names: Vec::new(),
        addresses: Vec::new(),
        authenticator: conf.required(PARAMETERS, "authenticator")?,
        webroot_map: conf.webroot_map()?,
        webroot_paths: conf.webroot_paths()?,
        cert: conf.required(&[], "cert")?.into(),
        fullchain: conf.required(&[], "fullchain")?.into(),
        privkey: conf.required(&[], "privkey")?.into(),
        pre_hook: hook("pre_hook")?,
        post_hook: hook("post_hook")?,
        renew_hook: hook("renew_hook")?,
        server: conf.optional(PARAMETERS, "server")?,
        account: conf.optional(PARAMETERS, "account")?,
        renew_before_expiry: conf.optional(&[], "renew_before_expiry")?,
        version: conf.optional(&[], "version")?,
        is_manual: conf
            .optional(PARAMETERS, "autorenew")?
            .is_some_and(|text| ["false", "no", "off", "0"].contains(&&*text.to_ascii_lowercase())),
    })
}

/// Where the certificate of the lineage of `file` is, by what can be read of it; where certbot
/// puts it otherwise.
pub fn certificate_of(file: &Path, text: &[u8]) -> PathBuf {
    let said = configobj::parse(text).ok().and_then(|entries| {
        let conf = Conf { file, entries };
        conf.optional(&[], "cert").ok().flatten()
    });
    let usual = || {
        let name = file.file_stem().unwrap_or_default();
        let directory = file.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        directory.join("live").join(name).join("cert.pem")
    };
    said.map_or_else(usual, PathBuf::from)
}

struct Conf<'a> {
    file: &'a Path,
    entries: Vec<Entry>,
}

impl Conf<'_> {
    fn find(&self, section: &[&str], key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.section == section && entry.key == key)
    }

    /// One value; `None` is certbot's way to write that there is none.
    fn optional(&self, section: &[&str], key: &str) -> Result<Option<String>, Error> {
        let Some(entry) = self.find(section, key) else { return Ok(None) };
        Ok(Some(self.single(entry)?).filter(|text| text != "None"))
    }

    fn required(&self, section: &[&str], key: &'static str) -> Result<String, Error> {
        let missing = || Error::Missing { file: self.file.to_owned(), key };
        self.optional(section, key)?.filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    fn single(&self, entry: &Entry) -> Result<String, Error> {
        match &entry.value {
            Value::Single(text) => Ok(text.clone()),
            // A hook written by hand, `cmd a, b`: certbot runs it as a Python list, that is, not.
            Value::List(_) => Err(Error::List {
                file: self.file.to_owned(),
                line: entry.line,
                key: entry.key.clone(),
            }),
        }
    }

    fn webroot(&self, entry: &Entry, text: &str) -> Result<Webroot, Error> {
        let refused =
            |source| Error::Webroot { file: self.file.to_owned(), line: entry.line, source };
        Webroot::parse(text).map_err(refused)
    }

    /// Keys that are no host names (wildcards, addresses) are left out.
    fn webroot_map(&self) -> Result<BTreeMap<Hostname, Webroot>, Error> {
        let mut map = BTreeMap::new();
        for entry in &self.entries {
            if entry.section != ["renewalparams", "webroot_map"] {
                continue;
            }
            if let Ok(name) = Hostname::parse(&entry.key) {
                map.insert(name, self.webroot(entry, &self.single(entry)?)?);
            }
        }
        Ok(map)
    }

    /// A list, or one value from before certbot 0.1 or from an editor.
    fn webroot_paths(&self) -> Result<Vec<Webroot>, Error> {
        let Some(entry) = self.find(&["renewalparams"], "webroot_path") else {
            return Ok(Vec::new());
        };
        let texts = match &entry.value {
            Value::Single(text) => std::slice::from_ref(text),
            Value::List(texts) => texts.as_slice(),
        };
        let given = texts.iter().filter(|text| !text.is_empty() && *text != "None");
        given.map(|text| self.webroot(entry, text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/letsencrypt/renewal/a.example.conf";

    const REAL: &str = "# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/a.example
cert = /etc/letsencrypt/live/a.example/cert.pem
privkey = /etc/letsencrypt/live/a.example/privkey.pem
chain = /etc/letsencrypt/live/a.example/chain.pem
fullchain = /etc/letsencrypt/live/a.example/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = 0123456789abcdef0123456789abcdef
authenticator = webroot
webroot_path = /srv/a, /srv/b
server = https://acme-v02.api.letsencrypt.org/directory
key_type = ecdsa
pre_hook = certbaton-pre-hook
renew_hook = \"logger 'a, b'\"
post_hook = None
[[webroot_map]]
a.example = /srv/a
*.a.example = /srv/a
gone.example = /srv/gone
[acme_renewal_info]
ari_retry_after = 2026-01-01T00:00:00
";

    fn read(text: &str) -> Result<Lineage, Error> {
        parse(Path::new(FILE), text.as_bytes())
    }

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn a_file_as_certbot_writes_it_is_read() {
        let lineage = read(REAL).unwrap();
        assert_eq!(lineage.name, "a.example");
        assert!(lineage.is_webroot());
        assert_eq!(lineage.cert, Path::new("/etc/letsencrypt/live/a.example/cert.pem"));
        assert_eq!(lineage.pre_hook.as_deref(), Some("certbaton-pre-hook"));
        assert_eq!(lineage.renew_hook.as_deref(), Some("logger 'a, b'"));
        assert_eq!(lineage.post_hook, None);
    }

    #[test]
    fn the_map_wins_over_the_last_path() {
        let lineage = read(REAL).unwrap();
        assert_eq!(lineage.webroot_of(&name("a.example")).unwrap().as_str(), "/srv/a");
        assert_eq!(lineage.webroot_of(&name("new.example")).unwrap().as_str(), "/srv/b");
    }

    #[test]
    fn a_single_webroot_path_without_comma_counts() {
        let lineage = read(&REAL.replace("/srv/a, /srv/b", "/srv/one")).unwrap();
        assert_eq!(lineage.webroot_of(&name("new.example")).unwrap().as_str(), "/srv/one");
        let lineage = read(&REAL.replace("/srv/a, /srv/b", "None")).unwrap();
        assert_eq!(lineage.webroot_of(&name("new.example")), None);
    }

    #[test]
    fn where_the_certificate_is_can_be_told_of_a_file_that_cannot_be_used() {
        let of = |text: &str| certificate_of(Path::new(FILE), text.as_bytes());
        let broken = REAL.replace("authenticator = webroot", "authenticator = a, b");
        let moved = broken.replace("live/a.example/cert", "live/other/cert");
        assert_eq!(of(&moved), Path::new("/etc/letsencrypt/live/other/cert.pem"));
        let usual = Path::new("/etc/letsencrypt/live/a.example/cert.pem");
        assert_eq!((of("<<<<<<< HEAD"), of("")), (usual.to_owned(), usual.to_owned()));
    }

    #[test]
    fn an_error_names_file_and_line() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        let syntax = read(&REAL.replace("version = 2.1.0", "<<<<<<< HEAD")).unwrap_err();
        assert!(syntax.to_string().starts_with(&format!("{FILE}:2: ")), "{syntax}");
        assert!(syntax.certbot_skips_it());
        let webroot = read(&REAL.replace("/srv/gone", "/srv/'s")).unwrap_err();
        assert!(webroot.to_string().starts_with(&format!("{FILE}:22: ")), "{webroot}");
        assert!(!webroot.certbot_skips_it());
        assert!(message(&REAL.replace("None", "a, b")).contains(":18: post_hook is a list"));
        let list = read(
            &REAL.replace("# renew_before", "renew_before").replace("30 days", "89 days, 23 hours"),
        );
        let list = list.unwrap_err();
        assert!(list.to_string().contains(":1: renew_before_expiry is a list"), "{list}");
        assert!(list.certbot_skips_it(), "certbot fails with it before any hook");
        assert!(message("").starts_with(&format!("{FILE}: no authenticator")));
    }
}
