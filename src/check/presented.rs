//! flow: whether who asks for a name is presented a certificate that is not for it.
//!
//! What the files tell may be of a vhost that no record leads to; so it is seen before it is said.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::{HTTPS_PORT, Hostname};
use crate::base::text::few;
use crate::base::threads;
use crate::ca::dns::Nameservers;
use crate::ca::handshake;
use crate::ca::resolve::Resolve;
use crate::check::bounds::{Bounds, MOST_ADDRESSES};
use crate::check::own;
use crate::check::resolver::Resolver;
use crate::check::uncovered::Uncovered;
use crate::config::Settings;

/// Those of `names` whose address presents a certificate without them, each with the address.
pub fn uncovered(
    settings: &Settings,
    names: impl IntoIterator<Item = Hostname>,
    resolve: &(impl Resolve + Sync),
) -> Vec<(Hostname, IpAddr)> {
    let names: Vec<Hostname> = names.into_iter().take(MOST).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let bounds = own::bounds_for(settings, names.iter());
    let deadline = Deadline::after(TIME);
    let found = threads::each("door", &names, |name| {
        let all = addresses(name, &bounds, resolve, &deadline).into_iter();
        let bare = all.filter(|address| is_uncovered(name, *address, &deadline));
        bare.map(|address| (name.clone(), address)).collect::<Vec<_>>()
    });
    found.concat()
}

/// What of `suspects` is seen, one finding for each line.
pub fn findings(settings: &Settings, suspects: &[Uncovered]) -> Vec<Finding> {
    let names = suspects.iter().map(|suspect| suspect.name.clone());
    let seen = uncovered(settings, names, &Resolver::new(Nameservers::system().ok()));
    let mut lines: BTreeMap<&str, (&Uncovered, Vec<Hostname>)> = BTreeMap::new();
    for suspect in suspects.iter().filter(|s| seen.iter().any(|(name, _)| *name == s.name)) {
        let line = lines.entry(&suspect.place).or_insert((suspect, Vec::new()));
        line.1.push(suspect.name.clone());
    }
    let told = lines.into_iter().map(|(place, (Uncovered { file, .. }, names))| {
        let at = seen.iter().filter(|(name, _)| names.contains(name)).map(|(_, at)| at);
        let mut at: Vec<&IpAddr> = at.collect();
        at.sort_unstable();
        at.dedup();
        let all: Vec<&Hostname> = names.iter().collect();
        let what = format!(
            "{} is served at {} for {}, and is not for that",
            file.display(),
            few(&at),
            few(&all)
        );
        let place = Some(place.to_owned());
        Finding::new(Code::ServedNotCovered, place, what, REMEDY).about(names)
    });
    told.collect()
}

fn addresses(
    name: &Hostname,
    bounds: &Bounds,
    resolve: &impl Resolve,
    deadline: &Deadline,
) -> Vec<IpAddr> {
    let mut found = resolve.addresses(name, deadline).unwrap_or_default();
    found.truncate(MOST_ADDRESSES);
    if !bounds.has(name, &found) {
        return Vec::new();
    }
    found.retain(|address| bounds.permits_own(name, *address));
    found
}

/// Where no certificate is presented at all, nobody is misled.
fn is_uncovered(name: &Hostname, address: IpAddr, deadline: &Deadline) -> bool {
    let served = handshake::look(name, SocketAddr::new(address, HTTPS_PORT), deadline);
    served.is_ok_and(|served| !served.covers(name))
}

const REMEDY: &str = "get a certificate with this name here as well (certbot certonly, with all names of the lineage that is to have it), or let the record lead to a host that has one";

/// For all of it.
const TIME: Duration = Duration::from_secs(10);

/// Names that are looked at.
const MOST: usize = 20;
