//! pure: a status as people read it on a terminal, with colours if that is one.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::agent::wire;
use crate::history::run::Outcome;
use crate::run::lease::described;
use crate::status::judgement::{Thresholds, age, minute};
use crate::status::overview::{
    Found, HostStatus, LeaseStatus, LineageResult, LineageStatus, Overview, Severity,
};

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// A terminal that wants them.
    Ansi,
    /// Anything else.
    None,
}

/// The whole status.
pub fn status(overview: &Overview, thresholds: Thresholds, colour: Colour) -> String {
    let (overview, mut text) = (&harmless(overview), String::new());
    for host in &overview.hosts {
        text += &of_host(host, overview.at, thresholds, colour);
        text.push('\n');
    }
    text += &lease(&overview.lease);
    if overview.wrong.is_empty() {
        text += &colour.paint(GREEN, "all is well");
        text.push('\n');
    }
    for wrong in &overview.wrong {
        let (word, code) = match wrong.severity {
            Severity::Critical => ("CRITICAL", RED),
            Severity::Warning => ("WARNING", YELLOW),
        };
        // Writing to a string cannot fail.
        writeln!(text, "{}: {}", colour.paint(code, word), wrong.text).ok();
    }
    text
}

/// The same without control characters: what a peer or a certificate says may not play with the terminal.
fn harmless(overview: &Overview) -> Overview {
    let value = serde_json::to_value(overview).map(plain);
    // It was one a moment ago.
    value.and_then(serde_json::from_value).unwrap_or_else(|_| overview.clone())
}

fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(wire::harmless(&text)),
        Value::Array(list) => Value::Array(list.into_iter().map(plain).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, plain(value))).collect())
        }
        other => other,
    }
}

fn of_host(host: &HostStatus, now: Timestamp, thresholds: Thresholds, colour: Colour) -> String {
    let mut lines = Vec::new();
    let own = if host.own { " (this host)" } else { "" };
    let state = match (&host.unreachable, host.seen) {
        (None, None) => ": not asked from here, since its [[host]] has no ssh".to_owned(),
        (None, Some(_)) => String::new(),
        (Some(_), Some(seen)) => {
            let at = minute(seen);
            format!(
                ": {}, this is what it said {at}, {} ago",
                colour.paint(YELLOW, "not reached"),
                span(now.duration_since(seen))
            )
        }
        (Some(_), None) => format!(": {}, never seen", colour.paint(YELLOW, "not reached")),
    };
    lines.push(format!("{}{own}{state}", colour.paint(BOLD, &host.name)));
    if let Some(found) = &host.found {
        lines.extend(of_found(found, now, colour));
        lines.extend(table(&found.lineages, now, thresholds, colour));
        lines.extend(found.notes.iter().map(|note| format!("  note: {note}")));
    }
    lines.join("\n") + "\n"
}

fn of_found(found: &Found, now: Timestamp, colour: Colour) -> Vec<String> {
    let missing = || "not found".to_owned();
    let certbot = found.versions.certbot.clone().unwrap_or_else(missing);
    let foreign = found.versions.web_server.as_ref();
    let server = foreign.map_or_else(
        || format!("apache {}", found.versions.apache.clone().unwrap_or_else(missing)),
        |foreign| format!("web server {foreign}"),
    );
    let certbaton = &found.versions.certbaton;
    let mut lines = vec![format!("  certbaton {certbaton}, certbot {certbot}, {server}")];
    if let Some(at) = found.last_reload {
        lines.push(format!(
            "  apache loaded its configuration {}, {} ago",
            minute(at),
            span(now.duration_since(at))
        ));
    }
    if found.local.is_empty() {
        let path = match foreign {
            Some(_) => "this host answers what the other one passes on, nothing is switched here",
            None => "with the peer, nothing is switched",
        };
        lines.push(format!("  challenge path: {path}"));
    }
    for route in &found.local {
        let since = route.since.map_or_else(String::new, |at| {
            format!(" since {}, {}", minute(at), span(now.duration_since(at)))
        });
        let by = route.by.as_ref().map_or_else(String::new, |by| format!(", by {by}"));
        let local = colour.paint(if found.under_way { GREEN } else { RED }, "local");
        lines.push(format!("  challenge path of {}: {local}{since}{by}", route.name));
    }
    if let Some(run) = &found.last_run {
        let kind = run.kind.map_or("run", |kind| kind.text());
        let code = match run.outcome {
            Outcome::Done | Outcome::UnderWay => GREEN,
            Outcome::Failed | Outcome::Died => YELLOW,
        };
        let outcome = colour.paint(code, run.outcome.text());
        lines.push(format!("  last {kind} {}: {outcome}, {}", run.id, run.words()));
    }
    lines
}

fn table(
    lineages: &[LineageStatus],
    now: Timestamp,
    thresholds: Thresholds,
    colour: Colour,
) -> Vec<String> {
    if lineages.is_empty() {
        return vec!["  certbot has no lineage here".to_owned()];
    }
    let head = ["LINEAGE", "EXPIRES", "LEFT", "NEXT DUE", "LAST", "NAMES", "ISSUER"];
    let mut rows = vec![(None, head.map(str::to_owned))];
    for lineage in lineages {
        let due = match lineage.renews_from {
            _ if !lineage.automatic => "never".to_owned(),
            Some(from) if from <= now => "now".to_owned(),
            Some(from) => from.strftime("%Y-%m-%d").to_string(),
            None => "unknown".to_owned(),
        };
        let last = lineage.last.as_ref().map_or_else(
            || "-".to_owned(),
            |last| {
                let word = match last.result {
                    LineageResult::Renewed => "renewed",
                    LineageResult::NotDue => "not due",
                    LineageResult::Failed => "FAILED",
                    LineageResult::UnderWay => "under way",
                };
                format!("{word} {}", last.at.strftime("%Y-%m-%d"))
            },
        );
        let left = left(lineage, now);
        let cells = [
            lineage.name.clone(),
            lineage.not_after.strftime("%Y-%m-%d").to_string(),
            left,
            due,
            last,
            names(&lineage.names),
            issuer(&lineage.issuer),
        ];
        rows.push((Some(age(lineage, now, thresholds)), cells));
    }
    let width = |n: usize| rows.iter().map(|(_, row)| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |(severity, row): &(Option<Option<Severity>>, [String; 7])| {
        let cells = row.iter().zip(&widths).enumerate().map(|(n, (cell, width))| {
            let padded = format!("{cell:width$}");
            match (n, severity) {
                (2, Some(None)) => colour.paint(GREEN, &padded),
                (2, Some(Some(Severity::Warning))) => colour.paint(YELLOW, &padded),
                (2, Some(Some(Severity::Critical))) => colour.paint(RED, &padded),
                _ => padded,
            }
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn left(lineage: &LineageStatus, now: Timestamp) -> String {
    match lineage.days_left {
        days if days < 0 => "expired".to_owned(),
        0..=2 => format!("{} h", lineage.not_after.duration_since(now).as_hours()),
        days => format!("{days} d"),
    }
}

fn names(names: &[String]) -> String {
    match names {
        [] => "-".to_owned(),
        [first, second, third, fourth, more @ ..] if !more.is_empty() => {
            format!("{first} {second} {third} {fourth} and {} more", more.len())
        }
        few => few.join(" "),
    }
}

/// The organisation and name of `C=US, O=Let's Encrypt, CN=E5`.
fn issuer(text: &str) -> String {
    let part = |key: &str| text.split(", ").find_map(|part| part.strip_prefix(key));
    let parts: Vec<&str> = [part("O="), part("CN=")].into_iter().flatten().collect();
    if parts.is_empty() { text.to_owned() } else { parts.join(" ") }
}

fn lease(lease: &LeaseStatus) -> String {
    let Some(arbiter) = &lease.arbiter else {
        return "lease: no arbiter, each host has a lock of its own\n".to_owned();
    };
    let Some(now) = &lease.now else {
        return format!("lease: {arbiter} grants it, and does not answer\n");
    };
    let mut text = match &now.holder {
        None => format!("lease: free, {arbiter} grants it, last token {}\n", now.token.0),
        Some(holder) => {
            let connected = if holder.connected { "" } else { ", not connected" };
            format!("lease: {}, token {}{connected}\n", described(holder), holder.token.0)
        }
    };
    for (place, waiter) in now.queue.iter().enumerate() {
        let (place, waited) = (place + 1, waiter.waited_millis / 1000);
        let (name, why) = (&waiter.name, &waiter.purpose.why);
        // Writing to a string cannot fail.
        writeln!(text, "  {place}. in the queue: {name}, for {waited} s, to renew {why}").ok();
    }
    text
}

/// How long, for people.
pub fn span(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::None => text.to_owned(),
        }
    }
}

// Select Graphic Rendition (ECMA-48).
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

#[cfg(test)]
mod tests;
