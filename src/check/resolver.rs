//! flow: a name's records as DNS has them, which is what a CA sees; by the system only where DNS is not to be had.

use std::io;
use std::net::IpAddr;

use crate::base::cause::chain;
use crate::base::clock::Deadline;
use crate::base::names::Hostname;
use crate::ca::caa::Relevant;
use crate::ca::dns::{DnsAnswer, Error, Nameservers};
use crate::ca::resolve::{Resolve, System};

/// Asks this host's name servers, not its `/etc/hosts`.
#[derive(Debug, Clone)]
pub struct Resolver {
    dns: Option<Nameservers>,
}

/// What there is under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Its addresses, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// What could not be had, and why.
    pub unresolved: Option<String>,
    /// Its CAA records, or its nearest parent's.
    pub caa: Option<Relevant>,
    /// Why the CA cannot have them, either.
    pub caa_unknown: Option<String>,
}

impl Resolver {
    /// With these name servers; with the system's resolver alone if there are none.
    pub fn new(dns: Option<Nameservers>) -> Self {
        Self { dns }
    }

    /// All records of `name`.
    pub fn records(&self, name: &Hostname, deadline: &Deadline) -> Records {
        let (addresses, unresolved, dns) = self.lookup(name, deadline);
        let mut records = Records { addresses, unresolved, ..Records::default() };
        match dns.map(|dns| dns.relevant_caa(name, deadline)) {
            Some(Ok(relevant)) => records.caa = relevant,
            // That is about the zone. All else is about the server that was asked, which is not the CA's.
            Some(Err(error @ Error::Failed { .. })) if is_servfail(&error) => {
                records.caa_unknown = Some(chain(&error));
            }
            Some(Err(_)) | None => {}
        }
        records
    }

    /// What was found, what went wrong, and the name servers if they answer at all. As for a CA,
    /// one kind of address is enough.
    fn lookup(
        &self,
        name: &Hostname,
        deadline: &Deadline,
    ) -> (Vec<IpAddr>, Option<String>, Option<&Nameservers>) {
        let Some(dns) = &self.dns else {
            let (addresses, error) = by_system(name, deadline, None);
            return (addresses, error, None);
        };
        let v6 = dns.ipv6(name, deadline).map(DnsAnswer::records);
        if let Err(error @ (Error::Silent { .. } | Error::File(_))) = &v6 {
            let (addresses, error) = by_system(name, deadline, Some(chain(error)));
            return (addresses, error, None);
        }
        let v4 = dns.ipv4(name, deadline).map(DnsAnswer::records);
        let error = v6.as_ref().err().or(v4.as_ref().err()).map(|error| chain(error));
        let v6 = v6.unwrap_or_default().into_iter().map(IpAddr::from);
        let v4 = v4.unwrap_or_default().into_iter().map(IpAddr::from);
        (v6.chain(v4).collect(), error, Some(dns))
    }
}

fn is_servfail(error: &Error) -> bool {
    matches!(error, Error::Failed { code, .. } if code == "SERVFAIL")
}

fn by_system(
    name: &Hostname,
    deadline: &Deadline,
    error: Option<String>,
) -> (Vec<IpAddr>, Option<String>) {
    match System.addresses(name, deadline) {
        Ok(mut addresses) => {
            addresses.sort_by_key(IpAddr::is_ipv4);
            (addresses, None)
        }
        Err(other) => (Vec::new(), error.or_else(|| Some(other.to_string()))),
    }
}

impl Resolve for Resolver {
    fn addresses(&self, host: &Hostname, deadline: &Deadline) -> io::Result<Vec<IpAddr>> {
        match self.lookup(host, deadline) {
            (addresses, Some(error), _) if addresses.is_empty() => Err(io::Error::other(error)),
            (addresses, ..) => Ok(addresses),
        }
    }
}
