//! pure: which lineages a run of certbot renews, by certbot's own rule of its version.
//!
//! `storage.py:should_autorenew` and `renewal.py:should_renew`. What cannot be
//! told from files counts as due, so that nothing that certbot asks for is unproven.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::certificate::Certificate;
use crate::certbot::arguments::{Invocation, Verb};
use crate::certbot::renewal_file::Lineage;
use crate::certbot::version::{Age, Version};

/// Whether certbot renews a lineage when it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// It does.
    Now,
    /// Not before this.
    From(Timestamp),
    /// That cannot be told from outside.
    Unknown,
    /// Never by itself (`autorenew = False`).
    Never,
}

/// What one run of certbot does with a lineage, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It renews it, or nobody can tell.
    Due,
    /// It does not, by its age; but it asks the CA, which may want it renewed.
    Possible,
    /// It does not, by its age.
    NotDue,
    /// It passes over it.
    Never,
}

/// Whether `version` renews a lineage with the certificate `current` at `now`.
pub fn due(
    lineage: &Lineage,
    current: &Certificate,
    version: Option<Version>,
    now: Timestamp,
) -> Due {
    Due::of(renews_from(lineage, current, version), !lineage.is_manual, now)
}

/// From when on `version` renews a lineage with the certificate `current` by its age; none: that
/// cannot be told.
pub fn renews_from(
    lineage: &Lineage,
    current: &Certificate,
    version: Option<Version>,
) -> Option<Timestamp> {
    let Certificate { not_before, not_after, .. } = *current;
    version?.due(&Age {
        not_before,
        not_after,
        before_expiry: lineage.renew_before_expiry.as_deref(),
    })
}

impl Due {
    /// At `now`, of a lineage that certbot renews by its age from `from` on, if it is `automatic`.
    pub fn of(from: Option<Timestamp>, automatic: bool, now: Timestamp) -> Self {
        match from {
            _ if !automatic => Self::Never,
            None => Self::Unknown,
            Some(at) if at < now => Self::Now,
            Some(at) => Self::From(at),
        }
    }
}

/// What `run` does with each lineage, by name; `lineages` with their certificates. One that is
/// not in it is due.
///
/// certbot has run a pre-hook, so it renews something: where files say that nothing is due, they
/// do not tell all.
pub fn needs(
    run: Option<&Invocation>,
    lineages: &[(&Lineage, Option<Certificate>)],
    version: Option<Version>,
    now: Timestamp,
) -> BTreeMap<String, Need> {
    let Some(run) = run.filter(|run| run.verb == Verb::Renew) else { return BTreeMap::new() };
    if run.force_renewal || run.dry_run {
        return BTreeMap::new();
    }
    let of = |(lineage, current): &(&Lineage, Option<Certificate>)| {
        let due = match current {
            Some(current) => due(lineage, current, version, now),
            None => Due::Unknown,
        };
        // A revoked certificate is renewed whatever its age (`ocsp_revoked`).
        let asks = version.is_none_or(Version::asks_the_ca)
            || current.as_ref().is_some_and(|current| current.has_ocsp);
        let need = match due {
            Due::Now | Due::Unknown => Need::Due,
            Due::From(_) if asks => Need::Possible,
            Due::From(_) => Need::NotDue,
            Due::Never => Need::Never,
        };
        (lineage.name.clone(), need)
    };
    let mut needs: BTreeMap<String, Need> = lineages.iter().map(of).collect();
    if needs.values().all(|need| *need >= Need::NotDue) {
        needs.values_mut().filter(|need| **need == Need::NotDue).for_each(|need| *need = Need::Due);
    }
    needs
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lineage(name: &str, more: &str, parameters: &str) -> Lineage {
        let text = format!(
            "cert = /c\nfullchain = /f\nprivkey = /k\n{more}[renewalparams]\n\
             authenticator = webroot\nwebroot_path = /srv,\n{parameters}"
        );
        let file = format!("/etc/letsencrypt/renewal/{name}.conf");
        crate::certbot::renewal_file::parse(Path::new(&file), text.as_bytes()).unwrap()
    }

    fn day(n: i64) -> Timestamp {
        Timestamp::from_second(n * 86_400).unwrap()
    }

    /// A certificate for 90 days, on its `age`th day.
    fn aged(age: i64) -> Certificate {
        Certificate {
            names: Vec::new(),
            addresses: Vec::new(),
            other_names: 0,
            not_before: day(1000 - age),
            not_after: day(1090 - age),
            serial: "1".into(),
            issuer: "CA".into(),
            has_ocsp: false,
        }
    }

    /// What `line` of certbot `version` does with each of `lineages`.
    fn found(version: &str, line: &str, lineages: &[(&Lineage, i64)]) -> Vec<Option<Need>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let run = crate::certbot::arguments::parse(&words, Path::new("/"), &[]).unwrap();
        let version = Version::of(version);
        let read: Vec<_> = lineages.iter().map(|(l, age)| (*l, Some(aged(*age)))).collect();
        let needs = needs(Some(&run), &read, version, day(1000));
        lineages.iter().map(|(lineage, _)| needs.get(&lineage.name).copied()).collect()
    }

    #[test]
    fn what_is_due_follows_version_options_and_files() {
        use Need::{Due, Never, NotDue, Possible};
        let (old, new) = (lineage("old", "", ""), lineage("new", "", ""));
        let manual = lineage("manual", "", "autorenew = False\n");
        let early = lineage("early", "renew_before_expiry = 80 days\n", "");
        let odd = lineage("odd", "renew_before_expiry = a fortnight\n", "");
        let all = [(&old, 70), (&new, 20), (&manual, 89), (&early, 20), (&odd, 20)];
        let rows = [
            // 30 days before the end; a third of the lifetime; and then the CA is asked.
            ("2.1.0", "renew", [Due, NotDue, Never, Due, Due]),
            ("4.0.0", "renew -q", [Due, NotDue, Never, Due, Due]),
            ("5.8.0", "renew", [Due, Possible, Never, Due, Due]),
        ];
        for (version, line, needs) in rows {
            assert_eq!(found(version, line, &all), needs.map(Some), "{version} {line}");
        }
        for line in ["renew --force-renewal", "renew --dry-run", "certonly -d a.example"] {
            assert_eq!(found("2.1.0", line, &all), [None; 5], "{line}: all of it");
        }
        // certbot runs a pre-hook all the same: it knows more than the files.
        assert_eq!(found("2.1.0", "renew", &all[1..3]), [Some(Due), Some(Never)]);
        assert_eq!(found("unknown", "renew", &all[..2]), [Some(Due), Some(Due)]);
    }
}
