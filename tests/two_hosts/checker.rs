//! flow: reads what arbiter, hosts and CA wrote down, and finds every overlap in it.
//!
//! The arbiter's lines say who had the lease when; the hosts' access logs, who answered the CA's questions when. That
//! the same lines contain an overlap that is found, its own tests show.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::Host;

/// Microseconds of the machines' one clock.
pub(crate) type Micros = u64;

/// What the arbiter did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Granted { at: Micros, token: u64, to: String },
    Resumed { at: Micros, token: u64, to: String },
    Released { at: Micros, token: u64 },
    Expired { at: Micros, token: u64 },
    Broken { at: Micros, token: u64 },
}

/// A question of the CA's that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validation {
    /// Seconds: Apache writes no more.
    pub(crate) second: u64,
    pub(crate) by: &'static str,
    pub(crate) path: String,
}

/// What the arbiter wrote in the journal of its host since.
pub(crate) fn events(arbiter: &Host, cursor: &str) -> Vec<Event> {
    arbiter.entries(cursor).iter().filter_map(|(at, said)| event(*at, said)).collect()
}

fn event(at: Micros, message: &str) -> Option<Event> {
    let (verb, rest) = message.strip_prefix("lease: ")?.split_once(' ')?;
    let fields: BTreeMap<&str, &str> =
        rest.split(' ').filter_map(|word| word.split_once('=')).collect();
    let token = fields.get("token")?.parse().ok()?;
    let to = fields.get("to").map(|&to| to.to_owned());
    Some(match verb {
        "granted" => Event::Granted { at, token, to: to? },
        "resumed" => Event::Resumed { at, token, to: to? },
        "released" => Event::Released { at, token },
        "expired" => Event::Expired { at, token },
        "broken" => Event::Broken { at, token },
        _ => return None,
    })
}

/// The tokens that were granted, in turn.
pub(crate) fn granted(events: &[Event]) -> Vec<u64> {
    let token = |event: &Event| match event {
        Event::Granted { token, .. } => Some(*token),
        _ => None,
    };
    events.iter().filter_map(token).collect()
}

/// Who answered the CA's questions: on home all arrive, and those that are not in the log of the vps it answered itself.
pub(crate) fn validations(home: &Host, vps: &Host) -> Vec<Validation> {
    let read = |host: &Host| {
        host.sh("cat /var/log/apache2/*access.log | grep /.well-known/acme-challenge/ || true")
    };
    let passed: BTreeSet<String> =
        read(vps).lines().filter_map(|line| Some(asked(line)?.1)).collect();
    let asks = read(home);
    let asks = asks.lines().filter(|line| line.contains("2001:db8::1 ")).filter_map(asked);
    asks.map(|(second, path)| {
        let by = if passed.contains(&path) { vps.name } else { home.name };
        Validation { second, by, path }
    })
    .collect()
}

/// When and what, of a line of an access log.
fn asked(line: &str) -> Option<(u64, String)> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", time).ok()?.to_timestamp().ok()?;
    let path = rest.split(' ').find(|word| word.starts_with("/.well-known/"))?;
    let last = path.rsplit('/').next()?;
    // Not certbaton's own files, nor the lab's.
    let is_tokens = last.len() >= 40 && !last.contains('.') && !last.contains("certbaton");
    is_tokens.then(|| Some((u64::try_from(time.as_second()).ok()?, path.to_owned()))).flatten()
}

/// All that must not be.
pub(crate) fn overlaps(events: &[Event], validations: &[Validation]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut holds: Vec<(u64, &str, Micros, Option<Micros>)> = Vec::new();
    for event in events {
        match event {
            Event::Granted { at, token, to } => {
                if let Some((last, who, _, end)) = holds.last() {
                    if token <= last {
                        wrong.push(format!("token {token} was granted after {last}"));
                    }
                    if end.is_none() {
                        wrong.push(format!("{token} was granted to {to} while {who} had {last}"));
                    }
                }
                holds.push((*token, to, *at, None));
            }
            Event::Released { at, token }
            | Event::Expired { at, token }
            | Event::Broken { at, token } => match holds.iter_mut().find(|hold| hold.0 == *token) {
                None => wrong.push(format!("{token} ended without a grant")),
                Some(hold) => hold.3 = hold.3.or(Some(*at)),
            },
            Event::Resumed { token, .. } => match holds.last() {
                Some((last, _, _, None)) if last == token => {}
                _ => wrong.push(format!("{token} was resumed when it was over")),
            },
        }
    }
    for Validation { second, by, path } in validations {
        let held = holds.iter().any(|(_, who, from, to)| {
            who == by
                && from / 1_000_000 <= *second
                && to.is_none_or(|to| *second <= to / 1_000_000)
        });
        if !held {
            wrong.push(format!("{by} answered {path} in second {second} without the lease"));
        }
    }
    wrong
}

/// The checker finds what it is for: run by the scenarios once, since this target has no other tests.
pub(crate) fn finds_what_it_is_for() {
    let granted = |at, token, to: &str| Event::Granted { at, token, to: to.into() };
    let second = 1_000_000;
    let good = [
        granted(second, 1, "home"),
        Event::Released { at: 3 * second, token: 1 },
        granted(3 * second, 2, "vps"),
    ];
    let at = |second, by| Validation { second, by, path: String::new() };
    assert_eq!(overlaps(&good, &[at(2, "home"), at(4, "vps")]), Vec::<String>::new());
    assert_eq!(overlaps(&good, &[at(2, "vps")]).len(), 1, "answered without the lease");
    assert_eq!(
        overlaps(&[granted(1, 1, "home"), granted(2, 2, "vps")], &[]).len(),
        1,
        "two holders"
    );
    let falling =
        [granted(1, 2, "home"), Event::Released { at: 2, token: 2 }, granted(3, 1, "vps")];
    assert_eq!(overlaps(&falling, &[]).len(), 1, "a falling token");
    let late = [
        granted(1, 1, "home"),
        Event::Expired { at: 2, token: 1 },
        granted(2, 2, "vps"),
        Event::Resumed { at: 3, token: 1, to: "home".into() },
    ];
    assert_eq!(overlaps(&late, &[]).len(), 1, "resumed too late");
    assert_eq!(event(7, "lease: granted token=9 to=home request=r"), Some(granted(7, 9, "home")));
    let line = "wiki.example.org:80 2001:db8::1 - - [24/Nov/2026:01:45:33 +0000] \
        \"GET /.well-known/acme-challenge/0123456789012345678901234567890123456789abc HTTP/1.1\" 200 87";
    assert_eq!(asked(line).unwrap().0, 1_795_484_733);
}
