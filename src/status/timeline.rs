//! pure: runs as people read them: a line each, or one of them event by event (`doc/schema/run.json`).

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::base::columns::{Width, columns};
use crate::base::harmless;
use crate::history::record::{Deployed, Event, LogEntry, Switched};
use crate::history::runs::Run;

/// What `certbaton status --history --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Runs {
    /// 1.
    pub version: u32,
    /// The last runs, oldest first.
    pub runs: Vec<Run>,
    /// Lines of the history that cannot be read: torn by a power cut.
    pub damaged: usize,
}

/// What `certbaton status --run ID --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OneRun {
    /// 1.
    pub version: u32,
    /// The run.
    pub run: Run,
    /// How long it took, or has taken so far.
    pub millis: u64,
    /// Its events.
    pub events: Vec<Timed>,
}

/// An event and its place in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timed {
    /// Milliseconds since the run began.
    pub after_millis: u64,
    /// The event.
    #[serde(flatten)]
    pub entry: LogEntry,
}

impl OneRun {
    /// `run` with those of `entries` that are its.
    pub fn new(run: Run, entries: &[LogEntry]) -> Self {
        let after = |at: Timestamp| {
            u64::try_from(at.duration_since(run.began).as_millis()).unwrap_or_default()
        };
        let own = entries.iter().filter(|entry| entry.run == run.id);
        let events = own
            .map(|entry| Timed { after_millis: after(entry.at), entry: entry.clone() })
            .collect();
        Self { version: 1, millis: run.millis(), run, events }
    }

    /// For people.
    pub fn text(&self, width: Width) -> String {
        let run = &self.run;
        let mut text = format!(
            "{} {} on {}: {}\n",
            run.kind.map_or("run", |kind| kind.text()),
            run.id,
            run.host.as_deref().unwrap_or("this host"),
            run.outcome.text(),
        );
        for Timed { after_millis, entry } in &self.events {
            let took = seconds(*after_millis);
            text +=
                &width.wrapped(&format!("{took:>10}  "), 14, &harmless::text(&words(&entry.event)));
            if let Event::Switched(switched) = &entry.event {
                for step in switched.steps.iter().filter(|step| step.millis > 0) {
                    let took = seconds(step.millis);
                    // Writing to a string cannot fail.
                    writeln!(text, "{:>10}    {took:>9}  {}", "", step.name).ok();
                }
            }
        }
        text + &width.wrapped(
            &format!("{:>10}  ", seconds(self.millis)),
            14,
            &harmless::text(&run.words()),
        )
    }
}

/// The runs of `--history`, a line each.
pub fn list(runs: &Runs, width: Width) -> String {
    let mut text = String::new();
    for run in &runs.runs {
        let token = run.token.map(|token| format!("; token {token}")).unwrap_or_default();
        let took = SignedDuration::from_millis(i64::try_from(run.millis()).unwrap_or(i64::MAX));
        let first = format!(
            "{:<26}  {:<12}  {:<9}  {:>9}  ",
            run.id.as_str(),
            run.kind.map_or("run", |kind| kind.text()),
            run.outcome.text(),
            seconds(u64::try_from(took.as_millis()).unwrap_or_default()),
        );
        let told = format!("{}; by {}{token}", run.words(), run.by.text());
        let told = harmless::text(&told);
        // Columns that are wider than the terminal are none.
        text += &if columns(&first) < width.columns() {
            width.wrapped(&first, 4, &told)
        } else {
            width.wrapped("", 4, &format!("{first}{told}"))
        };
    }
    if runs.damaged > 0 {
        // Writing to a string cannot fail.
        writeln!(text, "{} lines of the history cannot be read", runs.damaged).ok();
    }
    text
}

fn words(event: &Event) -> String {
    match event {
        Event::Began(began) => {
            let rehearsal = if began.dry_run { ", a rehearsal" } else { "" };
            format!("began, by {}{rehearsal}", began.by.text())
        }
        Event::Asked { arbiter: Some(arbiter) } => format!("asked {arbiter} for the lease"),
        Event::Asked { arbiter: None } => "asked for this host's lock".to_owned(),
        Event::Granted { token: Some(token), .. } => format!("lease granted, token {token}"),
        Event::Granted { without: Some(why), .. } => format!("goes on WITHOUT the lease: {why}"),
        Event::Granted { .. } => "lock granted".to_owned(),
        Event::Switched(switched) => of_switch(switched),
        Event::NotSwitched { why } => format!("NOT switched: {why}"),
        Event::Proven { names, millis } => {
            format!("proven from outside in {}: {}", seconds(*millis), names.join(" "))
        }
        Event::NotProven { why, millis } => format!("NOT proven in {}: {why}", seconds(*millis)),
        Event::LeftOut(left) if left.due => format!("LEFT OUT {}: {}", left.lineage, left.why),
        Event::LeftOut(left) => format!("left out {}, not due: {}", left.lineage, left.why),
        Event::Deployed(deployed) => of_deployment(deployed),
        Event::Lost { why } => format!("lease LOST: {why}"),
        Event::Host { host, renewed, failure, millis } => {
            let done = match failure {
                Some(why) => format!("FAILED: {why}"),
                None if renewed.is_empty() => "nothing renewed".to_owned(),
                None => format!("renewed {}", renewed.join(" ")),
            };
            format!("{host}: {done}, in {}", seconds(*millis))
        }
        Event::NotRenewed { lineage, why } => format!("{lineage}: NOT renewed: {why}"),
        Event::Released => "lease released".to_owned(),
        Event::Ended { exit: 0, .. } => "ended".to_owned(),
        Event::Ended { exit, text } => format!("ended with {exit}: {text}"),
        Event::Unknown => "something that this certbaton does not know".to_owned(),
    }
}

fn of_switch(switched: &Switched) -> String {
    let mut parts = Vec::new();
    if !switched.local.is_empty() {
        parts.push(format!("local: {}", switched.local.join(" ")));
    }
    if !switched.returned.is_empty() {
        parts.push(format!("given back: {}", switched.returned.join(" ")));
    }
    if !switched.files.is_empty() {
        parts.push(format!("changed {}", switched.files.join(" ")));
    }
    if switched.reloaded {
        parts.push("web server reloaded".to_owned());
    }
    if parts.is_empty() { "nothing to switch".to_owned() } else { parts.join("; ") }
}

fn of_deployment(deployed: &Deployed) -> String {
    let Deployed { before, serial, not_after, failure, millis, .. } = deployed;
    let serial = serial.as_ref().map_or_else(String::new, |serial| format!(" {serial}"));
    let whose = match deployed.whose() {
        "" => "new certificate, of whom was not said".to_owned(),
        whose => format!("{whose}: new certificate{serial}"),
    };
    let before = before.as_ref().map_or_else(String::new, |old| format!(", was {old}"));
    let until =
        not_after.map_or_else(String::new, |at| format!(", until {}", at.strftime("%Y-%m-%d")));
    let proof = match failure {
        None => format!("served, proven in {}", seconds(*millis)),
        Some(why) => format!("NOT served: {why}"),
    };
    format!("{whose}{before}{until}; {proof}")
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Process;
    use crate::history::record::{By, Kind, RunId, Step};
    use crate::history::runs::runs;

    fn entries() -> Vec<LogEntry> {
        let at = |millis: i64| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
        let run = RunId::new(at(0), 7);
        let began = Event::Began(crate::history::record::Began {
            kind: Kind::Renewal,
            host: "home".into(),
            by: By { user: None, pid: Some(5), command: "certbot renew".into() },
            process: Process { pid: 7, start_time: 1 },
            boot: "b".into(),
            lineages: vec!["a".into()],
            dry_run: false,
            forced: false,
        });
        let switched = Event::Switched(Switched {
            local: vec!["a.example".into()],
            returned: Vec::new(),
            files: vec!["/f".into()],
            reloaded: true,
            steps: vec![Step { name: "reload".into(), millis: 31 }],
        });
        let deployed = Event::Deployed(Deployed {
            lineage: "a".into(),
            names: Vec::new(),
            before: Some("01".into()),
            serial: Some("02".into()),
            not_after: Some(at(7_776_000_000)),
            failure: None,
            millis: 212,
        });
        let events = vec![
            (0, began),
            (3, Event::Asked { arbiter: Some("vps".into()) }),
            (120, Event::Granted { token: Some(9), without: None }),
            (300, switched),
            (5_300, deployed),
            (5_400, Event::Released),
            (5_401, Event::Ended { exit: 0, text: String::new() }),
        ];
        let entry = |(millis, event)| LogEntry { at: at(millis), run: run.clone(), event };
        events.into_iter().map(entry).collect()
    }

    #[test]
    fn a_timeline_has_every_step_and_its_time() {
        let entries = entries();
        let run = runs(&entries, |_| false).remove(0);
        let one = OneRun::new(run, &entries);
        let expected = "\
renewal 20231114T221320.000-7 on home: done
   0.000 s  began, by certbot renew, process 5
   0.003 s  asked vps for the lease
   0.120 s  lease granted, token 9
   0.300 s  local: a.example; changed /f; web server reloaded
                0.031 s  reload
   5.300 s  a: new certificate 02, was 01, until 2024-02-12; served, proven in
              0.212 s
   5.400 s  lease released
   5.401 s  ended
   5.401 s  renewed a
";
        assert_eq!(one.text(Width::default()), expected);
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json["events"][3]["after-millis"], 300);
        assert_eq!(json["events"][3]["event"], "switched");
    }

    #[test]
    fn a_deployment_of_nobodys_says_so_and_has_no_empty_name() {
        let deployed = Deployed {
            lineage: String::new(),
            names: Vec::new(),
            before: None,
            serial: None,
            not_after: None,
            failure: None,
            millis: 212,
        };
        let told = of_deployment(&deployed);
        assert_eq!(told, "new certificate, of whom was not said; served, proven in 0.212 s");
    }

    #[test]
    fn a_run_is_one_line() {
        let runs = Runs { version: 1, runs: runs(&entries(), |_| false), damaged: 0 };
        assert_eq!(
            list(&runs, Width::default()),
            "20231114T221320.000-7       renewal       done         5.401 s  renewed a; by
    certbot renew, process 5; token 9\n"
        );
    }
}
