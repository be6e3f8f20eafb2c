//! flow: asks Apache what adopted sites would mean before they are, and proves them afterwards.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::apache::dump::{Dump, Reading, file_name};
use crate::apache::server::{self, Inquirer};
use crate::base::files;
use crate::base::names::Route;
use crate::certbot::lineages::{Lineages, lineages};
use crate::config::Settings;
use crate::setup::adopt::{Error, restored};
use crate::setup::apache_files;
use crate::setup::change::Change;
use crate::switch::journal::Journal;
use crate::switch::observe::{self, Observation};
use crate::switch::order::{Reload, Return, SwitchReport};
use crate::switch::plan::{self, Door};
use crate::switch::{challenge_proof, give_back, report};

/// Asks Apache about its configuration with `changes` in place; nothing is changed.
///
/// Apache must take it, and nothing but ProxyPass lines may be new in it. Of
/// the changes, those to files that Apache reads now are looked at; a file that
/// it does not read yet is not part of the question.
pub fn question(inquirer: &Inquirer, before: &Dump, changes: &[Change]) -> Result<(), Error> {
    let read: BTreeSet<PathBuf> = before
        .includes
        .iter()
        .filter_map(|i| files::real_path(&file_name::path(&i.file)).ok())
        .collect();
    let mut reading = Reading::default();
    match apache_files::ask(inquirer, &read, changes, &mut |part| reading.push(part)) {
        Ok(false) => return Ok(()),
        Err(report::Error::Apache(server::Error::Candidate(complaint))) => {
            return Err(Error::Candidate(complaint));
        }
        asked => asked?,
    };
    match restored::stranger(before, &reading.finish()?) {
        Some(origin) => Err(Error::Stranger(origin)),
        None => Ok(()),
    }
}

/// Has Apache load what was adopted, gracefully, and proves it.
///
/// By then no name whose challenge path is passed on may answer from this host's webroot.
pub fn settle(settings: &Settings) -> Result<SwitchReport, Error> {
    let report = give_back::give_back(settings, &Return::All, &Reload::Always(None))?;
    let server = server::find(settings.pid_file.as_deref())?;
    let observed = observe::observe(&server, Journal::default())?;
    let known = lineages(&settings.certbot_directory)?;
    let listeners = server.listeners()?;
    challenge_proof::peer(&passed(&observed, &known), &listeners).map_err(report::Error::from)?;
    Ok(report)
}

/// The doors of certbot's names that lead to another host.
fn passed(observed: &Observation, known: &Lineages) -> Vec<Door> {
    let webroots = known.usable.iter().filter(|lineage| lineage.is_webroot());
    let names = webroots.flat_map(|lineage| lineage.names.iter().map(move |name| (lineage, name)));
    let routes: BTreeSet<Route> = names
        .filter_map(|(lineage, name)| {
            Some(Route { name: name.clone(), webroot: lineage.webroot_of(name)?.clone() })
        })
        .collect();
    let htaccess = observe::htaccess(&observed.user, routes.iter().map(|route| &route.webroot));
    let (dump, documents) = (&observed.user, &observed.documents);
    let user = plan::Configuration { dump, documents, htaccess: &htaccess };
    let mut passed = Vec::new();
    for route in routes {
        // What cannot be switched was never passed on by a line that a hook takes away.
        let Ok(plan) = plan::plan(user, &[route]) else { continue };
        let is_passed = |door: &&Door| {
            let mut through = plan.vhosts.iter().filter(|vhost| !vhost.obstacles.is_empty());
            through.any(|vhost| door.vhost.as_ref() == Some(&vhost.origin))
        };
        passed.extend(plan.doors.iter().filter(is_passed).cloned());
    }
    passed
}
