//! flow: what is left of a switch where the web server is not Apache: nothing is switched, it is only reloaded.
//!
//! That the challenges arrive here is proven by the public way (`public`), since
//! the other host passes them on.

use crate::base::clock::Stopwatch;
use crate::base::names::Route;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::switch::apply;
use crate::switch::foreign_reload;
use crate::switch::foreign_served;
use crate::switch::order::{Reload, SwitchReport};
use crate::switch::report::{Error, Note};

/// The routes of `local` are this host's as they are; a reload, if it is asked for, after the server's own test.
pub fn perform(
    settings: &Settings,
    server: &WebServer,
    local: Vec<Route>,
    reload: &Reload,
) -> Result<SwitchReport, Error> {
    let _lock = apply::hold(settings)?;
    let mut report = SwitchReport { local, ..SwitchReport::default() };
    let Reload::Always(certificate) = reload else { return Ok(report) };
    let mut step = |name, watch: Stopwatch| report.steps.push((name, watch.elapsed()));
    let watch = Stopwatch::start();
    foreign_reload::test(server)?;
    step("check", watch);
    let watch = Stopwatch::start();
    foreign_reload::reload(server)?;
    step("reload", watch);
    report.reloaded = Some(server.to_string());
    if let Some(directory) = certificate {
        let watch = Stopwatch::start();
        report.notes = foreign_served::prove(directory, settings.proof_time)?
            .into_iter()
            .map(Note::new)
            .collect();
        report.steps.push(("prove", watch.elapsed()));
    }
    Ok(report)
}
