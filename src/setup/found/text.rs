//! pure: what was found, for people.

use std::fmt::{self, Write};

use super::Found;
use crate::names::Hostname;
use crate::route::plan::Switched;
use crate::route::report::chain;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or("?".into());
        writeln!(f, "found on this host")?;
        writeln!(f, "  apache {}, process {}", version(&self.apache), self.pid)?;
        writeln!(f, "  certbot {}, {}", version(&self.version), self.certbot.display())?;
        for lineage in &self.lineages {
            writeln!(f, "  lineage {}", lineage.name)?;
            for name in &lineage.names {
                let webroot = lineage.webroot_of(name);
                let webroot = webroot.map_or("no webroot".into(), ToString::to_string);
                writeln!(f, "    {name} in {webroot}")?;
            }
        }
        writeln!(f, "a renewal on this host would switch")?;
        match &self.switch {
            Ok((diff, report)) => {
                let switched = report.vhosts.iter().map(|vhost| switched(vhost, diff));
                let mut lines: Vec<String> = switched.collect();
                lines.dedup();
                lines.iter().try_for_each(|line| f.write_str(line))?;
                if lines.is_empty() {
                    writeln!(f, "  nothing: no vhost of apache's answers these names on port 80")?;
                }
                report.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
            }
            Err(error) => chain(error).lines().try_for_each(|line| writeln!(f, "  NOT: {line}")),
        }
    }
}

/// One vhost: what stands in the way and what is inserted for it, or that nothing does.
fn switched(vhost: &Switched, diff: &str) -> String {
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
