//! system: the command line of `renew-coordinate`, and what a person sees of it.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};

use super::look::look;
use super::output::{print_within, width, write, write_until};
use super::{Common, Error, concluded, context, is_logged, parsed, person, start};
use crate::base::clock::Stopwatch;
use crate::base::columns::WIDTH;
use crate::base::exit::Exit;
use crate::base::names::HostLabel;
use crate::base::signals;
use crate::base::terminal;
use crate::coordinate::decision::Wish;
use crate::coordinate::final_report::{CoordinatedLineage, Coordination, Served, ServedVerdict};
use crate::coordinate::{Notice, coordinate};
use crate::fleet::protocol::LineageName;

/// Renews on every host, one after another, and verifies what each of them serves.
#[derive(Debug, Parser)]
#[command(name = "renew-coordinate", version, max_term_width = WIDTH)]
struct Coordinate {
    #[command(flatten)]
    common: Common,
    /// Rehearse: make every challenge, but issue no certificate.
    #[arg(long)]
    dry_run: bool,
    /// Only this host, by its name in the configuration; may be repeated.
    #[arg(long = "host", value_name = "NAME", value_parser = label)]
    hosts: Vec<HostLabel>,
    /// Only this lineage of certbot; may be repeated.
    #[arg(long = "cert-name", value_name = "NAME")]
    cert_names: Vec<LineageName>,
    /// Renew even what is not due; this counts against the CA's rate limits.
    #[arg(long)]
    force_renewal: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn label(text: &str) -> Result<HostLabel, String> {
    text.to_owned().try_into()
}

/// All that it understands.
pub(super) fn command() -> Command {
    Coordinate::command()
}

/// The whole of `renew-coordinate`.
pub fn renew_coordinate() -> Exit {
    let words = std::env::args_os().collect();
    let cli: Coordinate = match parsed(PROGRAM, command(), words) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    start(PROGRAM);
    concluded(PROGRAM, cli.perform())
}

impl Coordinate {
    fn perform(self) -> Result<Exit, Error> {
        let context = context(&self.common)?;
        let wish = Wish {
            hosts: self.hosts,
            cert_names: self.cert_names,
            force: self.force_renewal,
            dry_run: self.dry_run,
        };
        let summary = coordinate(&context, &wish, person(), &mut progress());
        // Whatever waits for a reader from here on may be ended.
        signals::obey();
        let summary = summary?;
        let text = if self.json {
            serde_json::to_string_pretty(&summary).map_err(Error::Json)? + "\n"
        } else {
            summary.table(width())
        };
        let exit = summary.exit();
        // Whoever ended it wants an end, read or not; the next look tells of it.
        if summary.called_off {
            print_within(TAKEN, &text);
            log(&summary);
            return Ok(exit);
        }
        let told = write(&text);
        log(&summary);
        look(&context);
        // It is done, and how it went is more than that it cannot be told.
        let unheard = if exit == Exit::Done { Exit::NotUndone } else { exit };
        told.map_err(|source| Error::Output { exit: unheard, source })?;
        Ok(exit)
    }
}

/// A line each: in the log where that is what standard error leads to, else on standard
/// error; with the time on a terminal, where no journal adds it.
///
/// A signal ends the wait for whoever is to take it, and all later ones.
fn progress() -> impl FnMut(Notice<'_>, BorrowedFd<'_>) {
    let mut patience = Duration::MAX;
    let watch = terminal::width(io::stderr()).map(|width| (Stopwatch::start(), width));
    let logged = is_logged();
    move |said, signals| {
        let line = match said {
            Notice::Progress(line) if logged => return tracing::info!("{line}"),
            Notice::Progress(line) => line,
            Notice::Warning(line) => {
                tracing::warn!("{line}");
                line
            }
        };
        if logged {
            return;
        }
        let text = match watch {
            Some((watch, width)) => {
                let seconds = watch.elapsed().as_secs();
                let time = format!("{:3}:{:02} ", seconds / 60, seconds % 60);
                width.wrapped(&time, INDENT, line)
            }
            None => format!("{line}\n"),
        };
        let (out, text) = (io::stderr().lock(), text.as_bytes());
        // Nobody to tell if standard error is gone.
        if !write_until(out, text, &[signals], patience).unwrap_or(true) {
            patience = Duration::ZERO;
        }
    }
}

/// What became of each lineage, in fields that a journal can be searched by.
fn log(summary: &Coordination) {
    for host in &summary.hosts {
        let name = host.name.as_str();
        if let Some(failure) = &host.failure {
            tracing::error!(host = name, "{name}: {failure}");
        }
        for CoordinatedLineage { name: lineage, result, why, serial, .. } in &host.lineages {
            let serial = serial.as_deref().unwrap_or_default();
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let (result, is_failure) = (result.text(), result.is_failure());
            let text = format!("{name}: {lineage}: {result}{why}");
            if is_failure {
                tracing::error!(host = name, lineage, result, serial, "{text}");
            } else {
                tracing::info!(host = name, lineage, result, serial, "{text}");
            }
        }
    }
    for Served { name, address, verdict, why, .. } in &summary.served {
        if let (ServedVerdict::Wrong, Some(why)) = (verdict, why) {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            tracing::error!(name = name.as_str(), address, "{name} {address}: {why}");
        }
    }
    let ends = summary.refused.iter().chain(&summary.stopped).chain(&summary.unknown);
    ends.for_each(|why| tracing::error!("{why}"));
    match summary.exit() {
        Exit::Done => tracing::info!("all hosts done"),
        exit => tracing::error!(exit = exit.code(), "not all is done"),
    }
}

/// For somebody to take the report of what was ended.
const TAKEN: Duration = Duration::from_millis(300);

const PROGRAM: &str = "renew-coordinate";

/// What goes on in the next line stands below what the time is of.
const INDENT: usize = 8;
