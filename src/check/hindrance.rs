//! pure: what of a host itself keeps its renewals from working, whoever answers: nothing can be
//! planted, nothing switches, or no switch gets past a line.

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::ca::sight::{Planted, Planting};
use crate::check::matrix::HostSeen;
use crate::check::outside::parted;
use crate::fleet::host_report::HOOKS;
use crate::fleet::inspection::{Answerer, InspectedName};

/// Whether a switch makes the webroot answer, where it does not now.
pub(super) fn is_switchable(inspected: &InspectedName) -> bool {
    use Answerer::{Nobody, Unknown, Webroot};
    let is_other = !matches!(inspected.answerer, Webroot | Nobody | Unknown);
    is_other && inspected.obstacles.is_empty() && inspected.webroot.is_some()
}

/// Nothing could be planted, so certbot cannot, either.
pub(super) fn unplanted(host: &HostSeen, planting: &Planting) -> Vec<Finding> {
    let Planted::Failed(why) = &planting.planted else { return Vec::new() };
    let (what, remedy) = parted(why, "see to that directory");
    vec![
        Finding::new(Code::Webroot, Some(planting.webroot.to_string()), what, remedy)
            .on(&host.label),
    ]
}

/// Nothing would switch.
pub(super) fn no_hooks(host: &HostSeen) -> Finding {
    let certbot = host.report.as_ref().ok().and_then(|report| report.survey.certbot.as_ref());
    let is_there = |hook: &str| certbot.is_some_and(|certbot| certbot.hooks.contains(hook));
    let missing: Vec<&str> = HOOKS.into_iter().filter(|hook| !is_there(hook)).collect();
    let what = format!(
        "certbaton's hooks are not all there (missing: {}), so nothing switches the route when certbot renews",
        missing.join(" ")
    );
    let remedy = if missing.len() == HOOKS.len() {
        "certbaton init sets this host up; where that was done already, certbaton install puts them there"
    } else {
        "put them there: certbaton install"
    };
    let place = Some("renewal-hooks".to_owned());
    Finding::new(Code::HooksMissing, place, what, remedy).on(&host.label)
}

/// Why no switch is possible, each with its line; `None` if that is not the reason.
pub(super) fn obstacles(host: &HostSeen, inspected: &InspectedName) -> Option<Vec<Finding>> {
    let findings = inspected.obstacles.iter().map(|Finding { place, what, remedy, .. }| {
        let what = format!("the route cannot be switched: {what}");
        Finding::new(Code::CannotSwitch, place.clone(), what, remedy).on(&host.label)
    });
    let findings: Vec<Finding> = findings.collect();
    (!findings.is_empty()).then_some(findings)
}
