//! pure: whether a name's CAA records let a CA issue for it.
//!
//! RFC 8659 and its parameters of RFC 8657, read as Boulder reads them
//! (`va/caa.go`): stricter than the RFC in the case of the issuer's name.

use serde::{Deserialize, Serialize};

use crate::base::names::Hostname;

/// One CAA record as it stands in DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CaaRecord {
    /// Bit 128 is "critical"; Boulder takes bit 1, a common mistake, for it too.
    pub flags: u8,
    /// `issue`, `issuewild`, …, in any case.
    pub tag: String,
    /// The value.
    pub value: String,
}

/// The relevant resource record set: the records of the name, or of its nearest parent with any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Relevant {
    /// Whose records these are.
    pub at: Hostname,
    /// All of them.
    pub records: Vec<CaaRecord>,
}

/// Who wants to issue, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issuance<'a> {
    /// The CA's own name in CAA records: `letsencrypt.org`.
    pub issuer: &'a str,
    /// For `*.NAME`.
    pub wildcard: bool,
    /// How the name is proven: `http-01`.
    pub method: &'a str,
    /// The URL of the ACME account; `None`, if it is not known, matches any.
    pub account: Option<&'a str>,
}

/// Why the CA refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// A critical property that no CA knows.
    #[error(
        "the CAA records of {at} have the critical property {tag:?}, which the CA does not know"
    )]
    Critical {
        /// Whose records.
        at: Hostname,
        /// The tag.
        tag: String,
    },
    /// The CA is not among those listed.
    #[error(
        "the CAA records of {at} let {issuers} issue and not {issuer}",
        issuers = listed(issuers)
    )]
    Issuer {
        /// Whose records.
        at: Hostname,
        /// The CA.
        issuer: String,
        /// Those that are listed.
        issuers: Vec<String>,
    },
    /// `validationmethods` without ours.
    #[error("the CAA records of {at} let {issuer} issue only by {methods}")]
    Method {
        /// Whose records.
        at: Hostname,
        /// The CA.
        issuer: String,
        /// How it may.
        methods: String,
        /// How it would.
        method: String,
    },
    /// `accounturi` of another account.
    #[error("the CAA records of {at} let {issuer} issue only for the account {account}")]
    Account {
        /// Whose records.
        at: Hostname,
        /// The CA.
        issuer: String,
        /// Whose account.
        account: String,
    },
    /// A record for the CA that it cannot read, and so passes over.
    #[error("the CAA record {value:?} of {at} is malformed")]
    Malformed {
        /// Whose records.
        at: Hostname,
        /// The value.
        value: String,
    },
}

impl Objection {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Critical { .. } => "remove it or its flag".to_owned(),
            Self::Issuer { at, issuer, .. } => format!("add `{at}. CAA 0 issue \"{issuer}\"`"),
            Self::Method { method, .. } => format!("add {method} to validationmethods"),
            Self::Account { .. } => "add a record for this host's account".to_owned(),
            Self::Malformed { .. } => "write it as `issuer; parameter=value`".to_owned(),
        }
    }
}

/// The CA's name in CAA records, by the URL of its ACME directory; `None` for others. The
/// directory itself would tell it too (`caaIdentities`, RFC 8555 §7.1.1).
pub fn issuer(directory: &str) -> Option<&'static str> {
    let host = directory.strip_prefix("https://")?.split(['/', ':']).next()?;
    let is_below = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let known = [
        ("letsencrypt.org", "letsencrypt.org"),
        ("pki.goog", "pki.goog"),
        ("zerossl.com", "sectigo.com"),
        ("buypass.com", "buypass.com"),
    ];
    known.into_iter().find(|(domain, _)| is_below(domain)).map(|(_, issuer)| issuer)
}

/// The CAA records that count for `name`: its own, else its nearest parent's (RFC 8659 §3), as `ask`
/// tells them. An error on the way could hide some, and stops (`selectCAA`).
pub fn relevant<E>(
    name: &Hostname,
    ask: impl Fn(&Hostname) -> Result<Vec<CaaRecord>, E>,
) -> Result<Option<Relevant>, E> {
    for at in climb(name) {
        let records = ask(&at)?;
        if !records.is_empty() {
            return Ok(Some(Relevant { at, records }));
        }
    }
    Ok(None)
}

/// `name` and its parents up to the top-level domain, in the order in which they count.
fn climb(name: &Hostname) -> Vec<Hostname> {
    let starts = name.as_str().match_indices('.').map(|(at, _)| at + 1);
    let texts = [0].into_iter().chain(starts).filter_map(|start| name.as_str().get(start..));
    texts.filter_map(|text| Hostname::parse(text).ok()).collect()
}

/// Whether `request` may be granted (`validateCAA`).
pub fn judge(relevant: Option<&Relevant>, request: &Issuance<'_>) -> Result<(), Objection> {
    let Some(Relevant { at, records }) = relevant else { return Ok(()) };
    let tagged = |tag: &str| -> Vec<&CaaRecord> {
        records.iter().filter(|record| record.tag.eq_ignore_ascii_case(tag)).collect()
    };
    let known = |record: &&CaaRecord| {
        ["issue", "issuewild", "iodef"].iter().any(|tag| record.tag.eq_ignore_ascii_case(tag))
    };
    let unknown = records.iter().find(|record| !known(record) && record.flags & (128 | 1) != 0);
    if let Some(CaaRecord { tag, .. }) = unknown {
        return Err(Objection::Critical { at: at.clone(), tag: tag.clone() });
    }
    let wild = if request.wildcard { tagged("issuewild") } else { Vec::new() };
    let relevant = if wild.is_empty() { tagged("issue") } else { wild };
    // For a wildcard Boulder would refuse here (its loop finds nothing); RFC 8659 §4 does not.
    if relevant.is_empty() {
        return Ok(());
    }
    let mut near = None;
    for record in &relevant {
        match grants(at, record, request) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(objection) => near = near.or(Some(objection)),
        }
    }
    Err(near.unwrap_or_else(|| Objection::Issuer {
        at: at.clone(),
        issuer: request.issuer.to_owned(),
        issuers: relevant.iter().map(|record| issuer_of(&record.value).to_owned()).collect(),
    }))
}

/// Whether `record` grants `request`; an error if it is for this CA and refuses nevertheless.
fn grants(at: &Hostname, record: &CaaRecord, request: &Issuance<'_>) -> Result<bool, Objection> {
    if issuer_of(&record.value) != request.issuer {
        return Ok(false);
    }
    let malformed = || Objection::Malformed { at: at.clone(), value: record.value.clone() };
    let parameters = parameters(&record.value).ok_or_else(malformed)?;
    // The last one wins, as in Boulder's map.
    let parameter =
        |tag: &str| parameters.iter().rev().find(|(name, _)| *name == tag).map(|(_, value)| *value);
    let issuer = || request.issuer.to_owned();
    match (parameter("accounturi"), request.account) {
        (Some(wanted), Some(account)) if wanted != account => {
            let (at, account) = (at.clone(), wanted.to_owned());
            return Err(Objection::Account { at, issuer: issuer(), account });
        }
        _ => {}
    }
    let Some(methods) = parameter("validationmethods") else { return Ok(true) };
    let is_method =
        |m: &str| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // Boulder looks no further once it has found the method.
    let mut before = methods.split(',').take_while(|m| *m != request.method);
    if !before.all(is_method) {
        return Err(malformed());
    }
    if methods.split(',').any(|method| method == request.method) {
        return Ok(true);
    }
    let (at, methods) = (at.clone(), methods.to_owned());
    Err(Objection::Method { at, issuer: issuer(), methods, method: request.method.to_owned() })
}

/// The issuer of an `issue` value; empty if nobody may issue (`";"`).
fn issuer_of(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim_matches(SPACE)
}

/// The parameters of a value (`parseCAARecord`); `None` if one is malformed.
fn parameters(value: &str) -> Option<Vec<(&str, &str)>> {
    fn parameter(part: &str) -> Option<(&str, &str)> {
        let (tag, value) = part.split_once('=')?;
        let (tag, value) = (tag.trim_matches(SPACE), value.trim_matches(SPACE));
        let is_tag = tag.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_value = value.bytes().all(|b| b.is_ascii_graphic());
        (is_tag && is_value).then_some((tag, value))
    }
    let parts: Vec<&str> = value.split(';').skip(1).collect();
    if let [only] = parts[..]
        && only.trim_matches(SPACE).is_empty()
    {
        return Some(Vec::new());
    }
    parts.into_iter().map(parameter).collect()
}

const SPACE: [char; 2] = [' ', '\t'];

/// "nobody", "a.example", "a.example and b.example".
fn listed(issuers: &[String]) -> String {
    let named: Vec<&str> =
        issuers.iter().map(String::as_str).filter(|issuer| !issuer.is_empty()).collect();
    if named.is_empty() { "nobody".to_owned() } else { named.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETS_ENCRYPT: Issuance<'_> = Issuance {
        issuer: "letsencrypt.org",
        wildcard: false,
        method: "http-01",
        account: Some("https://ca/acct/1"),
    };
    const WILDCARD: Issuance<'_> = Issuance { wildcard: true, ..LETS_ENCRYPT };

    fn name(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    /// Each record as zone files have it: `0 issue letsencrypt.org`.
    fn relevant(records: &[&str]) -> Relevant {
        let record = |text: &&str| {
            let mut parts = text.splitn(3, ' ');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            CaaRecord { flags: next().parse().unwrap(), tag: next(), value: next() }
        };
        Relevant { at: name("a.example"), records: records.iter().map(record).collect() }
    }

    fn verdict(records: &[&str], request: &Issuance<'_>) -> Result<(), Objection> {
        judge(Some(&relevant(records)), request)
    }

    #[test]
    fn the_tree_is_climbed_label_by_label_up_to_the_top_level() {
        let climbed = climb(&name("www.a.co.example"));
        let climbed: Vec<&str> = climbed.iter().map(Hostname::as_str).collect();
        assert_eq!(climbed, ["www.a.co.example", "a.co.example", "co.example", "example"]);
    }

    #[test]
    fn no_record_and_none_about_issuing_forbid_nothing() {
        assert_eq!(judge(None, &LETS_ENCRYPT), Ok(()));
        for records in [
            &["0 iodef mailto:a@a.example"][..],
            &["0 issuewild ;"],
            &["128 iodef mailto:a@a.example"],
            &["0 contactemail a@a.example"],
        ] {
            assert_eq!(verdict(records, &LETS_ENCRYPT), Ok(()), "{records:?}");
        }
    }

    #[test]
    fn one_record_for_the_ca_among_others_is_enough() {
        for records in [
            &["0 issue letsencrypt.org"][..],
            &["0 ISSUE letsencrypt.org"],
            &["0 issue  letsencrypt.org ; "],
            &["0 issue ca.example", "0 issue letsencrypt.org"],
            &["0 issue ;", "0 issue letsencrypt.org;accounturi=https://ca/acct/1"],
            &["128 issue letsencrypt.org; validationmethods=dns-01,http-01"],
            &["0 issue letsencrypt.org; foo=bar"],
            &["0 issue letsencrypt.org; validationmethods=dns-01", "0 issue letsencrypt.org"],
        ] {
            assert_eq!(verdict(records, &LETS_ENCRYPT), Ok(()), "{records:?}");
        }
    }

    #[test]
    fn another_issuer_or_none_forbids_and_the_remedy_is_a_record() {
        let objection = verdict(&["0 issue ca.example", "0 issue ;"], &LETS_ENCRYPT).unwrap_err();
        assert_eq!(
            (objection.to_string().as_str(), objection.remedy().as_str()),
            (
                "the CAA records of a.example let ca.example issue and not letsencrypt.org",
                "add `a.example. CAA 0 issue \"letsencrypt.org\"`"
            )
        );
        let objection = verdict(&["0 issue ;"], &LETS_ENCRYPT).unwrap_err();
        assert!(objection.to_string().contains("let nobody issue"), "{objection}");
        // Boulder compares bytes.
        assert!(verdict(&["0 issue LetsEncrypt.org"], &LETS_ENCRYPT).is_err());
    }

    #[test]
    fn issuewild_counts_for_wildcards_and_then_issue_does_not() {
        let both = ["0 issue letsencrypt.org", "0 issuewild ca.example"];
        assert_eq!(verdict(&both, &LETS_ENCRYPT), Ok(()));
        assert!(verdict(&both, &WILDCARD).is_err());
        assert_eq!(verdict(&["0 issue ;", "0 issuewild letsencrypt.org"], &WILDCARD), Ok(()));
        assert_eq!(verdict(&["0 issue letsencrypt.org"], &WILDCARD), Ok(()));
        assert!(verdict(&["0 issue ca.example"], &WILDCARD).is_err());
    }

    #[test]
    fn an_unknown_property_forbids_if_it_is_critical_by_either_bit() {
        for (flags, is_critical) in [("0", false), ("2", false), ("1", true), ("128", true)] {
            let records = [&format!("{flags} tbs x"), "0 issue letsencrypt.org"];
            let found = verdict(&records, &LETS_ENCRYPT);
            let tag = "tbs".to_owned();
            let objection = Objection::Critical { at: name("a.example"), tag };
            assert_eq!(found, if is_critical { Err(objection) } else { Ok(()) }, "{flags}");
        }
    }

    #[test]
    fn validationmethods_without_http_01_forbid() {
        for methods in ["dns-01", "dns-01,tls-alpn-01", "HTTP-01"] {
            let record = format!("0 issue letsencrypt.org; validationmethods={methods}");
            let objection = verdict(&[&record], &LETS_ENCRYPT).unwrap_err();
            assert!(matches!(objection, Objection::Method { .. }), "{methods}: {objection}");
        }
        for methods in ["", "dns_01,http-01", "dns-01,,http-01"] {
            let record = format!("0 issue letsencrypt.org; validationmethods={methods}");
            let objection = verdict(&[&record], &LETS_ENCRYPT).unwrap_err();
            assert!(matches!(objection, Objection::Malformed { .. }), "{methods}: {objection}");
        }
    }

    #[test]
    fn accounturi_is_for_one_account_and_an_unknown_account_is_given_the_benefit() {
        let record = ["0 issue letsencrypt.org; accounturi=https://ca/acct/2"];
        let objection = verdict(&record, &LETS_ENCRYPT).unwrap_err();
        assert!(matches!(objection, Objection::Account { .. }), "{objection}");
        assert_eq!(verdict(&record, &Issuance { account: None, ..LETS_ENCRYPT }), Ok(()));
    }

    #[test]
    fn a_malformed_record_is_passed_over_and_named_if_nothing_else_grants() {
        for value in [
            "letsencrypt.org; x",
            "letsencrypt.org; a-b=c",
            "letsencrypt.org; a=b c",
            "letsencrypt.org;;",
        ] {
            let record = format!("0 issue {value}");
            let objection = verdict(&[&record], &LETS_ENCRYPT).unwrap_err();
            assert!(matches!(objection, Objection::Malformed { .. }), "{value}: {objection}");
            assert_eq!(verdict(&[&record, "0 issue letsencrypt.org"], &LETS_ENCRYPT), Ok(()));
        }
    }

    #[test]
    fn a_directory_tells_the_issuer() {
        for (directory, expected) in [
            ("https://acme-v02.api.letsencrypt.org/directory", Some("letsencrypt.org")),
            ("https://acme-staging-v02.api.letsencrypt.org/directory", Some("letsencrypt.org")),
            ("https://acme.zerossl.com/v2/DV90", Some("sectigo.com")),
            ("https://evilletsencrypt.org/directory", None),
            ("https://localhost:14000/dir", None),
        ] {
            assert_eq!(issuer(directory), expected, "{directory}");
        }
    }
}
