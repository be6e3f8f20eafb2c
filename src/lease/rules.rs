//! pure: who may have the lease, decided from what is recorded and the time; it records nothing.
//!
//! The record of the grant is the truth: every decision is made and recorded
//! under one lock (`store::RecordAccess`).

use std::time::Duration;

use crate::base::process::Process;
use crate::lease::memory::{
    GrantRecord, GrantState, Memory, Millis, Now, Present, Recorded, millis,
};
use crate::lease::token;
use crate::lease::wire::{Purpose, RequestId, Token};

/// A request for the lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Whose, by its key.
    pub name: String,
    /// Which.
    pub request: RequestId,
    /// The next token is higher.
    pub floor: Token,
    /// The token that it claims to hold already.
    pub held: Option<Token>,
    /// For people.
    pub purpose: Purpose,
    /// Since when it is made.
    pub since: Millis,
    /// The arbiter's process that it is made to.
    pub connection: Process,
}

/// What is to be done about a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// It gets the lease anew; both are to be recorded, the token first.
    Granted {
        /// The new record.
        grant: GrantRecord,
        /// The token whose holder was silent for too long.
        expired: Option<Token>,
    },
    /// It has the lease already; to be recorded, since its connection is another.
    Confirmed(GrantRecord),
    /// Nobody gets it before this time, unless it is released.
    Wait {
        /// When to look again at the latest.
        until: Millis,
        /// Nobody knows who has it.
        unknown: bool,
    },
    /// As `Wait`, from now on: to be recorded.
    Quarantined(GrantRecord),
    /// It claims to hold what it does not hold.
    Lost(String),
    /// It cannot have it.
    Refused(String),
}

/// Decides about a claim that has `before` others before it in the queue; `None`: it is not in the queue.
pub fn claim(
    memory: &Memory,
    claim: &Claim,
    before: Option<usize>,
    now: Now,
    grace: Duration,
) -> Ruling {
    let grace = millis(grace);
    let present = memory.present(now, grace);
    if let Some(held) = claim.held {
        return resumed(memory, claim, held, &present, now);
    }
    if memory.last().is_some_and(|grant| grant.finished.contains(&claim.request)) {
        return Ruling::Refused(format!("request {} is finished", claim.request.0));
    }
    // Since when it is free, or when it will be.
    let free = match present {
        Present::Held(grant) if grant.name == claim.name && grant.request == claim.request => {
            return if memory.is_revoked(grant.token) {
                Ruling::Refused(format!("token {} was taken away", grant.token.0))
            } else {
                Ruling::Confirmed(claim.grant(memory, grant.token, grant.since, now))
            };
        }
        _ if claim.floor.is_far_ahead(now.unix) => {
            return Ruling::Refused(token::ahead(&claim.name, claim.floor, now.unix));
        }
        // Its grace counts from now on; who holds notices nothing.
        Present::Held(grant)
            if grant.doubted.is_none() && before.is_some() && memory.is_lost(now.unix) =>
        {
            return Ruling::Quarantined(GrantRecord { doubted: Some(now.boot), ..grant.clone() });
        }
        Present::Held(grant) => return waits(grant, grace, false),
        Present::Doubted(until) => return Ruling::Wait { until, unknown: true },
        Present::Unknown(grant) => return waits(grant, grace, true),
        Present::Mystery if before.is_none() => {
            return Ruling::Wait { until: now.boot, unknown: true };
        }
        Present::Mystery => return Ruling::Quarantined(unknown(memory, now)),
        Present::Expired(grant) => grant.beat.saturating_add(grace),
        Present::Free(grant) => grant.beat,
        Present::Never => 0,
    };
    let Some(before) = before else {
        return Ruling::Wait { until: now.boot, unknown: false };
    };
    // Who is before it and does not take what is free is stopped: it must not stop the others.
    let turn = u64::try_from(before).unwrap_or(u64::MAX).saturating_mul(grace);
    let turn = if before == 0 { 0 } else { free.max(claim.since).saturating_add(turn) };
    if now.boot < turn {
        return Ruling::Wait { until: turn, unknown: false };
    }
    let Some(token) = memory.next_token(claim.floor, now) else {
        return Ruling::Refused("there is no higher token any more".into());
    };
    let expired = if let Present::Expired(grant) = present { Some(grant.token) } else { None };
    Ruling::Granted { grant: claim.grant(memory, token, now.boot, now), expired }
}

fn waits(grant: &GrantRecord, grace: Millis, unknown: bool) -> Ruling {
    Ruling::Wait { until: grant.beat.saturating_add(grace), unknown }
}

/// A holder whose connection broke goes on, or learns that it lost.
fn resumed(memory: &Memory, claim: &Claim, held: Token, present: &Present<'_>, now: Now) -> Ruling {
    let lost = |why: String| Ruling::Lost(format!("token {}: {why}", held.0));
    if memory.is_revoked(held) {
        return lost("it was taken away".into());
    }
    let persisted = memory.token == Recorded::Known(held);
    match present {
        Present::Held(grant) if grant.token != held => lost(since_granted(grant)),
        Present::Held(grant) if grant.name != claim.name || grant.request != claim.request => {
            Ruling::Refused(format!("token {} is of another request", held.0))
        }
        Present::Held(grant) => Ruling::Confirmed(claim.grant(memory, held, grant.since, now)),
        // It was the last to whom anything was granted, and it speaks up in time.
        Present::Unknown(_) | Present::Mystery if persisted => {
            Ruling::Confirmed(claim.grant(memory, held, now.boot, now))
        }
        Present::Unknown(_) | Present::Mystery => {
            lost("it is not the last that was granted".into())
        }
        Present::Free(grant) if grant.finished.contains(&claim.request) => {
            Ruling::Refused(format!("request {} is finished", claim.request.0))
        }
        Present::Expired(_) | Present::Doubted(_) => {
            lost("its holder was silent for too long".into())
        }
        Present::Free(_) | Present::Never => lost("nobody holds".into()),
    }
}

/// A heartbeat of `connection`, which holds `token`: the new record, or why it is lost.
pub fn beat(
    memory: &Memory,
    token: Token,
    connection: Process,
    now: Now,
    grace: Duration,
) -> Result<GrantRecord, String> {
    let grant = own(memory, token, connection)?;
    if memory.is_revoked(token) {
        return Err(format!("token {} was taken away", token.0));
    }
    match memory.present(now, millis(grace)) {
        Present::Held(_) => {
            let doubted = grant.doubted.filter(|_| memory.is_lost(now.unix));
            Ok(GrantRecord { beat: now.boot, doubted, ..grant.clone() })
        }
        _ => Err(format!("token {}: its holder was silent for too long", token.0)),
    }
}

/// A release by `connection`, which holds `token`: the new record, or why there is nothing to release.
///
/// Who was silent for too long, or had it taken away, may still say that it has stopped.
pub fn release(
    memory: &Memory,
    token: Token,
    connection: Process,
    now: Now,
) -> Result<GrantRecord, String> {
    let mut grant = own(memory, token, connection)?.clone();
    grant.state = GrantState::Released;
    grant.beat = now.boot;
    grant.doubted = None;
    grant.finished.push(grant.request.clone());
    let surplus = grant.finished.len().saturating_sub(REMEMBERED);
    grant.finished.drain(..surplus);
    Ok(grant)
}

/// Whether `token` may be taken away: only from who has it.
pub fn revoke(memory: &Memory, token: Token) -> Result<(), String> {
    match memory.last() {
        Some(grant) if grant.boot != memory.boot || grant.state == GrantState::Unknown => {
            Err(format!("who holds is not known; the last token is {}", grant.token.0))
        }
        Some(grant) if grant.state == GrantState::Released => {
            Err(format!("nobody holds; the last token is {}", grant.token.0))
        }
        Some(grant) if grant.token != token => {
            Err(format!("the lease has token {} now, of {}", grant.token.0, grant.name))
        }
        Some(_) => Ok(()),
        None => Err("nobody holds".into()),
    }
}

/// The record, if it is `connection`'s own.
fn own(memory: &Memory, token: Token, connection: Process) -> Result<&GrantRecord, String> {
    let Some(grant) = memory.last().filter(|grant| grant.boot == memory.boot) else {
        return Err(format!("token {}: the arbiter's record of it is lost", token.0));
    };
    let lost = |why: String| Err(format!("token {}: {why}", token.0));
    if grant.token != token {
        lost(since_granted(grant))
    } else if grant.state != GrantState::Active {
        lost("it does not hold any more".into())
    } else if grant.connection != connection {
        lost("its holder goes on by another connection".into())
    } else {
        Ok(grant)
    }
}

fn since_granted(grant: &GrantRecord) -> String {
    format!("token {} was granted to {} since", grant.token.0, grant.name)
}

impl Claim {
    fn grant(&self, memory: &Memory, token: Token, since: Millis, now: Now) -> GrantRecord {
        let same = memory.last().filter(|last| last.token == token);
        GrantRecord {
            doubted: same.and_then(|last| last.doubted),
            boot: memory.boot.clone(),
            state: GrantState::Active,
            token,
            name: self.name.clone(),
            request: self.request.clone(),
            purpose: self.purpose.clone(),
            since,
            beat: now.boot,
            connection: self.connection,
            finished: memory.last().map(|last| last.finished.clone()).unwrap_or_default(),
        }
    }
}

fn unknown(memory: &Memory, now: Now) -> GrantRecord {
    let last = memory.last();
    GrantRecord {
        boot: memory.boot.clone(),
        state: GrantState::Unknown,
        token: last.map_or(Token(0), |last| last.token).kept(now.unix),
        name: String::new(),
        request: RequestId(String::new()),
        purpose: Purpose::default(),
        since: now.boot,
        beat: now.boot,
        connection: Process { pid: 0, start_time: 0 },
        finished: last.map(|last| last.finished.clone()).unwrap_or_default(),
        doubted: None,
    }
}

/// So many finished requests are remembered; a late one is at most a few runs old.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests;
