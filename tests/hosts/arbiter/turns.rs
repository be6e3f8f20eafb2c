//! flow: whose turn it is, when everybody behaves.

use std::thread;
use std::time::{Duration, Instant};

use certbaton::lease::wire::{ArbiterAnswer, Ask, Token, Waiting};

use crate::arbiter::caller::Place;

#[test]
fn who_comes_first_is_first() {
    let place = Place::with("30s");
    let (mut holder, mut last) = place.held("home", "r0");
    let mut waiters = Vec::new();
    for number in 1..=4_usize {
        let waiter = place.acquire("vps", &format!("r{number}"));
        let ArbiterAnswer::Waiting { reason: Waiting::Behind { waiters: before, holder } } =
            waiter.hear()
        else {
            panic!("it does not wait");
        };
        assert_eq!(before, number - 1);
        assert_eq!(holder.unwrap().name, "home");
        waiters.push(waiter);
    }
    let status = place.status();
    assert_eq!((status.queue.len(), status.token), (4, last));
    // One in the middle goes away.
    waiters.remove(1).kill();
    for mut waiter in waiters {
        while let Ok(word) = waiter.answer(Duration::from_millis(100)) {
            assert!(matches!(word, ArbiterAnswer::Waiting { .. }), "too early: {word:?}");
        }
        let begin = Instant::now();
        holder.release();
        let token = waiter.granted();
        assert!(begin.elapsed() < Duration::from_secs(3), "it was not woken");
        assert!(token > last);
        (holder, last) = (waiter, token);
    }
    holder.release();
    assert_eq!(place.files(), ["decide", "grant", "hold", "seq.lock", "token"]);
}

#[test]
fn a_waiter_and_a_holder_are_answered() {
    let place = Place::with("30s");
    let (mut holder, token) = place.held("home", "r");
    holder.beat(1);
    assert_eq!(holder.hear(), ArbiterAnswer::Beaten { number: 1 });
    let mut waiter = place.acquire("vps", "s");
    assert!(matches!(waiter.hear(), ArbiterAnswer::Waiting { .. }));
    waiter.beat(2);
    assert_eq!(waiter.hear(), ArbiterAnswer::Beaten { number: 2 });
    waiter.release();
    // The same connection may ask again, the same request not.
    assert!(waiter.acquire("t", None));
    assert!(matches!(waiter.hear(), ArbiterAnswer::Waiting { .. }));
    holder.acquire("r", None);
    assert_eq!(holder.hear(), ArbiterAnswer::Granted { token });
    holder.release();
    holder.acquire("r", None);
    assert!(matches!(holder.hear(), ArbiterAnswer::Refused { .. }), "it is finished");
    assert!(waiter.granted() > token);
}

#[test]
fn a_holder_whose_connection_broke_goes_on() {
    let place = Place::with("30s");
    let (mut first, token) = place.held("home", "r");
    let mut waiter = place.acquire("vps", "s");
    assert!(matches!(waiter.hear(), ArbiterAnswer::Waiting { .. }));
    first.kill();
    let told = (0..3).map(|_| waiter.hear());
    let grace = |answer| matches!(answer, ArbiterAnswer::Waiting { reason: Waiting::Grace { .. } });
    assert!(told.into_iter().any(grace), "it does not know that the holder may come back");
    let mut second = place.connect("home");
    second.acquire("r", Some(token));
    assert_eq!(second.hear(), ArbiterAnswer::Granted { token });
    // Also while the old connection is only believed to be dead, and without a token.
    let mut third = place.connect("home");
    third.acquire("r", None);
    assert_eq!(third.hear(), ArbiterAnswer::Granted { token });
    second.beat(1);
    assert!(matches!(second.hear(), ArbiterAnswer::Lost { .. }));
    third.beat(2);
    assert_eq!(third.hear(), ArbiterAnswer::Beaten { number: 2 });
    let mut liar = place.connect("vps");
    liar.acquire("r", Some(token));
    assert!(matches!(liar.hear(), ArbiterAnswer::Refused { .. }));
    third.release();
    assert!(waiter.granted() > token);
}

#[test]
fn what_is_taken_away_is_taken_from_the_named_one_only() {
    let place = Place::with("30s");
    let (mut holder, token) = place.held("home", "r");
    let mut breaker = place.connect("vps");
    breaker.say(&Ask::Break { token: Token(1) });
    let ArbiterAnswer::Refused { why } = breaker.hear() else { panic!("it was broken") };
    assert!(why.contains(&token.0.to_string()) && why.contains("home"), "{why}");
    holder.beat(1);
    assert_eq!(holder.hear(), ArbiterAnswer::Beaten { number: 1 });
    breaker.say(&Ask::Break { token });
    assert_eq!(breaker.hear(), ArbiterAnswer::Broken);
    breaker.acquire("s", None);
    thread::sleep(Duration::from_millis(300));
    holder.beat(2);
    assert!(matches!(holder.hear(), ArbiterAnswer::Lost { .. }));
    assert!(
        matches!(breaker.hear(), ArbiterAnswer::Waiting { .. }),
        "it has not said that it stopped"
    );
    holder.release();
    assert!(breaker.granted() > token);
}
