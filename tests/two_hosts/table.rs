//! flow: every signal at every step of a run, and after each the same questions.
//!
//! A run of each kind is followed once to its end: that gives its steps. Then it is done again, once a cell of the table:
//! a step and what falls on whom just before it. Nine cells, chosen by a number that is printed, or with
//! `CERTBATON_FULL` all: of each fault some thirty steps, evenly spread. `CERTBATON_TABLE_SEED=NUMBER` chooses the same
//! again, and in the same order; `CERTBATON_TABLE_CELLS='Home: +SIGKILL+fullchain.pem (18)'` those whose words contain
//! all of these, of every step; `CERTBATON_TABLE_STEPS=1` prints the steps. As in `machines`, this skips where there can
//! be no lab.

mod cell;
mod rows;
mod run;
mod tracer;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::lab::Lab;
use crate::lease;
use crate::scenario::Certbots::Debians;
use crate::scenario::{self, Around, Scenario};
use crate::trials::Part;
use cell::{Came, Cell, GRACE};
use rows::{Chance, KINDS, Spread};
use run::Kind;
use support::full;
use tracer::{Followed, Step};

/// How many cells are tried where not all are.
const SAMPLE: usize = 9;

/// For a run of which nobody is killed.
const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) fn part() -> Part {
    let name = "whoever_is_killed_at_whatever_step_routes_and_lease_come_back";
    let all = [Scenario::new(name, Debians, table)];
    scenario::part("table", &[&all], Around { prepare, tidy: lease::tidy })
}

/// As in `faults`, but a holder that says nothing is given up sooner; and the hooks where certbot finds them.
fn prepare(lab: &Lab) {
    lease::prepare(lab);
    for host in [&lab.home, &lab.vps] {
        let usual = "arbiter = \"vps\"\n";
        let short = format!("{usual}grace = \"{}s\"\n", GRACE.as_secs());
        host.replace("/etc/certbaton/config.toml", usual, &short);
        host.directory_hooks();
    }
}

fn table(lab: &Lab) {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: every signal at every step: system calls are told apart on x86-64 only");
        return;
    }
    let mut chance = Chance(seed());
    let asked_for = std::env::var("CERTBATON_TABLE_CELLS");
    let cells = match asked_for {
        Ok(words) => chosen(lab, &words),
        Err(_) if full() => all(lab, &mut chance),
        Err(_) => sample(lab, &mut chance),
    };
    let (count, began) = (cells.len(), Instant::now());
    let mut broken = Vec::new();
    let mut missed = 0;
    for (index, cell) in cells.into_iter().enumerate() {
        let since = Instant::now();
        let came = cell.perform(lab);
        let took = since.elapsed().as_secs_f32();
        let how = match &came {
            Ok(Came::Held) => "held",
            Ok(Came::Missed) => "missed",
            Err(_) => "BROKEN",
        };
        println!("cell {} of {count}: {cell}: {how}, {took:.1} s", index + 1);
        missed += usize::from(came == Ok(Came::Missed));
        if let Err(why) = came {
            println!("{why}\n");
            broken.push(format!("{cell}: {why}"));
            lease::tidy(lab);
            lab.reset(true);
            prepare(lab);
            lab.begin();
        }
    }
    println!("{count} cells, {missed} of them missed, in {:?}", began.elapsed());
    assert!(broken.is_empty(), "{} of {count} cells:\n{}", broken.len(), broken.join("\n\n"));
    // A blow that never falls shows nothing.
    assert!(missed * 4 <= count, "{missed} of {count} blows fell on nobody");
}

/// Those whose words, as they are printed, contain each of `words`, which `+` stands between; of all steps.
fn chosen(lab: &Lab, words: &str) -> Vec<Cell> {
    let mut cells = rows::waiting();
    for kind in KINDS.into_iter().filter(|kind| words.contains(&format!("{kind:?}:"))) {
        cells.extend(rows::cells(kind, &steps(lab, kind), Spread::All));
    }
    cells.retain(|cell| words.split('+').all(|word| cell.to_string().contains(word)));
    cells
}

/// Chooses the cells and their order: given, or another each time.
fn seed() -> u64 {
    let given = std::env::var("CERTBATON_TABLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = given.unwrap_or(now);
    println!("CERTBATON_TABLE_SEED={seed}");
    seed
}

fn all(lab: &Lab, chance: &mut Chance) -> Vec<Cell> {
    let mut cells = rows::waiting();
    for kind in KINDS {
        cells.extend(rows::cells(kind, &steps(lab, kind), Spread::Even));
    }
    // Whoever stops it has seen some of everything.
    chance.shuffle(&mut cells);
    cells
}

/// Some of a run by hand on home, and some of another kind.
fn sample(lab: &Lab, chance: &mut Chance) -> Vec<Cell> {
    let other = KINDS[1 + chance.below(KINDS.len() - 1)];
    let mut cells = Vec::new();
    for (kind, share) in [(Kind::Home, SAMPLE * 2 / 3), (other, SAMPLE / 3)] {
        let mut those = rows::cells(kind, &steps(lab, kind), Spread::Even);
        if kind == Kind::Home {
            those.extend(rows::waiting());
        }
        chance.shuffle(&mut those);
        cells.extend(those.into_iter().take(share));
    }
    cells
}

/// Follows each kind of run to its end, which must be good: its steps.
fn steps(lab: &Lab, kind: Kind) -> Vec<Step> {
    let run = kind.start(lab, None);
    let Some(Followed::ToItsEnd(steps)) = run.followed(PATIENCE) else { panic!("{kind:?} hangs") };
    let done = run.ended(PATIENCE).unwrap();
    assert_eq!(done.code(), 0, "{kind:?}: {done:?}");
    if std::env::var_os("CERTBATON_TABLE_STEPS").is_some() {
        for Step { who, what, nth, label } in &steps {
            println!("{kind:?}: {who:?} {what} {label} ({nth})");
        }
    }
    assert_eq!(lab.problems(), Vec::<String>::new(), "{kind:?}");
    steps
}
