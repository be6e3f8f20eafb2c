//! pure: the message that a person or a program gets (doc/schema/notify.json).

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::monitor::told::{AlarmLedger, Announcement, ProblemEvent};
use crate::status::overview::Urgency;

/// All that changed since the last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message<'a> {
    /// 1; counts up when a field changes its meaning or goes away.
    pub version: u32,
    /// The host that sends it.
    pub from: &'a str,
    /// When it was sent.
    pub at: Timestamp,
    /// `recovery` only if nothing of it is a failure.
    pub event: ProblemEvent,
    /// The worst of it.
    pub severity: Urgency,
    /// All of it in plain text, the field that most chat programs show.
    pub text: String,
    /// Each change, the oldest first.
    pub changes: &'a [Announcement],
    /// How many older changes are left out, since they could not be delivered for too long.
    pub omitted: u64,
    /// How many problems there are now.
    pub open: usize,
}

/// What `ledger` has to say, if anything.
pub fn message<'a>(ledger: &'a AlarmLedger, from: &'a str, at: Timestamp) -> Option<Message<'a>> {
    let changes = ledger.waiting();
    let failures = || changes.iter().filter(|change| change.event == ProblemEvent::Failure);
    let worst = failures().map(|change| change.severity).max();
    let severity = worst.or_else(|| changes.iter().map(|change| change.severity).max())?;
    let event = if worst.is_some() { ProblemEvent::Failure } else { ProblemEvent::Recovery };
    let (omitted, open) = (ledger.omitted(), ledger.open());
    let text = text(changes, from, omitted, open);
    Some(Message { version: 1, from, at, event, severity, text, changes, omitted, open })
}

fn text(changes: &[Announcement], from: &str, omitted: u64, open: usize) -> String {
    let mut text = String::new();
    for change in changes {
        let word = match change.event {
            ProblemEvent::Failure => change.severity.word().to_uppercase(),
            ProblemEvent::Recovery => "over".to_owned(),
        };
        // Writing to a string cannot fail.
        writeln!(text, "{word}: {}", change.text).ok();
    }
    if omitted > 0 {
        writeln!(text, "({omitted} older changes could not be delivered)").ok();
    }
    let left = match open {
        0 => "nothing is wrong now".to_owned(),
        1 => "1 problem now".to_owned(),
        more => format!("{more} problems now"),
    };
    text + &format!("certbaton on {from}: {left}")
}

impl Message<'_> {
    /// The essence, for programs that read no JSON.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("CERTBATON_EVENT", self.event.word().to_owned()),
            ("CERTBATON_SEVERITY", self.severity.word().to_owned()),
            ("CERTBATON_FROM", self.from.to_owned()),
            ("CERTBATON_TEXT", self.text.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codes::Code;
    use crate::monitor::told::Situation;
    use crate::status::overview::Wrong;

    fn problem(key: &str, severity: Urgency) -> Wrong {
        let (host, text) = (Some("home".to_owned()), format!("home: {key} is wrong"));
        Wrong { code: Code::Expiry, key: key.into(), severity, text, host }
    }

    fn see(ledger: &mut AlarmLedger, wrong: &[Wrong], second: i64) {
        let seen = Situation { wrong: wrong.to_vec(), ..Situation::default() };
        ledger.see(&seen, Timestamp::from_second(second).unwrap());
    }

    #[test]
    fn one_message_holds_all_that_changed() {
        let mut ledger = AlarmLedger::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(message(&ledger, "vps", now), None);
        let (a, b) = (problem("a", Urgency::Warning), problem("b", Urgency::Critical));
        see(&mut ledger, &[a.clone(), b.clone()], 1);
        let first = message(&ledger, "vps", now).unwrap();
        assert_eq!(
            (first.event, first.severity, first.open),
            (ProblemEvent::Failure, b.severity, 2)
        );
        assert_eq!(
            first.text,
            "WARNING: home: a is wrong\nCRITICAL: home: b is wrong\ncertbaton on vps: 2 problems now"
        );
        ledger.delivered();
        see(&mut ledger, &[a], 2);
        let second = message(&ledger, "vps", now).unwrap();
        assert_eq!((second.event, second.severity), (ProblemEvent::Recovery, Urgency::Critical));
        assert_eq!(second.text, "over: home: b is wrong\ncertbaton on vps: 1 problem now");
        let variables = second.variables();
        assert_eq!(variables[0], ("CERTBATON_EVENT", "recovery".to_owned()));
        assert_eq!(variables[1], ("CERTBATON_SEVERITY", "critical".to_owned()));
    }
}
