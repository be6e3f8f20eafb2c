//! pure: events folded into runs: how each went, how long its parts took, since when a route is local.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history::record::{Began, By, Deployed, Event, Kind, LogEntry, Omission, RunId};

/// One run, as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What kind; none where its beginning was rotated away.
    pub kind: Option<Kind>,
    /// On which host.
    pub host: Option<String>,
    /// Who wanted it.
    pub by: By,
    /// A rehearsal.
    pub dry_run: bool,
    /// Also what is not due.
    pub forced: bool,
    /// The lineages that it is about.
    pub lineages: Vec<String>,
    /// The fencing token of its lease.
    pub token: Option<u64>,
    /// Its first event.
    pub began: Timestamp,
    /// When it asked for the lease.
    pub asked: Option<Timestamp>,
    /// When it got it.
    pub granted: Option<Timestamp>,
    /// When it gave it back.
    pub released: Option<Timestamp>,
    /// Its end, or the last that is known of it.
    pub last: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Exit code, if it ended by itself.
    pub exit: Option<u8>,
    /// What went wrong; empty: nothing.
    pub text: String,
    /// The names that it routed to this host.
    pub switched: Vec<String>,
    /// The files that it replaced.
    pub files: Vec<String>,
    /// The lineages that got a new certificate.
    pub deployed: Vec<Deployed>,
    /// The lineages that could not be proven.
    #[serde(default)]
    pub left_out: Vec<Omission>,
    /// What a coordination had each host renew.
    #[serde(default)]
    pub hosts: Vec<HostRun>,
    /// The lineages that should have got a new certificate, and did not.
    #[serde(default)]
    pub not_renewed: Vec<NotRenewed>,
    /// Where its last event stands in the history: what came last is told by this, since a clock may
    /// have been wrong.
    #[serde(skip)]
    pub place: usize,
}

/// A lineage that should have a new certificate, and has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotRenewed {
    /// Its name.
    pub lineage: String,
    /// Why.
    pub why: String,
}

/// A host's part of a coordination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostRun {
    /// Which.
    pub host: String,
    /// Lineages with a new certificate.
    pub renewed: Vec<String>,
    /// Why it did not do it.
    pub failure: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Done,
    /// Otherwise.
    Failed,
    /// Not yet.
    UnderWay,
    /// Without a word: killed, or a power cut.
    Died,
}

/// A name that this host answers now, since when, and by which run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Since when.
    pub since: Timestamp,
    /// The run.
    pub run: RunId,
}

/// All runs, in the order of their beginning, whatever became of the clock; `alive` tells whether
/// one without an end goes on.
pub fn runs(entries: &[LogEntry], alive: impl Fn(&Began) -> bool) -> Vec<Run> {
    let mut places: BTreeMap<&RunId, usize> = BTreeMap::new();
    let mut found: Vec<(Run, Option<&Began>)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let place = *places.entry(&entry.run).or_insert_with(|| {
            found.push((Run::unknown(&entry.run, entry.at), None));
            found.len() - 1
        });
        let Some((run, began)) = found.get_mut(place) else { continue };
        if let Event::Began(event) = &entry.event {
            *began = Some(event);
        }
        run.add(entry);
        run.place = at;
    }
    let judged = |(mut run, began): (Run, Option<&Began>)| {
        if run.outcome == Outcome::UnderWay && !began.is_some_and(&alive) {
            run.outcome = Outcome::Died;
        }
        run
    };
    found.into_iter().map(judged).collect()
}

/// Which names were switched to this host and not back, as far as the events tell.
pub fn local(entries: &[LogEntry]) -> BTreeMap<String, Local> {
    let mut local: BTreeMap<String, Local> = BTreeMap::new();
    for entry in entries {
        let Event::Switched(switched) = &entry.event else { continue };
        local.retain(|name, _| switched.local.contains(name));
        for name in &switched.local {
            let now = || Local { since: entry.at, run: entry.run.clone() };
            local.entry(name.clone()).or_insert_with(now);
        }
    }
    local
}

impl Run {
    fn unknown(id: &RunId, at: Timestamp) -> Self {
        Self {
            id: id.clone(),
            kind: None,
            host: None,
            by: By::default(),
            dry_run: false,
            forced: false,
            lineages: Vec::new(),
            token: None,
            began: at,
            asked: None,
            granted: None,
            released: None,
            last: at,
            outcome: Outcome::UnderWay,
            exit: None,
            text: String::new(),
            switched: Vec::new(),
            files: Vec::new(),
            deployed: Vec::new(),
            left_out: Vec::new(),
            hosts: Vec::new(),
            not_renewed: Vec::new(),
            place: 0,
        }
    }

    fn add(&mut self, entry: &LogEntry) {
        let at = entry.at;
        self.last = at;
        match entry.event.clone() {
            Event::Began(began) => {
                self.kind = Some(began.kind);
                self.host = Some(began.host);
                self.by = began.by;
                self.dry_run = began.dry_run;
                self.forced = began.forced;
                self.lineages = began.lineages;
            }
            Event::Asked { .. } => self.asked = Some(at),
            Event::Granted { token, .. } => {
                self.token = token;
                self.granted = Some(at);
            }
            // What answers without a line of ours is not switched.
            Event::Switched(switched) if switched.files.is_empty() => {}
            Event::Switched(switched) => {
                let new = switched.local.into_iter().filter(|name| !self.switched.contains(name));
                self.switched.extend(new.collect::<Vec<_>>());
                let new = switched.files.into_iter().filter(|file| !self.files.contains(file));
                self.files.extend(new.collect::<Vec<_>>());
            }
            Event::NotRenewed { lineage, why } => {
                self.not_renewed.push(NotRenewed { lineage, why });
            }
            Event::Deployed(deployed) => self.deployed.push(deployed),
            Event::LeftOut(left) => self.left_out.push(left),
            Event::Released => self.released = Some(at),
            Event::Ended { exit, text } => {
                self.exit = Some(exit);
                let served = self.deployed.iter().all(|deployed| deployed.failure.is_none());
                let well = exit == 0 && served && !self.left_out.iter().any(|left| left.due);
                self.outcome = if well { Outcome::Done } else { Outcome::Failed };
                self.text = text;
            }
            Event::NotSwitched { why } | Event::NotProven { why, .. } | Event::Lost { why } => {
                self.text = why;
            }
            Event::Host { host, renewed, failure, .. } => {
                self.hosts.push(HostRun { host, renewed, failure });
            }
            Event::Proven { .. } | Event::Unknown => {}
        }
    }

    /// Milliseconds from its beginning to its end, or to the last that is known of it.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.last.duration_since(self.began).as_millis()).unwrap_or(0)
    }

    /// What it did; none: nothing.
    pub fn did(&self) -> Option<String> {
        let renewed: Vec<&str> =
            self.deployed.iter().map(Deployed::whose).filter(|name| !name.is_empty()).collect();
        let by_hosts = self.hosts.iter().filter(|host| !host.renewed.is_empty());
        let by_hosts: Vec<String> =
            by_hosts.map(|host| format!("{} on {}", host.renewed.join(" "), host.host)).collect();
        if !renewed.is_empty() {
            Some(format!("renewed {}", renewed.join(" ")))
        } else if !by_hosts.is_empty() {
            Some(format!("renewed {}", by_hosts.join(", ")))
        } else if !self.switched.is_empty() && !self.files.is_empty() {
            let kind = if self.dry_run { "rehearsed with" } else { "switched" };
            Some(format!("{kind} {}", self.switched.join(" ")))
        } else if self.kind == Some(Kind::Recovery) && !self.files.is_empty() {
            Some("gave routes back".to_owned())
        } else {
            None
        }
    }

    /// What went wrong; none: nothing.
    pub fn why(&self) -> Option<String> {
        let mut parts: Vec<String> =
            self.deployed.iter().filter_map(|d| d.failure.clone()).collect();
        parts.extend(Some(self.text.clone()).filter(|text| !text.is_empty()));
        if self.outcome == Outcome::Died {
            parts.push("ended without a word: killed, or a power cut".to_owned());
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Both, in a few words.
    pub fn words(&self) -> String {
        let parts: Vec<String> = self.did().into_iter().chain(self.why()).collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
    }
}

impl Outcome {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "FAILED",
            Self::UnderWay => "under way",
            Self::Died => "DIED",
        }
    }
}

impl Kind {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Renewal => "renewal",
            Self::Switch => "switch",
            Self::Recovery => "recovery",
            Self::Coordination => "coordination",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Process;
    use crate::history::record::Switched;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn began() -> Event {
        Event::Began(Began {
            kind: Kind::Renewal,
            host: "home".into(),
            by: By { user: None, pid: Some(5), command: "certbot renew".into() },
            process: Process { pid: 7, start_time: 1 },
            boot: "b".into(),
            lineages: vec!["a".into()],
            dry_run: false,
            forced: false,
        })
    }

    fn switched(local: &[&str]) -> Event {
        let local = local.iter().map(|&name| name.to_owned()).collect();
        Event::Switched(Switched { local, files: vec!["/f".into()], ..Switched::default() })
    }

    fn deployed(failure: Option<&str>) -> Event {
        Event::Deployed(Deployed {
            lineage: "a".into(),
            names: vec!["a".into()],
            before: Some("01".into()),
            serial: Some("02".into()),
            not_after: Some(at(9_000)),
            failure: failure.map(str::to_owned),
            millis: 3,
        })
    }

    fn history(events: Vec<Event>) -> Vec<LogEntry> {
        let run = RunId::new(at(0), 7);
        let numbered = (0..).zip(events);
        numbered.map(|(n, event)| LogEntry { at: at(n), run: run.clone(), event }).collect()
    }

    fn one(events: Vec<Event>, alive: bool) -> Run {
        let mut all = runs(&history(events), |_| alive);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn ended(exit: u8, text: &str) -> Event {
        Event::Ended { exit, text: text.into() }
    }

    #[test]
    fn a_whole_run_is_told() {
        let granted = Event::Granted { token: Some(9), without: None };
        let asked = Event::Asked { arbiter: Some("vps".into()) };
        let events = vec![
            began(),
            asked,
            granted,
            switched(&["a", "b"]),
            deployed(None),
            switched(&[]),
            Event::Released,
            ended(0, ""),
        ];
        let run = one(events, false);
        assert_eq!((run.outcome, run.token, run.exit), (Outcome::Done, Some(9), Some(0)));
        assert_eq!((run.asked, run.granted, run.released), (Some(at(1)), Some(at(2)), Some(at(6))));
        assert_eq!(run.switched, ["a", "b"]);
        assert_eq!(run.millis(), 7000);
        assert_eq!(run.words(), "renewed a");
    }

    #[test]
    fn a_beginning_without_an_end_is_a_death_unless_it_lives() {
        let events = || vec![began(), switched(&["a"])];
        assert_eq!(one(events(), true).outcome, Outcome::UnderWay);
        let dead = one(events(), false);
        assert_eq!((dead.outcome, dead.last, dead.exit), (Outcome::Died, at(1), None));
    }

    #[test]
    fn a_run_whose_beginning_was_rotated_away_is_still_told() {
        let run = one(vec![switched(&["a"]), ended(1, "no")], true);
        assert_eq!((run.outcome, run.kind, run.text.as_str()), (Outcome::Failed, None, "no"));
    }

    #[test]
    fn a_certificate_that_is_not_served_is_a_failure_whatever_the_exit_code() {
        let run = one(vec![began(), deployed(Some("the old one is served")), ended(0, "")], false);
        assert_eq!(run.outcome, Outcome::Failed);
        assert_eq!(run.words(), "renewed a; the old one is served");
    }

    #[test]
    fn a_lineage_that_is_left_out_is_a_failure_if_it_was_due() {
        let left = |due| Event::LeftOut(Omission { lineage: "b".into(), why: "no".into(), due });
        let run = |due| one(vec![began(), left(due), deployed(None), ended(0, "")], false);
        assert_eq!((run(true).outcome, run(false).outcome), (Outcome::Failed, Outcome::Done));
        assert_eq!(run(true).left_out[0].lineage, "b");
    }

    #[test]
    fn only_what_got_a_line_of_ours_was_switched() {
        // The vps answers its names without any.
        let answered = Event::Switched(Switched { local: vec!["a".into()], ..Switched::default() });
        let run = one(vec![began(), answered, ended(1, "a: certbot got no certificate")], false);
        assert_eq!((run.outcome, run.switched.len()), (Outcome::Failed, 0));
        assert_eq!(run.words(), "a: certbot got no certificate");
    }

    #[test]
    fn a_route_is_local_since_it_was_first_switched_in_one_piece() {
        let entries =
            history(vec![switched(&["a"]), switched(&[]), switched(&["a", "b"]), switched(&["a"])]);
        let local = local(&entries);
        let since: Vec<_> = local.iter().map(|(name, l)| (name.as_str(), l.since)).collect();
        assert_eq!(since, [("a", at(2))]);
    }
}
