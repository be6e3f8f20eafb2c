//! flow: proves that what was renewed on disk is served, on every address of this host that serves it.
//!
//! Only another certificate than the one on disk is a failure here. What else is
//! wrong was so before, and undoing the switch would not mend it: it is told.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::codes::Code;
use crate::base::files;
use crate::base::names::Hostname;
use crate::base::sockets;
use crate::ca::disk;
use crate::ca::handshake;
use crate::ca::resolve::{Resolve, System};
use crate::ca::served::{ExpectedCertificate, judge};
use crate::switch::challenge_proof::{Error, addresses, may_be_absent};
use crate::switch::plan::TlsDoor;

/// How it is known that a door serves the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// The server's configuration says so.
    Configured,
    /// It may: whoever serves one for other names there is somebody else.
    Guessed,
}

/// Proves that every door serves the certificate that is on disk, by Apache's
/// listeners and by those public addresses of its names that are this host's.
/// What a person should know comes back.
pub fn prove(
    doors: &[TlsDoor],
    listeners: &[SocketAddr],
    time: Duration,
    knowledge: Knowledge,
) -> Result<Vec<String>, Error> {
    let interfaces = sockets::interface_addresses().map_err(Error::Addresses)?;
    let (asked, told, notes) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut proof = Proof { knowledge, asked, told, notes };
    let deadline = Deadline::after(time);
    let mut disks = Vec::new();
    for door in doors {
        let TlsDoor { name, port, elsewhere, .. } = door;
        let unreadable = |source| Error::Certificate { file: door.certificate.clone(), source };
        let leaf = files::read_trusted(&door.certificate)?;
        let disk = disk::read(&door.certificate, &leaf).map_err(unreadable)?;
        for ip in addresses(door.address, *port, listeners, &interfaces, elsewhere) {
            let address = SocketAddr::new(ip, *port);
            match proof.one(name, name, address, &disk, &deadline) {
                Err(Error::NoHandshake(failure)) if may_be_absent(address, listeners, &failure) => {
                }
                seen => seen?,
            }
        }
        disks.push(disk);
    }
    // Afterwards, since a resolver may take its time.
    let deadline = Deadline::after(PUBLIC_TIME);
    let any = doors.iter().zip(&disks).filter(|(door, _)| door.address.is_none());
    for (door, disk) in any {
        for (name, ip) in public(door, listeners, &interfaces, &deadline) {
            let address = SocketAddr::new(ip, door.port);
            match proof.one(&door.name, name, address, disk, &deadline) {
                Err(Error::NoHandshake(failure)) => {
                    // Apache serves it, as its listeners showed: a firewall, mostly.
                    let is_told = !may_be_absent(address, listeners, &failure);
                    let note = format!("the public address of {name}: {}", chain(&failure));
                    proof.notes.extend(is_told.then_some(note));
                }
                seen => seen?,
            }
        }
    }
    Ok(proof.notes)
}

struct Proof {
    knowledge: Knowledge,
    asked: BTreeSet<(Hostname, SocketAddr)>,
    /// What was said, by the first name of the vhost.
    told: BTreeSet<(Hostname, SocketAddr, String)>,
    notes: Vec<String>,
}

impl Proof {
    fn one(
        &mut self,
        door: &Hostname,
        name: &Hostname,
        address: SocketAddr,
        disk: &ExpectedCertificate,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        if !self.asked.insert((name.clone(), address)) {
            return Ok(());
        }
        let served = handshake::look(name, address, deadline);
        let served = served.map_err(|failure| Error::NoHandshake(Box::new(failure)))?;
        let faults = judge(&served, disk, name, clock::now());
        let is_for_it = !faults.iter().any(|fault| fault.code == Code::ServedNotCovered);
        for fault in faults {
            if fault.code == Code::ServedAnother {
                if self.knowledge == Knowledge::Guessed && !is_for_it {
                    continue;
                }
                let (name, fault) = (name.clone(), Box::new(fault));
                return Err(Error::OldCertificate { name, address, fault });
            }
            // One vhost may have many names, and all the same fault.
            let about = (door.clone(), address, fault.to_string());
            if self.told.insert(about) {
                self.notes.push(format!("{name} on {} {fault}", address.ip()));
            }
        }
        Ok(())
    }
}

/// Where DNS sends clients of the door's names, as far as that is this host and
/// this door; what does not resolve now is not this proof's business.
fn public<'a>(
    door: &'a TlsDoor,
    listeners: &[SocketAddr],
    interfaces: &BTreeSet<IpAddr>,
    deadline: &Deadline,
) -> Vec<(&'a Hostname, IpAddr)> {
    let is_heard = |ip: &IpAddr| {
        listeners.iter().filter(|listener| listener.port() == door.port).any(|listener| {
            let (own, any) = (listener.ip(), listener.ip().is_unspecified());
            own == *ip || (any && (own.is_ipv6() || ip.is_ipv4()))
        })
    };
    let is_here =
        |ip: &IpAddr| interfaces.contains(ip) && !ip.is_loopback() && !door.elsewhere.contains(ip);
    let of = |name: &'a Hostname| {
        let found = System.addresses(name, deadline).unwrap_or_default();
        let found: Vec<_> = found.into_iter().filter(|ip| is_here(ip) && is_heard(ip)).collect();
        found.into_iter().map(move |ip| (name, ip))
    };
    door.names.iter().flat_map(of).collect()
}

/// For the public addresses of all names together.
const PUBLIC_TIME: Duration = Duration::from_secs(10);
