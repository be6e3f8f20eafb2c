//! system: the command line of `certbaton status`, and whether it is read on a terminal.

use std::io::{self, IsTerminal};

use clap::Args;

use super::Error;
use super::output::{print, width, write};
use crate::base::exit::Exit;
use crate::config::Settings;
use crate::config::context::Context;
use crate::history::file;
use crate::history::record::RunId;
use crate::history::runs::runs;
use crate::status::asking::gather;
use crate::status::printed::{self, Colour};
use crate::status::timeline::{OneRun, Runs, list};

/// Show all hosts: certificates, routes, lease, last runs, and what is wrong.
///
/// Exits with Nagios plugin codes: 0 OK, 1 warning, 2 critical, 3 unknown.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// List the last runs of this host instead.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", conflicts_with = "run")]
    history: Option<usize>,
    /// Show one run of this host instead, event by event.
    #[arg(long, value_name = "ID", value_parser = id)]
    run: Option<RunId>,
}

fn id(text: &str) -> Result<RunId, String> {
    text.to_owned().try_into()
}

impl Status {
    pub(super) fn perform(&self, context: &Context) -> Result<Exit, Error> {
        let settings = &context.settings;
        if let Some(count) = self.history {
            return self.list(settings, count);
        }
        if let Some(id) = &self.run {
            return self.one(settings, id);
        }
        let overview = gather(context);
        let text = if self.json {
            json(&overview)?
        } else {
            printed::status(&overview, settings.thresholds, colour(), width())
        };
        write(&text).map_err(|source| Error::Output { exit: Exit::Found(UNKNOWN), source })?;
        Ok(Exit::Found(overview.exit))
    }

    fn list(&self, settings: &Settings, count: usize) -> Result<Exit, Error> {
        let history = file::read(&settings.state_directory)?;
        let mut runs = runs(&history.entries, file::is_alive);
        runs.drain(..runs.len().saturating_sub(count));
        let runs = Runs { version: 1, runs, damaged: history.damaged };
        print(&if self.json { json(&runs)? } else { list(&runs, width()) })?;
        Ok(Exit::Done)
    }

    fn one(&self, settings: &Settings, id: &RunId) -> Result<Exit, Error> {
        let history = file::read(&settings.state_directory)?;
        let mut runs = runs(&history.entries, file::is_alive).into_iter();
        let run = runs.find(|run| run.id == *id).ok_or_else(|| Error::NoRun(id.clone()))?;
        let one = OneRun::new(run, &history.entries);
        print(&if self.json { json(&one)? } else { one.text(width()) })?;
        Ok(Exit::Done)
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(value).map_err(Error::Json)? + "\n")
}

/// For a terminal, unless the person wants none (<https://no-color.org>).
fn colour() -> Colour {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if io::stdout().is_terminal() && !unwanted && !dumb { Colour::Ansi } else { Colour::None }
}

/// For monitoring, a status that nobody can read is none.
const UNKNOWN: u8 = 3;
