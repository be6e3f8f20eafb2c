use super::*;

const GRACE: Duration = Duration::from_secs(30);
const HOME: Process = Process { pid: 7, start_time: 1 };
const OTHER: Process = Process { pid: 8, start_time: 2 };

fn at(boot: Millis) -> Now {
    Now { boot, unix: 0 }
}

fn asks(name: &str, request: &str, connection: Process) -> Claim {
    Claim {
        name: name.into(),
        request: RequestId(request.into()),
        floor: Token(0),
        held: None,
        purpose: Purpose::default(),
        since: 0,
        connection,
    }
}

fn empty() -> Memory {
    let (grant, token) = (Recorded::Missing, Recorded::Missing);
    Memory { boot: "b".into(), grant, token, revoked: None }
}

/// As the store would have it after the ruling.
fn after(memory: &Memory, ruling: &Ruling) -> Memory {
    let mut memory = memory.clone();
    match ruling {
        Ruling::Granted { grant, .. } => {
            memory.token = Recorded::Known(grant.token);
            memory.grant = Recorded::Known(grant.clone());
            memory.revoked = None;
        }
        Ruling::Confirmed(grant) | Ruling::Quarantined(grant) => {
            memory.grant = Recorded::Known(grant.clone());
        }
        _ => {}
    }
    memory
}

fn first(memory: &Memory, asks: &Claim, boot: Millis) -> Ruling {
    claim(memory, asks, Some(0), at(boot), GRACE)
}

fn token(ruling: &Ruling) -> u64 {
    match ruling {
        Ruling::Granted { grant, .. } | Ruling::Confirmed(grant) => grant.token.0,
        _ => panic!("{ruling:?}"),
    }
}

/// `home` has token 1 for request `r` since 1,000.
fn held() -> Memory {
    let ruling = first(&empty(), &asks("home", "r", HOME), 1_000);
    assert_eq!(token(&ruling), 1);
    after(&empty(), &ruling)
}

fn replaced(memory: &Memory, grant: GrantRecord) -> Memory {
    Memory { grant: Recorded::Known(grant), ..memory.clone() }
}

#[test]
fn the_next_gets_it_after_the_release_and_not_before() {
    let memory = held();
    let vps = asks("vps", "s", OTHER);
    assert_eq!(first(&memory, &vps, 30_999), Ruling::Wait { until: 31_000, unknown: false });
    let memory = replaced(&memory, release(&memory, Token(1), HOME, at(2_000)).unwrap());
    let ruling = first(&memory, &vps, 2_000);
    assert_eq!(token(&ruling), 2);
    assert!(matches!(ruling, Ruling::Granted { expired: None, .. }));
    // A late duplicate of what was released.
    let late = first(&memory, &asks("home", "r", HOME), 2_000);
    assert!(matches!(late, Ruling::Refused(_)), "{late:?}");
}

#[test]
fn a_silent_holder_loses_it_at_the_end_of_the_grace() {
    let memory = held();
    let memory = replaced(&memory, beat(&memory, Token(1), HOME, at(9_000), GRACE).unwrap());
    let vps = asks("vps", "s", OTHER);
    assert_eq!(first(&memory, &vps, 38_999), Ruling::Wait { until: 39_000, unknown: false });
    assert!(beat(&memory, Token(1), HOME, at(39_000), GRACE).is_err(), "nobody else has it yet");
    let ruling = first(&memory, &vps, 39_000);
    assert!(matches!(ruling, Ruling::Granted { expired: Some(Token(1)), .. }), "{ruling:?}");
    let memory = after(&memory, &ruling);
    // The one that slept wakes.
    assert!(beat(&memory, Token(1), HOME, at(39_001), GRACE).is_err());
    assert!(release(&memory, Token(1), HOME, at(39_001)).is_err());
    let back = Claim { held: Some(Token(1)), ..asks("home", "r", HOME) };
    assert!(matches!(first(&memory, &back, 39_001), Ruling::Lost(_)));
}

#[test]
fn a_holder_comes_back_by_another_connection_in_time() {
    let memory = held();
    let back = |connection, request: &str, held| Claim {
        held: Some(Token(held)),
        ..asks("home", request, connection)
    };
    let ruling = claim(&memory, &back(OTHER, "r", 1), None, at(30_999), GRACE);
    assert_eq!(token(&ruling), 1);
    let resumed = after(&memory, &ruling);
    assert!(beat(&resumed, Token(1), OTHER, at(40_000), GRACE).is_ok());
    assert!(beat(&resumed, Token(1), HOME, at(40_000), GRACE).is_err(), "the old connection");
    let ruling = |claim: Claim, boot| super::claim(&memory, &claim, None, at(boot), GRACE);
    assert!(matches!(ruling(back(OTHER, "r", 1), 31_000), Ruling::Lost(_)));
    assert!(matches!(ruling(back(OTHER, "other", 1), 2_000), Ruling::Refused(_)));
    assert!(matches!(ruling(back(OTHER, "r", 9), 2_000), Ruling::Lost(_)));
    let stranger = Claim { name: "vps".into(), ..back(OTHER, "r", 1) };
    assert!(matches!(ruling(stranger, 2_000), Ruling::Refused(_)));
    // Its reply was lost, so it asks the same again.
    assert_eq!(token(&ruling(asks("home", "r", OTHER), 2_000)), 1);
}

#[test]
fn a_token_that_was_taken_away_is_lost_and_free_when_its_holder_says_so() {
    let mut memory = held();
    assert!(revoke(&memory, Token(2)).unwrap_err().contains("token 1 now, of home"));
    assert!(revoke(&empty(), Token(1)).is_err());
    revoke(&memory, Token(1)).unwrap();
    memory.revoked = Some(Token(1));
    assert!(beat(&memory, Token(1), HOME, at(2_000), GRACE).is_err());
    let back = Claim { held: Some(Token(1)), ..asks("home", "r", OTHER) };
    assert!(matches!(first(&memory, &back, 2_000), Ruling::Lost(_)));
    let vps = asks("vps", "s", OTHER);
    assert!(matches!(first(&memory, &vps, 30_999), Ruling::Wait { .. }));
    assert_eq!(token(&first(&memory, &vps, 31_000)), 2);
    let memory = replaced(&memory, release(&memory, Token(1), HOME, at(3_000)).unwrap());
    assert_eq!(token(&first(&memory, &vps, 3_000)), 2);
    assert!(revoke(&memory, Token(1)).is_err(), "it is free");
}

#[test]
fn without_a_record_nobody_new_gets_it_for_a_grace_and_the_holder_goes_on() {
    let known = held();
    let Recorded::Known(grant) = known.grant.clone() else { panic!() };
    let other_boot = GrantRecord { boot: "earlier".into(), ..grant.clone() };
    let from_the_future = GrantRecord { beat: 60_000, ..grant.clone() };
    let released = GrantRecord { state: GrantState::Released, ..grant };
    for memory in [
        Memory { grant: Recorded::Missing, ..known.clone() },
        Memory { grant: Recorded::Unreadable, ..known.clone() },
        Memory { grant: Recorded::Unreadable, token: Recorded::Missing, ..known.clone() },
        Memory { grant: Recorded::Known(other_boot), ..known.clone() },
        Memory { grant: Recorded::Known(from_the_future), ..known.clone() },
        Memory { grant: Recorded::Known(released), token: Recorded::Unreadable, ..known.clone() },
    ] {
        let vps = asks("vps", "s", OTHER);
        let ruling = first(&memory, &vps, 50_000);
        assert!(matches!(ruling, Ruling::Quarantined(_)), "{memory:?}: {ruling:?}");
        let waiting = after(&memory, &ruling);
        // The next process goes on with the same wait.
        assert_eq!(first(&waiting, &vps, 60_000), Ruling::Wait { until: 80_000, unknown: true });
        assert!(token(&first(&waiting, &vps, 80_000)) >= 1);
        let back = Claim { held: Some(Token(1)), ..asks("home", "r", HOME) };
        let holder = |memory: &Memory| first(memory, &back, 60_000);
        if memory.token == Recorded::Known(Token(1)) {
            assert_eq!(token(&holder(&waiting)), 1);
            assert!(matches!(first(&waiting, &back, 80_000), Ruling::Lost(_)));
        } else {
            assert!(matches!(holder(&waiting), Ruling::Lost(_)));
        }
    }
}

#[test]
fn tokens_rise_whatever_was_forgotten() {
    let fresh = |floor, unix| {
        let asks = Claim { floor: Token(floor), ..asks("home", "r", HOME) };
        claim(&empty(), &asks, Some(0), Now { boot: 5, unix }, GRACE)
    };
    assert_eq!(token(&fresh(0, 3)), 3 << 16);
    assert_eq!(token(&fresh(1 << 20, 3)), (1 << 20) + 1);
    assert_eq!(token(&fresh(0, -1)), 1);
    assert!(matches!(fresh(u64::MAX, 0), Ruling::Refused(_)), "a floor cannot exhaust them");
    // A token that was written down, and whose grant was not.
    let memory = Memory { token: Recorded::Known(Token(9)), ..held() };
    let memory = replaced(&memory, release(&memory, Token(1), HOME, at(2_000)).unwrap());
    assert_eq!(token(&first(&memory, &asks("vps", "s", OTHER), 2_000)), 10);
}

#[test]
fn who_is_stopped_in_the_queue_does_not_stop_the_others() {
    let memory = held();
    let memory = replaced(&memory, release(&memory, Token(1), HOME, at(2_000)).unwrap());
    let vps = asks("vps", "s", OTHER);
    let third = |boot| claim(&memory, &vps, Some(2), at(boot), GRACE);
    assert_eq!(third(2_000), Ruling::Wait { until: 62_000, unknown: false });
    assert_eq!(token(&third(62_000)), 2);
    // Who came later gives those before it their time.
    let late = Claim { since: 100_000, ..vps.clone() };
    let wait = Ruling::Wait { until: 130_000, unknown: false };
    assert_eq!(claim(&memory, &late, Some(1), at(100_000), GRACE), wait);
    // Outside of the queue nothing is granted.
    assert!(matches!(claim(&memory, &vps, None, at(100_000), GRACE), Ruling::Wait { .. }));
}

#[test]
fn only_so_many_finished_requests_are_remembered() {
    let mut memory = empty();
    for n in 0..40_u64 {
        let asks = asks("home", &format!("r{n}"), HOME);
        memory = after(&memory, &first(&memory, &asks, n));
        memory = replaced(&memory, release(&memory, Token(n + 1), HOME, at(n)).unwrap());
    }
    let Recorded::Known(grant) = &memory.grant else { panic!() };
    assert_eq!(grant.finished.len(), REMEMBERED);
    assert!(matches!(first(&memory, &asks("home", "r39", HOME), 99), Ruling::Refused(_)));
}

/// In November 2026, and a year later.
const TODAY: i64 = 1_795_000_000;
const A_YEAR: i64 = 365 * 24 * 60 * 60;

#[test]
fn a_floor_far_ahead_of_our_own_clock_is_refused_and_costs_nobody_else_anything() {
    let now = Now { boot: 5, unix: TODAY };
    let asks = |floor| Claim { floor, ..asks("home", "r", HOME) };
    for floor in [Token((1 << 62) - 1), Token(u64::MAX), Token::at(TODAY + A_YEAR)] {
        for before in [None, Some(0), Some(3)] {
            let ruling = claim(&empty(), &asks(floor), before, now, GRACE);
            let Ruling::Refused(why) = ruling else { panic!("{ruling:?}") };
            assert!(why.contains("home remembers") && why.contains("2026-11-18"), "{why}");
            assert!(why.len() < 400, "{why}");
        }
    }
    let an_hour = Token::at(TODAY + 60 * 60);
    assert_eq!(token(&claim(&empty(), &asks(an_hour), Some(0), now, GRACE)), an_hour.0 + 1);
    // It has the lease already: what it says of its memory takes nothing from it.
    let held = claim(&held(), &asks(Token(u64::MAX)), None, Now { boot: 2_000, ..now }, GRACE);
    assert_eq!(token(&held), 1);
}

#[test]
fn a_lasting_token_far_ahead_costs_one_grace_and_then_the_clock_counts() {
    let far = Token::at(TODAY + A_YEAR);
    let Recorded::Known(grant) = held().grant else { panic!() };
    let released = GrantRecord { state: GrantState::Released, token: far, ..grant.clone() };
    let active = GrantRecord { token: far, ..grant.clone() };
    for (token_file, recorded) in [
        (far, Recorded::Missing),
        (far, Recorded::Known(grant.clone())),
        (Token(1), Recorded::Known(released)),
        (far, Recorded::Known(active)),
    ] {
        let memory = Memory { grant: recorded, token: Recorded::Known(token_file), ..empty() };
        let vps = asks("vps", "s", OTHER);
        let look =
            |memory: &Memory, boot| claim(memory, &vps, Some(0), Now { boot, unix: TODAY }, GRACE);
        let ruling = look(&memory, 40_000);
        assert!(matches!(ruling, Ruling::Quarantined(_)), "{memory:?}: {ruling:?}");
        assert_eq!(memory.far_ahead(Now { boot: 0, unix: TODAY }), Some(far));
        let waiting = after(&memory, &ruling);
        assert!(matches!(look(&waiting, 60_000), Ruling::Wait { unknown: true, .. }));
        let granted = look(&waiting, 70_000);
        assert_eq!(token(&granted), Token::at(TODAY).0);
        let memory = after(&waiting, &granted);
        assert_eq!(memory.far_ahead(Now { boot: 0, unix: TODAY }), None, "told once");
    }
}

#[test]
fn a_holder_that_dies_while_the_last_token_is_far_ahead_costs_one_grace_and_not_two() {
    let far = Token::at(TODAY + A_YEAR);
    let Recorded::Known(grant) = held().grant else { panic!() };
    let (file, recorded) =
        (Recorded::Known(far), Recorded::Known(GrantRecord { token: far, ..grant }));
    for file in [file, Recorded::Unreadable] {
        let memory = Memory { grant: recorded.clone(), token: file, ..empty() };
        let now = |boot| Now { boot, unix: TODAY };
        let vps = asks("vps", "s", OTHER);
        let look = |memory: &Memory, boot| claim(memory, &vps, Some(0), now(boot), GRACE);
        let noticed = look(&memory, 2_000);
        assert!(matches!(noticed, Ruling::Quarantined(_)), "{noticed:?}");
        let noticed = after(&memory, &noticed);
        // Who holds goes on, and counts as before.
        let beaten = beat(&noticed, far, HOME, now(20_000), GRACE).unwrap();
        let alive = replaced(&noticed, beaten);
        assert!(matches!(look(&alive, 33_000), Ruling::Wait { unknown: false, .. }));
        assert!(matches!(look(&alive, 50_000), Ruling::Granted { .. }));
        // It died at the second 1.
        let waits = look(&noticed, 31_500);
        assert!(matches!(waits, Ruling::Wait { until: 32_000, unknown: true }), "{waits:?}");
        let back = Claim { held: Some(far), ..asks("home", "r", HOME) };
        let late = claim(&noticed, &back, None, now(31_500), GRACE);
        assert!(matches!(late, Ruling::Lost(_)), "{late:?}");
        assert_eq!(token(&look(&noticed, 32_000)), Token::at(TODAY).0);
    }
}

#[test]
fn a_clock_that_jumps_takes_nothing_from_who_holds() {
    let now = |boot, unix| Now { boot, unix };
    let ruling = claim(&empty(), &asks("home", "r", HOME), Some(0), now(1_000, TODAY), GRACE);
    let memory = after(&empty(), &ruling);
    let held = Token(token(&ruling));
    for unix in [TODAY - A_YEAR, TODAY + A_YEAR, 0] {
        assert!(beat(&memory, held, HOME, now(2_000, unix), GRACE).is_ok());
        assert!(release(&memory, held, HOME, now(2_000, unix)).is_ok());
        let back = Claim { held: Some(held), floor: held, ..asks("home", "r", OTHER) };
        let ruling = claim(&memory, &back, None, now(2_000, unix), GRACE);
        assert_eq!(token(&ruling), held.0);
        let look =
            |memory| claim(memory, &asks("vps", "s", OTHER), Some(0), now(2_000, unix), GRACE);
        let other = look(&memory);
        let is_noted = matches!(other, Ruling::Quarantined(_));
        let noted = if is_noted { after(&memory, &other) } else { memory.clone() };
        let other = look(&noted);
        assert!(matches!(other, Ruling::Wait { unknown: false, .. }), "{other:?}");
        assert!(beat(&noted, held, HOME, now(2_000, unix), GRACE).is_ok());
    }
}
