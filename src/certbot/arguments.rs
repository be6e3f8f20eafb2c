//! pure: certbot's command line, understood as certbot itself understands it.
//!
//! A word certbot would refuse is passed over: such a certbot never gets as far
//! as a hook. Paths are made absolute but not looked up.
//!
//! Followed: `cli/helpful.py` (`determine_verb`: the first word that is a verb,
//! wherever it stands), Python's `argparse` (abbreviations, clusters, `=`),
//! `configargparse` (files go before the command line, and never override it)
//! and `plugins/webroot.py` (`_WebrootPathAction`, `_WebrootMapAction`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::base::names::{Hostname, Webroot};
use crate::certbot::ini::Setting;
use crate::certbot::options::{self as options, Opt};
use crate::certbot::unusable::Error;

/// What certbot was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Obtain and install.
    Run,
    /// Obtain.
    Certonly,
    /// Renew what is due.
    Renew,
    /// Change saved options; rehearses a renewal of one lineage (certbot ≥ 2.3).
    Reconfigure,
    /// A subcommand that asks no CA for a certificate.
    Other(String),
}

/// One run of certbot, as its command line and `cli.ini` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The subcommand.
    pub verb: Verb,
    /// The names of `-d`, in order, without those in `skipped`.
    pub domains: Vec<Hostname>,
    /// Requested names that HTTP-01 in a name's webroot cannot answer as such:
    /// wildcards, what is no host name.
    pub skipped: Vec<String>,
    /// The addresses of `--ip-address`, or of `-d`.
    pub addresses: Vec<IpAddr>,
    /// `--cert-name`.
    pub cert_name: Option<String>,
    /// The webroot that the order of `-w` and `-d`, or `--webroot-map`, gives a name.
    pub webroot_map: BTreeMap<Hostname, Webroot>,
    /// Every `-w`, in order; the last serves names that are not in the map.
    pub webroot_paths: Vec<Webroot>,
    /// The authenticator asked for: `webroot`, `apache`, `dns-…`.
    pub authenticator: Option<String>,
    /// Where `renewal/` and `live/` are.
    pub config_dir: PathBuf,
    /// `--server`.
    pub server: Option<String>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--force-renewal`.
    pub force_renewal: bool,
    /// `--no-directory-hooks` was not given.
    pub directory_hooks: bool,
}

impl Invocation {
    /// The webroot the command line gives `name`, as `plugins/webroot.py:_set_webroots` does.
    pub fn webroot_of(&self, name: &Hostname) -> Option<&Webroot> {
        self.webroot_map.get(name).or_else(|| self.webroot_paths.last())
    }
}

/// What follows the program, or the script of an interpreter: certbot's
/// own arguments, when the process is certbot.
pub fn arguments_after_program(argv: &[String]) -> &[String] {
    let Some((program, rest)) = argv.split_first() else { return &[] };
    match script_position(rest) {
        Some(at) if is_python(program) => &rest[at + 1..],
        _ => rest,
    }
}

/// The program of a command line; the script, or module, where that is an interpreter.
pub fn program(argv: &[String]) -> Option<&str> {
    let (program, rest) = argv.split_first()?;
    let script = || rest.get(script_position(rest)?);
    if is_python(program) { script().map(String::as_str) } else { Some(program) }
}

/// The file of `-c`/`--config`, which certbot reads besides its `cli.ini`.
pub fn configuration_file(arguments: &[String], directory: &Path) -> Option<PathBuf> {
    let given = options::given(arguments.iter().cloned());
    let file = given.into_iter().rfind(|(option, _)| option.name == "config")?.1?;
    Some(absolute(directory, &file).into())
}

/// Reads certbot's own arguments.
///
/// `directory` is certbot's working directory; `files` are the settings of its
/// configuration files in the order certbot opens them: `/etc/letsencrypt/cli.ini`,
/// the user's, that of `-c`.
pub fn parse(
    arguments: &[String],
    directory: &Path,
    files: &[Vec<Setting>],
) -> Result<Invocation, Error> {
    let (verb, arguments) = verb(arguments);
    let arguments = with_files(arguments, &verb, files);
    let mut run = Invocation::empty(verb);
    for (option, value) in options::given(arguments) {
        run.apply(option, value.as_deref(), directory)?;
    }
    Ok(run)
}

impl Invocation {
    fn empty(verb: Verb) -> Self {
        Self {
            verb,
            domains: Vec::new(),
            skipped: Vec::new(),
            addresses: Vec::new(),
            cert_name: None,
            webroot_map: BTreeMap::new(),
            webroot_paths: Vec::new(),
            authenticator: None,
            config_dir: "/etc/letsencrypt".into(),
            server: None,
            dry_run: false,
            force_renewal: false,
            directory_hooks: true,
        }
    }

    fn apply(&mut self, option: Opt, value: Option<&str>, directory: &Path) -> Result<(), Error> {
        let text = value.unwrap_or_default();
        match option.name {
            "domains" | "ip-address" => drop(self.add_domains(text)),
            "webroot-path" => self.add_webroot(directory, text)?,
            "webroot-map" => self.add_webroot_map(directory, text)?,
            "cert-name" => self.cert_name = Some(text.to_owned()),
            "server" => self.server = Some(text.to_owned()),
            "config-dir" => self.config_dir = absolute(directory, text).into(),
            "dry-run" => self.dry_run = true,
            "force-renewal" => self.force_renewal = true,
            "no-directory-hooks" => self.directory_hooks = false,
            "authenticator" | "configurator" => self.authenticator = Some(text.to_owned()),
            "apache" | "nginx" | "standalone" | "manual" | "webroot" => {
                self.authenticator = Some(option.name.to_owned());
            }
            dns if dns.starts_with("dns-") => self.authenticator = Some(dns.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// The names of one `-d`, normalised (`cli_utils.py:add_domains`).
    fn add_domains(&mut self, list: &str) -> Vec<Hostname> {
        let mut added = Vec::new();
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            // An IPv4 address would pass as a host name.
            if let Ok(address) = text.parse() {
                if !self.addresses.contains(&address) {
                    self.addresses.push(address);
                }
            } else if let Ok(name) = Hostname::parse(text) {
                if !self.domains.contains(&name) {
                    self.domains.push(name.clone());
                }
                added.push(name);
            } else if !self.skipped.iter().any(|known| known == text) {
                self.skipped.push(text.to_owned());
            }
        }
        added
    }

    /// A new `-w` first settles the names so far with the one before it.
    fn add_webroot(&mut self, directory: &Path, text: &str) -> Result<(), Error> {
        let webroot = webroot("--webroot-path", directory, text)?;
        if let Some(previous) = self.webroot_paths.last() {
            for name in &self.domains {
                self.webroot_map.entry(name.clone()).or_insert_with(|| previous.clone());
            }
        }
        self.webroot_paths.push(webroot);
        Ok(())
    }

    /// `{"a.example,b.example": "/srv/www"}`; it implies `-d` and wins over `-w`.
    fn add_webroot_map(&mut self, directory: &Path, json: &str) -> Result<(), Error> {
        let map: BTreeMap<String, String> =
            serde_json::from_str(json).map_err(Error::WebrootMap)?;
        for (names, path) in map {
            let webroot = webroot("--webroot-map", directory, &path)?;
            for name in self.add_domains(&names) {
                self.webroot_map.insert(name, webroot.clone());
            }
        }
        Ok(())
    }
}

fn webroot(option: &'static str, directory: &Path, text: &str) -> Result<Webroot, Error> {
    Webroot::parse(&absolute(directory, text))
        .map_err(|source| Error::OptionWebroot { option, source })
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_python(program: &str) -> bool {
    let version = base_name(program).strip_prefix("python");
    version.is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Where the script (or the module after `-m`) is behind an interpreter's own
/// options (python(1)); nothing for `-c`.
fn script_position(words: &[String]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty());
        match letters {
            None => return Some(at),
            Some("m") => return (at + 1 < words.len()).then_some(at + 1),
            Some("W" | "X" | "-check-hash-based-pycs") => at += 2,
            Some("c") => return None,
            Some(_) => at += 1,
        }
    }
    None
}

/// `helpful.py:determine_verb`: even an option's value is taken for the verb.
fn verb(arguments: &[String]) -> (Verb, Vec<String>) {
    let mut rest = arguments.to_vec();
    if rest.iter().any(|word| word == "-h" || word == "--help") {
        return (Verb::Other("help".to_owned()), rest);
    }
    let at = rest.iter().position(|word| options::VERBS.contains(&word.as_str()));
    let verb = match at.map(|at| rest.remove(at)).as_deref() {
        None | Some("run" | "everything") => Verb::Run,
        Some("certonly" | "auth") => Verb::Certonly,
        Some("renew") => Verb::Renew,
        Some("reconfigure") => Verb::Reconfigure,
        Some(other) => Verb::Other(other.to_owned()),
    };
    (verb, rest)
}

/// `configargparse.ArgParser.parse_known_args`: what a file sets stands before
/// the command line unless the command line spells the same option in full.
fn with_files(mut arguments: Vec<String>, verb: &Verb, files: &[Vec<Setting>]) -> Vec<String> {
    for file in files.iter().rev() {
        let mut from_file = Vec::new();
        for Setting { key, value } in file {
            let option = options::exact(key);
            // helpful.py:remove_config_file_domains_for_renewal
            let unwanted = *verb == Verb::Renew && option.is_some_and(|o| o.name == "domains");
            let given = |word: &String| {
                let spelt = word.split('=').next().unwrap_or(word);
                option.is_some_and(|o| options::spellings(o).iter().any(|s| s == spelt))
            };
            if unwanted || arguments.iter().any(given) {
                continue;
            }
            if option.is_none_or(|o| o.takes_value) {
                from_file.push(format!("--{key}={value}"));
            } else if matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "1") {
                from_file.push(format!("--{key}"));
            }
        }
        from_file.append(&mut arguments);
        arguments = from_file;
    }
    arguments
}

/// Python's `os.path.abspath`.
fn absolute(directory: &Path, text: &str) -> String {
    let joined = directory.join(text).to_string_lossy().into_owned();
    let mut parts = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
