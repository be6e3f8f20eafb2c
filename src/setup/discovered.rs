//! flow: what a set-up finds out by itself: Apache, certbot, lineages, and what a renewal would switch. Nothing is changed.

mod listing;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::apache::dump::Dump;
use crate::apache::server::{self, Server};
use crate::apache::vhosts::{self, vhosts};
use crate::base::files;
use crate::base::names::{HTTP_PORT, Hostname, Route};
use crate::certbot::lineages::lineages;
use crate::certbot::renewal_file::{Lineage, Refused};
use crate::certbot::scope::{Known, scope};
use crate::check::this_host;
use crate::config::Settings;
use crate::setup::adopt::{self, Adoption};
use crate::setup::error::Error;
use crate::switch::apply;
use crate::switch::commit;
use crate::switch::observe;
use crate::switch::order::{Options, Order, SwitchReport};
use crate::switch::report;

/// All of it.
#[derive(Debug)]
pub struct Discovery {
    /// Who serves the names.
    pub web_server: DiscoveredServer,
    /// certbot's program.
    pub certbot: PathBuf,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// What it renews by a webroot.
    pub lineages: Vec<Lineage>,
    /// What a renewal of all of it would switch, or why it could not.
    pub switch: Result<(String, SwitchReport), report::Error>,
    /// What old hooks left behind, and what is to become of it.
    pub adoption: Adoption,
    /// Where there is no lineage yet: what the first ones can be for.
    pub unserved: Vec<Unserved>,
}

/// The names of a vhost that has no certificate yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// As it is called by its `ServerName`, and whatever else it answers to.
    pub names: Vec<Hostname>,
    /// Its directory: certbot's webroot, most likely.
    pub webroot: PathBuf,
}

/// The web server of a host.
#[derive(Debug)]
pub enum DiscoveredServer {
    /// Apache.
    Apache {
        /// Its pid.
        pid: i32,
        /// Its version, if it tells.
        version: Option<String>,
    },
    /// The one of `[web-server]`, by its name; nothing is ever switched in it.
    Other(String),
}

/// Looks.
pub fn find(settings: &Settings) -> Result<Discovery, Error> {
    let (web_server, adoption, named) = if let Some(other) = &settings.web_server {
        (DiscoveredServer::Other(other.to_string()), Adoption::default(), Vec::new())
    } else {
        let server = server::find(settings.pid_file.as_deref())?;
        let (adoption, named) = adoption(settings, &server)?;
        let version = server.inquirer().version();
        (DiscoveredServer::Apache { pid: server.process().pid, version }, adoption, named)
    };
    let certbot = this_host::program(settings).ok_or(Error::NoCertbot)?;
    let version = this_host::version(&certbot);
    let known = lineages(&settings.certbot_directory)?;
    let refused: Vec<Refused> =
        known.refused.into_iter().filter(|refused| !refused.certbot_skips_it).collect();
    let all: Vec<Lineage> = known.usable.into_iter().filter(Lineage::is_webroot).collect();
    let scope = scope(&Known {
        names: &[],
        webroot: None,
        invocation: None,
        lineages: &all,
        refused: &refused,
        needs: &BTreeMap::new(),
    })
    .map_err(|error| Error::Scope(Box::new(error)))?;
    let routes: Vec<Route> = scope.lineages.into_iter().flat_map(|l| l.routes).collect();
    let switch = match web_server {
        // Apache is asked where there is one, and something to ask for.
        DiscoveredServer::Apache { .. } if !routes.is_empty() => rehearse(settings, routes)?,
        DiscoveredServer::Apache { .. } | DiscoveredServer::Other(_) => {
            Ok((String::new(), SwitchReport::default()))
        }
    };
    let unserved = if all.is_empty() { named } else { Vec::new() };
    Ok(Discovery { web_server, certbot, version, lineages: all, switch, adoption, unserved })
}

/// The old set-up, and the names of Apache's vhosts.
fn adoption(settings: &Settings, server: &Server) -> Result<(Adoption, Vec<Unserved>), Error> {
    let (journal, _) = apply::read_journal(&settings.state_directory)?;
    // A renewal would say why not, and so does what comes next.
    let Ok(observed) = observe::observe(server, journal) else { return Ok(Default::default()) };
    Ok((adopt::adoption(settings, &observed)?, named(&observed.user)))
}

/// The vhosts on port 80 that a person gave a name, each with its directory.
fn named(dump: &Dump) -> Vec<Unserved> {
    let all = vhosts(dump).into_iter().filter(|vhost| {
        let is_named = vhost.own().any(|node| node.name == "servername");
        is_named && !vhosts::addresses_of(dump, vhost, HTTP_PORT).is_empty()
    });
    let unserved = all.map(|vhost| {
        let root = vhost.document_root(dump);
        let webroot = PathBuf::from(std::ffi::OsStr::from_bytes(&root));
        let mut names = vhost.names();
        // No CA knows a name without a dot.
        names.retain(|name| name.as_str().contains('.'));
        Unserved { names, webroot }
    });
    unserved.filter(|unserved| !unserved.names.is_empty()).collect()
}

/// A rehearsal leaves nothing behind: what it needs to write goes elsewhere where certbaton has no place yet.
fn rehearse(
    settings: &Settings,
    routes: Vec<Route>,
) -> Result<Result<(String, SwitchReport), report::Error>, Error> {
    let order = Order::Add(routes);
    let options = Options::default();
    if files::exists(&settings.state_directory) && files::exists(&settings.runtime_directory) {
        return Ok(commit::dry_run(settings, &order, &options));
    }
    let scratch = files::temporary_directory(Path::new("/run"))?;
    let elsewhere = Settings {
        state_directory: scratch.path().join("state").into(),
        runtime_directory: scratch.path().join("run").into(),
        ..settings.clone()
    };
    Ok(commit::dry_run(&elsewhere, &order, &options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhost_on_port_80_with_a_name_of_its_own_can_have_a_certificate() {
        let text = "DocumentRoot /srv/main
<VirtualHost *:80>
DocumentRoot /srv/nameless
</VirtualHost>
<VirtualHost *:80>
ServerName a.example.org
ServerAlias www.a.example.org *.a.example.org box
DocumentRoot /srv/a
</VirtualHost>
<VirtualHost *:80>
ServerName b.example.org
</VirtualHost>
<VirtualHost *:443>
ServerName c.example.org
</VirtualHost>";
        let found = named(&crate::apache::sample::dump(text, &[]));
        let told: Vec<(Vec<&str>, &str)> = found
            .iter()
            .map(|vhost| {
                let names = vhost.names.iter().map(Hostname::as_str).collect();
                (names, vhost.webroot.to_str().unwrap())
            })
            .collect();
        assert_eq!(
            told,
            [
                (vec!["a.example.org", "www.a.example.org"], "/srv/a"),
                (vec!["b.example.org"], "/srv/main")
            ]
        );
    }

    /// The line that `init` prints where nginx runs is all that a configuration needs for `init` to go on, and the
    /// first certificate comes after it.
    #[test]
    fn another_web_server_needs_no_apache_and_no_certificate_yet() {
        let line = crate::apache::foreign::suggestion(Path::new("/usr/sbin/nginx"), Some("nginx"));
        let directory = files::temporary_directory(Path::new("/tmp")).unwrap();
        let certbot = format!(
            "{line}\n[certbot]\nprogram = \"/bin/true\"\nconfig-directory = \"{}\"\n",
            directory.path().display()
        );
        let found = find(&Settings::parse("f", &certbot).unwrap()).unwrap();
        assert!(matches!(&found.web_server, DiscoveredServer::Other(name) if name == "nginx"));
        assert!(found.switch.is_ok() && found.lineages.is_empty());
        let text = found.to_string();
        assert!(text.contains("the first comes after this"), "{text}");
    }
}
