//! pure: each rule of the holder's machine, in virtual time.

use super::*;
use crate::lease::wire::Waiting;

const GRACE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_mins(20);
/// In November 2026.
const NOW: i64 = 1_795_000_000;

fn at(millis: u64) -> Duration {
    Duration::from_millis(1_000_000 + millis)
}

fn new() -> Holder {
    Holder::new(at(0), Patience::new(GRACE, WAIT), Token(6), NOW)
}

fn hello() -> HolderEvent {
    HolderEvent::Hello(Greeting { version: wire::VERSION, grace: GRACE })
}

fn say(held: Option<u64>) -> Action {
    Action::Say(HolderWord::Acquire { floor: Token(6), held: held.map(Token) })
}

fn granted(token: u64) -> HolderEvent {
    HolderEvent::Said(ArbiterAnswer::Granted { token: Token(token) })
}

fn beaten(number: u64) -> HolderEvent {
    HolderEvent::Said(ArbiterAnswer::Beaten { number })
}

fn waiting() -> HolderEvent {
    HolderEvent::Said(ArbiterAnswer::Waiting { reason: Waiting::Grace { millis: 1 } })
}

/// Connected at 0, token 7 granted at 0; beat 1 is unanswered.
fn holding() -> Holder {
    let mut holder = new();
    assert_eq!(holder.step(at(0), HolderEvent::Tick), [Action::Connect]);
    assert_eq!(holder.step(at(0), hello()), [say(None)]);
    let actions = holder.step(at(0), granted(7));
    let beat = Action::Say(HolderWord::Beat(1));
    assert_eq!(actions, [Action::Seen(Token(7)), Action::Granted(Token(7)), beat]);
    holder
}

/// sshd keeps out who tries more often.
#[test]
fn a_way_that_is_barred_is_tried_twice() {
    let mut holder = new();
    assert_eq!(holder.step(at(0), HolderEvent::Tick), [Action::Connect]);
    assert_eq!(holder.step(at(100), HolderEvent::Barred), []);
    let again = holder.next().unwrap();
    assert_eq!(holder.step(again, HolderEvent::Tick), [Action::Connect]);
    let over = holder.step(again, HolderEvent::Barred);
    assert_eq!(over, [Action::Close, Action::GiveUp(GiveUp::Unreachable)]);
    // Who holds it tries twice as well, and loses it in its time.
    let mut holder = holding();
    holder.step(at(1000), HolderEvent::Ended);
    let mut tries = 0;
    let lost = loop {
        let now = holder.next().unwrap();
        for action in holder.step(now, HolderEvent::Tick) {
            if action == Action::Connect {
                tries += 1;
                assert_eq!(holder.step(now, HolderEvent::Barred), []);
            }
        }
        if holder.is_over() {
            break now;
        }
    };
    assert_eq!((tries, lost), (2, at(20_000)));
}

/// Ticks whenever the machine wants it, until `end`; what it did when, in seconds.
fn run(holder: &mut Holder, end: Duration) -> Vec<(u64, Action)> {
    let mut done = Vec::new();
    let mut last = Duration::ZERO;
    while let Some(now) = holder.next().filter(|now| *now <= end) {
        assert!(now >= last, "time goes back");
        let actions = holder.step(now, HolderEvent::Tick);
        assert!(now > last || !actions.is_empty(), "nothing to do at {now:?}: {holder:?}");
        last = now;
        done.extend(
            actions.into_iter().map(|action| (now.saturating_sub(at(0)).as_secs(), action)),
        );
    }
    done
}

#[test]
fn beats_go_out_every_five_seconds_while_waiting_and_holding() {
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    let mut beats = 0;
    for second in 1..=60 {
        if second % 5 == 0 {
            holder.step(at(second * 1000 - 1), waiting());
        }
        let actions = holder.step(at(second * 1000), HolderEvent::Tick);
        beats += actions.iter().filter(|a| matches!(a, Action::Say(HolderWord::Beat(_)))).count();
    }
    assert_eq!(beats, 12);
    let mut holder = holding();
    let mut beats = 1;
    for second in 1..=60 {
        for action in holder.step(at(second * 1000), HolderEvent::Tick) {
            let Action::Say(HolderWord::Beat(number)) = action else { panic!("{action:?}") };
            beats += 1;
            assert_eq!(number, beats);
            assert_eq!(holder.step(at(second * 1000 + 10), beaten(number)), []);
        }
    }
    assert_eq!(beats, 13);
    assert_eq!(holder.holds(), Some(Token(7)));
}

#[test]
fn the_deadline_counts_from_what_was_sent_not_from_the_answer() {
    let mut holder = holding();
    // Beat 1 was sent at 0; its answer took 9 s.
    holder.step(at(9_000), beaten(1));
    assert_eq!(holder.step(at(19_999), HolderEvent::Tick).len(), 3, "warning, redial");
    assert_eq!(holder.holds(), Some(Token(7)));
    let actions = holder.step(at(20_000), HolderEvent::Tick);
    let lost = Action::Lost(Loss::Silence(Duration::from_secs(20)));
    assert_eq!(actions, [Action::Close, lost]);
}

#[test]
fn past_the_deadline_an_answer_comes_too_late() {
    let mut holder = holding();
    // Slept through: the answer is the first thing it hears.
    let actions = holder.step(at(20_000), beaten(1));
    assert_eq!(actions.last(), Some(&Action::Lost(Loss::Silence(Duration::from_secs(20)))));
    assert!(holder.is_over());
    assert_eq!(holder.step(at(20_001), granted(7)), []);
    assert_eq!(holder.next(), None);
}

#[test]
fn silence_is_told_once_redialled_and_then_it_is_lost() {
    let mut holder = holding();
    let done = run(&mut holder, at(60_000));
    let without_beats: Vec<_> =
        done.into_iter().filter(|(_, a)| !matches!(a, Action::Say(HolderWord::Beat(_)))).collect();
    let lost = Action::Lost(Loss::Silence(Duration::from_secs(20)));
    assert_eq!(
        without_beats,
        [
            (10, Action::Warn(Warning::Late)),
            (15, Action::Close),
            (15, Action::Connect),
            (20, Action::Close),
            (20, lost)
        ]
    );
}

#[test]
fn a_broken_connection_is_made_anew_with_the_token() {
    let mut holder = holding();
    holder.step(at(5_000), HolderEvent::Tick);
    holder.step(at(5_010), beaten(2));
    assert_eq!(holder.step(at(6_000), HolderEvent::Ended), []);
    assert_eq!(run(&mut holder, at(7_000)), [(7, Action::Connect)]);
    holder.step(at(7_500), HolderEvent::Ended);
    assert_eq!(run(&mut holder, at(9_000)), [(8, Action::Connect)]);
    assert_eq!(holder.step(at(10_000), hello()), [say(Some(7))]);
    // Only the answer confirms it, as of when it was asked.
    assert_eq!(holder.step(at(12_000), granted(7)), []);
    assert_eq!(holder.holds(), Some(Token(7)));
    let lost = run(&mut holder, at(60_000)).pop().unwrap();
    assert_eq!(lost, (30, Action::Lost(Loss::Silence(Duration::from_secs(20)))));
}

#[test]
fn an_answer_of_an_earlier_connection_confirms_nothing() {
    let mut holder = holding();
    holder.step(at(1_000), HolderEvent::Ended);
    run(&mut holder, at(2_000));
    holder.step(at(2_000), hello());
    let before = holder.clone();
    holder.step(at(2_000), beaten(1));
    assert_eq!(holder, before);
}

#[test]
fn what_the_arbiter_does_not_confirm_is_lost() {
    for (event, why) in [
        (waiting(), "the arbiter has let it expire"),
        (granted(8), "the arbiter granted it anew instead of confirming it"),
        (HolderEvent::Said(ArbiterAnswer::Lost { why: "broken".into() }), "broken"),
        (HolderEvent::Said(ArbiterAnswer::Refused { why: "finished".into() }), "finished"),
    ] {
        let mut holder = holding();
        let actions = holder.step(at(1_000), event);
        assert_eq!(actions.last(), Some(&Action::Lost(Loss::Taken(why.into()))));
        assert_eq!(holder.holds(), None);
    }
}

#[test]
fn a_wait_ends_when_it_was_long_enough() {
    let patience = Patience::new(GRACE, Duration::from_mins(1));
    let mut holder = Holder::new(at(0), patience, Token(0), NOW);
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    for second in 1..60 {
        holder.step(at(second * 1000), waiting());
    }
    let actions = holder.step(at(60_000), granted(7));
    let busy = Action::GiveUp(GiveUp::Busy(Duration::from_mins(1)));
    assert_eq!(actions, [Action::Close, busy]);
}

#[test]
fn an_arbiter_that_is_not_there_is_given_up() {
    let mut holder = new();
    let mut tried = 0;
    let mut last = None;
    for second in 0..60 {
        for action in holder.step(at(second * 1000), HolderEvent::Tick) {
            match action {
                Action::Connect => tried += 1,
                action => last = Some((second, action)),
            }
        }
        holder.step(at(second * 1000), HolderEvent::Ended);
    }
    assert_eq!(last, Some((30, Action::GiveUp(GiveUp::Unreachable))));
    assert_eq!(tried, 30);
}

#[test]
fn a_waiter_asks_anew_after_silence_without_a_token() {
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    let done = run(&mut holder, at(15_000));
    assert_eq!(done[2..], [(15, Action::Close), (15, Action::Connect)], "{done:?}");
    assert_eq!(holder.step(at(16_000), hello()), [say(None)]);
    assert_eq!(holder.step(at(17_000), waiting()).len(), 1);
}

#[test]
fn a_grant_after_a_long_wait_is_believed_when_a_beat_is_answered() {
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    for second in 1..100 {
        holder.step(at(second * 1000), waiting());
    }
    let actions = holder.step(at(99_500), granted(7));
    let [Action::Seen(Token(7)), Action::Say(HolderWord::Beat(number))] = actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(holder.step(at(99_600), beaten(number)), [Action::Granted(Token(7))]);
    let lost = run(&mut holder, at(200_000)).pop().unwrap().0;
    assert_eq!(lost, 119, "20 s after the beat was sent");
}

#[test]
fn a_token_that_is_not_above_all_others_is_refused() {
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    let actions = holder.step(at(1), granted(6));
    let stale = GiveUp::Stale { got: Token(6), seen: Token(6) };
    assert_eq!(actions.last(), Some(&Action::GiveUp(stale)));
    assert_eq!(actions[0], Action::Say(HolderWord::Release));
}

#[test]
fn a_token_far_ahead_of_our_own_clock_is_refused_and_not_remembered() {
    for got in [Token(u64::MAX), Token::at(NOW + 365 * 24 * 60 * 60)] {
        let mut holder = new();
        holder.step(at(0), HolderEvent::Tick);
        holder.step(at(0), hello());
        let actions = holder.step(at(1), granted(got.0));
        let ahead = GiveUp::Ahead { got, unix: NOW };
        assert!(ahead.to_string().contains("clock of this host says 2026-11-18"), "{ahead}");
        let refused = [Action::Say(HolderWord::Release), Action::Close, Action::GiveUp(ahead)];
        assert_eq!(actions, refused);
    }
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    holder.step(at(0), hello());
    let drift = Token::at(NOW + 60 * 60);
    assert!(holder.step(at(1), granted(drift.0)).contains(&Action::Granted(drift)));
}

#[test]
fn another_version_is_refused_with_both_numbers() {
    let mut holder = new();
    holder.step(at(0), HolderEvent::Tick);
    let actions = holder.step(at(0), HolderEvent::Hello(Greeting { version: 99, grace: GRACE }));
    let Some(Action::GiveUp(why)) = actions.last() else { panic!("{actions:?}") };
    let text = why.to_string();
    assert!(text.contains("99") && text.contains(&wire::VERSION.to_string()), "{text}");
}

#[test]
fn a_release_is_said_and_confirmed_or_given_up() {
    let mut holder = holding();
    assert_eq!(holder.step(at(1_000), HolderEvent::Release), [Action::Say(HolderWord::Release)]);
    let actions = holder.step(at(1_010), HolderEvent::Said(ArbiterAnswer::Released));
    assert_eq!(actions, [Action::Close, Action::Released]);

    let mut holder = holding();
    holder.step(at(1_000), HolderEvent::Release);
    assert_eq!(run(&mut holder, at(60_000)).pop(), Some((11, Action::Released)));
}

#[test]
fn a_release_finds_its_way_over_a_new_connection() {
    let mut holder = holding();
    holder.step(at(1_000), HolderEvent::Ended);
    assert_eq!(holder.step(at(1_500), HolderEvent::Release), []);
    assert_eq!(run(&mut holder, at(2_000)), [(2, Action::Connect)]);
    assert_eq!(holder.step(at(2_100), hello()), [say(Some(7))]);
    assert_eq!(holder.step(at(2_200), granted(7)), [Action::Say(HolderWord::Release)]);
    let actions = holder.step(at(2_300), HolderEvent::Said(ArbiterAnswer::Released));
    assert_eq!(actions.last(), Some(&Action::Released));
}

#[test]
fn a_long_hold_is_told_once() {
    let mut holder = holding();
    let mut warned = 0;
    for second in 1..1_200 {
        for action in holder.step(at(second * 1000), HolderEvent::Tick) {
            match action {
                Action::Say(HolderWord::Beat(number)) => {
                    holder.step(at(second * 1000), beaten(number));
                }
                Action::Warn(Warning::LongHold) => warned += 1,
                other => panic!("{other:?}"),
            }
        }
        holder.step(at(second * 1000), beaten(1));
    }
    assert_eq!(warned, 1);
}

#[test]
fn an_arbiter_that_grants_anew_too_early_is_refused() {
    let greet = |grace| {
        let mut holder = new();
        holder.step(at(0), HolderEvent::Tick);
        holder.step(at(0), HolderEvent::Hello(Greeting { version: wire::VERSION, grace }))
    };
    assert_eq!(greet(GRACE * 2), [say(None)]);
    let theirs = GRACE.saturating_sub(Duration::from_millis(1));
    let wrong = Action::GiveUp(GiveUp::Grace { ours: GRACE, theirs });
    assert_eq!(greet(theirs), [Action::Close, wrong]);
}
