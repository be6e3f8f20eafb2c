//! pure: the holder's side of the lease: what to say when, and when it is lost.
//!
//! A machine: events and the time since boot go in, actions come out. It knows
//! no connection, clock or chance, so a model checker can walk through all of
//! its states. The rule that matters: what was not confirmed for two thirds of
//! the arbiter's period is lost, whatever comes later.

use std::time::Duration;

use crate::lease::times;
use crate::lease::wire::{self, ArbiterAnswer, Token};

pub use deadlines::Patience;
pub use events::{Action, GiveUp, Greeting, HolderEvent, HolderWord, Loss, Warning};

mod deadlines;
mod events;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    patience: Patience,
    /// The highest token seen before this request.
    floor: Token,
    /// The time of day when it was made, in seconds.
    unix: i64,
    began: Duration,
    line: Line,
    right: Right,
    /// Beats that were not answered yet: number, and when it was sent.
    unanswered: Vec<(u64, Duration)>,
    beats: u64,
    /// When a word was last heard on any connection.
    heard: Duration,
    /// Connections that ended as the next will, one after another.
    barred: u8,
}

/// The connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Line {
    /// None; the next is made then.
    Down { again: Duration },
    /// No word of the arbiter yet.
    Dialling { since: Duration },
    /// `Acquire` was said at `asked`, the last beat (or that) at `said`.
    Open { asked: Duration, said: Duration },
}

/// The lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Right {
    Wanted,
    /// Granted so late that only an answered beat tells whether it still is.
    Unsure(Token),
    Held(Held),
    /// Given back, and not confirmed yet.
    Leaving {
        held: Held,
        until: Duration,
    },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    token: Token,
    since: Duration,
    /// The arbiter received what was sent then, and it was ours.
    confirmed: Duration,
    warned_late: bool,
    warned_long: bool,
}

impl Holder {
    /// One that wants the lease; `floor` is the highest token this host ever saw, `unix` the
    /// time of day.
    pub fn new(now: Duration, patience: Patience, floor: Token, unix: i64) -> Self {
        Self {
            patience,
            floor,
            unix,
            began: now,
            line: Line::Down { again: now },
            right: Right::Wanted,
            unanswered: Vec::new(),
            beats: 0,
            heard: now,
            barred: 0,
        }
    }

    /// Takes an event; the time never goes back.
    pub fn step(&mut self, now: Duration, event: HolderEvent) -> Vec<Action> {
        let mut actions = Vec::new();
        // First: what is overdue is lost, even if the answer is in this event.
        self.expire(now, &mut actions);
        if self.right != Right::Over {
            match event {
                HolderEvent::Hello(greeting) => self.greeted(now, greeting, &mut actions),
                HolderEvent::Said(answer) => self.said(now, answer, &mut actions),
                HolderEvent::Ended => self.ended(now),
                HolderEvent::Barred => self.barred(now, &mut actions),
                HolderEvent::Tick => {}
                HolderEvent::Release => self.release(now, &mut actions),
            }
        }
        self.due(now, &mut actions);
        actions
    }

    /// Whether the lease is held.
    pub fn holds(&self) -> Option<Token> {
        match &self.right {
            Right::Held(held) => Some(held.token),
            _ => None,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.right == Right::Over
    }

    fn greeted(&mut self, now: Duration, theirs: Greeting, actions: &mut Vec<Action>) {
        if !matches!(self.line, Line::Dialling { .. }) {
            return;
        }
        let ours = self.patience.grace;
        if theirs.version != wire::VERSION {
            return self.refuse(actions, GiveUp::Version(theirs.version));
        }
        if theirs.grace < ours {
            return self.refuse(actions, GiveUp::Grace { ours, theirs: theirs.grace });
        }
        self.heard = now;
        self.barred = 0;
        self.line = Line::Open { asked: now, said: now };
        let held = match &self.right {
            Right::Held(held) | Right::Leaving { held, .. } => Some(held.token),
            _ => None,
        };
        actions.push(Action::Say(HolderWord::Acquire { floor: self.floor, held }));
    }

    fn said(&mut self, now: Duration, answer: ArbiterAnswer, actions: &mut Vec<Action>) {
        let Line::Open { asked, .. } = self.line else { return };
        self.heard = now;
        match (answer, self.right) {
            (ArbiterAnswer::Granted { token }, Right::Wanted) => {
                self.granted(now, asked, token, actions);
            }
            (ArbiterAnswer::Granted { token }, Right::Held(mut held)) if token == held.token => {
                held.confirmed = held.confirmed.max(asked);
                self.right = Right::Held(held);
            }
            (ArbiterAnswer::Granted { token }, Right::Leaving { held, .. })
                if token == held.token =>
            {
                actions.push(Action::Say(HolderWord::Release));
            }
            // A new grant: the old one is somebody else's past.
            (ArbiterAnswer::Granted { .. }, Right::Held(_)) => {
                actions.push(Action::Say(HolderWord::Release));
                let why = "the arbiter granted it anew instead of confirming it".to_owned();
                self.end(actions, Action::Lost(Loss::Taken(why)));
            }
            (ArbiterAnswer::Beaten { number }, _) => self.beaten(now, number, actions),
            (ArbiterAnswer::Waiting { reason }, Right::Wanted) => {
                actions.push(Action::Waiting(reason));
            }
            (ArbiterAnswer::Waiting { .. }, Right::Held(_)) => {
                let why = "the arbiter has let it expire".to_owned();
                self.end(actions, Action::Lost(Loss::Taken(why)));
            }
            (ArbiterAnswer::Lost { why } | ArbiterAnswer::Refused { why }, Right::Held(_)) => {
                self.end(actions, Action::Lost(Loss::Taken(why)));
            }
            (
                ArbiterAnswer::Lost { why } | ArbiterAnswer::Refused { why },
                Right::Wanted | Right::Unsure(_),
            ) => {
                self.end(actions, Action::GiveUp(GiveUp::Refused(why)));
            }
            // Released, or not ours any more: it is all the same to who leaves.
            (_, Right::Leaving { .. }) => self.end(actions, Action::Released),
            // What was not asked for, or comes twice.
            _ => {}
        }
    }

    fn granted(&mut self, now: Duration, asked: Duration, token: Token, actions: &mut Vec<Action>) {
        let refused = if token <= self.floor {
            Some(GiveUp::Stale { got: token, seen: self.floor })
        } else if token.is_far_ahead(self.unix) {
            Some(GiveUp::Ahead { got: token, unix: self.unix })
        } else {
            None
        };
        if let Some(why) = refused {
            actions.push(Action::Say(HolderWord::Release));
            return self.end(actions, Action::GiveUp(why));
        }
        actions.push(Action::Seen(token));
        // How long the grant was on its way, nobody knows; the request is older for certain.
        if now < asked + self.patience.deadline / 2 {
            self.hold(now, asked, token, actions);
        } else {
            self.right = Right::Unsure(token);
        }
        self.beat(now, actions);
    }

    fn hold(
        &mut self,
        now: Duration,
        confirmed: Duration,
        token: Token,
        actions: &mut Vec<Action>,
    ) {
        let (warned_late, warned_long) = (false, false);
        self.right = Right::Held(Held { token, since: now, confirmed, warned_late, warned_long });
        actions.push(Action::Granted(token));
    }

    fn beaten(&mut self, now: Duration, number: u64, actions: &mut Vec<Action>) {
        // Only what is still unanswered, and was sent on this connection.
        let Some(at) = self.unanswered.iter().position(|(n, _)| *n == number) else { return };
        let (_, sent) = self.unanswered[at];
        self.unanswered.drain(..=at);
        match &mut self.right {
            Right::Held(held) => held.confirmed = held.confirmed.max(sent),
            // Answered too late to hold it: the next beat may be quicker.
            Right::Unsure(token) if now < sent + self.patience.deadline => {
                let token = *token;
                self.hold(now, sent, token, actions);
            }
            _ => {}
        }
    }

    fn ended(&mut self, now: Duration) {
        self.line = Line::Down { again: now + self.patience.retry() };
        self.unanswered.clear();
        // The same request gets the same token again, if it still has it.
        if matches!(self.right, Right::Unsure(_)) {
            self.right = Right::Wanted;
        }
    }

    /// Twice, because a key may be put in place just now. Not more often: sshd would keep this
    /// host out for a while, also when it could come in again.
    fn barred(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.ended(now);
        self.barred = self.barred.saturating_add(1);
        if self.barred < TRIES {
            return;
        }
        match self.right {
            Right::Wanted | Right::Unsure(_) => {
                self.end(actions, Action::GiveUp(GiveUp::Unreachable));
            }
            // Nobody confirms it any more: it is lost in its time.
            Right::Held(_) | Right::Leaving { .. } | Right::Over => {
                self.line = Line::Down { again: Duration::MAX };
            }
        }
    }

    fn release(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let open = self.is_open();
        match self.right {
            Right::Held(held) => {
                let until = (held.confirmed + self.patience.deadline).min(now + times::GOODBYE);
                self.right = Right::Leaving { held, until };
                if open {
                    actions.push(Action::Say(HolderWord::Release));
                }
            }
            Right::Wanted | Right::Unsure(_) => {
                if open {
                    actions.push(Action::Say(HolderWord::Release));
                }
                self.end(actions, Action::Released);
            }
            Right::Leaving { .. } | Right::Over => {}
        }
    }

    fn refuse(&mut self, actions: &mut Vec<Action>, why: GiveUp) {
        let last = match &self.right {
            Right::Held(_) => Action::Lost(Loss::Taken(why.to_string())),
            Right::Leaving { .. } => Action::Released,
            _ => Action::GiveUp(why),
        };
        self.end(actions, last);
    }

    fn end(&mut self, actions: &mut Vec<Action>, last: Action) {
        self.right = Right::Over;
        self.unanswered.clear();
        actions.extend([Action::Close, last]);
    }

    fn is_open(&self) -> bool {
        matches!(self.line, Line::Open { .. })
    }
}

/// Of a way that is barred.
const TRIES: u8 = 2;

#[cfg(test)]
mod tests;
