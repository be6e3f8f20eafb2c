//! pure: what became of a lineage: what its host's disk tells, before how certbot ended.

use serde::Serialize;

use crate::coordinate::decision::Decision;

/// What became of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineageOutcome {
    /// A new certificate is on disk.
    Renewed,
    /// The rehearsal went well.
    Rehearsed,
    /// It stays as it is, as it should.
    NotDue,
    /// It could not be renewed.
    Failed,
    /// It was not tried.
    NotTried,
    /// It was begun, and nobody can tell what became of it.
    Unknown,
}

impl LineageOutcome {
    /// For the table.
    pub fn text(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Rehearsed => "rehearsed",
            Self::NotDue => "not due",
            Self::Failed => "FAILED",
            Self::NotTried => "not tried",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is not as it should be.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Failed | Self::NotTried | Self::Unknown => true,
            Self::Renewed | Self::Rehearsed | Self::NotDue => false,
        }
    }
}

/// How far a host came with what it was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// Nothing was ordered, or the host refused, for this reason.
    No(String),
    /// It did not say how it ended: it was called off, or is gone.
    Unheard,
    /// certbot ended with this code, or of a signal.
    Ended(Option<i32>),
}

/// What became of a lineage: `before` and `now` are the serials on the host's disk before
/// anything was asked and after, and they alone tell whether it was renewed.
pub fn outcome(
    decision: &Decision,
    before: &str,
    now: Option<&str>,
    tried: Tried,
    dry_run: bool,
) -> (LineageOutcome, Option<String>) {
    match decision {
        Decision::NotDue(_) | Decision::Never => return (LineageOutcome::NotDue, None),
        Decision::Refused(why) => return (LineageOutcome::NotTried, Some(why.clone())),
        Decision::Renew | Decision::Ask => {}
    }
    if !dry_run && now.is_some_and(|serial| serial != before) {
        return (LineageOutcome::Renewed, None);
    }
    let (ended, status) = match tried {
        Tried::No(why) => return (LineageOutcome::NotTried, Some(why)),
        Tried::Unheard if dry_run || now.is_none() => {
            let disk = if dry_run { "" } else { ", and its disk cannot be looked at" };
            let why = format!("how certbot ended was not heard{disk}");
            return (LineageOutcome::Unknown, Some(why));
        }
        Tried::Unheard => ("how certbot ended was not heard".to_owned(), None),
        Tried::Ended(Some(code)) => (format!("certbot ended with code {code}"), Some(code)),
        Tried::Ended(None) => ("certbot was ended by a signal".to_owned(), None),
    };
    match (dry_run, status) {
        (true, Some(0)) => (LineageOutcome::Rehearsed, None),
        (true, _) => (LineageOutcome::Failed, Some(ended)),
        (false, Some(0)) if *decision == Decision::Ask => (LineageOutcome::NotDue, None),
        (false, _) if now.is_none() => {
            (LineageOutcome::Failed, Some(format!("{ended}, and its disk cannot be looked at")))
        }
        (false, _) => (
            LineageOutcome::Failed,
            Some(format!("{ended}, and the certificate is still the old one")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(decision: &Decision, now: &str, status: Option<i32>, dry_run: bool) -> LineageOutcome {
        outcome(decision, "1", Some(now), Tried::Ended(status), dry_run).0
    }

    #[test]
    fn files_tell_what_became_of_a_lineage() {
        let renew = Decision::Renew;
        assert_eq!(of(&renew, "2", Some(0), false), LineageOutcome::Renewed);
        assert_eq!(
            of(&renew, "2", Some(1), false),
            LineageOutcome::Renewed,
            "another lineage failed"
        );
        assert_eq!(
            of(&renew, "1", Some(0), false),
            LineageOutcome::Failed,
            "whatever certbot says"
        );
        assert_eq!(of(&renew, "1", None, false), LineageOutcome::Failed);
        assert_eq!(of(&Decision::Ask, "1", Some(0), false), LineageOutcome::NotDue);
        assert_eq!(of(&Decision::Ask, "1", Some(1), false), LineageOutcome::Failed);
        assert_eq!(of(&renew, "1", Some(0), true), LineageOutcome::Rehearsed);
        assert_eq!(of(&renew, "1", Some(1), true), LineageOutcome::Failed);
        let tried = |now| outcome(&renew, "1", Some(now), Tried::No("busy".into()), false);
        assert_eq!(tried("1"), (LineageOutcome::NotTried, Some("busy".into())));
        assert_eq!(tried("2"), (LineageOutcome::Renewed, None), "before it was refused");
    }

    #[test]
    fn the_disk_tells_also_where_nothing_was_heard() {
        let of = |now| outcome(&Decision::Renew, "1", now, Tried::Unheard, false);
        assert_eq!(of(Some("2")), (LineageOutcome::Renewed, None));
        let (outcome, why) = of(Some("1"));
        assert_eq!(outcome, LineageOutcome::Failed);
        assert!(why.unwrap().contains("still the old one"));
        let (outcome, why) = of(None);
        assert_eq!(outcome, LineageOutcome::Unknown, "nobody saw it fail");
        assert!(why.unwrap().contains("cannot be looked at"));
    }
}
