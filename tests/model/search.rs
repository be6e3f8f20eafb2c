//! pure: every state that a system can reach in so many steps, and the way to the first bad one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Something that goes from state to state.
pub(crate) trait System {
    type State: Clone + Hash;
    type Step: Clone + Debug;

    fn begin(&self) -> Self::State;

    /// What can happen next, and what it leads to.
    fn steps(&self, state: &Self::State) -> Vec<(Self::Step, Self::State)>;

    /// What is wrong with a state, if anything.
    fn fault(&self, state: &Self::State) -> Option<String>;
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// How many different states were seen.
    pub(crate) states: usize,
    /// How many steps away the farthest are.
    pub(crate) depth: usize,
    /// The first fault, with the way to it.
    pub(crate) fault: Option<String>,
}

/// Visits all states within `depth` steps of the beginning, nearest first; at most `limit` of them.
///
/// What was seen is kept as 128 bits of hash: two states that share them would count as one.
pub(crate) fn search<S: System>(system: &S, depth: usize, limit: usize) -> Found {
    // Each state with the one it was first reached from.
    let mut seen: HashMap<u128, Option<(u128, S::Step)>> = HashMap::new();
    let begin = system.begin();
    seen.insert(mark(&begin), None);
    let mut level = vec![begin];
    for reached in 0..=depth {
        let mut next = Vec::new();
        for state in &level {
            let here = mark(state);
            if let Some(fault) = system.fault(state) {
                let fault = format!("{fault}\n{}", way(&seen, here));
                return Found { states: seen.len(), depth: reached, fault: Some(fault) };
            }
            if reached == depth || seen.len() >= limit {
                continue;
            }
            for (step, after) in system.steps(state) {
                if let Entry::Vacant(new) = seen.entry(mark(&after)) {
                    new.insert(Some((here, step)));
                    next.push(after);
                }
            }
        }
        if next.is_empty() {
            return Found { states: seen.len(), depth: reached, fault: None };
        }
        level = next;
    }
    Found { states: seen.len(), depth, fault: None }
}

fn mark(state: &impl Hash) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// The steps to a state, from the first.
fn way<T: Debug>(seen: &HashMap<u128, Option<(u128, T)>>, mut at: u128) -> String {
    let mut steps = Vec::new();
    while let Some(Some((from, step))) = seen.get(&at) {
        steps.push(step);
        at = *from;
    }
    let mut text = String::new();
    for (number, step) in steps.into_iter().rev().enumerate() {
        writeln!(text, "{:>3} {step:?}", number + 1).unwrap();
    }
    text
}
