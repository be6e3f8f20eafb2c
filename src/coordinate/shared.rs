//! pure: what a host says of names counts for the names that another host has too, and for no others.
//!
//! A peer may refuse what both have; of what it alone has, or says that it has, it tells of itself.

use std::collections::BTreeSet;

use crate::base::names::{HostLabel, Hostname};
use crate::base::text::few;
use crate::coordinate::decision::Surveyed;
use crate::fleet::host_report::HostReport;

/// How the routes of a host are after it was asked to renew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Whether they are back, as far as that concerns the other hosts.
    pub is_back: bool,
    /// The names that others renew too, which this host still answers by itself.
    pub local: BTreeSet<Hostname>,
    /// What is wrong, for people.
    pub why: Option<String>,
}

/// What `report`, which `host` gave of itself, leaves to the others of `all`; of `own`, which is
/// this host, everything counts.
pub fn left(
    report: &HostReport,
    host: &HostLabel,
    own: Option<&HostLabel>,
    all: &[Surveyed],
) -> Left {
    if report.under_way || (report.local.is_empty() && !report.pending) {
        return Left { is_back: true, ..Left::default() };
    }
    let others = all.iter().filter(|other| other.name != *host);
    let others = others.filter_map(|other| other.report.as_ref().ok());
    let shared: BTreeSet<&Hostname> = others
        .flat_map(|report| &report.lineages)
        .flat_map(|lineage| &lineage.survey.hostnames)
        .collect();
    let counts = |name: &&Hostname| own == Some(host) || shared.contains(name);
    let (local, strange): (Vec<&Hostname>, Vec<&Hostname>) =
        report.local.iter().map(|route| &route.name).partition(counts);
    let why = if !local.is_empty() {
        format!("still local: {}", few(&local))
    } else if report.pending {
        "Apache may still serve a route".to_owned()
    } else {
        format!("says that names of no other host are still local there: {}", few(&strange))
    };
    let is_back = local.is_empty() && !report.pending;
    Left { is_back, local: local.into_iter().cloned().collect(), why: Some(why) }
}

/// The names that this host renews, or, where it is none of them, that more than one host does.
pub fn ours(all: &[Surveyed], own: Option<&HostLabel>) -> BTreeSet<Hostname> {
    let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for host in all {
        let lineages = host.report.iter().flat_map(|report| &report.lineages);
        let names: BTreeSet<&Hostname> =
            lineages.flat_map(|lineage| &lineage.survey.hostnames).collect();
        for name in names {
            if own == Some(&host.name) || (own.is_none() && !once.insert(name)) {
                twice.insert(name.clone());
            }
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::coordinate::decision::tests::{lineage, local, report};

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    fn label(text: &str) -> HostLabel {
        HostLabel::parse(text).unwrap()
    }

    #[test]
    fn a_name_that_no_other_host_has_concerns_no_other_host() {
        let host = |name: &str, lineages: &[&str]| Surveyed {
            name: label(name),
            report: Ok(report(lineages.iter().map(|l| lineage(l, "1")).collect())),
            skew: SignedDuration::ZERO,
        };
        let hosts = [host("vps", &["a", "x"]), host("home", &["a", "b"])];
        let said = |names: &[&str], pending: bool, own: &str| {
            let mut report = report(vec![lineage("x", "1")]);
            report.local = names.iter().map(|n| local(name(n))).collect();
            report.pending = pending;
            left(&report, &label("vps"), Some(&label(own)), &hosts)
        };
        assert_eq!(said(&[], false, "home"), Left { is_back: true, ..Left::default() });
        let both = said(&["a.example", "x.example"], false, "home");
        assert_eq!((both.is_back, both.local), (false, [name("a.example")].into()));
        assert_eq!(both.why.unwrap(), "still local: a.example");
        let strange: Vec<String> = (0..5000).map(|n| format!("n{n}.example")).collect();
        let strange: Vec<&str> = strange.iter().map(String::as_str).collect();
        let strange = said(&strange, false, "home");
        assert!(strange.is_back && strange.local.is_empty());
        let why = strange.why.unwrap();
        assert!(why.contains("n0.example") && why.ends_with("and 4992 more"), "{why}");
        assert!(!said(&["x.example"], false, "vps").is_back, "this host knows its own");
        let home = label("home");
        let ours = |own| ours(&hosts, own).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ours(Some(&home)), ["a.example", "b.example"]);
        assert_eq!(ours(None), ["a.example"]);
        let pending = said(&["x.example"], true, "home");
        assert_eq!((pending.is_back, pending.local.len()), (false, 0));
    }
}
