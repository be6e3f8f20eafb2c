//! pure: a status as people read it on a terminal, with colours if that is one.

use jiff::{SignedDuration, Timestamp};

use crate::base::columns::Width;
use crate::base::harmless;
use crate::base::text::{Table, span};
use crate::config::Thresholds;
use crate::fleet::host_report::{HostReport, LineageReport, LineageResult};
use crate::history::runs::Outcome;
use crate::renewal::right::described;
use crate::status::judgement::minute;
use crate::status::overview::{HostStatus, LeaseStatus, Overview, Urgency};
use crate::status::thresholds::age;

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// A terminal that wants them.
    Ansi,
    /// Anything else.
    None,
}

/// The whole status.
pub fn status(overview: &Overview, thresholds: Thresholds, colour: Colour, width: Width) -> String {
    let mut text = String::new();
    for host in &overview.hosts {
        text += &of_host(host, overview.at, thresholds, colour, width);
        text.push('\n');
    }
    text += &lease(&overview.lease, width);
    if overview.wrong.is_empty() {
        text += &colour.paint(GREEN, "all is well");
        text.push('\n');
    }
    for wrong in &overview.wrong {
        let (word, code) = match wrong.severity {
            Urgency::Critical => ("CRITICAL:", RED),
            Urgency::Warning => ("WARNING:", YELLOW),
        };
        let lines = width.wrapped("", HANG, &format!("{word} {}", wrong.text));
        text += &colour.word(code, word, &lines);
    }
    harmless::printed(&text)
}

fn of_host(
    host: &HostStatus,
    now: Timestamp,
    thresholds: Thresholds,
    colour: Colour,
    width: Width,
) -> String {
    let own = if host.own { " (this host)" } else { "" };
    let name = format!("{}{own}", host.name);
    let state = match (&host.unreachable, host.seen) {
        (None, None) => ": not asked from here, since its [[host]] has no ssh".to_owned(),
        (None, Some(_)) => String::new(),
        (Some(_), Some(seen)) => {
            let ago = span(now.duration_since(seen));
            format!(": not reached, this is what it said {}, {ago} ago", minute(seen))
        }
        (Some(_), None) => ": not reached, never seen".to_owned(),
    };
    let title = width.wrapped("", HANG, &format!("{name}{state}"));
    let title = match title.strip_prefix(&host.name) {
        Some(rest) => colour.paint(BOLD, &host.name) + rest,
        None => title,
    };
    let mut text = title.replacen("not reached", &colour.paint(YELLOW, "not reached"), 1);
    if let Some(found) = &host.found {
        text += &of_found(found, host.is_fresh(), now, colour, width);
        text += &table(&found.lineages, now, thresholds, colour, width);
        for note in &found.notes {
            text += &width.wrapped("  ", HANG, &format!("note: {note}"));
        }
    }
    text
}

fn of_found(
    found: &HostReport,
    is_fresh: bool,
    now: Timestamp,
    colour: Colour,
    width: Width,
) -> String {
    let missing = || "not found".to_owned();
    let certbot = found.versions.certbot.clone().unwrap_or_else(missing);
    let foreign = found.versions.web_server.as_ref();
    let server = foreign.map_or_else(
        || format!("Apache {}", found.versions.apache.clone().unwrap_or_else(missing)),
        |foreign| format!("web server {foreign}"),
    );
    let certbaton = &found.versions.certbaton;
    let line = |text: &str| width.wrapped("  ", HANG, text);
    let mut text = line(&format!("certbaton {certbaton}, certbot {certbot}, {server}"));
    if let Some(at) = found.last_reload {
        let ago = span(now.duration_since(at));
        text += &line(&format!("Apache loaded its configuration {}, {ago} ago", minute(at)));
    }
    if found.local.is_empty() {
        let path = match foreign {
            _ if !found.damaged.is_empty() => "as certbaton's lines say that somebody changed",
            Some(_) => "nothing is switched here, since the web server is not Apache",
            None => "with the peer, nothing is switched",
        };
        text += &line(&format!("challenge path: {path}"));
    }
    for route in &found.local {
        let since = route.since.map_or_else(String::new, |at| {
            format!(" since {}, {}", minute(at), span(now.duration_since(at)))
        });
        let by = route.by.as_ref().map_or_else(String::new, |by| format!(", by {by}"));
        let code = if found.under_way { GREEN } else { RED };
        let told = line(&format!("challenge path of {}: local{since}{by}", route.name));
        text += &colour.word(code, "local", &told);
    }
    if let Some(hold) = &found.hold {
        text += &line(&hold.words(now));
    }
    if let Some(run) = &found.last_run {
        let kind = run.kind.map_or("run", |kind| kind.text());
        let is_failed = matches!(run.outcome, Outcome::Failed | Outcome::Died);
        let code = if is_failed { YELLOW } else { GREEN };
        // Why is told below, among what is wrong.
        let words = match run.did() {
            Some(did) if is_failed && is_fresh => format!(", {did}"),
            None if is_failed && is_fresh => String::new(),
            _ => format!(", {}", run.words()),
        };
        let outcome = run.outcome.text();
        let told = line(&format!("last {kind} {}: {outcome}{words}", run.id));
        text += &colour.word(code, outcome, &told);
    }
    text
}

fn table(
    lineages: &[LineageReport],
    now: Timestamp,
    thresholds: Thresholds,
    colour: Colour,
    width: Width,
) -> String {
    if lineages.is_empty() {
        return "  certbot has no lineage here\n".to_owned();
    }
    let head = ["LINEAGE", "EXPIRES", "LEFT", "NEXT DUE", "LAST"];
    let mut table = Table::new(head).indented(2);
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
        table.row([
            lineage.name.clone(),
            lineage.not_after.strftime("%Y-%m-%d").to_string(),
            left(lineage, now),
            due,
            last,
        ]);
        table.below(format!("{}, by {}", names(&lineage.names), issuer(&lineage.issuer)));
    }
    table.painted(width, |row, column, cell| {
        let lineage = row.checked_sub(1).and_then(|row| lineages.get(row));
        match lineage.filter(|_| column == 2).map(|lineage| age(lineage, now, thresholds)) {
            None => cell,
            Some(None) => colour.paint(GREEN, &cell),
            Some(Some(Urgency::Warning)) => colour.paint(YELLOW, &cell),
            Some(Some(Urgency::Critical)) => colour.paint(RED, &cell),
        }
    })
}

fn left(lineage: &LineageReport, now: Timestamp) -> String {
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

fn lease(lease: &LeaseStatus, width: Width) -> String {
    let line = |text: &str| width.wrapped("", HANG, text);
    let Some(arbiter) = &lease.arbiter else {
        return line("lease: no arbiter, each host has a lock of its own");
    };
    let Some(now) = &lease.now else {
        return line(&format!("lease: {arbiter} grants it, and does not answer"));
    };
    let mut text = match &now.holder {
        None => line(&format!("lease: free, {arbiter} grants it, last token {}", now.token.0)),
        Some(holder) => {
            let connected = if holder.connected { "" } else { ", not connected" };
            line(&format!("lease: {}, token {}{connected}", described(holder), holder.token.0))
        }
    };
    for (place, waiter) in now.queue.iter().enumerate() {
        let waited = span(SignedDuration::from_millis(
            i64::try_from(waiter.waited_millis).unwrap_or(i64::MAX),
        ));
        let (place, name, why) = (place + 1, &waiter.name, &waiter.purpose.why);
        let told = format!("{place}. in the queue: {name}, for {waited}, to renew {why}");
        text += &width.wrapped("  ", HANG, &told);
    }
    text
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::None => text.to_owned(),
        }
    }

    /// `text` with the first `word` of it painted.
    fn word(self, code: &str, word: &str, text: &str) -> String {
        let is_end = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || c == ',');
        let is_whole = |at: &usize| {
            is_end(text[..*at].chars().next_back())
                && is_end(text[at + word.len()..].chars().next())
        };
        match text.match_indices(word).map(|(at, _)| at).find(is_whole) {
            Some(at) => {
                format!("{}{}{}", &text[..at], self.paint(code, word), &text[at + word.len()..])
            }
            None => text.to_owned(),
        }
    }
}

/// What goes on in the next line is indented so.
const HANG: usize = 4;

// Select Graphic Rendition (ECMA-48).
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

#[cfg(test)]
mod tests;
