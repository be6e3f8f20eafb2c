//! pure: a certificate that is served and is none of those on disk: how bad that is, and what to do.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::Hostname;
use crate::ca::served::{self, Identity};
use crate::fleet::host_report::LineageReport;
use crate::fleet::whose;

/// What an address serves, and what the host that has the address could serve.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// For this name.
    pub name: &'a Hostname,
    /// At this address.
    pub address: IpAddr,
    /// The certificate.
    pub served: &'a Identity,
    /// It is for the name.
    pub covers: bool,
    /// Whose the address is; none: no known host's.
    pub owner: Option<&'a str>,
    /// The lineages of that host, or of all hosts, that hold the name.
    pub lineages: &'a [&'a LineageReport],
}

impl LineageReport {
    /// Whether its certificate is for `name`, by itself or by a wildcard.
    pub fn is_for(&self, name: &Hostname) -> bool {
        self.survey.hostnames.contains(name) || self.names.iter().any(|one| name.is_covered_by(one))
    }
}

/// The lineage that no web server of its host names, if there is no other of `lineages`.
pub fn unserved<'a>(lineages: &[&'a LineageReport]) -> Option<&'a LineageReport> {
    let is_unserved = lineages.iter().all(|lineage| lineage.survey.served_here == Some(false));
    lineages.first().copied().filter(|_| is_unserved)
}

/// That no web server of `owner` names the certificate of `lineage`.
pub fn not_served(lineage: &str, owner: Option<&str>) -> String {
    format!("no web server of {} names the certificate of {lineage}", owner.unwrap_or("any host"))
}

/// What is wrong with that, to be said of a name and an address.
pub fn mismatch(seen: &Comparison<'_>) -> Finding {
    let Comparison { name, served, covers, .. } = seen;
    let code = if *covers { Code::ServedAnother } else { Code::ServedNotCovered };
    let told = |what, remedy: &str| Finding::new(code, None, what, remedy);
    let Some(owner) = seen.owner else {
        let nobodys = whose::nobodys(seen.address);
        let what = format!(
            "{nobodys}, and the certificate that is served there, {served}, is none of theirs"
        );
        let other_host = if *covers { OTHER_HOST } else { "" };
        return told(what, &format!("{other_host}{}", whose::RECORD));
    };
    let which = if *covers {
        format!("serves the certificate {served}")
    } else {
        format!("serves the certificate {served}, which is not for {name}")
    };
    if seen.lineages.is_empty() {
        let what = format!("{which}, and {owner} has no lineage with that name");
        let remedy = "get a certificate with this name there as well (certbot certonly, with all names of the lineage that is to have it), or let the record lead to a host that has one";
        // Somebody else's, and a good one if it is for the name.
        return told(what, remedy).severity(Severity::Warning);
    }
    if let Some(lineage) = unserved(seen.lineages) {
        let what = format!("{which}: {}", not_served(&lineage.name, Some(owner)));
        let remedy = format!(
            "let a vhost on port 443 have this name, and fullchain.pem of {} as its SSLCertificateFile",
            lineage.name
        );
        return told(what, &remedy);
    }
    if !covers {
        return told(which, served::NOT_COVERED_REMEDY);
    }
    let disk: BTreeSet<String> =
        seen.lineages.iter().map(|lineage| lineage.identity().to_string()).collect();
    let disk: Vec<String> = disk.into_iter().collect();
    let what = format!("{which}, not the one on disk of {owner}, {}", disk.join(" or "));
    told(what, served::ANOTHER_REMEDY)
}

/// What to do if the address is a host's that is not configured.
const OTHER_HOST: &str =
    "if that is another host of yours, give it a [[host]] with its addresses; else ";

impl LineageReport {
    /// The certificate on disk, as its host tells it.
    pub fn identity(&self) -> Identity {
        Identity {
            serial: self.serial.clone(),
            not_after: self.not_after,
            fingerprint: self.survey.fingerprint.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::decision::tests::lineage;

    #[test]
    fn each_cause_has_its_words_and_a_certificate_without_the_name_is_always_a_problem() {
        let name = Hostname::parse("a.example").unwrap();
        let served = lineage("b", "BB").identity();
        let (named, mut unnamed) = (lineage("a", "AA"), lineage("a", "AA"));
        unnamed.survey.served_here = Some(false);
        let said = |owner: Option<&str>, lineages: &[&LineageReport], covers: bool| {
            let address = "192.0.2.1".parse().unwrap();
            mismatch(&Comparison { name: &name, address, served: &served, covers, owner, lineages })
        };
        for (owner, lineages, words) in [
            (None, &[&named][..], "no host that is known has 192.0.2.1"),
            (Some("vps"), &[], "vps has no lineage with that name"),
            (Some("vps"), &[&unnamed], "no web server of vps names the certificate of a"),
            (Some("vps"), &[&named], "which is not for a.example"),
        ] {
            let told = said(owner, lineages, false);
            assert!(told.what.contains(words), "{told:?}");
            assert_eq!((&told.code, told.severity), (&Code::ServedNotCovered, Severity::Problem));
            assert!(owner.is_some() || !told.remedy.contains("reload"), "{told:?}");
        }
        let covers = said(Some("vps"), &[&named], true);
        assert_eq!((&covers.code, covers.severity), (&Code::ServedAnother, Severity::Problem));
        assert!(covers.what.contains("not the one on disk of vps, AA "), "{covers:?}");
        assert_eq!(said(Some("vps"), &[], true).severity, Severity::Warning);
    }

    #[test]
    fn a_wildcard_is_for_the_names_one_below() {
        let mut lineage = lineage("w", "AA");
        lineage.names.push("*.example.org".into());
        let is_for = |name: &str| lineage.is_for(&Hostname::parse(name).unwrap());
        assert!(is_for("w.example") && is_for("third.example.org"));
        assert!(!is_for("example.org") && !is_for("a.b.example.org"));
    }
}
