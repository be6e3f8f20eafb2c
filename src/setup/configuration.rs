//! pure: the configuration file of two hosts, and how ssh gets from one to the other.

use crate::base::names::{Destination, HostLabel};
use crate::config::Settings;
use crate::setup::error::Error;
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
    /// What tells of no hosts yet, gets them; so does the other of the two where only this one is
    /// left. What tells of others is the person's to change.
    pub fn merged(&self, file: &str, text: &str) -> Result<String, Error> {
        let now = Settings::parse(file, text)?;
        if now.name.is_none() && now.hosts.is_empty() && now.arbiter.is_none() {
            return self.completed(file, text);
        }
        let host = |name| format!("{}[[host]]\nname = \"{name}\"\n", separator(text));
        match self.difference(&now) {
            None => Ok(text.to_owned()),
            Some(_) if self.lacks_only_home(&now) => Ok(format!("{text}{}", host(&self.home))),
            Some((what, write)) => Err(Error::Otherwise { file: file.to_owned(), what, write }),
        }
    }

    /// Whether `now` is what is left on the arbiter after the other host's `[[host]]` is deleted.
    fn lacks_only_home(&self, now: &Settings) -> bool {
        let hosts: Vec<&HostLabel> = now.hosts.iter().map(|host| &host.name).collect();
        let is_arbiter = self.own() == &self.vps && now.name.as_ref() == Some(&self.vps);
        is_arbiter && now.arbiter.as_ref() == Some(&self.vps) && hosts == [&self.vps]
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
                let what = "it names no hosts yet, and they find no place in it".to_owned();
                let write = format!("write there what says this: {}", one_line(&own));
                Err(Error::Otherwise { file: file.to_owned(), what, write })
            }
        }
    }

    /// What `now` says otherwise, and what it should say.
    fn difference(&self, now: &Settings) -> Option<(String, String)> {
        let Self { vps, home, way } = self;
        let label = |label: Option<&HostLabel>| label.map_or("missing".into(), ToString::to_string);
        if now.name.as_ref() != Some(self.own()) {
            let own = self.own();
            return Some((
                format!("name is {}, not {own}", label(now.name.as_ref())),
                format!("write name = \"{own}\" above the first [table]"),
            ));
        }
        if now.arbiter.as_ref() != Some(vps) {
            return Some((
                format!("lease.arbiter is {}, not {vps}", label(now.arbiter.as_ref())),
                format!("write arbiter = \"{vps}\" below [lease]"),
            ));
        }
        let host = |name: &HostLabel| now.hosts.iter().find(|host| host.name == *name);
        let missing = |name: &HostLabel| {
            let others = now.hosts.iter().map(|host| &host.name);
            let others: Vec<&str> = others
                .filter(|other| ![vps, home].contains(other))
                .map(HostLabel::as_str)
                .collect();
            let rename = if others.is_empty() {
                String::new()
            } else {
                format!(
                    ", or name = \"{name}\" instead of {}, if that is replaced",
                    others.join(" or ")
                )
            };
            (
                format!("no [[host]] is {name}"),
                format!("add two lines at its end, [[host]] and name = \"{name}\"{rename}"),
            )
        };
        let Some(arbiter) = host(vps) else { return Some(missing(vps)) };
        if host(home).is_none() {
            return Some(missing(home));
        }
        match way {
            Some(way) if arbiter.ssh.as_ref() != Some(way) => {
                let ssh = arbiter.ssh.as_ref().map_or("missing", Destination::as_str);
                let way = way.as_str();
                Some((
                    format!("ssh of {vps} is {ssh}, not {way}"),
                    format!("write ssh = \"{way}\" below name = \"{vps}\""),
                ))
            }
            _ => None,
        }
    }
}

/// What goes between a text and a table that is added to it.
fn separator(text: &str) -> &'static str {
    if text.is_empty() || text.ends_with('\n') { "\n" } else { "\n\n" }
}

fn one_line(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.collect::<Vec<&str>>().join(" · ")
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
        assert!(Settings::parse("f", &vps.merged("f", "").unwrap()).is_ok());
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let home = pair(Some("certbaton@h"));
        let text = "state-directory = \"/srv/x\"\n\n[lease]\nwait = \"5m\"\n[metrics]\n# mine";
        let merged = home.merged("f", text).unwrap();
        let settings = Settings::parse("f", &merged).unwrap();
        assert_eq!(settings.lease_wait.as_secs(), 300);
        assert_eq!(*settings.state_directory, *std::path::Path::new("/srv/x"));
        for line in text.lines() {
            assert!(merged.contains(line), "{line}: {merged}");
        }
        assert_eq!(home.merged("f", &merged).unwrap(), merged);
    }

    #[test]
    fn what_says_otherwise_is_not_overruled() {
        let theirs = pair(Some("certbaton@elsewhere")).text();
        let error = pair(Some("certbaton@h")).merged("/f", &theirs).unwrap_err();
        assert_eq!(
            error.to_string().split("; ").next(),
            Some("/f says otherwise: ssh of vps is certbaton@elsewhere, not certbaton@h")
        );
        let said = pair(None).merged("/f", &theirs).unwrap_err().to_string();
        assert!(said.contains("name is home, not vps; write name = \"vps\" above"), "{said}");
        assert!(matches!(pair(None).merged("/f", "nmae = 1\n"), Err(Error::Config(_))));
    }

    /// As README has it after a fire: home's `[[host]]` is deleted, and a new home comes.
    #[test]
    fn where_home_was_deleted_a_new_one_is_taken_in() {
        let vps = pair(None);
        let left = vps.text().replace("\n[[host]]\nname = \"home\"\n", "") + "# mine";
        let merged = vps.merged("f", &left).unwrap();
        assert_eq!(merged, format!("{left}\n\n[[host]]\nname = \"home\"\n"));
        assert_eq!(vps.merged("f", &merged).unwrap(), merged);
        let others = vps.text().replace("home", "oldhome");
        let said = vps.merged("f", &others).unwrap_err().to_string();
        assert!(said.contains("no [[host]] is home; add two lines at its end, [[host]] and name = \"home\", or name = \"home\" instead of oldhome, if that is replaced"), "{said}");
    }

    /// Each remedy, done as it says, is enough.
    #[test]
    fn what_to_write_is_what_was_missing() {
        let home = pair(Some("certbaton@h"));
        for (from, to) in [
            ("name = \"home\"\n\n[lease]", "name = \"casa\"\n\n[lease]"),
            ("arbiter = \"vps\"", "arbiter = \"home\""),
            ("ssh = \"certbaton@h\"", "ssh = \"me@elsewhere\""),
        ] {
            let text = home.text();
            assert!(text.contains(from), "{text}");
            let now = Settings::parse("f", &text.replace(from, to));
            let Ok(now) = now else { continue };
            let (_, write) = home.difference(&now).unwrap();
            let line = from.lines().next().unwrap();
            assert!(write.contains(line), "{write}");
        }
    }

    #[test]
    fn another_port_comes_before_all_hosts() {
        let text = ssh_config("h", 2222);
        assert!(text.contains("\nHost h\n    Port 2222\n\nHost *\n"), "{text}");
        assert!(!ssh_config("h", 22).contains("Port "));
    }
}
