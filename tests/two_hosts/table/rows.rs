//! pure: the table: which fault falls at which steps of which kind of run, and a sample of it.

use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM};

use crate::table::cell::Cell;
use crate::table::run::{Fault, Kind};
use crate::table::tracer::{Step, Who};

/// Which faults fall on a kind of run, at how many of its steps at most, before which processes' steps.
struct Row {
    kind: Kind,
    faults: &'static [Fault],
    most: usize,
    at: &'static [Who],
}

/// All that a terminal, an administrator or the kernel ends certbot by.
const CERTBOTS: &[Fault] = &[
    Fault::One(Who::Certbot, SIGHUP),
    Fault::Group(SIGINT),
    Fault::One(Who::Certbot, SIGTERM),
    Fault::One(Who::Certbot, SIGQUIT),
    Fault::One(Who::Certbot, SIGKILL),
];

const KEEPERS: &[Fault] = &[
    Fault::One(Who::Keeper, SIGKILL),
    Fault::One(Who::Keeper, SIGTERM),
    Fault::One(Who::Keeper, SIGSTOP),
    Fault::Both,
];

const COORDINATORS: &[Fault] = &[
    Fault::Group(SIGINT),
    Fault::One(Who::Coordinator, SIGTERM),
    Fault::One(Who::Coordinator, SIGHUP),
    Fault::One(Who::Coordinator, SIGKILL),
];

/// Those whose steps a run consists of.
const ALL: &[Who] = &[
    Who::Certbot,
    Who::Guard,
    Who::Worker,
    Who::Keeper,
    Who::DeployHook,
    Who::PostHook,
    Who::Coordinator,
    Who::Agent,
];

/// Those that are at work when there is a keeper.
const WITH_KEEPER: &[Who] = &[Who::Keeper, Who::DeployHook, Who::PostHook, Who::Certbot];

const ROWS: &[Row] = &[
    Row { kind: Kind::Home, faults: CERTBOTS, most: 30, at: ALL },
    Row { kind: Kind::Home, faults: KEEPERS, most: 30, at: WITH_KEEPER },
    Row { kind: Kind::Vps, faults: CERTBOTS, most: 8, at: ALL },
    Row { kind: Kind::Vps, faults: KEEPERS, most: 8, at: WITH_KEEPER },
    Row { kind: Kind::Timer, faults: &[Fault::StopUnit], most: 24, at: ALL },
    Row { kind: Kind::Timer, faults: KEEPERS, most: 6, at: WITH_KEEPER },
    Row { kind: Kind::CoordinatedFromHome, faults: COORDINATORS, most: 20, at: ALL },
    Row { kind: Kind::CoordinatedFromHome, faults: CERTBOTS, most: 6, at: ALL },
    Row { kind: Kind::CoordinatedFromHome, faults: KEEPERS, most: 6, at: WITH_KEEPER },
    Row { kind: Kind::CoordinatedFromVps, faults: COORDINATORS, most: 15, at: ALL },
];

/// The kinds whose steps have to be known.
pub(crate) const KINDS: [Kind; 5] =
    [Kind::Home, Kind::Vps, Kind::Timer, Kind::CoordinatedFromHome, Kind::CoordinatedFromVps];

/// Which steps of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    Even,
    All,
}

/// All cells of the kind that has these steps.
pub(crate) fn cells(kind: Kind, steps: &[Step], spread: Spread) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in ROWS.iter().filter(|row| row.kind == kind) {
        for &fault in row.faults {
            let steps = thinned(steps, row, fault, spread);
            cells.extend(steps.into_iter().map(|step| Cell { kind, fault, step: Some(step) }));
        }
    }
    cells
}

/// Each signal while the lease is waited for.
pub(crate) fn waiting() -> Vec<Cell> {
    let faults = CERTBOTS.iter().chain(KEEPERS);
    faults.map(|&fault| Cell { kind: Kind::Waiting, fault, step: None }).collect()
}

/// The steps of a row: of the same thing several times in a row the first, and evenly spread no more than it has.
fn thinned(steps: &[Step], row: &Row, fault: Fault, spread: Spread) -> Vec<Step> {
    let is_there = |step: &&Step| row.at.contains(&step.who);
    let mut kept: Vec<&Step> = steps.iter().filter(is_there).collect();
    if spread == Spread::Even {
        kept.dedup_by_key(|step| (step.who, step.what));
    }
    if let Some(who) = struck(fault) {
        // Before its own first step nobody is there to be hit.
        let first = kept.iter().position(|step| step.who == who).unwrap_or(0);
        kept.drain(..first);
    }
    let most = if spread == Spread::Even { row.most } else { kept.len() };
    let count = kept.len().min(most);
    (0..count).map(|i| kept[i * kept.len() / count].clone()).collect()
}

fn struck(fault: Fault) -> Option<Who> {
    match fault {
        Fault::One(who, _) => Some(who),
        Fault::Both => Some(Who::Keeper),
        Fault::Group(_) | Fault::StopUnit => None,
    }
}

/// Numbers that look like chance, and are the same for the same seed (Knuth's generator, MMIX).
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}
