//! flow: which names and addresses are this host's own and those of the other hosts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::apache::vhosts::{Vhost, vhosts};
use crate::base::clock::Deadline;
use crate::base::names::Hostname;
use crate::base::sockets;
use crate::ca::dns::Nameservers;
use crate::ca::resolve::{Resolve, System};
use crate::ca::sight::Question;
use crate::certbot::lineages::lineages;
use crate::check::bounds::{Bounds, is_public};
use crate::check::inspect;
use crate::check::resolver::Resolver;
use crate::config::{Host, Settings};

/// How far `question` may go on this host.
pub fn bounds(settings: &Settings, question: &Question) -> Bounds {
    bounds_for(settings, question.names.iter().map(|(name, _)| name))
}

/// How far a look at `names` may go.
pub fn bounds_for<'a>(
    settings: &Settings,
    mut names: impl Iterator<Item = &'a Hostname>,
) -> Bounds {
    let deadline = Deadline::after(TIME);
    let mut bounds = Bounds::default();
    // What cannot be read is not ours for certain.
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    bounds.names.extend(known.usable.into_iter().flat_map(|lineage| lineage.names));
    let own = sockets::interface_addresses().unwrap_or_default();
    bounds.hosts.extend(own.into_iter().filter(|address| !address.is_loopback()));
    bounds.hosts.extend(settings.hosts.iter().flat_map(|host| of_host(host, &deadline)));
    if settings.web_server.is_none() {
        served(settings, &mut bounds);
    }
    if names.any(|name| !bounds.names.contains(name)) {
        let resolver = Resolver::new(Nameservers::system().ok());
        for name in bounds.names.iter().take(MOST_NAMES) {
            let found = resolver.addresses(name, &deadline).unwrap_or_default();
            bounds.doors.extend(found.into_iter().filter(|address| is_public(*address)));
        }
    }
    bounds
}

/// The names and the addresses of Apache's vhosts.
fn served(settings: &Settings, bounds: &mut Bounds) {
    let Ok((_, seen)) = inspect::look(settings) else { return };
    let dump = &seen.user;
    bounds.names.extend(vhosts(dump).iter().flat_map(Vhost::names));
    bounds.hosts.extend(dump.bindings.iter().filter_map(|binding| binding.address));
}

fn of_host(host: &Host, deadline: &Deadline) -> BTreeSet<IpAddr> {
    let mut found: BTreeSet<IpAddr> = host.addresses.iter().copied().collect();
    let Some(destination) = &host.ssh else { return found };
    let (_, machine) = destination.as_str().rsplit_once('@').unwrap_or(("", destination.as_str()));
    let machine = machine.trim_matches(['[', ']']);
    if let Ok(address) = machine.parse() {
        found.insert(address);
    } else if let Ok(name) = Hostname::parse(machine) {
        // It may be called so by ssh's configuration alone.
        found.extend(System.addresses(&name, deadline).unwrap_or_default());
    }
    found
}

/// For all of it.
const TIME: Duration = Duration::from_secs(20);

/// Names that are looked up to learn where the doors are.
const MOST_NAMES: usize = 50;
