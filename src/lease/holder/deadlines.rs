//! pure: the times of the holder's machine: when something is due next, and what a moment asks for.

use std::time::Duration;

use super::events::{Action, GiveUp, HolderWord, Loss, Warning};
use super::{Holder, Line, Right};
use crate::lease::times::{self, Periods};

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patience {
    /// The arbiter's period, as far as this host knows.
    pub grace: Duration,
    /// From the last confirmed word until the lease is lost.
    pub deadline: Duration,
    /// Between two beats.
    pub beat: Duration,
    /// An arbiter that cannot be reached for so long before the grant is given up.
    pub unreachable: Duration,
    /// How long to wait for others.
    pub wait: Duration,
}

impl Patience {
    /// For the arbiter's period (`lease.grace`) and `lease.wait`.
    pub fn new(grace: Duration, wait: Duration) -> Self {
        let Periods { beat, holder: deadline, silence: unreachable, .. } = Periods::of(grace);
        Self { grace, deadline, beat, unreachable, wait }
    }

    /// An arbiter that says nothing for so long is asked anew on another connection.
    fn quiet(&self) -> Duration {
        self.unreachable / 2
    }

    pub(super) fn retry(&self) -> Duration {
        times::RETRY.min(self.beat / 5)
    }
}

impl Holder {
    /// When `Tick` is due at the latest; never, if it is over.
    pub fn next(&self) -> Option<Duration> {
        let deadline = self.patience.deadline;
        let line = match self.line {
            Line::Down { again } => again,
            Line::Dialling { since } => since + times::DIAL,
            Line::Open { said, .. } => {
                (said + self.patience.beat).min(self.heard + self.patience.quiet())
            }
        };
        let right = match &self.right {
            Right::Over => return None,
            Right::Wanted | Right::Unsure(_) => {
                let busy = self.began + self.patience.wait;
                if self.is_open() { busy } else { busy.min(self.heard + self.patience.unreachable) }
            }
            Right::Leaving { until, .. } => *until,
            Right::Held(held) => {
                let late = (!held.warned_late).then(|| held.confirmed + deadline / 2);
                let long = (!held.warned_long).then(|| held.since + times::LONG_HOLD);
                let renewed = match self.line {
                    Line::Open { asked, .. } => {
                        Some((held.confirmed + deadline * 3 / 4).max(asked + self.patience.beat))
                    }
                    _ => None,
                };
                let all = [late, long, renewed, Some(held.confirmed + deadline)];
                all.into_iter().flatten().min().unwrap_or(line)
            }
        };
        Some(line.min(right))
    }

    /// Ends what is overdue.
    pub(super) fn expire(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let deadline = self.patience.deadline;
        match self.right {
            Right::Held(held) if now >= held.confirmed + deadline => {
                self.end(actions, Action::Lost(Loss::Silence(deadline)));
            }
            Right::Leaving { until, .. } if now >= until => self.end(actions, Action::Released),
            Right::Wanted | Right::Unsure(_) if now >= self.began + self.patience.wait => {
                self.end(actions, Action::GiveUp(GiveUp::Busy(self.patience.wait)));
            }
            Right::Wanted | Right::Unsure(_)
                if !self.is_open() && now >= self.heard + self.patience.unreachable =>
            {
                self.end(actions, Action::GiveUp(GiveUp::Unreachable));
            }
            _ => {}
        }
    }

    /// What the time asks for: connections, beats, warnings.
    pub(super) fn due(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.right == Right::Over {
            return;
        }
        let deadline = self.patience.deadline;
        let mut hopeless = false;
        if let Right::Held(held) = &mut self.right {
            if !held.warned_late && now >= held.confirmed + deadline / 2 {
                held.warned_late = true;
                actions.push(Action::Warn(Warning::Late));
            }
            if !held.warned_long && now >= held.since + times::LONG_HOLD {
                held.warned_long = true;
                actions.push(Action::Warn(Warning::LongHold));
            }
            hopeless = now >= held.confirmed + deadline * 3 / 4;
        }
        match self.line {
            Line::Down { again } if now >= again => {
                self.line = Line::Dialling { since: now };
                actions.push(Action::Connect);
            }
            Line::Dialling { since } if now >= since + times::DIAL => self.hang_up(now, actions),
            // Half open, perhaps: a new connection may still be in time.
            Line::Open { asked, .. } if hopeless && now >= asked + self.patience.beat => {
                self.hang_up(now, actions);
            }
            Line::Open { .. } if now >= self.heard + self.patience.quiet() => {
                self.hang_up(now, actions);
            }
            Line::Open { said, .. } if now >= said + self.patience.beat => self.beat(now, actions),
            _ => {}
        }
    }

    fn hang_up(&mut self, now: Duration, actions: &mut Vec<Action>) {
        actions.push(Action::Close);
        self.ended(now);
        self.line = Line::Dialling { since: now };
        actions.push(Action::Connect);
    }

    pub(super) fn beat(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let Line::Open { said, .. } = &mut self.line else { return };
        *said = now;
        self.beats += 1;
        // What would be answered now would confirm nothing any more.
        self.unanswered.retain(|(_, sent)| now < *sent + self.patience.deadline);
        self.unanswered.push((self.beats, now));
        actions.push(Action::Say(HolderWord::Beat(self.beats)));
    }
}
