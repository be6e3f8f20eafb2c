//! flow: what became of a run's certificates while it waited for the lease.
//!
//! certbot decides what is due before it runs the pre-hook; another run may
//! have renewed all of it since.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::certificate;
use crate::base::clock;
use crate::base::files;
use crate::certbot::due::Need;
use crate::renewal::messages::{Deployment, Names, Task};

/// The certificates of a run's lineages, as they were at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates(Vec<Option<Vec<u8>>>);

impl Certificates {
    /// Reads them; one that cannot be read is none.
    pub fn of(task: &Task) -> Self {
        let Names::Lineages(needed) = &task.names else { return Self(Vec::new()) };
        let read = |path| files::read_foreign(path).ok();
        Self(needed.iter().map(|n| n.certificate.as_deref().and_then(read)).collect())
    }

    /// Whether each of them, and there are some, is another one `now`.
    pub fn all_renewed(&self, now: &Self) -> bool {
        let renewed = |(before, now): (&Option<Vec<u8>>, &Option<Vec<u8>>)| {
            before.is_some() && now.is_some() && before != now
        };
        !self.0.is_empty() && self.0.len() == now.0.len() && self.0.iter().zip(&now.0).all(renewed)
    }

    /// The lineages that have another certificate now, as a deploy hook would tell of them.
    pub fn renewed(&self, task: &Task) -> Vec<Deployment> {
        let Names::Lineages(needed) = &task.names else { return Vec::new() };
        let of = needed.iter().zip(&self.0).filter_map(|(needed, before)| {
            let directory = needed.certificate.as_deref()?.parent()?.to_owned();
            let pem = files::read_trusted(&directory.join("cert.pem")).ok()?;
            let names = certificate::from_pem(&pem).ok()?.names;
            let is_new = before.as_ref() != Some(&pem);
            is_new.then_some(Deployment { directory: Some(directory), names })
        });
        of.collect()
    }

    /// The lineages that are due and have the same certificate `now`.
    pub fn unchanged<'t>(&self, now: &Self, task: &'t Task) -> Vec<&'t str> {
        let Names::Lineages(needed) = &task.names else { return Vec::new() };
        let of = needed.iter().zip(self.0.iter().zip(&now.0));
        of.filter(|(needed, (before, now))| needed.need == Need::Due && before == now)
            .map(|(needed, _)| needed.lineage.as_str())
            .collect()
    }

    /// The serial number of `lineage`'s, if it had one.
    pub fn serial(&self, task: &Task, lineage: &str) -> Option<String> {
        let Names::Lineages(needed) = &task.names else { return None };
        let mut of = needed.iter().zip(&self.0).filter(|(needed, _)| needed.lineage == lineage);
        let pem = of.next()?.1.as_ref()?;
        certificate::from_pem(pem).ok().map(|certificate| certificate.serial)
    }

    /// The first to expire, if it does so within `time`.
    pub fn expires_within(&self, time: Duration) -> Option<Timestamp> {
        let read = |pem: &Vec<u8>| certificate::from_pem(pem).ok().map(|c| c.not_after);
        let first = self.0.iter().flatten().filter_map(read).min()?;
        // Out of range is far away.
        let limit = clock::now().checked_add(time).ok()?;
        (first < limit).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Process;
    use crate::renewal::messages::{Extent, Needed};

    fn certificates(all: &[&str]) -> Certificates {
        let some = |text: &&str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
        Certificates(all.iter().map(some).collect())
    }

    #[test]
    fn who_was_due_and_has_the_old_certificate_was_not_renewed() {
        let needed = |lineage: &str, need| Needed {
            lineage: lineage.into(),
            need,
            routes: Vec::new(),
            addresses: Vec::new(),
            certificate: None,
            account: None,
        };
        let owner = Process { pid: 1, start_time: 1 };
        let needs = [Need::Due, Need::Due, Need::Possible, Need::Due];
        let all = ["a", "b", "c", "d"].into_iter().zip(needs);
        let names = Names::Lineages(all.map(|(name, need)| needed(name, need)).collect());
        let (extent, left_out) = (Extent::Part, Vec::new());
        let task =
            Task { owner, stoppable: true, forced: false, dry_run: false, names, extent, left_out };
        let before = certificates(&["a1", "b1", "c1", ""]);
        let now = certificates(&["a2", "b1", "c1", ""]);
        // As a CA that refuses all leaves it; d is a new one that did not come about.
        assert_eq!(before.unchanged(&now, &task), ["b", "d"]);
        assert_eq!(before.unchanged(&before, &task), ["a", "b", "d"]);
    }

    #[test]
    fn only_when_all_were_renewed_nothing_is_left_to_do() {
        let before = certificates(&["a1", "b1"]);
        assert!(before.all_renewed(&certificates(&["a2", "b2"])));
        assert!(!before.all_renewed(&certificates(&["a2", "b1"])));
        assert!(!before.all_renewed(&certificates(&["a2", ""])));
        assert!(!before.all_renewed(&before));
        assert!(!certificates(&[]).all_renewed(&certificates(&[])));
        assert!(!certificates(&[""]).all_renewed(&certificates(&["new"])), "a new lineage");
    }
}
