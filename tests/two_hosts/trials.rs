//! flow: trials on one lab, one after another: skipped where there can be none, and the lab taken down at the end.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::lab;

/// What is tried on a lab of its own, by the name that all of it begins with.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) trials: Vec<(String, Act)>,
    /// Takes its lab down, if it is up.
    pub(crate) down: fn(),
}

/// What a trial does.
pub(crate) type Act = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// The part whose lab may be up, and what takes it down.
static TURN: Mutex<(&str, fn())> = Mutex::new(("", || ()));

/// Performs the trials that are asked for, part by part.
pub(crate) fn perform(parts: Vec<Part>) -> ! {
    let mut arguments = Arguments::from_args();
    // One lab at a time.
    arguments.test_threads = Some(1);
    let obstacle = lab::obstacle();
    let trials = parts.into_iter().flat_map(|part| match &obstacle {
        Some(obstacle) => vec![skipped(part.name, obstacle.clone())],
        None => part.trials(),
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    turn("", || ());
    conclusion.exit();
}

fn skipped(part: &'static str, obstacle: String) -> Trial {
    Trial::test(format!("{part}::a_lab_is_possible"), move || {
        println!("skipped: {part}: {obstacle}");
        Ok(())
    })
}

impl Part {
    fn trials(self) -> Vec<Trial> {
        let Self { name: part, trials, down } = self;
        let trial = |(name, act): (String, Act)| {
            // Or a part's name would choose trials of another.
            assert!(!name.contains("::"), "{name}");
            Trial::test(format!("{part}::{name}"), move || {
                turn(part, down);
                act()
            })
        };
        trials.into_iter().map(trial).collect()
    }
}

/// It is this part's turn: the lab of the one before goes.
fn turn(part: &'static str, down: fn()) {
    let mut turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if turn.0 != part {
        (turn.1)();
        *turn = (part, down);
    }
}

/// What a panic says.
pub(crate) fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| format!("{:?}", panic.downcast_ref::<&str>()))
}
