//! flow: how long `certbaton-pre-hook` takes, against an administrator's script.
//!
//! `cargo bench --bench pre_hook [-- PAIRS [VHOSTS...]]`, as root. Both by
//! turns on one Apache; says the medians and the ratio pair by pair, and exits
//! with 1 if the median ratio is above 1, or the guard needs more than 2 ms to
//! hand over to its worker. `cargo test` has it take one turn each at 3 vhosts,
//! and judges only that they do what they are timed for.

#![expect(clippy::disallowed_methods, reason = "a benchmark owns its processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may be blunt")]

mod hand_over;
mod turns;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use support::apache;
use turns::{Contender, Site, Turn};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let benching = words.len();
    words.retain(|word| word != "--bench");
    // `cargo bench` adds it, `cargo test` does not.
    if words.len() == benching {
        return smoke();
    }
    let numbers: Vec<usize> = words.iter().map(|word| word.parse().unwrap()).collect();
    if let Some(reason) = apache::unavailable() {
        println!("cannot run: {reason}");
        return ExitCode::from(2);
    }
    let is_slow = median(&handed_over(HAND_OVERS)) > HAND_OVER;
    let (pairs, sizes) = match &numbers[..] {
        [] => (PAIRS, &SIZES[..]),
        [pairs] => (*pairs, &SIZES[..]),
        [pairs, sizes @ ..] => (*pairs, sizes),
    };
    let ratios: Vec<f64> = sizes.iter().map(|vhosts| measured(*vhosts, pairs)).collect();
    ExitCode::from(u8::from(is_slow || ratios.iter().any(|ratio| *ratio > 1.0)))
}

fn smoke() -> ExitCode {
    let turns = || {
        match apache::unavailable() {
            Some(reason) => println!("skipped: {reason}"),
            None => assert!(measured(SIZES[0], 1) > 0.0),
        }
        Ok(())
    };
    let hand_over = || {
        match apache::unavailable() {
            Some(reason) => println!("skipped: {reason}"),
            None => assert!(handed_over(FEW)[0] > 0.0),
        }
        Ok(())
    };
    let trials =
        vec![Trial::test("one_turn_each", turns), Trial::test("the_guard_hands_over", hand_over)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Seconds from the start of the guard to that of its worker, sorted; says the least and the median.
fn handed_over(times: usize) -> Vec<f64> {
    let taken = hand_over::times(times);
    let taken = sorted(taken.into_iter().map(|time| time.as_secs_f64()));
    let (least, median) = (taken[0] * 1e3, median(&taken) * 1e3);
    println!("start to hand-over: least {least:.2} ms, median {median:.2} ms, {times} times");
    taken
}

/// Takes the turns, says what they took, and gives the median ratio.
fn measured(vhosts: usize, pairs: usize) -> f64 {
    let taken = apache::in_private_network(|network| {
        let site = Site::set(vhosts, network);
        let pair = |_| (site.turn(Contender::PreHook), site.turn(Contender::Administrator));
        (0..pairs).map(pair).collect::<Vec<_>>()
    });
    let (hook, script): (Vec<Turn>, Vec<Turn>) = taken.into_iter().unzip();
    let walls = |turns: &[Turn]| sorted(turns.iter().map(|turn| turn.wall.as_secs_f64()));
    let ratios =
        sorted(hook.iter().zip(&script).map(|(a, b)| a.wall.as_secs_f64() / b.wall.as_secs_f64()));
    println!("{vhosts} vhosts, {pairs} pairs of turns");
    for (who, turns) in [("certbaton-pre-hook", &hook), ("administrator", &script)] {
        let (walls, cpu) = (walls(turns), turns.iter().map(|turn| turn.cpu).sum::<Duration>());
        let held = walls.iter().filter(|wall| **wall > walls[0] + HELD_UP).count();
        println!(
            "  {who:<18} {:.3} s ({:.3} to {:.3}), {:.3} s of processor, held up by Apache's parent {held} times",
            median(&walls),
            walls[0],
            walls[walls.len() - 1],
            cpu.as_secs_f64() / f64::from(u32::try_from(turns.len()).unwrap()),
        );
    }
    let ratio = median(&ratios);
    println!("  ratio {ratio:.2} ({:.2} to {:.2})", ratios[0], ratios[ratios.len() - 1]);
    let peak = hook.iter().filter_map(|turn| turn.keeper_peak).max();
    println!("  memory of the keeper: {} KiB", peak.unwrap_or_default());
    ratio
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn median(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

const PAIRS: usize = 15;

/// How often the guard is started for the time of its hand-over.
const HAND_OVERS: usize = 200;
const FEW: usize = 20;

/// Seconds that it may need.
const HAND_OVER: f64 = 0.002;

const SIZES: [usize; 2] = [3, 1000];

/// Apache's parent may look for its old processes only once a second
/// (`ap_wait_or_timeout`, `server/mpm_common.c`); new ones come after that.
const HELD_UP: f64 = 0.8;
