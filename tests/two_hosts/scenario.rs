//! flow: one lab, one scenario after another, each from a clean state and back to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;

use super::lab::{DEBIANS, Lab, NEWEST};
use crate::trials::{Act, Part, told};
use support::full;

/// A rule that holds on the machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    name: &'static str,
    act: fn(&Lab),
    certbots: Certbots,
}

/// With which certbots a scenario runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Certbots {
    /// Debian's.
    Debians,
    /// Each.
    Both,
    /// Debian's, and each of them in a full run.
    Sampled,
    /// Each, but only in a full run.
    Full,
}

/// What a target does before each scenario, and after it, whatever became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    pub(crate) prepare: fn(&Lab),
    pub(crate) tidy: fn(&Lab),
}

/// Nothing: `begin` and `reset` are enough.
pub(crate) const NOTHING_AROUND: Around = Around { prepare: |_| {}, tidy: |_| {} };

/// The lab, from the first scenario on.
static LAB: Mutex<Option<Lab>> = Mutex::new(None);

/// The part of these scenarios.
pub(crate) fn part(name: &'static str, scenarios: &[&[Scenario]], around: Around) -> Part {
    let scenarios = scenarios.iter().copied().flatten();
    let trials = scenarios.flat_map(|scenario| scenario.trials(around, full())).collect();
    Part { name, trials, down }
}

fn down() {
    if let Some(lab) = LAB.lock().unwrap_or_else(PoisonError::into_inner).take() {
        lab.down();
    }
}

impl Scenario {
    pub(crate) const fn new(name: &'static str, certbots: Certbots, act: fn(&Lab)) -> Self {
        Self { name, act, certbots }
    }

    fn trials(self, around: Around, full: bool) -> Vec<(String, Act)> {
        let certbots: &[&str] = match (self.certbots, full) {
            (Certbots::Debians, _) | (Certbots::Sampled, false) => &[DEBIANS],
            (Certbots::Both, _) | (_, true) => &[DEBIANS, NEWEST],
            (Certbots::Full, false) => &[],
        };
        let trial = |&certbot: &&'static str| {
            let with = if certbot == DEBIANS { "debians" } else { "the_newest" };
            let act: Act = Box::new(move || self.perform(around, certbot));
            (format!("{}_with_{with}", self.name), act)
        };
        certbots.iter().map(trial).collect()
    }

    fn perform(self, around: Around, certbot: &'static str) -> Result<(), Failed> {
        let mut guard = LAB.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            *guard = Some(Lab::up());
        }
        let lab = guard.as_mut().unwrap();
        lab.certbot = certbot;
        let lab = &*lab;
        let cursors = [&lab.home, &lab.vps].map(|host| (host, host.cursor()));
        let since = lab.ca.mark();
        let checked = catch_unwind(AssertUnwindSafe(|| {
            (around.prepare)(lab);
            lab.begin();
            (self.act)(lab);
            lab.wait_for_ends();
            lab.problems()
        }));
        let problem = match checked {
            Ok(problems) if problems.is_empty() => None,
            Ok(problems) => Some(problems.join("\n")),
            Err(panic) => Some(told(&*panic)),
        };
        (around.tidy)(lab);
        let told = problem.map(|problem| {
            let journals = cursors.iter().map(|(host, cursor)| {
                let journal = catch_unwind(AssertUnwindSafe(|| host.journal(cursor)));
                format!("journal of {}:\n{}", host.name, journal.unwrap_or_default())
            });
            let journals: Vec<String> = journals.collect();
            format!("{problem}\nCA: {:?}\n{}", lab.ca.work(since), journals.join("\n"))
        });
        lab.reset(told.is_some());
        told.map_or(Ok(()), |text| Err(text.into()))
    }
}
