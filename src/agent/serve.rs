//! flow: `certbaton serve`: the lease for another host, or an order of it for the agent of this one.

use crate::agent::carry::Error;
use crate::base::exit::Exit;
use crate::base::names::HostLabel;
use crate::config::Settings;
use crate::fleet::protocol::{self, AgentAnswer};
use crate::fleet::relay;
use crate::lease::greeting;

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
