//! flow: the arbiter: it decides by the rules, under the store's lock, and writes down what it decided.

use crate::base::clock;
use crate::base::names::HostLabel;
use crate::base::process::Process;
use crate::lease::memory::{Now, millis};
use crate::lease::rules::{self, Claim, Ruling};
use crate::lease::store::{self, Store};
use crate::lease::times::Periods;
use crate::lease::wire::{ArbiterAnswer, Token};

/// The arbiter, as one of its processes.
pub(super) struct Arbiter {
    pub(super) store: Store,
    pub(super) periods: Periods,
    pub(super) me: Process,
}

impl Arbiter {
    /// Decides about a claim, and writes down what was decided.
    pub(super) fn claim(
        &self,
        claim: &Claim,
        before: Option<usize>,
    ) -> Result<Ruling, store::Error> {
        let decision = self.store.decide()?;
        let memory = decision.memory()?;
        let ruling = rules::claim(&memory, claim, before, now(), self.periods.arbiter);
        match &ruling {
            Ruling::Granted { grant, expired } => {
                decision.record_new(grant)?;
                if let Some(token) = expired {
                    tracing::warn!(token = token.0, "lease: expired token={}", token.0);
                }
                let (token, name, request) = (grant.token.0, &grant.name, &grant.request.0);
                tracing::info!(token, host = %name, "lease: granted token={token} to={name} request={request}");
            }
            Ruling::Confirmed(grant) => {
                decision.record(grant)?;
                let (token, name, request) = (grant.token.0, &grant.name, &grant.request.0);
                tracing::info!(token, host = %name, "lease: resumed token={token} to={name} request={request}");
            }
            Ruling::Quarantined(grant) => {
                decision.record(grant)?;
                let grace = self.periods.arbiter.as_secs();
                if let Some(token) = memory.far_ahead(now()) {
                    tracing::warn!(
                        token = token.0,
                        "lease: the last token, {}, is of {}, far ahead of the clock of this host: nobody gets the lease for {grace} s, then tokens go on from the clock",
                        token.0,
                        token.moment()
                    );
                } else {
                    tracing::warn!(
                        "lease: no record of who holds (a reboot, or a damaged file): nobody gets it for {grace} s"
                    );
                }
            }
            Ruling::Wait { .. } | Ruling::Lost(_) | Ruling::Refused(_) => {}
        }
        Ok(ruling)
    }

    /// A heartbeat of the holder's, recorded if it may be.
    pub(super) fn beat(&self, token: Token) -> Result<Result<(), String>, store::Error> {
        let decision = self.store.decide()?;
        let memory = decision.memory()?;
        match rules::beat(&memory, token, self.me, now(), self.periods.arbiter) {
            Ok(grant) => Ok(Ok(decision.record(&grant)?)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Takes `token` back from this process's caller.
    pub(super) fn release(&self, token: Token) -> Result<ArbiterAnswer, store::Error> {
        let decision = self.store.decide()?;
        Ok(match rules::release(&decision.memory()?, token, self.me, now()) {
            Ok(grant) => {
                decision.record(&grant)?;
                tracing::info!(token = token.0, "lease: released token={}", token.0);
                ArbiterAnswer::Released
            }
            Err(why) => ArbiterAnswer::Lost { why },
        })
    }

    /// Takes `token` away from who has it, because `by` asks for that.
    pub(super) fn revoke(
        &self,
        token: Token,
        by: &HostLabel,
    ) -> Result<ArbiterAnswer, store::Error> {
        let decision = self.store.decide()?;
        Ok(match rules::revoke(&decision.memory()?, token) {
            Ok(()) => {
                decision.record_revoked(token)?;
                tracing::warn!(token = token.0, "lease: broken token={} by={by}", token.0);
                ArbiterAnswer::Broken
            }
            Err(why) => ArbiterAnswer::Refused { why },
        })
    }
}

/// The time, from both clocks.
pub(super) fn now() -> Now {
    Now { boot: millis(clock::since_boot()), unix: clock::now().as_second() }
}
