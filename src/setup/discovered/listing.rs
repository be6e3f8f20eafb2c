//! pure: what was found, for people.

use std::fmt::{self, Write};

use super::{DiscoveredServer, Discovery};
use crate::base::cause::chain;
use crate::base::names::Hostname;
use crate::switch::plan::PlannedVhost;

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or("?".into());
        writeln!(f, "found on this host")?;
        match &self.web_server {
            DiscoveredServer::Apache { pid, version: known } => {
                writeln!(f, "  Apache {}, process {pid}", version(known))?;
            }
            DiscoveredServer::Other(name) => writeln!(f, "  {name}, by [web-server]")?,
        }
        writeln!(f, "  certbot {}, {}", version(&self.version), self.certbot.display())?;
        for lineage in &self.lineages {
            writeln!(f, "  lineage {}", lineage.name)?;
            for name in &lineage.names {
                let webroot = lineage.webroot_of(name);
                let webroot = webroot.map_or("no webroot".into(), ToString::to_string);
                writeln!(f, "    {name} in {webroot}")?;
            }
        }
        if self.lineages.is_empty() {
            writeln!(
                f,
                "  no certificate that certbot renews by a webroot; the first comes after this"
            )?;
        }
        for finding in &self.adoption.findings {
            writeln!(f, "an old hook, and only you can decide: {finding}")?;
        }
        if let DiscoveredServer::Other(name) = &self.web_server {
            return writeln!(f, "nothing is ever switched in {name}");
        }
        if !self.adoption.changes.is_empty() {
            writeln!(f, "hooks of an older set-up switch here; they are taken out of use below")?;
        }
        if self.lineages.is_empty() && self.switch.is_ok() {
            return Ok(());
        }
        writeln!(f, "a renewal on this host would switch")?;
        match &self.switch {
            Ok((diff, report)) => {
                let switched = report.vhosts.iter().map(|vhost| switched(vhost, diff));
                let mut lines: Vec<String> = switched.collect();
                lines.dedup();
                lines.iter().try_for_each(|line| f.write_str(line))?;
                if lines.is_empty() {
                    writeln!(f, "  nothing: no vhost of Apache's answers these names on port 80")?;
                }
                report.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
            }
            Err(error) => chain(error).lines().try_for_each(|line| writeln!(f, "  NOT: {line}")),
        }
    }
}

/// One vhost: what stands in the way and what is inserted for it, or that nothing does.
fn switched(vhost: &PlannedVhost, diff: &str) -> String {
    let names: Vec<&str> = vhost.routes.iter().map(|route| route.name.as_str()).collect();
    let mut text = format!("  {} ({}): ", names.join(" "), vhost.origin);
    // A String takes everything.
    match vhost.obstacles.first() {
        None => text += "nothing, it answers from the webroot as it is\n",
        Some(first) => {
            writeln!(text, "these lines, to overrule {first}").ok();
            let names: Vec<&Hostname> = vhost.routes.iter().map(|route| &route.name).collect();
            for line in inserted(diff, &names) {
                writeln!(text, "      {line}").ok();
            }
        }
    }
    text
}

/// The directives of the blocks for exactly these names, without the marks around them.
fn inserted<'a>(diff: &'a str, names: &[&Hostname]) -> Vec<&'a str> {
    let mut lines: Vec<&str> = Vec::new();
    let mut is_inside = false;
    for line in diff.lines().filter_map(|line| line.strip_prefix('+')) {
        let line = line.trim_start();
        if let Some(routes) = line.strip_prefix("# certbaton: begin ") {
            let is_of =
                |name: &&Hostname| routes.split(' ').any(|r| r.starts_with(&format!("{name}=")));
            is_inside = names.iter().all(is_of);
        } else if line.starts_with("# certbaton: end ") {
            is_inside = false;
        } else if is_inside && !line.starts_with('#') && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::dump::Origin;
    use crate::apache::obstacles::{Obstacle, Obstacles};
    use crate::base::names::{Route, Webroot};
    use crate::switch::marked_lines;

    fn at(line: u32) -> Origin {
        Origin { file: "/s.conf".into(), line }
    }

    fn vhost(name: &str, obstacles: Obstacles) -> PlannedVhost {
        let name = Hostname::parse(name).unwrap();
        let route = Route { name, webroot: Webroot::parse("/w").unwrap() };
        PlannedVhost { origin: at(1), routes: vec![route], names: Vec::new(), obstacles }
    }

    #[test]
    fn each_vhost_shows_its_own_lines_and_what_they_overrule() {
        let proxied = || Obstacles {
            found: [(Obstacle::Proxied, Some(at(8)))].into(),
            ..Obstacles::default()
        };
        let (one, two) = (vhost("a.example", proxied()), vhost("b.example", proxied()));
        let block = |vhost: &PlannedVhost, line: &str| {
            let block = marked_lines::render(&vhost.routes, &[line.to_owned()], b"\n");
            String::from_utf8(block).unwrap().replace("    ", "+    ")
        };
        let diff = block(&one, "ProxyPass !") + &block(&two, "Alias x y");
        assert_eq!(
            switched(&one, &diff),
            "  a.example (/s.conf:1): these lines, to overrule /s.conf:8\n      ProxyPass !\n"
        );
        assert!(switched(&two, &diff).ends_with("\n      Alias x y\n"));
        let free = switched(&vhost("a.example", Obstacles::default()), &diff);
        assert_eq!(
            free,
            "  a.example (/s.conf:1): nothing, it answers from the webroot as it is\n"
        );
    }
}
