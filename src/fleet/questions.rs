//! pure: what is asked of a host, in orders that are short enough.

use crate::base::names::{HostLabel, Hostname};
use crate::ca::sight::{Planted, Planting, Question, WantedNonce};
use crate::fleet::protocol::{self, AgentOrder, Envelope, MAX_ORDER};

/// Every name with every nonce that is planted for it, in orders that are short enough.
pub fn questions(names: &[Hostname], planted: &[(&HostLabel, &[Planting])]) -> Vec<Question> {
    let mut parts = vec![Question::default()];
    for name in names {
        let nonces = planted.iter().filter_map(|(host, plantings)| {
            let of_name = |planting: &&Planting| planting.names.contains(name);
            let planting = plantings.iter().find(of_name)?;
            match &planting.planted {
                Planted::Content(content) => Some(WantedNonce {
                    host: (*host).clone(),
                    content: content.clone(),
                    account: planting.account.clone(),
                }),
                Planted::Failed(_) => None,
            }
        });
        let nonces: Vec<WantedNonce> = nonces.collect();
        let last = parts.len() - 1;
        let before = parts[last].clone();
        add(&mut parts[last], name, &nonces);
        if !before.names.is_empty() && !fits(parts[last].clone()) {
            parts[last] = before;
            let mut next = Question::default();
            add(&mut next, name, &nonces);
            parts.push(next);
        }
    }
    parts.retain(|part| !part.names.is_empty());
    parts
}

fn add(question: &mut Question, name: &Hostname, nonces: &[WantedNonce]) {
    let mut indexes = Vec::new();
    for nonce in nonces {
        let known = question.nonces.iter().position(|other| other == nonce);
        indexes.push(known.unwrap_or_else(|| {
            question.nonces.push(nonce.clone());
            question.nonces.len() - 1
        }));
    }
    question.names.push((name.clone(), indexes));
}

/// Whether `order` may be said.
pub fn fits(order: impl Into<AgentOrder>) -> bool {
    let envelope = Envelope { version: protocol::VERSION, order: order.into() };
    protocol::line(&envelope).is_ok_and(|line| line.len() <= MAX_ORDER)
}
