//! flow: every interleaving of two hosts, an arbiter and their faults, to a stated depth.
//!
//! The machines are the real ones (`lease::rules`, `lease::holder`); what is
//! modelled is what lies between them: connections whose words are late or
//! lost, hosts that sleep, freeze, crash and start again, an arbiter whose
//! processes die or that boots. `CERTBATON_FULL` searches deeper.

mod search;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

use search::search;
use support::full;
use world::{Fence, Healed, Kinds, World};

/// Bounds the memory: some hundred bytes each.
const LIMIT: usize = 30_000_000;

/// One search at a time, since each may need gigabytes.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn there_is_at_most_one_effective_holder_and_tokens_rise() {
    let _alone = alone();
    let reaches = if full() { [(1, 13), (2, 11), (3, 9)] } else { [(1, 10), (2, 8), (3, 7)] };
    for (faults, depth) in reaches {
        let found = search(&World::new(Fence::Compared, faults, Kinds::All), depth, LIMIT);
        println!(
            "{} states within {} steps, up to {faults} of them faults",
            found.states, found.depth
        );
        assert!(found.fault.is_none(), "{}", found.fault.unwrap());
        assert!(found.states < LIMIT, "not all within {depth} steps were seen");
        assert!(found.states > 1_000, "too small a world: {}", found.states);
    }
}

#[test]
fn without_the_comparison_of_tokens_the_search_finds_two() {
    let _alone = alone();
    let found = search(&World::new(Fence::Ignored, 1, Kinds::Freezing), 40, LIMIT);
    let fault = found.fault.unwrap_or_else(|| panic!("none in {} states", found.states));
    println!("after {} states: {fault}", found.states);
    assert!(fault.starts_with("two effective holders"), "{fault}");
    // The same world with the comparison has none, as far.
    let steps = fault.lines().count() - 1;
    let found = search(&World::new(Fence::Compared, 1, Kinds::Freezing), steps, LIMIT);
    assert!(found.fault.is_none(), "{}", found.fault.unwrap());
    assert_eq!(found.depth, steps);
}

#[test]
fn when_faults_end_nobody_starves() {
    let _alone = alone();
    let (faults, depth) = if full() { (2, 9) } else { (2, 6) };
    let found = search(&Healed(World::new(Fence::Compared, faults, Kinds::All)), depth, LIMIT);
    println!("{} states within {} steps, from each all get it", found.states, found.depth);
    assert!(found.fault.is_none(), "{}", found.fault.unwrap());
    assert!(found.states > 100, "too small a world: {}", found.states);
}
