//! flow: what the other hosts see of a run's names: each may refuse one, and its silence says nothing.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::Deadline;
use crate::base::exit::Exit;
use crate::base::names::{HostLabel, Hostname, Route};
use crate::base::threads;
use crate::ca::sight::{Answer, Miss, MissKind, NonceAnswer, Question, Sight};
use crate::ca::validation::choose;
use crate::config::{Host, Settings};
use crate::fleet::link::Way;
use crate::fleet::plant::plant;
use crate::fleet::questions::questions;
use crate::switch::order::LeftOutRoute;

/// Those of `routes` that another host sees answered by somebody else, where the CA would ask.
pub fn seen_elsewhere(settings: &Settings, routes: &[Route]) -> Vec<LeftOutRoute> {
    let Some(own) = &settings.name else { return Vec::new() };
    let others = settings.hosts.iter().filter(|host| host.name != *own);
    let others: Vec<Host> = others.filter(|host| host.ssh.is_some()).cloned().collect();
    let names: Vec<Hostname> = routes.iter().map(|route| route.name.clone()).collect();
    if others.is_empty() || names.is_empty() {
        return Vec::new();
    }
    let bed = plant(settings, &names);
    // What is not planted cannot be seen: a lineage that is not there yet.
    let planted = |name: &&Hostname| bed.plantings.iter().any(|there| there.names.contains(name));
    let names: Vec<Hostname> = names.iter().filter(planted).cloned().collect();
    let questions = questions(&names, &[(own, bed.plantings.as_slice())]);
    let deadline = Deadline::after(ALL.min(settings.proof_time));
    let refused = threads::each("seen", &others, |host| {
        let way = Way::abroad(settings, host);
        let mut refused = elsewhere(&ask(&way, questions.clone(), &deadline), own);
        // What a worker of the old generation still answered is another answer now.
        let again = questions.iter().map(|question| only(question, &refused));
        let again = again.filter(|question| !question.names.is_empty()).collect();
        let seen = ask(&way, again, &deadline);
        let still = elsewhere(&seen, own);
        let is_still = |name: &Hostname| still.iter().any(|(other, _)| other == name);
        let is_asked = |name: &Hostname| seen.iter().any(|sight| sight.name == *name);
        refused.retain(|(name, _)| !is_asked(name) || is_still(name));
        let told = |(name, why)| (name, format!("{} sees {why}", host.name));
        refused.into_iter().map(told).collect::<Vec<(Hostname, String)>>()
    });
    bed.clear();
    let refused: Vec<(Hostname, String)> = refused.into_iter().flatten().collect();
    let left = |route: &Route| {
        let (_, why) = refused.iter().find(|(name, _)| *name == route.name)?;
        Some(LeftOutRoute { route: route.clone(), why: why.clone(), exit: Exit::Failed })
    };
    routes.iter().filter_map(left).collect()
}

/// What a host sees, as far as it answers in time.
fn ask(way: &Way, questions: Vec<Question>, deadline: &Deadline) -> Vec<Sight> {
    let mut all = Vec::new();
    for question in questions {
        let Some(left) = deadline.remaining() else { break };
        match way.clone().within(left).ask(question) {
            Ok(sights) => all.extend(sights),
            Err(error) => {
                tracing::info!("{} does not say what it sees: {}", way.name, chain(&error));
                break;
            }
        }
    }
    all
}

/// The question without the names that are not in `names`.
fn only(question: &Question, names: &[(Hostname, String)]) -> Question {
    let asked = question.names.iter();
    let asked = asked.filter(|(name, _)| names.iter().any(|(other, _)| other == name));
    Question { nonces: question.nonces.clone(), names: asked.cloned().collect() }
}

/// The names that are answered by somebody else, and what that is.
fn elsewhere(sights: &[Sight], own: &HostLabel) -> Vec<(Hostname, String)> {
    let named = sights.iter().filter_map(|sight| {
        let (address, miss) = answered(sight, own)?;
        let why = format!("{} answered by somebody else at {address}: {}", sight.name, miss.why);
        Some((sight.name.clone(), why))
    });
    named.collect()
}

/// Who answers instead at the addresses that the CA asks first. That nobody does, or that the host
/// has no way there, says more of the host than of the name.
fn answered<'a>(sight: &'a Sight, own: &HostLabel) -> Option<(IpAddr, &'a Miss)> {
    let first = choose(&sight.addresses)?.first;
    let is_asked_first = |asked: &&NonceAnswer| {
        let kind = asked.address.is_some_and(|address| address.is_ipv6() == first.is_ipv6());
        kind && asked.nonce == *own
    };
    let mut strange = None;
    for asked in sight.fetched.iter().filter(is_asked_first) {
        match &asked.answer {
            Answer::Same => return None,
            Answer::Missed(miss) => match miss.kind {
                MissKind::Status(_) | MissKind::Another | MissKind::Redirect => {
                    strange = strange.or(asked.address.map(|address| (address, miss)));
                }
                MissKind::Unreachable
                | MissKind::Refused
                | MissKind::BlackHole
                | MissKind::Silence
                | MissKind::Broken
                | MissKind::Unresolved
                | MissKind::NotAsked => {}
            },
        }
    }
    strange
}

/// For all hosts to look at all names.
const ALL: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(answers: &[(&str, Option<MissKind>)]) -> Sight {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let answer = |kind: &Option<MissKind>| match kind {
            None => Answer::Same,
            Some(kind) => {
                let (url, why) = (None, "404".to_owned());
                Answer::Missed(Miss { kind: *kind, url, redirected: false, why })
            }
        };
        let fetched = answers.iter().map(|(at, kind)| NonceAnswer {
            nonce: HostLabel::parse("home").unwrap(),
            address: Some(address(at)),
            answer: answer(kind),
        });
        Sight {
            name: Hostname::parse("a.example").unwrap(),
            addresses: answers.iter().map(|(at, _)| address(at)).collect(),
            unresolved: None,
            caa: None,
            caa_unknown: None,
            validated: Vec::new(),
            fetched: fetched.collect(),
            presented: Vec::new(),
        }
    }

    #[test]
    fn only_another_answer_where_the_ca_asks_first_refuses_a_name() {
        let home = HostLabel::parse("home").unwrap();
        let refused = |answers: &[(&str, Option<MissKind>)], own: &HostLabel| {
            let refused = elsewhere(&[sight(answers)], own);
            refused.into_iter().map(|(_, why)| why).next()
        };
        let why = refused(&[("2001:db8::1", Some(MissKind::Status(404)))], &home).unwrap();
        assert_eq!(why, "a.example answered by somebody else at 2001:db8::1: 404");
        assert!(
            refused(&[("2001:db8::1", Some(MissKind::Another)), ("192.0.2.1", None)], &home)
                .is_some()
        );
        // The CA asks there only where nobody takes a connection at the other.
        assert_eq!(
            refused(&[("2001:db8::1", None), ("192.0.2.1", Some(MissKind::Status(404)))], &home),
            None
        );
        // One of several; and a question of another's.
        assert_eq!(
            refused(&[("2001:db8::1", None), ("2001:db8::2", Some(MissKind::Another))], &home),
            None
        );
        let other = HostLabel::parse("vps").unwrap();
        assert_eq!(refused(&[("2001:db8::1", Some(MissKind::Another))], &other), None);
        for silent in [
            MissKind::Unreachable,
            MissKind::Refused,
            MissKind::BlackHole,
            MissKind::Silence,
            MissKind::Broken,
            MissKind::Unresolved,
            MissKind::NotAsked,
        ] {
            assert_eq!(refused(&[("2001:db8::1", Some(silent))], &home), None, "{silent:?}");
        }
        assert_eq!(refused(&[], &home), None);
    }
}
