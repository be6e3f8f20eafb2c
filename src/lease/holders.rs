//! flow: who holds and who waits, as people are told; nothing is decided by it.

use crate::base::process;
use crate::lease::memory::{GrantState, Memory, Millis, Recorded};
use crate::lease::store::{self, Slip, Store};
use crate::lease::wire::{self, ArbiterAnswer, HolderStatus, LeaseState, Token, WaiterStatus};

/// Everything about the lease, as far as a line takes it. After `grace` a silent holder has it no more.
pub(super) fn status(store: &Store, at: Millis, grace: Millis) -> Result<LeaseState, store::Error> {
    let memory = store.memory()?;
    let token = match (&memory.token, &memory.grant) {
        (Recorded::Known(token), _) => *token,
        (_, Recorded::Known(grant)) => grant.token,
        _ => Token(0),
    };
    let told = |slip: Slip| WaiterStatus {
        name: slip.name,
        purpose: slip.purpose,
        waited_millis: at.saturating_sub(slip.since),
    };
    let queue = store.waiters()?.into_iter().map(told).collect();
    let holder = who(memory, at).filter(|holder| holder.silent_millis < grace);
    let mut status = LeaseState { holder, queue, token };
    // The last in the queue are left out.
    while wire::line(&ArbiterAnswer::Status(status.clone())).is_err()
        && status.queue.pop().is_some()
    {}
    Ok(status)
}

/// Who holds.
pub(super) fn holder(store: &Store, at: Millis) -> Result<Option<HolderStatus>, store::Error> {
    Ok(who(store.memory()?, at))
}

fn who(memory: Memory, at: Millis) -> Option<HolderStatus> {
    let Recorded::Known(grant) = memory.grant else { return None };
    if grant.boot != memory.boot || grant.state != GrantState::Active {
        return None;
    }
    let connected =
        process::identify(grant.connection.pid).is_ok_and(|process| process == grant.connection);
    Some(HolderStatus {
        name: grant.name,
        token: grant.token,
        purpose: grant.purpose,
        held_millis: at.saturating_sub(grant.since),
        silent_millis: at.saturating_sub(grant.beat),
        connected,
    })
}
