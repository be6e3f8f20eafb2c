//! pure: what may be written in `config.toml`, and the settings that come of it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::de::DeTable;

use crate::base::names::{Destination, HostLabel};
use crate::config::mistake::{Error, Example, Written};
use crate::config::notify::{MetricsFragment, NotifyFragment};
use crate::config::web_server::{self, ApacheFragment, WebServerFragment};
use crate::config::{GRACES, Host, Settings, Thresholds};

/// What may be written for each key.
pub(super) const EXAMPLES: &[Example] = &[
    example("name", "\"home\""),
    example("ssh-config", "\"/etc/certbaton/ssh_config\""),
    example("state-directory", "\"/var/lib/certbaton\""),
    example("runtime-directory", "\"/run/certbaton\""),
    example("host.name", "\"vps\""),
    example("host.ssh", "\"certbaton@vps.example.org\""),
    example("host.addresses", "[\"192.168.1.10\"]"),
    example("apache.pid-file", "\"/run/apache2/apache2.pid\""),
    example("web-server.test", "[\"/usr/sbin/nginx\", \"-t\"]"),
    example("web-server.reload", "[\"/usr/bin/systemctl\", \"reload\", \"nginx\"]"),
    example("certbot.config-directory", "\"/etc/letsencrypt\""),
    example("certbot.program", "\"/usr/bin/certbot\""),
    example("certbot.duplicates-per-week", "5"),
    example("lease.arbiter", "\"vps\""),
    example("lease.wait", "\"20m\""),
    example("lease.renewal", "\"5m\""),
    example("lease.grace", "\"30s\""),
    example("lease.break-glass", "\"120h\""),
    example("proof.time", "\"20s\""),
    example("status.warning-days", "20"),
    example("status.critical-days", "10"),
    secret("notify.command", "[\"/usr/bin/mail\", \"-s\", \"certbaton\", \"root\"]"),
    secret("notify.url", "\"https://ntfy.example.org/certbaton\""),
    example("notify.header-file", "\"/etc/certbaton/headers\""),
    example("metrics.textfile", "\"/var/lib/prometheus/node-exporter/certbaton.prom\""),
];

const fn example(key: &'static str, value: &'static str) -> Example {
    Example { key, value, is_secret: false }
}

const fn secret(key: &'static str, value: &'static str) -> Example {
    Example { key, value, is_secret: true }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Fragment {
    name: Option<HostLabel>,
    #[serde(rename = "host")]
    hosts: Vec<HostFragment>,
    ssh_config: Option<PathBuf>,
    state_directory: Option<PathBuf>,
    runtime_directory: Option<PathBuf>,
    apache: ApacheFragment,
    web_server: Option<WebServerFragment>,
    certbot: CertbotFragment,
    lease: LeaseFragment,
    proof: ProofFragment,
    status: StatusFragment,
    notify: NotifyFragment,
    metrics: MetricsFragment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct CertbotFragment {
    config_directory: Option<PathBuf>,
    program: Option<PathBuf>,
    duplicates_per_week: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LeaseFragment {
    arbiter: Option<HostLabel>,
    wait: Option<SignedDuration>,
    renewal: Option<SignedDuration>,
    grace: Option<SignedDuration>,
    break_glass: Option<SignedDuration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HostFragment {
    name: HostLabel,
    ssh: Option<String>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
}

fn hosts(fragments: Vec<HostFragment>, written: Written<'_>) -> Result<Vec<Host>, Error> {
    let mut hosts: Vec<Host> = Vec::new();
    for (index, HostFragment { name, ssh, addresses }) in fragments.into_iter().enumerate() {
        let wrong = |key, problem| written.wrong(&format!("host.{index}.{key}"), problem);
        if hosts.iter().any(|host| host.name == name) {
            return Err(wrong("name", "is there twice"));
        }
        let ssh = ssh.map(|text| {
            let wrong = || wrong("ssh", "is not a destination of ssh");
            Destination::parse(&text).ok_or_else(wrong)
        });
        hosts.push(Host { name, ssh: ssh.transpose()?, addresses });
    }
    Ok(hosts)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ProofFragment {
    time: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct StatusFragment {
    warning_days: Option<u32>,
    critical_days: Option<u32>,
}

impl StatusFragment {
    fn thresholds(self, written: Written<'_>) -> Result<Thresholds, Error> {
        let Self { warning_days, critical_days } = self;
        if warning_days.zip(critical_days).is_some_and(|(warning, critical)| warning < critical) {
            return Err(written.wrong("status.warning-days", "is less than critical-days"));
        }
        Ok(Thresholds { warning_days, critical_days })
    }
}

impl Settings {
    /// Reads the bytes of `file`.
    pub fn read(file: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::parse(file, &Written::text(file, bytes)?)
    }

    /// Reads the text of `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let written = Written { file, text, examples: EXAMPLES };
        let fragment: Fragment = toml::from_str(text).map_err(|error| written.refused(&error))?;
        let wrong = |key: &str, problem: &str| written.wrong(key, problem);
        let absolute = |key: &str, given: Option<PathBuf>| match given {
            Some(path) if path.is_relative() => Err(wrong(key, "is not an absolute path")),
            given => Ok(given),
        };
        let positive = |key: &str, given: Option<SignedDuration>| {
            let above_zero = |given| Duration::try_from(given).ok().filter(|d| !d.is_zero());
            let needed = || wrong(key, "is not a duration above zero");
            given.map(|given| above_zero(given).ok_or_else(needed)).transpose()
        };
        let default = Self::default();
        let hosts = hosts(fragment.hosts, written)?;
        let known = |name: &HostLabel| hosts.iter().find(|host| host.name == *name);
        let labels: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let stranger = stranger(&labels);
        if fragment.name.as_ref().is_some_and(|name| known(name).is_none()) {
            return Err(wrong("name", &stranger));
        }
        if let Some(arbiter) = &fragment.lease.arbiter {
            match known(arbiter) {
                None => return Err(wrong("lease.arbiter", &stranger)),
                Some(host)
                    if host.ssh.is_none()
                        && fragment.name.as_ref().is_some_and(|name| name != arbiter) =>
                {
                    return Err(wrong(
                        "lease.arbiter",
                        "is another host, and its [[host]] has no ssh; write there ssh = \"certbaton@HOST\", its name or address",
                    ));
                }
                Some(_) => {}
            }
        }
        if !hosts.is_empty() && fragment.name.is_none() && fragment.lease.arbiter.is_some() {
            return Err(wrong("name", "is missing: which [[host]] is this one?"));
        }
        let (pid_file, web_server) = web_server::checked(fragment.apache, fragment.web_server)
            .map_err(|(key, problem)| wrong(key, problem))?;
        let certbot_program = absolute("certbot.program", fragment.certbot.program)?;
        let break_glass = positive("lease.break-glass", fragment.lease.break_glass)?;
        let grace = positive("lease.grace", fragment.lease.grace)?.unwrap_or(default.lease_grace);
        if !GRACES.contains(&grace) {
            return Err(wrong("lease.grace", "is not between 1s and 10m"));
        }
        Ok(Self {
            name: fragment.name,
            hosts,
            arbiter: fragment.lease.arbiter,
            break_glass,
            certbot_program,
            duplicates_per_week: fragment.certbot.duplicates_per_week,
            ssh_config: absolute("ssh-config", fragment.ssh_config)?.unwrap_or(default.ssh_config),
            state_directory: absolute("state-directory", fragment.state_directory)?
                .map_or(default.state_directory, Into::into),
            runtime_directory: absolute("runtime-directory", fragment.runtime_directory)?
                .map_or(default.runtime_directory, Into::into),
            pid_file,
            web_server,
            certbot_directory: absolute(
                "certbot.config-directory",
                fragment.certbot.config_directory,
            )?
            .unwrap_or(default.certbot_directory),
            lease_wait: positive("lease.wait", fragment.lease.wait)?.unwrap_or(default.lease_wait),
            lease_renewal: positive("lease.renewal", fragment.lease.renewal)?
                .unwrap_or(default.lease_renewal),
            lease_grace: grace,
            proof_time: positive("proof.time", fragment.proof.time)?.unwrap_or(default.proof_time),
            thresholds: fragment.status.thresholds(written)?,
            notify: fragment.notify.check().map_err(|(key, problem)| wrong(key, problem))?,
            textfile: fragment.metrics.check().map_err(|(key, problem)| wrong(key, problem))?,
            exposed: None,
        })
    }

    /// What can be made out of `text`, which is refused: where the things are that giving routes
    /// back needs. What it does not say, or not so that it can be used, has its default.
    pub fn salvage(text: &str) -> Self {
        let (table, _) = DeTable::parse_recoverable(text);
        let path = |table: &DeTable<'_>, key: &str| {
            let path = PathBuf::from(table.get(key)?.get_ref().as_str()?);
            path.is_absolute().then_some(path)
        };
        let table = table.get_ref();
        let default = Self::default();
        let apache = table.get("apache").and_then(|apache| apache.get_ref().as_table());
        Self {
            state_directory: path(table, "state-directory")
                .map_or(default.state_directory, Into::into),
            runtime_directory: path(table, "runtime-directory")
                .map_or(default.runtime_directory, Into::into),
            pid_file: apache.and_then(|apache| path(apache, "pid-file")),
            ..Self::default()
        }
    }
}

/// What is said of a host that none of `labels` is.
fn stranger(labels: &[&str]) -> String {
    if labels.is_empty() {
        return "is no name of any [[host]]: there is none; add one for each host, as certbaton init does".into();
    }
    format!("is no name of any [[host]]; write one of theirs: {}", labels.join(", "))
}
