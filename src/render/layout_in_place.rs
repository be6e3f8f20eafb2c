//! pure: which layout of the challenge path is in place, and whether it does what it promises.
//!
//! Named by Apache's configuration, proven by the nonces that all hosts asked for.

use std::fmt;

use crate::base::names::{HostLabel, Hostname};
use crate::check::matrix::{HostSeen, Matrix, NameRow, Told};
use crate::fleet::inspection::{Answerer, InspectedName};

/// Who answers on the host that the CA comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Another host; its own renewals switch.
    Switch,
    /// Its own file, else another host.
    Fallthrough,
    /// Its own file, else another host's account.
    Stateless,
    /// None of them.
    Other,
}

/// A name, the host that the CA comes to, and the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The name.
    pub name: Hostname,
    /// The host whose the first address is.
    pub host: Option<HostLabel>,
    /// The layout there.
    pub kind: Arrangement,
    /// Where the line is that answers for other hosts.
    pub place: Option<String>,
    /// Whose tokens come back as the layout promises, and whose do not and why.
    pub tokens: Vec<(HostLabel, Result<(), String>)>,
    /// Why it is no proof, whatever the tokens say.
    pub lacks: Option<String>,
}

impl Proof {
    /// Whether everything is proven.
    pub fn holds(&self) -> bool {
        self.lacks.is_none() && self.tokens.iter().all(|(_, came)| came.is_ok())
    }
}

impl fmt::Display for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switch => "switch",
            Self::Fallthrough => "fallthrough",
            Self::Stateless => "stateless",
            Self::Other => "no layout",
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, host, kind, place, tokens, lacks } = self;
        write!(f, "{name}: ")?;
        if let Some(host) = host {
            write!(f, "{kind} on {host}")?;
            if let Some(place) = place {
                write!(f, " ({place})")?;
            }
            f.write_str(": ")?;
        }
        let mut told: Vec<String> = Vec::new();
        for (whose, came) in tokens {
            told.push(match came {
                Ok(()) => format!("tokens of {whose} come back"),
                Err(why) => format!("tokens of {whose} do NOT come back: {why}"),
            });
        }
        told.extend(lacks.iter().map(|why| format!("NOT proven: {why}")));
        f.write_str(&told.join(", "))
    }
}

/// The proof of `row`'s name, which must be of the layout `wanted`, if one is.
pub fn prove(matrix: &Matrix<'_>, row: &NameRow<'_>, wanted: Option<Arrangement>) -> Proof {
    let name = row.name;
    let mut proof = Proof {
        name: name.clone(),
        host: None,
        kind: Arrangement::Other,
        place: None,
        tokens: Vec::new(),
        lacks: None,
    };
    // The CA's first choice: IPv6 where there is any.
    let v6 = row.addresses.iter().any(|at| at.address.is_ipv6());
    let first: Vec<_> = row.addresses.iter().filter(|at| at.address.is_ipv6() == v6).collect();
    let Some(host) = first.first().and_then(|at| at.owner) else {
        proof.lacks = Some("the name leads to no host that is known".to_owned());
        return proof;
    };
    proof.host = Some(host.label.clone());
    let Some(inspected) = host.inspected(name) else {
        let why =
            host.inspection.as_ref().err().map_or("nobody knows the name there", String::as_str);
        proof.lacks = Some(format!("{} could not be looked at: {why}", host.label));
        return proof;
    };
    (proof.kind, proof.place) = layout(inspected);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != proof.kind) {
        proof.lacks = Some(format!("it is not {wanted}"));
    } else if proof.kind == Arrangement::Other {
        proof.lacks = Some(other(host, inspected));
    }
    let hosts = matrix.gathered.hosts.iter().enumerate();
    for (place, planted) in hosts.filter(|(_, planted)| planted.has_nonce(name)) {
        if proof.kind == Arrangement::Switch && planted.label == host.label {
            continue;
        }
        let mut failed = first.iter().filter_map(|at| match &at.cells[place].told {
            Told::Same => None,
            Told::Missed(miss) => Some(&miss.why),
            Told::Unknown(why) => Some(why),
        });
        let came = failed.next().map_or(Ok(()), |why| Err(why.clone()));
        proof.tokens.push((planted.label.clone(), came));
    }
    if proof.tokens.iter().all(|(whose, _)| *whose == host.label) {
        let why = "no other host has a token to ask for (config.toml names the hosts, and certbot there has to renew the name)";
        proof.lacks.get_or_insert_with(|| why.to_owned());
    }
    proof
}

fn layout(inspected: &InspectedName) -> (Arrangement, Option<String>) {
    let others = inspected.for_others();
    let kind = match (&inspected.answerer, others) {
        (Answerer::Passed(_), Answerer::Passed(_)) => Arrangement::Switch,
        (Answerer::Webroot, Answerer::Passed(_)) => Arrangement::Fallthrough,
        (Answerer::Webroot, Answerer::Account(_)) => Arrangement::Stateless,
        _ => Arrangement::Other,
    };
    let place = match others {
        Answerer::Passed(line) | Answerer::Account(line) => line.place.clone(),
        _ => inspected.vhost.clone(),
    };
    (kind, place)
}

fn other(host: &HostSeen, inspected: &InspectedName) -> String {
    let local = host.report.iter().flat_map(|report| &report.local);
    if local.into_iter().any(|route| route.name == inspected.name) {
        return "its route is switched just now; ask again when the renewal is over".to_owned();
    }
    match inspected.for_others() {
        Answerer::Webroot => "this host answers from its webroot, and nothing else".to_owned(),
        _ => "the challenge path leads elsewhere; certbaton check tells more".to_owned(),
    }
}
