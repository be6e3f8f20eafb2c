//! flow: `certbaton serve`: the lease for another host, or an order of it for the agent of this one.

use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::HostLabel;
use crate::config::Settings;
use crate::fleet::protocol::{self, AgentAnswer};
use crate::fleet::relay;
use crate::lease::{conversation, greeting};

/// Why a caller was not served to the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease.
    #[error(transparent)]
    Lease(#[from] conversation::Error),
    /// The agent.
    #[error(transparent)]
    Relay(#[from] relay::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Lease(error) => error.exit(),
            Self::Relay(error) => error.exit(),
        }
    }
}

/// Serves one caller. With `renew`, the first line may be a coordinator's order.
pub fn serve(settings: &Settings, caller: &HostLabel, renew: bool) -> Result<(), Error> {
    let Some(greeted) = greeting::greet(settings, caller, renew)? else { return Ok(()) };
    if !greeted.first().is_some_and(protocol::is_order) {
        return Ok(greeted.converse()?);
    }
    let order = greeted.other();
    if let Some(why) = &order.refused {
        let failed = AgentAnswer::Failed { exit: Exit::Busy.code(), why: why.clone() };
        return Ok(relay::refuse(&failed, &order.caller)?);
    }
    tracing::info!(host = %caller, "order of {caller} for the agent");
    Ok(relay::relay(&order.line, &order.caller)?)
}
