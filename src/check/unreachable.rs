//! pure: addresses where nobody takes a connection: whose they are, and what that means.

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::ca::sight::{Miss, MissKind};
use crate::check::culprit::{other, record};
use crate::check::matrix::{AddressSeen, HostSeen, Matrix};
use crate::fleet::relay::NOT_STARTED;
use crate::fleet::whose;

/// Nobody takes a connection at `at`.
pub fn dead(matrix: &Matrix<'_>, at: &AddressSeen<'_>, miss: &Miss) -> Finding {
    let address = at.address;
    let eats = if miss.kind == MissKind::BlackHole && address.is_ipv6() {
        ": it eats 10 of the CA's 20 seconds"
    } else {
        ""
    };
    let code = if eats.is_empty() { Code::NobodyListens } else { Code::Ipv6BlackHole };
    let Some(owner) = at.owner else {
        let what = format!(
            "{}, and nobody takes a connection on port 80 there{eats}",
            whose::nobodys(address)
        );
        return Finding::new(Code::StaleRecord, Some(record(address)), what, whose::RECORD);
    };
    if let Some(reason) = owner.findings().iter().find(|f| f.code == Code::ApacheNotRunning) {
        return reason.clone();
    }
    if let Some(down) = down(matrix, owner) {
        return down;
    }
    let remedy = if miss.kind == MissKind::Refused {
        "start Apache, and let it listen on that address: `Listen 80`, and `<VirtualHost *:80>`"
    } else {
        "let firewall, tunnel and router pass port 80 to it; ICMPv6 too, which IPv6 needs"
    };
    let what = format!("nobody takes a connection on port 80{eats}");
    Finding::new(code, Some(record(address)), what, remedy).on(&owner.label)
}

/// A host that cannot be asked, and whether the CA can do without.
pub fn down(matrix: &Matrix<'_>, host: &HostSeen) -> Option<Finding> {
    let why = host.report.as_ref().err()?;
    let own = matrix.rows.iter().flat_map(|row| &row.addresses).filter(|at| at.is_of(host));
    let dead = own.filter(|at| at.dead().is_some()).map(|at| at.address).min();
    // Configured so, as on a vps that never calls home; that is no fault of either.
    if dead.is_none() && !host.is_asked {
        let what = "not asked from here, so its side is unknown".to_owned();
        let remedy = "run certbaton check there, which can ask both".to_owned();
        let found = Finding::new(Code::HostNotAsked, None, what, remedy);
        return Some(found.on(&host.label));
    }
    let (code, what) = match dead {
        Some(address) => (
            Code::HostDown,
            format!(
                "it is down, or cut off: it cannot be asked ({why}), and nobody takes a connection at {address}; the CA tries that and then goes to {}",
                other(address)
            ),
        ),
        None => (Code::HostUnreachable, format!("cannot be asked, so its side is unknown: {why}")),
    };
    let remedy = if why.contains(NOT_STARTED) {
        "ssh to it works, sudo there does not: apt install sudo if it is missing there, and certbaton install puts its rule in place"
    } else {
        "see that it is up and that ssh to it works, then check again"
    };
    Some(Finding::new(code, None, what, remedy).on(&host.label))
}
