//! pure: how many certificates of exactly the same names a CA still gives in a week.
//!
//! Who plans for all hosts counts what all have; each host counts its own once more, whoever orders.
//! What another host says of itself nobody can look up: in a certificate's last week it is no
//! reason any more not to ask.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::certbot::accounts::PRODUCTION;
use crate::fleet::host_report::LineageReport;

/// Certificates of the last 7 days and of this plan, by CA and exact names, over all hosts.
#[derive(Debug)]
pub struct Budget {
    issued: BTreeMap<Key, BTreeMap<String, BTreeSet<String>>>,
    planned: BTreeMap<Key, u32>,
    limit: Option<u32>,
    now: Timestamp,
}

/// A CA, and exact names.
type Key = (String, BTreeSet<String>);

impl Budget {
    /// Counts what the hosts, each by its name, say that they have; a certificate that was copied to
    /// another host counts once.
    /// `limit` is what the configuration says of a CA whose limit is not known.
    pub fn new<'a>(
        lineages: impl Iterator<Item = (&'a str, &'a LineageReport)>,
        limit: Option<u32>,
        now: Timestamp,
    ) -> Self {
        let mut issued: BTreeMap<_, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (host, lineage) in lineages {
            for one in
                lineage.survey.issued.iter().filter(|i| now.duration_since(i.not_before) < WEEK)
            {
                let key = (server(lineage), one.name_set.clone());
                let serials = issued.entry(key).or_default();
                serials.entry(one.serial.clone()).or_default().insert(host.to_owned());
            }
        }
        Self { issued, planned: BTreeMap::new(), limit, now }
    }

    /// How many of `lineage`'s names were issued, the planned ones included, and how many may be.
    pub fn used(&self, lineage: &LineageReport) -> (u32, Option<u32>) {
        let key = (server(lineage), lineage.name_set());
        let issued = self.issued.get(&key).map_or(0, BTreeMap::len);
        let planned = self.planned.get(&key).copied().unwrap_or(0);
        let used = u32::try_from(issued).unwrap_or(u32::MAX).saturating_add(planned);
        (used, limit_of(&key.0).or(self.limit))
    }

    /// One more of `lineage`, which is `host`'s, or why the CA would refuse it.
    pub fn take(&mut self, host: &str, lineage: &LineageReport) -> Result<(), String> {
        let key = (server(lineage), lineage.name_set());
        let (used, limit) = self.used(lineage);
        let serials = self.issued.get(&key).into_iter().flat_map(BTreeMap::values);
        let others: Vec<&BTreeSet<String>> = serials.filter(|of| !of.contains(host)).collect();
        let by_others = u32::try_from(others.len()).unwrap_or(u32::MAX);
        let is_late = lineage.not_after.duration_since(self.now) < LAST;
        let counted = if is_late { used.saturating_sub(by_others) } else { used };
        if let Some(limit) = limit.filter(|limit| counted >= *limit) {
            let mut why = format!(
                "the CA gives {limit} certificates of the same names in 7 days, and {used} are used up or planned: one more would be refused"
            );
            if used - by_others < limit {
                let names: BTreeSet<&str> =
                    others.into_iter().flatten().map(String::as_str).collect();
                let names = names.into_iter().collect::<Vec<_>>().join(" and ");
                why = format!(
                    "{why} ({by_others} of them by the word of {names} alone, which does not count in the certificate's last week)"
                );
            }
            return Err(why);
        }
        *self.planned.entry(key).or_default() += 1;
        Ok(())
    }

    /// What the planned ones leave, where that is worth a word.
    pub fn costs(&self, force: bool) -> Vec<String> {
        let told = self.planned.iter().filter_map(|(key, planned)| {
            let limit = limit_of(&key.0).or(self.limit)?;
            let used = self.issued.get(key).map_or(0, BTreeMap::len);
            let after = u64::from(*planned) + used as u64;
            // Worth a word where a person chose it, or where it is the last.
            let names: Vec<&str> = key.1.iter().map(String::as_str).collect();
            (force || after >= u64::from(limit)).then(|| {
                format!("{}: {after} of the {limit} certificates in 7 days are then used, {planned} of them by this run", names.join(" "))
            })
        });
        told.collect()
    }
}

fn server(lineage: &LineageReport) -> String {
    lineage.survey.server.clone().unwrap_or_else(|| PRODUCTION.to_owned())
}

/// Let's Encrypt's own limit; what it calls staging, and other CAs, have others or none.
fn limit_of(server: &str) -> Option<u32> {
    (server == PRODUCTION).then_some(5)
}

/// Of a certificate: then a limit that another host tells of has long passed.
const LAST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// For the limit; a CA that backdates a certificate by an hour is early by that hour.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24 + 1);
