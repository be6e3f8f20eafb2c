//! flow: trials on one lab, one after another: skipped where there can be none, and the lab taken down at the end.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};

use super::lab;

/// Performs those of `trials` that are asked for, and hands what they have put into `stage` to `down`.
pub(crate) fn perform<T>(
    what: &'static str,
    trials: impl FnOnce() -> Vec<Trial>,
    stage: &Mutex<Option<T>>,
    down: impl FnOnce(T),
) -> ! {
    let mut arguments = Arguments::from_args();
    // One lab.
    arguments.test_threads = Some(1);
    if let Some(obstacle) = lab::obstacle() {
        let skipped = move || {
            println!("skipped: {what}: {obstacle}");
            Ok(())
        };
        libtest_mimic::run(&arguments, vec![Trial::test("a_lab_is_possible", skipped)]).exit();
    }
    let conclusion = libtest_mimic::run(&arguments, trials());
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(stage) = stage {
        down(stage);
    }
    conclusion.exit();
}

/// What a panic says.
pub(crate) fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| format!("{:?}", panic.downcast_ref::<&str>()))
}
