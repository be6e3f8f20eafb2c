//! flow: one bad name costs itself alone: what of an order can be switched and proven.
//!
//! Each route is left out by itself, with its reason. Without
//! `Options::partly` the first reason refuses all.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Scene, Selection, unwanted};
use crate::apache::generated;
use crate::apache::refusal::Refusal;
use crate::base::cause::chain;
use crate::base::exit::CarriesExit;
use crate::base::names::{Hostname, Route};
use crate::config::Settings;
use crate::switch::apply::FileEdit;
use crate::switch::challenge_proof::{self, Unproven};
use crate::switch::give_back;
use crate::switch::observe::{self, Observation};
use crate::switch::order::{LeftOutRoute, Options, Reload, Return, SwitchReport};
use crate::switch::plan::{self, Door, Plan, PlannedVhost, RefusedRoute};
use crate::switch::report::{Error, Note};

/// Plans what can be switched of `wanted`; the rest is left out, as `left_out` is already. The names
/// that have to go back before come besides, also where nothing can be switched.
pub(super) fn select(
    scene: &Scene<'_>,
    wanted: Vec<Route>,
    mut left_out: Vec<LeftOutRoute>,
) -> (BTreeSet<Hostname>, Result<Selection, Error>) {
    let (observed, options) = (&scene.observed, scene.options);
    let mut leaving = unwanted(&wanted, observed);
    let adds = wanted.iter().any(|route| !observed.local.contains(route));
    if let Some(damage) = observed.damaged.first().filter(|_| adds && !options.partly) {
        return (leaving, Err(Error::Damaged(damage.clone())));
    }
    let mut out: Vec<(Route, Error)> = Vec::new();
    let htaccess = observe::htaccess(&observed.user, wanted.iter().map(|route| &route.webroot));
    let user = plan::Configuration {
        dump: &observed.user,
        documents: &observed.documents,
        htaccess: &htaccess,
    };
    let is_out =
        |out: &[(Route, Error)], route: &Route| out.iter().any(|(other, _)| other == route);
    let mut left = wanted;
    let mut answering: Vec<Door> = Vec::new();
    // Less each time: what is left may be in fewer files.
    let (mut plan, changes) = loop {
        let is_answered = |route: &Route| answering.iter().any(|door| door.route == *route);
        left.retain(|route| !is_out(&out, route) && !is_answered(route));
        let (plan, mut refused) = plan::possible(user, &left);
        let answered = answered(scene, &refused);
        refused.retain(|(route, _)| answered.iter().all(|door| door.route != *route));
        answering.extend(answered);
        out.extend(refused.into_iter().map(|(route, why)| (route, Error::Refused(vec![why]))));
        left = plan.routes();
        let changes = observed.changes(&plan.files);
        let before = out.len();
        out.extend(damaged(observed, &plan));
        out.extend(misled(observed, &plan, &changes.insert));
        if !options.force_generated {
            out.extend(generated(observed, &plan, &changes.insert));
        }
        if out.len() == before {
            break (plan, changes);
        }
    };
    // A file that keeps none of its lines: its names were refused since.
    let emptied = changes.empty.iter().flat_map(|file| observed.names_in(file));
    leaving.extend(emptied.cloned());
    left.extend(answering.iter().map(|door| door.route.clone()));
    left.sort();
    left.dedup();
    plan.doors.extend(answering);
    let is_enough = options.partly && !left.is_empty();
    if !out.is_empty() && !is_enough {
        return (leaving, Err(first(out)));
    }
    leave_out(&mut left_out, out);
    leaving.extend(unwanted(&left, observed));
    (leaving, Ok(Selection { wanted: left, left_out, plan, changes: changes.insert }))
}

/// Leaves out what cannot be proven afterwards, before anything is changed for it.
pub(super) fn provable(scene: &Scene<'_>, selection: Selection) -> Result<Selection, Error> {
    let unprovable = challenge_proof::unprovable(&selection.plan.doors, &scene.listeners)?;
    let is_out = |route: &Route| unprovable.iter().any(|(other, _)| other == route);
    let left: Vec<Route> =
        selection.wanted.iter().filter(|route| !is_out(route)).cloned().collect();
    if left.len() == selection.wanted.len() {
        return Ok(selection);
    }
    let mut left_out = selection.left_out.clone();
    if !scene.options.partly || left.is_empty() {
        return none_left(scene.options, &left_out, unprovable).map_or(Ok(selection), Err);
    }
    leave_out(&mut left_out, unprovable);
    select(scene, left, left_out).1
}

/// What a person is told where nothing is left: each route with its reason, also those left out before.
pub(in crate::switch) fn none_left(
    options: &Options,
    left_out: &[LeftOutRoute],
    unproven: Vec<Unproven>,
) -> Option<Error> {
    if options.partly && unproven.len() + left_out.len() > 1 {
        let unproven = unproven.into_iter().map(|(route, error)| LeftOutRoute::by(route, &error));
        return Some(Error::NoneLeft(left_out.iter().cloned().chain(unproven).collect()));
    }
    unproven.into_iter().next().map(|(_, error)| error.into())
}

/// Of the refused, the routes that are answered from their webroots all the same, with their doors: what
/// cannot be read may be right. One that is local by lines of ours is none.
fn answered(scene: &Scene<'_>, refused: &[RefusedRoute]) -> Vec<Door> {
    let is_ours = |route: &Route| scene.observed.local.contains(route);
    let mut routes: Vec<&Route> =
        refused.iter().map(|(route, _)| route).filter(|route| !is_ours(route)).collect();
    routes.dedup();
    let doors: Vec<Door> =
        routes.into_iter().flat_map(|route| plan::doors(&scene.observed.user, route)).collect();
    if doors.is_empty() {
        return doors;
    }
    let patience = scene.settings.proof_time.min(ANSWERED_TIME);
    // That it cannot be asked is no answer.
    let Ok(unproven) = challenge_proof::local(&doors, &scene.listeners, patience) else {
        return Vec::new();
    };
    let is_proven = |door: &Door| unproven.iter().all(|(route, _)| *route != door.route);
    doors.into_iter().filter(is_proven).collect()
}

/// Where Apache refuses the lines of one file, those of the others may do; none if nothing is left.
pub(super) fn accepted(
    scene: &Scene<'_>,
    selection: Selection,
) -> Result<Option<Selection>, Error> {
    let Selection { mut wanted, mut left_out, plan, changes } = selection;
    let mut out = Vec::new();
    for change in &changes {
        if let Err(error) = scene.accepts(std::slice::from_ref(change), None) {
            let routes = routes_in(&scene.observed, &plan, change).into_iter();
            out.extend(routes.map(|route| LeftOutRoute::by(route, &error)));
        }
    }
    wanted.retain(|route| out.iter().all(|left| left.route != *route));
    if out.is_empty() || wanted.is_empty() {
        return Ok(None);
    }
    add(&mut left_out, out.into_iter());
    select(scene, wanted, left_out).1.map(Some)
}

/// Gives back what `report` made local and could not be proven; the rest stays as it is.
pub(in crate::switch) fn without(
    settings: &Settings,
    mut report: SwitchReport,
    unproven: Vec<Unproven>,
) -> SwitchReport {
    report.local.retain(|route| unproven.iter().all(|(other, _)| other != route));
    let which = Return::Names(unproven.iter().map(|(route, _)| route.name.clone()).collect());
    match give_back::under_lock(settings, &which, &Reload::Never) {
        Ok(given_back) => {
            let is_out = |route: &Route| unproven.iter().any(|(other, _)| other == route);
            for vhost in &mut report.vhosts {
                vhost.routes.retain(|route| !is_out(route));
            }
            report.vhosts.retain(|vhost| !vhost.routes.is_empty());
            report.steps.extend(given_back.steps);
        }
        // The end of the run gives back whatever is local.
        Err(error) => {
            let why = format!("a route that is not proven stays local for now: {}", chain(&error));
            report.notes.push(Note::new(why));
        }
    }
    leave_out(&mut report.left_out, unproven);
    report
}

fn leave_out<E: std::error::Error + CarriesExit + 'static>(
    left_out: &mut Vec<LeftOutRoute>,
    failed: Vec<(Route, E)>,
) {
    add(left_out, failed.into_iter().map(|(route, error)| LeftOutRoute::by(route, &error)));
}

/// Each route once, with the first reason.
fn add(left_out: &mut Vec<LeftOutRoute>, new: impl Iterator<Item = LeftOutRoute>) {
    for new in new {
        if left_out.iter().all(|known| known.route != new.route) {
            left_out.push(new);
        }
    }
}

/// What a person is told where all is refused: each reason once.
fn first(out: Vec<(Route, Error)>) -> Error {
    let mut refusals: Vec<Refusal> = Vec::new();
    for (_, error) in out {
        match error {
            Error::Refused(more) => {
                let new: Vec<_> = more.into_iter().filter(|one| !refusals.contains(one)).collect();
                refusals.extend(new);
            }
            // Not of the configuration: nothing that is said of that counts before it.
            other => return other,
        }
    }
    Error::Refused(refusals)
}

/// The routes that would be added to a file where somebody changed our lines.
fn damaged(observed: &Observation, plan: &Plan) -> Vec<(Route, Error)> {
    let mut found = Vec::new();
    for damage in &observed.damaged {
        let vhosts = plan.vhosts.iter().filter(|vhost| {
            let real = observed.real(&vhost.origin.file);
            real.is_some_and(|real| real.display().to_string() == damage.file)
        });
        let routes = vhosts.flat_map(|vhost| &vhost.routes);
        let new = routes.filter(|route| !observed.local.contains(route));
        found.extend(new.map(|route| (route.clone(), Error::Damaged(damage.clone()))));
    }
    found
}

/// The routes whose lines would go into a file of root's that is a site by a user's link alone:
/// which it is, he would choose.
fn misled(observed: &Observation, plan: &Plan, changes: &[FileEdit]) -> Vec<(Route, Error)> {
    let mut refused = Vec::new();
    for change in changes {
        for route in routes_in(observed, plan, change) {
            if let Err(error) = observed.trusted_way(&change.snapshot.path) {
                refused.push((route, error.into()));
            }
        }
    }
    refused
}

/// The routes whose lines would go into a file that a program writes.
fn generated(observed: &Observation, plan: &Plan, changes: &[FileEdit]) -> Vec<(Route, Error)> {
    let mut refused = Vec::new();
    for change in changes {
        let file = change.snapshot.path.display().to_string();
        let Some(by) = generated::generator(&file, &change.snapshot.bytes) else { continue };
        let refusal = Refusal::generated(&file, &by);
        let routes = routes_in(observed, plan, change).into_iter();
        refused.extend(routes.map(|route| (route, Error::Refused(vec![refusal.clone()]))));
    }
    refused
}

/// The routes whose lines are in a change; all, where that cannot be told.
fn routes_in(observed: &Observation, plan: &Plan, change: &FileEdit) -> Vec<Route> {
    let is_in_it = |vhost: &&PlannedVhost| {
        observed.real(&vhost.origin.file).is_some_and(|real| real == change.snapshot.path)
    };
    let routes: Vec<Route> =
        plan.vhosts.iter().filter(is_in_it).flat_map(|vhost| vhost.routes.clone()).collect();
    if routes.is_empty() { plan.routes() } else { routes }
}

/// For each name that is refused and perhaps answered: a file of this host's own disk.
const ANSWERED_TIME: Duration = Duration::from_secs(3);
