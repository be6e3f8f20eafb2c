//! pure: the whole gateway, as files for both machines, from one small description.
//!
//! | module | knows |
//! | --- | --- |
//! | [`strings`] | strings that cannot break out of a configuration file |
//! | [`description`] | the description: what is said once, and what follows from it |
//! | [`layout`] | the three layouts of the challenge path at home |
//! | [`site`] | a name's vhosts on both machines |
//! | [`firewall`] | nftables |
//! | [`services`] | fail2ban and inadyn |
//! | [`layout_in_place`] | which layout is in place, and whether it does what it promises |
//!
//! Rendering looks at nothing but the description: no root, no network, no clock.

pub mod description;
pub mod firewall;
pub mod layout;
pub mod layout_in_place;
pub mod services;
pub mod site;
pub mod strings;

use std::path::PathBuf;

use crate::render::description::Description;
use crate::render::firewall::Firewall;
use crate::render::layout::{Layout, wrapped};
use crate::render::strings::Credential;

/// How every rendered file begins: by it one is known again, and may be replaced.
pub const MARK: &str = "# Rendered by certbaton render";

/// A file, by its path below the directory of all files: `vps/etc/…`, `home/etc/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: String,
    /// Whether only its owner may read it.
    pub is_secret: bool,
}

/// All files. `key` is the tunnel's update key, if it is known.
pub fn gateway(
    description: &Description,
    layout: &Layout,
    key: Option<&Credential>,
) -> Vec<Rendered> {
    let Description { name, vps, home, tunnel, sites } = description;
    let vps_sites = sites.iter().map(|site| site::on_vps(description, site));
    let home_sites = sites.iter().map(|site| site::at_home(description, site, layout));
    let conf = format!("etc/apache2/sites-available/{name}.conf");
    let nft = format!("etc/nftables.d/{name}.nft");
    let jail = format!("etc/fail2ban/jail.d/{name}.local");
    let door = Firewall { interface: vps.interface.as_ref(), ports: &vps.ports, shields: false };
    let mut files = vec![
        file("vps", &conf, &apache(vps_sites, &site::directory(&vps.webroot))),
        file("vps", &nft, &firewall::rules(name, door)),
    ];
    let door = Firewall { interface: Some(&home.interface), ports: &home.ports, shields: true };
    files.push(file("home", &conf, &apache(home_sites, &site::directory(&home.webroot))));
    files.push(file("home", &nft, &firewall::rules(name, door)));
    if sites.iter().any(|site| site.password_file.is_some()) {
        files.push(file("vps", &jail, &services::jail(&[])));
        files.push(file("home", &jail, &services::jail(&vps.addresses)));
    }
    if let Some(tunnel) = tunnel {
        let text = services::tunnel(tunnel, key.map(Credential::as_str));
        files.push(Rendered { is_secret: true, ..file("home", "etc/inadyn.conf", &text) });
    }
    files
}

fn file(host: &str, path: &str, text: &str) -> Rendered {
    let path = PathBuf::from(host).join(path);
    let head = "change the description and render again.";
    Rendered { path, text: format!("{MARK}: {head}\n{text}"), is_secret: false }
}

fn apache(sites: impl Iterator<Item = String>, directory: &str) -> String {
    let mut lines = wrapped(&format!("First: a2enmod {}", site::MODULES));
    lines.extend(wrapped(
        "The vhosts on port 443 appear with their certificates: reload Apache, run certbot with certbaton's hooks, and they are there.",
    ));
    let head: String = lines.into_iter().map(|line| line + "\n").collect();
    let mut text = format!("{head}\n{directory}");
    for site in sites {
        text.push('\n');
        text.push_str(&site);
    }
    text
}
