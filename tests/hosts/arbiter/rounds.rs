//! flow: many callers at one arbiter, killed at random, and back again: never two, never none.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use certbaton::lease::wire::{ArbiterAnswer, Ask, Token};

use crate::arbiter::caller::{Caller, PATIENCE, Place};

/// From when to when somebody acted as the holder.
#[derive(Debug, Clone, Copy)]
struct Held {
    token: Token,
    from: Instant,
    to: Instant,
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const CALLERS: u64 = 4;
const GRACE: Duration = Duration::from_secs(1);
/// As the holder counts, from what it sent.
const HOLDER: Duration = Duration::from_millis(666);

#[test]
fn killed_at_any_moment_never_two_hold_and_nobody_is_stuck() {
    let seed = std::env::var("CERTBATON_SEED").ok().and_then(|text| text.parse().ok());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = seed.unwrap_or_else(clock);
    let rounds = if support::full() { 1_000 } else { 150 };
    support::say(&format!("{rounds} rounds of kills: CERTBATON_SEED={seed}"));
    let place = Place::with("1s");
    let log = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (place, log) = (&place, &log);
            scope.spawn(move || {
                let mut chance = Chance(seed ^ (caller << 32));
                for round in 0..rounds / CALLERS {
                    act(
                        place,
                        &format!("c{caller}"),
                        &format!("{caller}-{round}"),
                        &mut chance,
                        log,
                    );
                }
            });
        }
    });
    let mut log = log.into_inner().unwrap();
    log.sort_by_key(|held: &Held| held.from);
    assert!(log.len() > usize::try_from(rounds).unwrap() / 3, "too few held: {}", log.len());
    for pair in log.windows(2) {
        let [before, after] = pair else { continue };
        assert!(before.token <= after.token, "seed {seed}: {before:?} {after:?}");
        assert!(before.to <= after.from, "seed {seed}: two at once: {before:?} {after:?}");
    }
    // Whoever comes next cleans up.
    place.held("last", "last").0.release();
    assert_eq!(place.files(), ["decide", "grant", "hold", "seq.lock", "token"], "seed {seed}");
    support::say(&format!("{} holds, none at the same time", log.len()));
}

/// One request: until it is done, or given up.
fn act(place: &Place, name: &str, request: &str, chance: &mut Chance, log: &Mutex<Vec<Held>>) {
    let mut held = None;
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "{request} is stuck: {:?}", place.status());
        let kill = (chance.below(2) == 0).then(|| Duration::from_millis(chance.below(60)));
        let mut caller = place.connect(name);
        let begin = Instant::now();
        let kill = kill.map(|after| begin + after);
        caller.acquire(request, held);
        match wait(&mut caller, begin, kill, end) {
            Turn::Granted(token, sent) => {
                held = Some(token);
                let from = Instant::now();
                let done = from + Duration::from_millis(chance.below(30));
                let stop = kill.map_or(done, |kill| kill.min(done)).max(from);
                thread::sleep(stop - from);
                let killed = stop < done;
                // It stops by itself when it can no longer be sure.
                let to = Instant::now().min(sent + HOLDER);
                if from < to {
                    log.lock().unwrap().push(Held { token, from, to });
                }
                if !killed {
                    caller.say(&Ask::Release);
                    caller.answer(PATIENCE).ok();
                    return;
                }
            }
            Turn::Over => return,
            Turn::Killed => {}
        }
        caller.kill();
        if chance.below(4) == 0 {
            return;
        }
    }
}

enum Turn {
    /// With what, and when it last said something that was answered since.
    Granted(Token, Instant),
    /// It may not.
    Over,
    /// It is time to be killed.
    Killed,
}

fn wait(caller: &mut Caller, begin: Instant, kill: Option<Instant>, end: Instant) -> Turn {
    let mut sent = begin;
    let mut beats: Vec<Instant> = Vec::new();
    loop {
        let now = Instant::now();
        if kill.is_some_and(|kill| now >= kill) {
            return Turn::Killed;
        }
        let patience = kill.unwrap_or(end).saturating_duration_since(now);
        match caller.answer(patience.min(GRACE / 6)) {
            Ok(ArbiterAnswer::Granted { token }) => return Turn::Granted(token, sent),
            Ok(ArbiterAnswer::Waiting { .. }) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                beats.push(Instant::now());
                caller.beat(u64::try_from(beats.len()).unwrap() - 1);
            }
            Ok(ArbiterAnswer::Beaten { number }) => sent = beats[usize::try_from(number).unwrap()],
            Ok(ArbiterAnswer::Lost { .. } | ArbiterAnswer::Refused { .. }) => return Turn::Over,
            Ok(other) => panic!("{other:?}"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Turn::Killed,
        }
        assert!(Instant::now() < end, "it is stuck");
    }
}
