//! flow: what is left of a switch where the web server is not Apache: nothing is switched, it is only reloaded.
//!
//! That the challenges arrive here is proven by the public way (`public`), since
//! the other host passes them on.

use crate::clock::Stopwatch;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::files;
use crate::foreign::{control, served};
use crate::lock;
use crate::route::order::{Options, Order, Report};
use crate::route::report::{Error, Note};

/// The routes of `order` are this host's as they are; a reload, if it is asked for, after the server's own test.
pub fn perform(
    settings: &Settings,
    server: &WebServer,
    order: &Order,
    options: &Options,
) -> Result<Report, Error> {
    files::own_directory(&settings.runtime_directory, 0o755)?;
    files::own_directory(&settings.state_directory, 0o711)?;
    let _lock = lock::acquire(&settings.switch_lock(), settings.proof_time * 3)?;
    let local = match order {
        Order::Only(routes) | Order::Add(routes) => routes.clone(),
        Order::Without(_) | Order::Proxied(_) => Vec::new(),
    };
    let mut report = Report { local, ..Report::default() };
    if !options.reload {
        return Ok(report);
    }
    let mut step = |name, watch: Stopwatch| report.steps.push((name, watch.elapsed()));
    let watch = Stopwatch::start();
    control::test(server)?;
    step("check", watch);
    let watch = Stopwatch::start();
    control::reload(server)?;
    step("reload", watch);
    report.reloaded = Some(server.to_string());
    if let Some(directory) = &options.certificate {
        let watch = Stopwatch::start();
        report.notes =
            served::prove(directory, settings.proof_time)?.into_iter().map(Note).collect();
        report.steps.push(("prove", watch.elapsed()));
    }
    Ok(report)
}
