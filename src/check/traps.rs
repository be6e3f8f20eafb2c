//! pure: traps of certbot's renewal files and its cli.ini.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::certbot::configobj::{Entry, Value};
use crate::certbot::renewal_file::{Lineage, Refused};
use crate::certbot::saved_hooks::Stage;
use crate::certbot::version::Version;

/// A renewal file and what belongs to it.
#[derive(Debug, Clone)]
pub struct RenewalFile {
    /// `renewal/NAME.conf`.
    pub path: PathBuf,
    /// Its keys.
    pub entries: Vec<Entry>,
    /// What they mean.
    pub lineage: Lineage,
    /// Every name of its certificate, wildcards too.
    pub name_set: BTreeSet<String>,
    /// Until when its certificate is valid.
    pub not_after: Timestamp,
}

impl RenewalFile {
    /// `FILE:LINE` of a key, of the file if it is not there.
    pub fn place(&self, key: &str) -> String {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        place(&self.path, entry.map(|entry| entry.line))
    }

    fn value(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        match &entry.value {
            Value::Single(text) => Some(text),
            Value::List(_) => None,
        }
    }

    /// A finding about all of its names.
    pub fn finding(
        &self,
        code: Code,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let found = Finding::new(code, Some(self.place(key)), what, remedy);
        found.about(self.lineage.names.clone())
    }

    /// The hooks that are saved in it, with their keys.
    pub fn hooks(&self) -> impl Iterator<Item = (Stage, &'static str, &str)> {
        let Lineage { pre_hook, post_hook, renew_hook, .. } = &self.lineage;
        let all = [
            (Stage::Pre, "pre_hook", pre_hook),
            (Stage::Deploy, "renew_hook", renew_hook),
            (Stage::Post, "post_hook", post_hook),
        ];
        all.into_iter().filter_map(|(stage, key, hook)| Some((stage, key, hook.as_deref()?)))
    }
}

/// What is wrong with a directory that certbot writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryFault {
    /// It is not there.
    Missing,
    /// Nobody can write there.
    ReadOnly,
    /// Apache's user cannot enter this directory on the way to it.
    Closed(PathBuf),
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

/// Traps of single renewal files; `in_directory` are the stages with a working hook in renewal-hooks.
/// `version` is certbot's, where it matters.
pub fn traps(
    renewal: &RenewalFile,
    in_directory: &BTreeSet<Stage>,
    now: Timestamp,
    version: Option<Version>,
) -> Vec<Finding> {
    let has_reconfigure = version.is_some_and(Version::has_reconfigure);
    let Lineage { name, authenticator, server, is_manual, cert, .. } = &renewal.lineage;
    let mut found = Vec::new();
    let unsaved = renewal.hooks().filter(|(stage, ..)| !in_directory.contains(stage));
    let keys: Vec<&str> = unsaved.map(|(_, key, _)| key).collect();
    if let Some(first) = keys.first() {
        found.push(renewal.finding(
            Code::SavedHooks,
            first,
            format!("hooks of {name} are saved here alone ({}): certbot certonly runs none of them, and wipes them out of this file", keys.join(", ")),
            "put the hooks into renewal-hooks/{pre,deploy,post} of certbot's directory",
        ));
    }
    let wrong = match authenticator.as_str() {
        "standalone" => Some((Severity::Problem, "standalone needs port 80, which Apache has")),
        "apache" | "nginx" => Some((
            Severity::Warning,
            "a plugin that edits the server's configuration itself: it knows nothing of the other host",
        )),
        "manual" if !renewal.value("pref_challs").is_some_and(|p| p.contains("dns")) => {
            Some((Severity::Warning, "manual answers challenges by hooks of its own"))
        }
        _ => None,
    };
    if let Some((severity, why)) = wrong {
        let other = renewal.finding(
            Code::NotWebroot,
            "authenticator",
            format!("{name} is not renewed by webroot ({why})"),
            if has_reconfigure {
                format!("run certbot reconfigure --cert-name {name} --webroot -w WEBROOT")
            } else {
                let names: Vec<String> =
                    renewal.lineage.names.iter().map(|name| format!("-d {name}")).collect();
                format!(
                    "run certbot certonly --cert-name {name} --webroot -w WEBROOT {}",
                    names.join(" ")
                )
            },
        );
        found.push(other.severity(severity));
    }
    if *is_manual {
        found.push(renewal.finding(
            Code::AutorenewOff,
            "autorenew",
            format!("certbot renew passes over {name}: autorenew is off"),
            if has_reconfigure {
                format!(
                    "run certbot reconfigure --cert-name {name} --autorenew, or remove the line"
                )
            } else {
                "remove the line".to_owned()
            },
        ));
    }
    if server.as_deref().is_some_and(|server| server.contains("staging")) {
        found.push(renewal.finding(
            Code::Staging,
            "server",
            format!("{name} is of a CA's staging environment, which no browser trusts"),
            format!("run certbot certonly --webroot --cert-name {name} --server with the CA's real directory"),
        ));
    }
    if renewal.not_after < now {
        let what = format!("the certificate of {name} expired at {}", renewal.not_after);
        let remedy = "see why no renewal succeeds: journalctl -u certbot, /var/log/letsencrypt/letsencrypt.log; then renew it: renew-coordinate, or certbot renew";
        let expired = Finding::new(Code::Expired, Some(cert.display().to_string()), what, remedy);
        found.push(expired.about(renewal.lineage.names.clone()));
    }
    found
}

/// Webroots that are no use.
pub fn webroots(
    renewal: &RenewalFile,
    fault: &dyn Fn(&Path) -> Option<DirectoryFault>,
) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    if !renewal.lineage.is_webroot() {
        return found;
    }
    for name in &renewal.lineage.names {
        let mut told = |code, key, what: String, remedy: String| {
            found.push(renewal.finding(code, key, what, remedy).about(vec![name.clone()]));
        };
        let Some(webroot) = renewal.lineage.webroot_of(name) else {
            let what = format!("no webroot of {name} is known");
            let remedy = "run certbot certonly --webroot -w WEBROOT with all names of the lineage";
            told(Code::WebrootUnknown, "webroot_path", what, remedy.into());
            continue;
        };
        let is_listed = renewal.lineage.webroot_paths.contains(webroot);
        let key = if is_listed { "webroot_path" } else { name.as_str() };
        match fault(webroot.as_path()) {
            None => {}
            Some(DirectoryFault::Missing) => told(
                Code::WebrootMissing,
                key,
                format!("the webroot {webroot} is not there"),
                format!(
                    "mkdir -p {webroot}, or name the directory that Apache serves: certbot certonly --webroot -w"
                ),
            ),
            Some(DirectoryFault::ReadOnly) => told(
                Code::WebrootReadOnly,
                key,
                format!("the webroot {webroot} cannot be written to"),
                "mount it for writing, or take another webroot".into(),
            ),
            Some(DirectoryFault::Closed(path)) => {
                let path = path.display();
                let what = format!(
                    "Apache's user cannot enter this directory, so it denies every challenge in {webroot}"
                );
                let remedy = format!("chmod o+x {path}");
                let place = Some(path.to_string());
                let closed = Finding::new(Code::WebrootUnreadable, place, what, remedy);
                found.push(closed.about(vec![name.clone()]));
            }
        }
    }
    found
}

/// What several lineages do to each other.
pub fn together(renewals: &[RenewalFile]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, renewal) in renewals.iter().enumerate() {
        let (before, name) = (&renewals[..at], &renewal.lineage.name);
        if let Some(twin) = before.iter().find(|known| known.name_set == renewal.name_set) {
            found.push(renewal.finding(
                Code::DuplicateLineage,
                "cert",
                format!("{name} and {} are for the same names: each renewal counts twice against the CA's limit", twin.lineage.name),
                "see which one Apache serves, then certbot delete --cert-name the other",
            ));
        }
        let Some(first) = before.first() else { continue };
        if first.lineage.server != renewal.lineage.server {
            found.push(renewal.finding(
                Code::AnotherServer,
                "server",
                format!("{name} is of another CA than {}", first.lineage.name),
                format!("if that is not wanted: certbot certonly --cert-name {name} --server with the same directory"),
            ));
        } else if first.value("account") != renewal.value("account") {
            found.push(renewal.finding(
                Code::AnotherAccount,
                "account",
                format!("{name} is of another account at the CA than {}", first.lineage.name),
                "write the same account into both files",
            ));
        }
    }
    found
}

/// A lineage that cannot be used.
pub fn broken(refused: &Refused, directory: &Path) -> Finding {
    let file = directory.join("renewal").join(format!("{}.conf", refused.name));
    let (place, what) = match refused.reason.split_once(": ") {
        Some((place, what)) if place.starts_with('/') => (place.to_owned(), what),
        _ => (file.display().to_string(), refused.reason.as_str()),
    };
    let who = if refused.certbot_skips_it { "certbot" } else { "certbaton" };
    Finding::new(
        Code::RenewalBroken,
        Some(place),
        format!("{who} cannot use the lineage {}: {what}", refused.name),
        "repair the file, or certbot delete the lineage if nobody needs it",
    )
}

/// Settings of `cli.ini` that keep renewals from being what they seem.
pub fn options(file: &Path, text: &str) -> Vec<Finding> {
    let off = |value: &str| ["false", "no", "0"].contains(&value.to_ascii_lowercase().as_str());
    let settings = crate::certbot::ini::parse(text).into_iter();
    let found = settings.filter_map(|setting| {
        let (key, value) = (setting.key.replace('_', "-"), setting.value);
        let (code, what, remedy) = match key.as_str() {
            "no-directory-hooks" if !off(&value) => {
                (Code::HooksOff, "certbot runs no hook of renewal-hooks", "remove the line")
            }
            "directory-hooks" if off(&value) => {
                (Code::HooksOff, "certbot runs no hook of renewal-hooks", "remove the line")
            }
            "staging" | "test-cert" if !off(&value) => (
                Code::Staging,
                "every certificate is of the CA's staging environment, which no browser trusts",
                "remove the line",
            ),
            "dry-run" if !off(&value) => (
                Code::DryRun,
                "every renewal is a rehearsal: no certificate is kept",
                "remove the line",
            ),
            _ => return None,
        };
        let is_key = |line: &str| {
            let line = line.trim_start_matches(['-', ' ', '\t']);
            line.strip_prefix(&setting.key)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        };
        let line = text.lines().position(is_key).map(|at| at + 1);
        Some(Finding::new(code, Some(place(file, line)), what, remedy))
    });
    found.collect()
}
