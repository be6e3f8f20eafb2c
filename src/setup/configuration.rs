//! pure: the configuration file of two hosts, and how ssh gets from one to the other.

use crate::config::{self, Settings};
use crate::exit::{CarriesExit, Exit};
use crate::names::{Destination, HostLabel};
use crate::setup::keys::SSH_PORT;

/// What the two hosts are called, and which of them this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The arbiter.
    pub vps: HostLabel,
    /// The other.
    pub home: HostLabel,
    /// How home reaches the arbiter; `None` on the arbiter itself.
    pub way: Option<Destination>,
}

/// Why there is no new configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file that is there.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// It says something else.
    #[error(
        "{file} says otherwise: {what}; change it there, or move the file away and run this again"
    )]
    Otherwise {
        /// The file.
        file: String,
        /// What is asked for, and what is there.
        what: String,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Otherwise { .. } => Exit::Config,
        }
    }
}

impl Pair {
    /// This host.
    pub fn own(&self) -> &HostLabel {
        if self.way.is_some() { &self.home } else { &self.vps }
    }

    /// The text of a new file.
    pub fn text(&self) -> String {
        let Self { vps, home, way } = self;
        let ssh = way.as_ref().map(|way| format!("ssh = \"{}\"\n", way.as_str()));
        format!(
            "{NOTICE}name = \"{}\"\n\n[lease]\narbiter = \"{vps}\"\n\n[[host]]\nname = \"{vps}\"\n{}\n[[host]]\nname = \"{home}\"\n",
            self.own(),
            ssh.unwrap_or_default()
        )
    }

    /// What is to stand in `file`, from what stands there: the same if it says all of this already.
    ///
    /// What tells of no hosts yet, gets them; what tells of others is the person's to change.
    pub fn merged(&self, file: &str, text: &str) -> Result<String, Error> {
        let now = Settings::parse(file, text)?;
        if now.name.is_none() && now.hosts.is_empty() && now.arbiter.is_none() {
            return self.completed(file, text);
        }
        match self.difference(&now) {
            None => Ok(text.to_owned()),
            Some(what) => Err(Error::Otherwise { file: file.to_owned(), what }),
        }
    }

    /// `name` goes before the first table, the tables go to the end; `[lease]` may be there.
    fn completed(&self, file: &str, text: &str) -> Result<String, Error> {
        let own = self.text();
        let (top, tables) = own.split_once("\n\n").unwrap_or((&own, ""));
        let mut whole = format!("{top}\n\n{text}");
        if !whole.ends_with('\n') {
            whole.push('\n');
        }
        let is_lease = |line: &str| line.trim() == "[lease]";
        let (lease, hosts) = tables.split_once("\n\n").unwrap_or((tables, ""));
        if text.lines().any(is_lease) {
            whole = whole.replacen("[lease]\n", &format!("{lease}\n"), 1);
            whole = format!("{whole}\n{hosts}");
        } else {
            whole = format!("{whole}\n{tables}");
        }
        match Settings::parse(file, &whole) {
            Ok(settings) if self.difference(&settings).is_none() => Ok(whole),
            _ => {
                let what = format!("these lines are missing, and find no place in it: {own:?}");
                Err(Error::Otherwise { file: file.to_owned(), what })
            }
        }
    }

    /// What `now` says otherwise.
    fn difference(&self, now: &Settings) -> Option<String> {
        let Self { vps, home, way } = self;
        let label = |label: Option<&HostLabel>| label.map_or("missing".into(), ToString::to_string);
        if now.name.as_ref() != Some(self.own()) {
            return Some(format!("name is {}, not {}", label(now.name.as_ref()), self.own()));
        }
        if now.arbiter.as_ref() != Some(vps) {
            return Some(format!("lease.arbiter is {}, not {vps}", label(now.arbiter.as_ref())));
        }
        let host = |name: &HostLabel| now.hosts.iter().find(|host| host.name == *name);
        let Some(arbiter) = host(vps) else { return Some(format!("no [[host]] is {vps}")) };
        if host(home).is_none() {
            return Some(format!("no [[host]] is {home}"));
        }
        match way {
            Some(way) if arbiter.ssh.as_ref() != Some(way) => {
                let ssh = arbiter.ssh.as_ref().map_or("missing", Destination::as_str);
                Some(format!("ssh of {vps} is {ssh}, not {}", way.as_str()))
            }
            _ => None,
        }
    }
}

/// The ssh configuration for the way to `host`.
pub fn ssh_config(host: &str, port: u16) -> String {
    let general = include_str!("../../hooks/ssh/config");
    if port == SSH_PORT {
        return general.to_owned();
    }
    // The first value counts (ssh_config(5)).
    general.replacen("Host *\n", &format!("Host {host}\n    Port {port}\n\nHost *\n"), 1)
}

const NOTICE: &str = "# Written by certbaton init; edited, it stays as it is.\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(way: Option<&str>) -> Pair {
        let label = |text| HostLabel::parse(text).unwrap();
        let way = way.map(|way| Destination::parse(way).unwrap());
        Pair { vps: label("vps"), home: label("home"), way }
    }

    #[test]
    fn a_new_file_says_who_grants_and_how_to_get_there() {
        let home = pair(Some("certbaton@vps.example.org"));
        let settings = Settings::parse("f", &home.text()).unwrap();
        assert_eq!(home.difference(&settings), None);
        assert_eq!(home.merged("f", &home.text()).unwrap(), home.text());
        let vps = pair(None);
        let settings = Settings::parse("f", &vps.text()).unwrap();
        assert_eq!(settings.name.unwrap().as_str(), "vps");
        assert_eq!(settings.hosts[0].ssh, None);
        assert_eq!(vps.merged("f", "").map(|text| Settings::parse("f", &text).is_ok()), Ok(true));
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let home = pair(Some("certbaton@h"));
        let text = "state-directory = \"/srv/x\"\n\n[lease]\nwait = \"5m\"\n[metrics]\n# mine";
        let merged = home.merged("f", text).unwrap();
        let settings = Settings::parse("f", &merged).unwrap();
        assert_eq!(settings.lease_wait.as_secs(), 300);
        assert_eq!(settings.state_directory, std::path::Path::new("/srv/x"));
        for line in text.lines() {
            assert!(merged.contains(line), "{line}: {merged}");
        }
        assert_eq!(home.merged("f", &merged), Ok(merged));
    }

    #[test]
    fn what_says_otherwise_is_not_overruled() {
        let theirs = pair(Some("certbaton@elsewhere")).text();
        let error = pair(Some("certbaton@h")).merged("/f", &theirs).unwrap_err();
        assert_eq!(
            error.to_string().split("; ").next(),
            Some("/f says otherwise: ssh of vps is certbaton@elsewhere, not certbaton@h")
        );
        assert!(matches!(pair(None).merged("/f", &theirs), Err(Error::Otherwise { .. })));
        assert!(matches!(pair(None).merged("/f", "nmae = 1\n"), Err(Error::Config(_))));
    }

    #[test]
    fn another_port_comes_before_all_hosts() {
        let text = ssh_config("h", 2222);
        assert!(text.contains("\nHost h\n    Port 2222\n\nHost *\n"), "{text}");
        assert!(!ssh_config("h", 22).contains("Port "));
    }
}
