//! system: the command line of `renew-coordinate`, and what a person sees of it.

use std::io::{self, IsTerminal, Write};

use clap::Parser;

use super::{Common, Error, complain, person, settings, start};
use crate::agent::wire::LineageName;
use crate::clock::Stopwatch;
use crate::coordinate::plan::Wish;
use crate::coordinate::{Call, coordinate};
use crate::exit::Exit;
use crate::names::HostLabel;
use crate::route::report::chain;

/// Renews on every host, one after another, and verifies what each of them serves.
#[derive(Debug, Parser)]
#[command(name = "renew-coordinate", version)]
struct Coordinate {
    #[command(flatten)]
    common: Common,
    /// Rehearse: every challenge for real, no certificate.
    #[arg(long)]
    dry_run: bool,
    /// Only this host, by its name in the configuration; may be repeated.
    #[arg(long = "host", value_name = "NAME", value_parser = label)]
    hosts: Vec<HostLabel>,
    /// Only this lineage of certbot; may be repeated.
    #[arg(long = "cert-name", value_name = "NAME")]
    cert_names: Vec<LineageName>,
    /// Also renew what is not due; counts against the CA's limits.
    #[arg(long)]
    force_renewal: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn label(text: &str) -> Result<HostLabel, String> {
    text.to_owned().try_into()
}

/// The whole of `renew-coordinate`.
pub fn renew_coordinate() -> Exit {
    let cli = Coordinate::parse();
    start(PROGRAM);
    match cli.perform() {
        Ok(exit) => exit,
        Err(error) => {
            complain(PROGRAM, &chain(&error));
            error.exit()
        }
    }
}

impl Coordinate {
    fn perform(self) -> Result<Exit, Error> {
        let settings = settings(&self.common)?;
        let this = std::env::current_exe().map_err(Error::Program)?;
        let wish = Wish {
            hosts: self.hosts,
            cert_names: self.cert_names,
            force: self.force_renewal,
            dry_run: self.dry_run,
        };
        let config = self.common.config.as_deref();
        let call = Call { config, certbaton: this.with_file_name("certbaton"), wish, by: person() };
        let summary = coordinate(&settings, &call, &mut progress())?;
        let text = if self.json {
            serde_json::to_string_pretty(&summary).map_err(Error::Json)? + "\n"
        } else {
            summary.table()
        };
        // A closed pipe is the reader's choice.
        io::stdout().lock().write_all(text.as_bytes()).ok();
        let exit = summary.exit();
        if exit == Exit::Done {
            tracing::info!("all hosts done");
        } else {
            tracing::error!("{}", summary.table().trim_end());
        }
        Ok(exit)
    }
}

/// A line each, on standard error; with the time on a terminal, where no journal adds it.
fn progress() -> impl FnMut(&str) {
    let watch = io::stderr().is_terminal().then(Stopwatch::start);
    move |line| {
        let mut out = io::stderr().lock();
        // Nobody to tell if standard error is gone.
        match watch.map(|watch| watch.elapsed().as_secs()) {
            Some(seconds) => writeln!(out, "{:3}:{:02}  {line}", seconds / 60, seconds % 60).ok(),
            None => writeln!(out, "{line}").ok(),
        };
    }
}

const PROGRAM: &str = "renew-coordinate";
