//! flow: this host looked at, the others asked, all at once; nothing is changed.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::apache::server::Inquirer;
use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::clock;
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::threads;
use crate::certbot::installed;
use crate::certbot::lineages::{Lineages, lineages};
use crate::certbot::renewal_file;
use crate::certbot::version::{Age, Version};
use crate::check::health;
use crate::check::presented;
use crate::check::this_host::{self, Looked};
use crate::check::vitals::vitals;
use crate::check::{reading, traps};
use crate::config::context::Context;
use crate::config::{Host, Settings};
use crate::fleet::found::Hold;
use crate::fleet::found::{Found, LineageStatus, Versions};
use crate::fleet::link::hosts;
use crate::fleet::link::{self, Way};
use crate::fleet::protocol::StatusOrder;
use crate::fleet::skew::apart;
use crate::history::file;
use crate::history::run::{self, Run};
use crate::lease::question::question;
use crate::lease::wire::{ArbiterAnswer, Ask};
use crate::status::doors;
use crate::status::judgement;
use crate::status::overview::{HostStatus, LeaseStatus, Overview};
use crate::status::remembered::{self, Remembered};
use crate::status::result;

/// Everything about all hosts.
pub fn gather(context: &Context) -> Overview {
    let settings = &context.settings;
    let hosts = hosts(settings);
    let look = |host: &Host| {
        if is_own(settings, host) { own(settings, host) } else { peer(context, host) }
    };
    let lease = || lease(context);
    let (lease, hosts) = threads::both("lease", lease, || threads::each("host", &hosts, look));
    let mut overview =
        Overview { version: 1, at: clock::now(), exit: 0, wrong: Vec::new(), lease, hosts };
    for host in &mut overview.hosts {
        let lineages = host.found.iter_mut().flat_map(|found| &mut found.lineages);
        lineages.for_each(|lineage| lineage.at(overview.at));
    }
    overview.wrong = judgement::wrong(&overview, settings.thresholds);
    // What is wrong of a host comes first.
    overview.wrong.extend(doors::uncovered(settings, &overview.hosts));
    overview.wrong.sort_by_key(|wrong| std::cmp::Reverse(wrong.severity));
    overview.exit = judgement::exit(&overview);
    overview
}

fn is_own(settings: &Settings, host: &Host) -> bool {
    settings.hosts.is_empty() || settings.name.as_ref() == Some(&host.name)
}

fn own(settings: &Settings, host: &Host) -> HostStatus {
    let found = found(settings);
    HostStatus {
        name: host.name.to_string(),
        own: true,
        unreachable: None,
        seen: Some(found.at),
        found: Some(found),
        clock_ahead: 0,
    }
}

fn peer(context: &Context, host: &Host) -> HostStatus {
    let settings = &context.settings;
    if host.ssh.is_none() {
        // Its own status tells of it; that is how it is configured, and nothing is wrong with it.
        let (name, own) = (host.name.to_string(), false);
        return HostStatus {
            name,
            own,
            unreachable: None,
            seen: None,
            found: None,
            clock_ahead: 0,
        };
    }
    let way = Way::to(context, host).patient(PATIENCE);
    let asked = clock::now();
    let mut clock_ahead = 0;
    let (unreachable, said) = match way.ask(StatusOrder) {
        Ok(found) => {
            clock_ahead = apart(found.at, asked, clock::now()).as_secs();
            let said = Remembered { seen: clock::now(), found };
            if let Err(error) = remembered::keep(&settings.state_directory, &host.name, &said) {
                tracing::warn!("what {} says is not remembered: {}", host.name, chain(&error));
            }
            (None, Some(said))
        }
        // No way to it is configured, which is no fault (see `Overview`).
        Err(link::Error::NoWay) => (None, None),
        Err(error) => {
            (Some(chain(&error)), remembered::recall(&settings.state_directory, &host.name))
        }
    };
    let (seen, found) = said.map(|said| (said.seen, said.found)).unzip();
    HostStatus { name: host.name.to_string(), own: false, unreachable, seen, found, clock_ahead }
}

fn lease(context: &Context) -> LeaseStatus {
    let Some(arbiter) = &context.settings.arbiter else { return LeaseStatus::default() };
    let arbiter = Some(arbiter.to_string());
    match question(context, &Ask::Status) {
        Ok((_, ArbiterAnswer::Status(status))) => {
            LeaseStatus { arbiter, now: Some(status), failure: None }
        }
        Ok((_, ArbiterAnswer::Refused { why })) => {
            LeaseStatus { arbiter, now: None, failure: Some(why) }
        }
        Ok((_, other)) => {
            LeaseStatus { arbiter, now: None, failure: Some(format!("it said {other:?}")) }
        }
        Err(error) => LeaseStatus { arbiter, now: None, failure: Some(chain(&error)) },
    }
}

/// This host, looked at.
pub fn found(settings: &Settings) -> Found {
    // A keeper that is finishing while this looks owns what is seen of it.
    let was_under_way = this_host::under_way(settings);
    let mut notes = Vec::new();
    let known = lineages(&settings.certbot_directory).unwrap_or_else(|error| {
        notes.push(chain(&error));
        Lineages::default()
    });
    let beside = || {
        let health = || health(settings, &known);
        threads::both("health", health, || certbot_version(settings))
    };
    // Beside Apache, which takes longer.
    let ((health, certbot), (looked, apache, runs, switched)) =
        threads::both("certbot", beside, || {
            let looked = this_host::apache(settings, &mut notes);
            let apache = looked.inquirer.as_ref().and_then(Inquirer::version);
            let (runs, switched) = history(settings, &mut notes);
            (looked, apache, runs, switched)
        });
    let (hold, starts, mut findings) = health;
    let parsed = certbot.as_ref().and_then(|v| Version::parse(&format!("certbot {v}")));
    let lineages = known_lineages(settings, &known, parsed, &runs, &mut notes);
    let Looked { failure, finding, routes, loaded, since, foreign, uncovered, .. } = looked;
    findings.extend(finding);
    let under_way = was_under_way || this_host::under_way(settings);
    if !under_way {
        findings.extend(presented::findings(settings, &uncovered));
    }
    Found {
        at: clock::now(),
        versions: Versions {
            certbaton: env!("CARGO_PKG_VERSION").to_owned(),
            certbot,
            apache,
            web_server: foreign,
        },
        apache: failure,
        last_reload: loaded,
        under_way,
        hold,
        starts,
        findings,
        local: result::routes(&routes.local, &switched, &runs, since),
        damaged: routes.damaged,
        pending: routes.pending,
        lineages,
        last_run: result::last_run(&runs).cloned(),
        notes,
    }
}

/// Who holds the lock, what starts renewals, and what keeps them from going well.
type Health = (Option<Hold>, Option<Vec<String>>, Vec<Finding>);

fn health(settings: &Settings, known: &Lineages) -> Health {
    let schedule = reading::schedule(settings);
    let vitals = vitals(settings, known);
    let directory = &settings.certbot_directory;
    let mut findings: Vec<Finding> =
        known.refused.iter().map(|refused| traps::broken(refused, directory)).collect();
    findings.extend(health::findings(&vitals, clock::now()));
    findings.extend(schedule.unrepaired());
    (vitals.hold, schedule.starts(), findings)
}

type Switched = std::collections::BTreeMap<String, run::Local>;

fn history(settings: &Settings, notes: &mut Vec<String>) -> (Vec<Run>, Switched) {
    match file::read(&settings.state_directory) {
        Ok(history) => (run::runs(&history.entries, file::is_alive), run::local(&history.entries)),
        Err(error) => {
            notes.push(chain(&error));
            (Vec::new(), Switched::new())
        }
    }
}

/// By its package; Python itself is only asked where that does not tell.
fn certbot_version(settings: &Settings) -> Option<String> {
    let program = this_host::program(settings)?;
    installed::version(&program).or_else(|| {
        let printed = this_host::printed_version(&program).ok()?;
        let mut versions = printed.lines().filter_map(|line| line.strip_prefix("certbot "));
        versions.next_back().map(str::to_owned)
    })
}

fn known_lineages(
    settings: &Settings,
    known: &Lineages,
    version: Option<Version>,
    runs: &[Run],
    notes: &mut Vec<String>,
) -> Vec<LineageStatus> {
    let now = clock::now();
    let mut found = Vec::new();
    for lineage in &known.usable {
        match describe(lineage, version, runs, now) {
            Ok(described) => found.push(described),
            Err(why) => notes.push(format!("{}: {why}", lineage.name)),
        }
    }
    // What certbot cannot read is served all the same, and expires.
    found.extend(known.refused.iter().filter_map(|refused| {
        let cert = settings.certbot_directory.join("live").join(&refused.name).join("cert.pem");
        on_disk(&refused.name, &cert, now).ok()
    }));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// A lineage by its certificate alone.
fn on_disk(name: &str, cert: &Path, now: Timestamp) -> Result<LineageStatus, String> {
    let pem = files::read_trusted(cert).map_err(|error| chain(&error))?;
    let current = certificate::from_pem(&pem).map_err(|error| chain(&error))?;
    let names = certificate::name_set(&pem).map_err(|error| chain(&error))?;
    let certificate::Certificate { not_before, not_after, .. } = current;
    let mut described = LineageStatus {
        name: name.to_owned(),
        names: names.into_iter().collect(),
        issuer: current.issuer,
        serial: current.serial,
        not_before,
        not_after,
        days_left: 0,
        renews_from: None,
        automatic: true,
        obstacle: None,
        last: None,
    };
    described.at(now);
    Ok(described)
}

fn describe(
    lineage: &renewal_file::Lineage,
    version: Option<Version>,
    runs: &[Run],
    now: Timestamp,
) -> Result<LineageStatus, String> {
    let described = on_disk(&lineage.name, &lineage.cert, now)?;
    let LineageStatus { not_before, not_after, .. } = described;
    let age = Age { not_before, not_after, before_expiry: lineage.renew_before_expiry.as_deref() };
    let renews_from = version.and_then(|version| version.due(&age));
    Ok(LineageStatus {
        renews_from,
        automatic: !lineage.is_manual,
        obstacle: this_host::obstacle(lineage),
        last: result::of_lineage(runs, &lineage.name, renews_from),
        ..described
    })
}

/// For a peer to answer; monitoring does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);
