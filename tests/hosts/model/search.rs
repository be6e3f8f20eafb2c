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
    let fault = system.fault(&begin);
    let mut words = Words::default();
    let first = words.mark(&begin);
    seen.insert(first, None);
    let mut found = Found { states: 1, depth: 0, fault };
    let mut level = vec![(first, begin)];
    while found.fault.is_none() && found.depth < depth && !level.is_empty() {
        let mut next = Vec::new();
        let is_last = found.depth + 1 == depth;
        'level: for (here, state) in level {
            for (step, after) in system.steps(&state) {
                let mark = words.mark(&after);
                if seen.len() >= limit {
                    break 'level;
                }
                let Entry::Vacant(new) = seen.entry(mark) else { continue };
                new.insert(Some((here, step)));
                if let Some(fault) = system.fault(&after) {
                    found.fault = Some(format!("{fault}\n{}", way(&seen, mark)));
                    break 'level;
                }
                // The last level is the largest, and leads nowhere.
                if !is_last {
                    next.push((mark, after));
                }
            }
        }
        level = next;
        found.depth += 1;
    }
    found.states = seen.len();
    found
}

/// All that a state feeds to a hasher. A state has some hundred parts, and a test is not optimised:
/// they are gone through once, and hashed as a whole.
#[derive(Default)]
struct Words(Vec<u8>);

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Words {
    fn mark(&mut self, state: &impl Hash) -> u128 {
        self.0.clear();
        state.hash(self);
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher.write(&self.0);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }
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
