//! system: the command line of `certbaton check`, and what a person sees of it.

use std::io::{self, Write};

use clap::Args;

use super::output::width;
use super::{Error, print};
use crate::base::exit::Exit;
use crate::base::names::Hostname;
use crate::base::terminal;
use crate::check;
use crate::config::context::Context;

/// Exits with 1 if there is a problem, else with 0, even if there are warnings.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Names to check [default: all that certbot renews on any host].
    #[arg(value_name = "NAME")]
    names: Vec<Hostname>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Of everything, for people.
    pub(super) fn all() -> Self {
        Self { names: Vec::new(), json: false }
    }

    pub(super) fn perform(&self, context: &Context) -> Result<Exit, Error> {
        let followed = terminal::width(io::stderr());
        let say = move |line: &str| {
            if let Some(width) = followed {
                // Nobody to tell if standard error is gone.
                io::stderr().lock().write_all(width.wrapped("", 2, line).as_bytes()).ok();
            }
        };
        let summary = check::check(context, &self.names, &say);
        if self.json {
            print(&(serde_json::to_string_pretty(&summary).map_err(Error::Json)? + "\n"))?;
        } else {
            print(&summary.table(width()))?;
        }
        Ok(summary.exit())
    }
}
