//! test: a switch that ends after any of its steps, from any state that such an end leaves.

use certbaton::switch::order::{Options, Order, Reload, Return};
use certbaton::switch::prepare::{Prepared, prepare};
use certbaton::switch::{apply, commit, give_back};

use crate::crash::bench::{Bench, Goal};
use crate::crash::on_a_bench;
use support::full;

/// A switch that was begun and abandoned, as by a crash: the lock is free, nothing is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Abandoned {
    goal: Goal,
    /// How many steps it got through.
    steps: usize,
}

#[test]
fn from_any_step_of_any_switch_the_routes_come_back() {
    on_a_bench(|bench| {
        for (index, (first, second)) in histories().into_iter().enumerate() {
            let context = |e: String| format!("{first:?}, then {second:?}: {e}");
            for abandoned in [first, second].into_iter().flatten() {
                abandon(bench, abandoned.goal, abandoned.steps).map_err(context)?;
            }
            if full() || index % 2 == 0 {
                bench.done(Goal::Local).and_then(|()| bench.expect_local()).map_err(context)?;
            }
            bench.reset().map_err(context)?;
            // The same again without the switch that completed it.
            if full() {
                for abandoned in [first, second].into_iter().flatten() {
                    abandon(bench, abandoned.goal, abandoned.steps).map_err(context)?;
                }
                bench.reset().map_err(context)?;
            }
        }
        Ok(())
    });
}

/// Nothing, or an abandoned switch, and then another one: all pairs, or some of them.
fn histories() -> Vec<(Option<Abandoned>, Option<Abandoned>)> {
    let states: Vec<Abandoned> = [Goal::Local, Goal::Peer]
        .into_iter()
        .flat_map(|goal| (0..=steps_of(goal)).map(move |steps| Abandoned { goal, steps }))
        .collect();
    let mut histories: Vec<_> = states.iter().map(|&second| (None, Some(second))).collect();
    for (index, &first) in states.iter().enumerate() {
        for &second in states.iter().skip(index % 7).step_by(if full() { 1 } else { 7 }) {
            histories.push((Some(first), Some(second)));
        }
    }
    if !full() {
        let first_written = |goal| if goal == Goal::Local { 1 } else { 3 };
        let written = |a: &Option<Abandoned>| a.is_none_or(|a| a.steps >= first_written(a.goal));
        histories.retain(|(first, second)| written(first) && written(second));
    }
    histories
}

/// How many steps a switch to `goal` takes.
fn steps_of(goal: Goal) -> usize {
    if goal == Goal::Local { commit::STEPS.len() } else { give_back::STEPS.len() }
}

/// Begins a switch to `goal`, as far as `steps`, and drops it as a crash does.
pub(crate) fn abandon(bench: &Bench, goal: Goal, steps: usize) -> Result<(), String> {
    if goal == Goal::Peer && !bench.journal().exists() {
        bench.done(Goal::Local)?;
    }
    let _lock = apply::hold(&bench.settings).map_err(|e| e.to_string())?;
    if goal == Goal::Local {
        let order = Order::Add(bench.routes());
        let options = Options::default();
        let prepared = prepare(&bench.settings, &order, &options);
        let mut commit = prepared.and_then(Prepared::begin).map_err(|e| e.to_string())?;
        let done = commit::perform(&mut commit, &commit::STEPS[..steps]);
        // Nobody is left who takes them back.
        std::mem::forget(commit.files);
        done.map_err(|e| e.to_string())
    } else {
        let mut run = give_back::begin(&bench.settings, &Return::All, &Reload::Never);
        give_back::perform(&mut run, &give_back::STEPS[..steps]).map_err(|e| e.to_string())
    }
}
