//! flow: everything about this host that matters to a renewal, looked at and not touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::apache::server::{self, Inquirer};
use crate::base::cause::chain;
use crate::base::certificate::{self, Certificate};
use crate::base::clock::{self, Deadline};
use crate::base::command::{self, Program};
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::lock;
use crate::base::sockets;
use crate::ca::served::ExpectedCertificate;
use crate::certbot::due::due;
use crate::certbot::halfway;
use crate::certbot::installed;
use crate::certbot::lineages::lineages;
use crate::certbot::renewal_file;
use crate::certbot::version::Version;
use crate::check::leftovers;
use crate::check::reading;
use crate::check::uncovered::Uncovered;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::fleet::host_report::HOOKS;
use crate::fleet::host_report::{
    CertbotReport, DiskRoom, HostReport, Issued, LineageReport, Routes,
};
use crate::renewal::right;
use crate::switch::apply;
use crate::switch::foreign_reload;
use crate::switch::observe;
use crate::switch::plan;
use crate::switch::report;

/// Looks at this host.
pub fn survey(settings: &Settings) -> HostReport {
    let mut notes = Vec::new();
    let Looked { failure, routes, certificates, .. } = apache(settings, &mut notes);
    let mut certbot = certbot(settings, &mut notes);
    let version = certbot.as_ref().and_then(|certbot| Version::parse(&certbot.version));
    let now = clock::now();
    let mut found = Vec::new();
    match lineages(&settings.certbot_directory) {
        Err(error) => notes.push(chain(&error)),
        Ok(known) => {
            notes.extend(known.refused.into_iter().map(|refused| refused.reason));
            for lineage in known.usable {
                match describe(&lineage, version, now) {
                    Ok(mut described) => {
                        described.0.served_here = certificates.as_ref().map(|certificates| {
                            let live = lineage.cert.parent();
                            // Some name what the link leads to.
                            let real = files::real_path(&lineage.cert).ok();
                            let archive = real.as_deref().and_then(Path::parent);
                            certificates
                                .iter()
                                .any(|file| file.parent() == live || file.parent() == archive)
                        });
                        found.push((described, lineage));
                    }
                    Err(why) => notes.push(format!("{}: {why}", lineage.name)),
                }
            }
        }
    }
    let shortest = found.iter().map(|((_, lifetime), _)| *lifetime).min();
    if let (Some(certbot), Some(version)) = (&mut certbot, version) {
        certbot.traps = version.traps(shortest).iter().map(ToString::to_string).collect();
    }
    let mut directories = BTreeSet::from([
        settings.certbot_directory.clone(),
        settings.state_directory.to_path_buf(),
        settings.runtime_directory.to_path_buf(),
        PathBuf::from("/var/log/letsencrypt"),
    ]);
    directories.extend(found.iter().flat_map(|(_, lineage)| webroots(lineage)));
    let disks = directories.into_iter().filter_map(|path| {
        let free = host::free(&path).ok()?;
        Some(DiskRoom { path, free })
    });
    HostReport {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: sockets::interface_addresses().unwrap_or_default(),
        apache: failure,
        routes,
        under_way: under_way(settings),
        certbot,
        disks: disks.collect(),
        lineages: found.into_iter().map(|((lineage, _), _)| lineage).collect(),
        notes,
        odd: Vec::new(),
        clock: clock::now(),
    }
}

/// What the files tell, and nothing else: `before` with the certificates and routes of now.
pub fn disks(settings: &Settings, before: &HostReport) -> HostReport {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let mut report = before.clone();
    for lineage in &mut report.lineages {
        let read = || {
            let cert = &known.usable.iter().find(|known| known.name == lineage.name)?.cert;
            let pem = files::read_trusted(&halfway::settled(cert)).ok()?;
            let fingerprint = ExpectedCertificate::from_pem(&pem, None).ok()?.identity.fingerprint;
            Some((certificate::from_pem(&pem).ok()?, fingerprint))
        };
        if let Some((current, fingerprint)) = read() {
            lineage.serial = current.serial;
            lineage.not_after = current.not_after;
            lineage.fingerprint = fingerprint;
        }
    }
    report.routes = journalled(settings, Looked::default()).routes;
    report.under_way = under_way(settings);
    report
}

/// Whether a renewal holds this host's lease. Looking takes it for a moment, which a keeper waits out.
pub fn under_way(settings: &Settings) -> bool {
    let path = right::lease_lock(&settings.runtime_directory);
    files::exists(&path) && matches!(lock::attempt(&path), Ok(None))
}

/// Apache and the routes, as they were found.
#[derive(Debug, Default)]
pub struct Looked {
    /// Why Apache cannot be used.
    pub failure: Option<String>,
    /// The same as what is wrong.
    pub finding: Option<Finding>,
    /// Who answers the challenges.
    pub routes: Routes,
    /// When Apache last loaded its configuration.
    pub loaded: Option<Timestamp>,
    /// When routes were last switched, by the journal.
    pub since: Option<Timestamp>,
    /// Who can be asked for more.
    pub inquirer: Option<Inquirer>,
    /// The web server, if it is not Apache.
    pub foreign: Option<String>,
    /// The certificate files that Apache serves; none where it cannot be asked.
    pub certificates: Option<BTreeSet<PathBuf>>,
    /// Names of its vhosts that their certificates lack.
    pub uncovered: Vec<Uncovered>,
}

/// Why Apache cannot be used, and who answers the challenges.
pub fn apache(settings: &Settings, notes: &mut Vec<String>) -> Looked {
    if let Some(server) = &settings.web_server {
        return foreign(settings, server);
    }
    let mut looked = Looked::default();
    let look = |looked: &mut Looked| -> Result<_, report::Error> {
        let (journal, said) = apply::read_journal(&settings.state_directory)?;
        let server = server::find(settings.pid_file.as_deref())?;
        looked.inquirer = Some(server.inquirer().clone());
        let seen = observe::observe(&server, journal)?;
        looked.certificates = Some(plan::certificates(&seen.user));
        let known = lineages(&settings.certbot_directory).unwrap_or_default();
        let files = reading::lineage_files(&known);
        looked.uncovered = reading::uncovered(&seen, &known, &files, &BTreeSet::new());
        looked.loaded = server.loaded_at(Path::new(&seen.user.pid_file)).ok();
        Ok((seen, said))
    };
    let routes = match look(&mut looked) {
        Ok((seen, said)) => {
            notes.extend(said.iter().map(ToString::to_string));
            looked.since = seen.journal.since;
            Routes {
                local: seen.local.into_iter().map(|route| route.name).collect(),
                damaged: seen.damaged.iter().map(ToString::to_string).collect(),
                pending: seen.journal.pending,
            }
        }
        Err(error) => {
            looked.failure = Some(chain(&error));
            looked.finding = Some(leftovers::unusable(&error));
            return journalled(settings, looked);
        }
    };
    Looked { routes, ..looked }
}

/// Apache does not tell; the journal does.
fn journalled(settings: &Settings, looked: Looked) -> Looked {
    let (journal, _) = apply::read_journal(&settings.state_directory).unwrap_or_default();
    let routes = Routes {
        local: journal.local.into_iter().map(|route| route.name).collect(),
        damaged: Vec::new(),
        pending: journal.pending,
    };
    Looked { routes, since: journal.since, ..looked }
}

/// The same of a web server where nothing is switched, unless it was Apache before.
fn foreign(settings: &Settings, server: &WebServer) -> Looked {
    let failure = foreign_reload::test(server).err();
    let finding = failure.as_ref().map(leftovers::broken);
    let (failure, foreign) = (failure.as_ref().map(|e| chain(e)), Some(server.to_string()));
    journalled(settings, Looked { failure, finding, foreign, ..Looked::default() })
}

/// The certbot of this host: the configured one, else the one that renews its files.
pub fn program(settings: &Settings) -> Option<PathBuf> {
    settings.certbot_program.clone().or_else(|| installed::program(&settings.certbot_directory))
}

/// How certbot is run: its output line by line, although nobody's terminal is there.
pub fn run_of(program: &Path) -> Program {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";
    let environment = [("PATH", path), ("LANG", "C.UTF-8"), ("PYTHONUNBUFFERED", "1")];
    Program {
        path: program.to_owned(),
        arguments: Vec::new(),
        environment: environment.map(|(key, value)| (key.into(), value.into())).to_vec(),
        directory: "/".into(),
    }
}

fn certbot(settings: &Settings, notes: &mut Vec<String>) -> Option<CertbotReport> {
    let program = program(settings)?;
    let version = match printed_version(&program) {
        Ok(version) => version,
        Err(error) => {
            notes.push(chain(&error));
            return None;
        }
    };
    let parsed = Version::parse(&version);
    if parsed.is_none() {
        notes.push(format!("{} --version prints no version: {version:?}", program.display()));
    }
    let directory = settings.certbot_directory.join("renewal-hooks");
    let installed = |hook: &&str| host::is_executable(&directory.join(hook).join("certbaton"));
    let hooks = HOOKS.iter().copied().filter(installed).map(str::to_owned).collect();
    let asks_ca = parsed.is_some_and(Version::asks_the_ca);
    Some(CertbotReport { program, version, asks_ca, traps: Vec::new(), hooks })
}

/// What `certbot --version` prints; it takes Python half a second.
pub fn printed_version(program: &Path) -> Result<String, command::Error> {
    let mut run = run_of(program);
    run.arguments.push("--version".into());
    let output = run.run(&Deadline::after(VERSION_TIME))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

/// Why a lineage cannot be renewed now.
pub fn obstacle(lineage: &renewal_file::Lineage) -> Option<String> {
    webroots(lineage).into_iter().filter(|_| lineage.is_webroot()).find_map(|path| {
        if !files::exists(&path) {
            Some(format!("its webroot {} is not there", path.display()))
        } else if !host::is_writable(&path) {
            Some(format!("its webroot {} cannot be written to", path.display()))
        } else {
            None
        }
    })
}

/// Where certbot puts the files of a lineage.
pub fn webroots(lineage: &renewal_file::Lineage) -> BTreeSet<PathBuf> {
    let of = lineage.names.iter().filter_map(|name| lineage.webroot_of(name));
    of.map(|webroot| webroot.as_path().to_owned()).collect()
}

/// A lineage in words, and its certificate's lifetime.
fn describe(
    lineage: &renewal_file::Lineage,
    version: Option<Version>,
    now: Timestamp,
) -> Result<(LineageReport, SignedDuration), String> {
    let cert = halfway::settled(&lineage.cert);
    let pem = files::read_trusted(&cert).map_err(|error| chain(&error))?;
    let current = certificate::from_pem(&pem).map_err(|error| chain(&error))?;
    let name_set = certificate::name_set(&pem).map_err(|error| chain(&error))?;
    let own_hook =
        lineage.pre_hook.as_ref().is_some_and(|hook| hook.contains("certbaton-pre-hook"));
    let described = LineageReport {
        name: lineage.name.clone(),
        names: current.names.clone(),
        name_set,
        server: lineage.server.clone(),
        authenticator: lineage.authenticator.clone(),
        obstacle: obstacle(lineage),
        own_hook,
        serial: current.serial.clone(),
        fingerprint: ExpectedCertificate::from_pem(&pem, None)
            .ok()
            .and_then(|disk| disk.identity.fingerprint),
        not_after: current.not_after,
        due: due(lineage, &current, version, now),
        issued: issued(&lineage.cert, now),
        served_here: None,
    };
    Ok((described, current.not_after.duration_since(current.not_before)))
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

/// The lineages of this host by their files alone.
pub fn known(settings: &Settings) -> Vec<LineageReport> {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let now = clock::now();
    let described = |lineage| Some(describe(&lineage, None, now).ok()?.0);
    known.usable.into_iter().filter_map(described).collect()
}

/// The serial number of each lineage's certificate now.
pub fn serials(settings: &Settings) -> Vec<(String, String)> {
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    let serial = |lineage: renewal_file::Lineage| {
        let pem = files::read_trusted(&halfway::settled(&lineage.cert)).ok()?;
        Some((lineage.name, certificate::from_pem(&pem).ok()?.serial))
    };
    known.usable.into_iter().filter_map(serial).collect()
}

/// For Python to start, on a small machine that is busy.
pub const VERSION_TIME: Duration = Duration::from_mins(1);

/// More than any limit looks back.
const LATELY: SignedDuration = SignedDuration::from_hours(8 * 24);
