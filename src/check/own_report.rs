//! flow: this host looked at and not touched: how it is, and what a renewal needs to know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::apache::server::Inquirer;
use crate::base::cause::chain;
use crate::base::certificate::{self, Certificate};
use crate::base::clock;
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::sockets;
use crate::base::threads;
use crate::ca::served::ExpectedCertificate;
use crate::certbot::due::renews_from;
use crate::certbot::halfway;
use crate::certbot::lineages::{Lineages, lineages};
use crate::certbot::renewal_file::Lineage;
use crate::certbot::version::{self, Version};
use crate::check::this_host::{self, Looked, under_way};
use crate::check::vitals::vitals;
use crate::check::{health, presented, reading, traps};
use crate::config::Settings;
use crate::fleet::host_report::{
    CertbotReport, DiskRoom, HOOKS, Hold, HostReport, HostSurvey, Issued, LineageReport,
    LineageSurvey, Versions,
};
use crate::fleet::last_result;
use crate::fleet::local_since;
use crate::fleet::protocol::LookOrder;
use crate::history::file;
use crate::history::runs::{self, Local, Run};

/// Looks at this host, no further than `order` wants: a survey asks certbot itself, which takes
/// Python half a second; a status reads the history and asks the arbiter and what is served here.
pub fn report(settings: &Settings, order: LookOrder) -> HostReport {
    // A keeper that is finishing while this looks owns what is seen of it.
    let was_under_way = under_way(settings);
    let mut notes = Vec::new();
    let known = lineages(&settings.certbot_directory).unwrap_or_else(|error| {
        notes.push(chain(&error));
        Lineages::default()
    });
    let look = Look { settings, order, known: &known };
    // Beside Apache, which takes longer.
    let beside = || threads::both("health", || look.health(), || look.certbot());
    let ((health, certbot), (looked, apache)) = threads::both("certbot", beside, || {
        let looked = this_host::apache(settings, &mut notes);
        let apache = looked.inquirer.as_ref().and_then(Inquirer::version);
        (looked, apache)
    });
    notes.extend(certbot.notes.iter().cloned());
    let (runs, switched) = look.history(&mut notes);
    let lineages = look.lineages(&certbot, &looked, &runs, &mut notes);
    let survey = look.survey(&certbot, &lineages);
    let under_way = match order {
        // Who coordinates asks whether anybody will still give back what is local.
        LookOrder::Survey => under_way(settings),
        LookOrder::Status => was_under_way || under_way(settings),
    };
    let (hold, starts, mut findings) = health;
    if order == LookOrder::Status {
        findings.extend(looked.finding);
        if !under_way {
            findings.extend(presented::findings(settings, &looked.uncovered));
        }
    }
    HostReport {
        at: clock::now(),
        versions: Versions {
            certbaton: env!("CARGO_PKG_VERSION").to_owned(),
            certbot: certbot.version,
            apache,
            web_server: looked.foreign,
        },
        apache: looked.failure,
        last_reload: looked.loaded,
        under_way,
        hold,
        starts,
        findings,
        local: local_since::routes(&looked.local, &switched, &runs, looked.since),
        damaged: looked.damaged,
        pending: looked.pending,
        lineages,
        last_run: last_result::last_run(&runs).cloned(),
        notes,
        survey,
        odd: Vec::new(),
    }
}

/// What the files tell, and nothing else: `before` with the certificates and routes of now.
pub fn disks(settings: &Settings, before: &HostReport) -> HostReport {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let mut report = before.clone();
    for lineage in &mut report.lineages {
        let now = known.usable.iter().find(|known| known.name == lineage.name);
        if let Some(now) = now.and_then(|known| on_disk(&halfway::settled(&known.cert)).ok()) {
            lineage.serial = now.certificate.serial;
            lineage.not_after = now.certificate.not_after;
            lineage.survey.fingerprint = now.fingerprint;
        }
    }
    let Looked { local, damaged, pending, since, .. } = this_host::journalled(settings);
    report.local = local_since::routes(&local, &BTreeMap::new(), &[], since);
    (report.damaged, report.pending) = (damaged, pending);
    report.under_way = under_way(settings);
    report
}

/// The lineages of this host by their files alone.
pub fn known(settings: &Settings) -> Vec<LineageReport> {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let look = Look { settings, order: LookOrder::Survey, known: &known };
    known.usable.iter().filter_map(|lineage| look.lineage(lineage, None).ok()).collect()
}

struct Look<'a> {
    settings: &'a Settings,
    order: LookOrder,
    known: &'a Lineages,
}

/// Who holds the lock, what starts renewals, and what keeps them from going well.
type Health = (Option<Hold>, Option<Vec<String>>, Vec<Finding>);

/// certbot, as far as it was asked.
#[derive(Default)]
struct Certbot {
    version: Option<String>,
    parsed: Option<Version>,
    /// It could be run.
    runs: bool,
    notes: Vec<String>,
}

impl Look<'_> {
    fn health(&self) -> Health {
        if self.order == LookOrder::Survey {
            return Health::default();
        }
        let schedule = reading::schedule(self.settings);
        let vitals = vitals(self.settings, self.known);
        let directory = &self.settings.certbot_directory;
        let broken = self.known.refused.iter().map(|refused| traps::broken(refused, directory));
        let mut findings: Vec<Finding> = broken.collect();
        findings.extend(health::findings(&vitals, clock::now()));
        findings.extend(schedule.unrepaired());
        (vitals.hold, schedule.starts(), findings)
    }

    fn certbot(&self) -> Certbot {
        let Some(program) = this_host::program(self.settings) else { return Certbot::default() };
        if self.order == LookOrder::Status {
            let version = this_host::version(&program);
            let parsed = version.as_deref().and_then(Version::of);
            return Certbot { version, parsed, ..Certbot::default() };
        }
        match this_host::printed_version(&program) {
            Ok(printed) => {
                let version = version::number(&printed).map(str::to_owned);
                let parsed = version.as_deref().and_then(Version::of);
                let odd =
                    || format!("{} --version prints no version: {printed:?}", program.display());
                let notes = parsed.is_none().then(odd).into_iter().collect();
                Certbot { version, parsed, runs: true, notes }
            }
            Err(error) => Certbot { notes: vec![chain(&error)], ..Certbot::default() },
        }
    }

    fn history(&self, notes: &mut Vec<String>) -> (Vec<Run>, BTreeMap<String, Local>) {
        if self.order == LookOrder::Survey {
            return Default::default();
        }
        match file::read(&self.settings.state_directory) {
            Ok(history) => {
                (runs::runs(&history.entries, file::is_alive), runs::local(&history.entries))
            }
            Err(error) => {
                notes.push(chain(&error));
                Default::default()
            }
        }
    }

    fn lineages(
        &self,
        certbot: &Certbot,
        looked: &Looked,
        runs: &[Run],
        notes: &mut Vec<String>,
    ) -> Vec<LineageReport> {
        let (mut found, refused) = (Vec::new(), &self.known.refused);
        if self.order == LookOrder::Survey {
            notes.extend(refused.iter().map(|refused| refused.reason.clone()));
        }
        for lineage in &self.known.usable {
            match self.lineage(lineage, certbot.parsed) {
                Ok(mut report) => {
                    report.last = last_result::of_lineage(runs, &lineage.name, report.renews_from);
                    if self.order == LookOrder::Survey {
                        let files = looked.certificates.as_ref();
                        report.survey.served_here = files.map(|files| is_served(lineage, files));
                    }
                    found.push(report);
                }
                Err(why) => notes.push(format!("{}: {why}", lineage.name)),
            }
        }
        if self.order == LookOrder::Status {
            // What certbot cannot read is served all the same, and expires.
            found.extend(refused.iter().filter_map(|refused| {
                let live = self.settings.certbot_directory.join("live").join(&refused.name);
                Some(on_disk(&live.join("cert.pem")).ok()?.report(&refused.name))
            }));
            found.sort_by(|one, other| one.name.cmp(&other.name));
        }
        found
    }

    fn lineage(
        &self,
        lineage: &Lineage,
        version: Option<Version>,
    ) -> Result<LineageReport, String> {
        let is_survey = self.order == LookOrder::Survey;
        let cert = if is_survey { halfway::settled(&lineage.cert) } else { lineage.cert.clone() };
        let disk = on_disk(&cert)?;
        let survey = is_survey.then(|| LineageSurvey {
            hostnames: disk.certificate.names.clone(),
            server: lineage.server.clone(),
            authenticator: lineage.authenticator.clone(),
            own_hook: lineage.pre_hook.as_ref().is_some_and(|h| h.contains("certbaton-pre-hook")),
            fingerprint: disk.fingerprint.clone(),
            issued: issued(&lineage.cert, clock::now()),
            served_here: None,
        });
        Ok(LineageReport {
            renews_from: renews_from(lineage, &disk.certificate, version),
            automatic: !lineage.is_manual,
            obstacle: this_host::obstacle(lineage),
            survey: survey.unwrap_or_default(),
            ..disk.report(&lineage.name)
        })
    }

    fn survey(&self, certbot: &Certbot, lineages: &[LineageReport]) -> HostSurvey {
        if self.order == LookOrder::Status {
            return HostSurvey::default();
        }
        let lifetime =
            |lineage: &LineageReport| lineage.not_after.duration_since(lineage.not_before);
        let shortest = lineages.iter().map(lifetime).min();
        let directory = self.settings.certbot_directory.join("renewal-hooks");
        let installed = |hook: &&str| host::is_executable(&directory.join(hook).join("certbaton"));
        let traps = certbot.parsed.map(|version| version.traps(shortest));
        let report = || CertbotReport {
            asks_ca: certbot.parsed.is_some_and(Version::asks_the_ca),
            traps: traps
                .map(|traps| traps.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            hooks: HOOKS.iter().copied().filter(installed).map(str::to_owned).collect(),
        };
        let mut directories = BTreeSet::from([
            self.settings.certbot_directory.clone(),
            self.settings.state_directory.to_path_buf(),
            self.settings.runtime_directory.to_path_buf(),
            PathBuf::from("/var/log/letsencrypt"),
        ]);
        directories.extend(self.known.usable.iter().flat_map(this_host::webroots));
        let disks = directories.into_iter().filter_map(|path| {
            let free = host::free(&path).ok()?;
            Some(DiskRoom { path, free })
        });
        HostSurvey {
            addresses: sockets::interface_addresses().unwrap_or_default(),
            certbot: certbot.runs.then(report),
            disks: disks.collect(),
        }
    }
}

/// A certificate that certbot keeps.
struct OnDisk {
    certificate: Certificate,
    names: BTreeSet<String>,
    fingerprint: Option<String>,
}

fn on_disk(cert: &Path) -> Result<OnDisk, String> {
    let pem = files::read_trusted(cert).map_err(|error| chain(&error))?;
    let certificate = certificate::from_pem(&pem).map_err(|error| chain(&error))?;
    let names = certificate::name_set(&pem).map_err(|error| chain(&error))?;
    let expected = ExpectedCertificate::from_pem(&pem, None).ok();
    let fingerprint = expected.and_then(|expected| expected.identity.fingerprint);
    Ok(OnDisk { certificate, names, fingerprint })
}

impl OnDisk {
    /// A lineage by its certificate alone.
    fn report(self, name: &str) -> LineageReport {
        let Certificate { not_before, not_after, serial, issuer, .. } = self.certificate;
        let mut report = LineageReport {
            name: name.to_owned(),
            names: self.names.into_iter().collect(),
            issuer,
            serial,
            not_before,
            not_after,
            days_left: 0,
            renews_from: None,
            automatic: true,
            obstacle: None,
            last: None,
            survey: LineageSurvey::default(),
        };
        report.at(clock::now());
        report
    }
}

/// Whether one of `files`, which the web server names, is a certificate of `lineage`.
fn is_served(lineage: &Lineage, files: &BTreeSet<PathBuf>) -> bool {
    let live = lineage.cert.parent();
    // Some name what the link leads to.
    let real = files::real_path(&lineage.cert).ok();
    let archive = real.as_deref().and_then(Path::parent);
    files.iter().any(|file| file.parent() == live || file.parent() == archive)
}

/// The certificates of the last days that certbot keeps: `archive/NAME/certN.pem`.
fn issued(cert: &Path, now: Timestamp) -> Vec<Issued> {
    let Ok(real) = files::real_path(cert) else { return Vec::new() };
    let Some(directory) = real.parent() else { return Vec::new() };
    let entries = files::list(directory).unwrap_or_default();
    let numbered = |name: &&std::ffi::OsString| {
        let number = name.to_str().and_then(|name| name.strip_prefix("cert")?.strip_suffix(".pem"));
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let certificates = entries.iter().filter(numbered).filter_map(|name| {
        let pem = files::read_trusted(&directory.join(name)).ok()?;
        let Certificate { serial, not_before, .. } = certificate::from_pem(&pem).ok()?;
        let name_set = certificate::name_set(&pem).ok()?;
        let lately = now.duration_since(not_before) < LATELY;
        lately.then_some(Issued { serial, not_before, name_set })
    });
    certificates.collect()
}

/// More than any limit looks back.
const LATELY: SignedDuration = SignedDuration::from_hours(8 * 24);
