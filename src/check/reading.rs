//! flow: reads what certbot's files, its hooks, systemd and cron say, each once and within a bounded time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;

use crate::apache::server::Server;
use crate::base::certificate::{self, Certificate};
use crate::base::clock::{self, Deadline};
use crate::base::command::Program;
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::names::Hostname;
use crate::base::process;
use crate::certbot::configobj;
use crate::certbot::ini::{self, Setting};
use crate::certbot::installed;
use crate::certbot::lineages::{self, Lineages};
use crate::certbot::old_hook::{self, is_ours, lines, program};
use crate::certbot::saved_hooks::{self, Stage};
use crate::certbot::version::{Version, number};
use crate::check::directive::Texts;
use crate::check::hooks::{self, HookFile, Script};
use crate::check::schedule::{self, CronLine, Schedule};
use crate::check::this_host;
use crate::check::tls::{Disk, Files, OnDisk};
use crate::check::traps::{self, DirectoryFault, RenewalFile};
use crate::check::uncovered::{self, Uncovered};
use crate::config::Settings;
use crate::switch::observe::Observation;

/// What is wrong with certbot's files, its hooks and what starts it. `server` is Apache, if it runs.
pub fn certbot(
    settings: &Settings,
    known: &Lineages,
    server: Option<&Server>,
    schedule: &Schedule,
) -> Vec<Finding> {
    let directory = &settings.certbot_directory;
    let now = clock::now();
    let mut found: Vec<Finding> =
        known.refused.iter().map(|refused| traps::broken(refused, directory)).collect();
    let (renewals, lifetimes) = renewals(directory, known);
    let hook_files = hook_files(directory);
    let working: BTreeSet<Stage> =
        hook_files.iter().filter(|hook| hook.is_run()).map(|hook| hook.stage).collect();
    let user = server.and_then(apache_user);
    let fault = |webroot: &Path| fault(webroot, user.as_ref());
    let month = SignedDuration::from_hours(30 * 24);
    let shortest = lifetimes.into_iter().min();
    let is_short = shortest.is_some_and(|lifetime| lifetime <= month);
    let is_odd = |renewal: &RenewalFile| !renewal.lineage.is_webroot() || renewal.lineage.is_manual;
    let matters = is_short
        || schedule.cron.iter().any(|line| line.text.contains("certonly"))
        || renewals.iter().any(is_odd);
    let version = matters.then(|| version(settings)).flatten();
    for renewal in &renewals {
        found.extend(traps::traps(renewal, &working, now, version));
        found.extend(traps::webroots(renewal, &fault));
    }
    found.extend(traps::together(&renewals));
    found.extend(hook_files.iter().filter_map(|hook| hook.ignored(text)));
    let has_webroot = renewals.iter().any(|renewal| renewal.lineage.is_webroot());
    let mut scripts = scripts(directory, &hook_files, &renewals);
    for file in options_files(directory) {
        let Some(text) = text(&file) else { continue };
        found.extend(traps::options(&file, &text));
        scripts.extend(option_hooks(&file, &text));
    }
    found.extend(scripts.iter().filter_map(|script| hooks::meddling(script, has_webroot)));
    found.extend(schedule.findings(version));
    if let Some(version) = version.filter(|_| is_short) {
        let always = version.traps(None);
        let traps = version.traps(shortest).into_iter();
        found.extend(traps.filter(|trap| !always.contains(trap)));
    }
    found
}

/// What starts renewals here, and what repairs after them.
pub fn schedule(settings: &Settings) -> Schedule {
    let hook = settings.certbot_directory.join("renewal-hooks/pre/certbaton");
    Schedule {
        has_systemd: files::exists(Path::new("/run/systemd/system")),
        units: units(),
        cron: cron(),
        certbots: installed::all().iter().map(|path| path.display().to_string()).collect(),
        is_hooked: host::is_executable(&hook),
    }
}

/// The renewal files, and how long their certificates live.
fn renewals(directory: &Path, known: &Lineages) -> (Vec<RenewalFile>, Vec<SignedDuration>) {
    let mut lifetimes = Vec::new();
    let renewal = |lineage: &crate::certbot::renewal_file::Lineage| {
        let path = directory.join("renewal").join(format!("{}.conf", lineage.name));
        let entries = configobj::parse(&files::read_trusted(&path).ok()?).ok()?;
        let pem = files::read_trusted(&lineage.cert).ok()?;
        let Certificate { not_before, not_after, .. } = certificate::from_pem(&pem).ok()?;
        let name_set = certificate::name_set(&pem).ok()?;
        lifetimes.push(not_after.duration_since(not_before));
        Some(RenewalFile { path, entries, lineage: lineage.clone(), name_set, not_after })
    };
    let read = known.usable.iter().filter_map(renewal).collect();
    (read, lifetimes)
}

/// Where root's certbot reads its options from.
pub(crate) fn options_files(directory: &Path) -> [PathBuf; 2] {
    [directory.join("cli.ini"), PathBuf::from("/root/.config/letsencrypt/cli.ini")]
}

/// The files below renewal-hooks.
pub(crate) fn hook_files(directory: &Path) -> Vec<HookFile> {
    let mut found = Vec::new();
    for stage in Stage::ALL {
        let directory = directory.join("renewal-hooks").join(stage.directory());
        for name in files::list(&directory).unwrap_or_default() {
            let path = directory.join(&name);
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden || files::list(&path).is_ok() || !files::exists(&path) {
                continue;
            }
            let is_executable = host::is_executable(&path);
            found.push(HookFile { stage, path, is_executable });
        }
    }
    found
}

/// Everybody's hooks but our own: files, saved commands, and the scripts that those name.
fn scripts(directory: &Path, hook_files: &[HookFile], renewals: &[RenewalFile]) -> Vec<Script> {
    let mut found = Vec::new();
    for HookFile { stage, path, .. } in hook_files.iter().filter(|hook| hook.is_run()) {
        let text = text(path).filter(|text| !is_ours(text));
        found.extend(text.map(|text| Script {
            stage: *stage,
            file: path.clone(),
            line: None,
            text,
        }));
    }
    for renewal in renewals {
        for (stage, key, command) in renewal.hooks().filter(|(.., text)| !is_ours(text)) {
            let (file, line) = (renewal.path.clone(), Some(renewal.place(key)));
            found.push(Script { stage, file, line, text: command.to_owned() });
            let named = program(command).filter(|path| !path.starts_with(directory));
            let Some((path, text)) = named.and_then(|path| Some((path, text(path)?))) else {
                continue;
            };
            found.push(Script { stage, file: path.to_owned(), line: None, text });
        }
    }
    found
}

/// The hooks of a cli.ini.
fn option_hooks(file: &Path, text: &str) -> Vec<Script> {
    // Of one that is there twice, certbot's parser takes the last, as this does.
    let used = ini::parse(text).into_iter().filter(|option| !is_ours(&option.value));
    let script = |option: Setting| {
        let (stage, line) = (Stage::of(&option.key)?, Some(file.display().to_string()));
        Some(Script { stage, file: file.to_owned(), line, text: option.value })
    };
    used.filter_map(script).collect()
}

/// Whether an old hook is here, in use or out of it: among the files of renewal-hooks, or named by one, or
/// commented out by `init`.
pub(crate) fn has_old_hook(directory: &Path) -> bool {
    let saved = lineages::renewal_files(directory).unwrap_or_default().into_iter();
    let mut saved = saved.chain(options_files(directory)).filter_map(|path| text(&path));
    if saved.any(|text| saved_hooks::put_back(text.as_bytes()).is_some()) {
        return true;
    }
    hook_files(directory).iter().filter_map(|hook| text(&hook.path)).any(|whole| {
        let mut named = whole.lines().filter_map(program).filter_map(text);
        let toggles =
            |text: &str| !is_ours(text) && lines(text).any(|(_, line)| old_hook::toggles(line));
        toggles(&whole) || named.any(|text| toggles(&text))
    })
}

/// A text that a person could have written.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = files::read_foreign(path).ok()?;
    let is_text = bytes.len() <= LONGEST && !bytes.contains(&0);
    is_text.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// User and groups of Apache's children.
fn apache_user(server: &Server) -> Option<(u32, Vec<u32>)> {
    let child = process::children(server.process().pid).ok()?.into_iter().next()?;
    let status = files::read_kernel(&format!("{}/status", child.pid)).ok()?;
    let status = String::from_utf8_lossy(&status).into_owned();
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
    };
    let user = numbers("Uid:").get(1).copied()?;
    Some((user, [numbers("Gid:"), numbers("Groups:")].concat()))
}

fn fault(webroot: &Path, user: Option<&(u32, Vec<u32>)>) -> Option<DirectoryFault> {
    if !files::exists(webroot) {
        return Some(DirectoryFault::Missing);
    }
    if !host::is_writable(webroot) {
        return Some(DirectoryFault::ReadOnly);
    }
    let (user, groups) = user?;
    let real = files::real_path(webroot).ok()?;
    let below = real.join(".well-known/acme-challenge");
    let mut way: Vec<&Path> = below.ancestors().collect();
    way.reverse();
    let closed = way.into_iter().find(|path| !host::can_enter(path, *user, groups))?;
    Some(DirectoryFault::Closed(closed.to_owned()))
}

fn units() -> Vec<schedule::Unit> {
    let known = ["/usr/bin/systemctl", "/bin/systemctl"].map(PathBuf::from);
    let Some(path) = known.into_iter().find(|path| host::is_executable(path)) else {
        return Vec::new();
    };
    let properties = "--property=Id,LoadState,ActiveState,SubState,UnitFileState,DropInPaths";
    let arguments = ["show", properties].into_iter().chain(schedule::UNITS);
    let program = Program {
        path,
        arguments: arguments.map(Into::into).collect(),
        environment: vec![("LANG".into(), "C".into())],
        directory: "/".into(),
    };
    // Without systemd it fails, and there is no unit.
    let output = program.run(&Deadline::after(PATIENCE)).ok().filter(|o| o.status.success());
    output.map_or_else(Vec::new, |o| schedule::units(&String::from_utf8_lossy(&o.stdout)))
}

fn cron() -> Vec<CronLine> {
    let read = cron_texts().into_iter();
    read.flat_map(|(file, text)| schedule::cron_lines(&file, &text).collect::<Vec<_>>()).collect()
}

/// What runs at its time: the files of cron and the units that this host's owner wrote.
pub(crate) fn schedules() -> Vec<(PathBuf, String)> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let names = files::list(directory).unwrap_or_default();
        names.into_iter().map(|name| directory.join(name)).collect()
    };
    let units = below(Path::new("/etc/systemd/system"));
    let drop_ins = units.iter().filter(|path| path.extension().is_some_and(|e| e == "d"));
    let all: Vec<PathBuf> = drop_ins.flat_map(|path| below(path)).chain(units.clone()).collect();
    let read = all.into_iter().filter_map(|file| Some((file.clone(), text(&file)?)));
    read.chain(cron_texts()).collect()
}

fn cron_texts() -> Vec<(PathBuf, String)> {
    let single = ["/etc/crontab", "/var/spool/cron/crontabs/root", "/var/spool/cron/root"];
    let directories = [
        "/etc/cron.d",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/etc/cron.weekly",
        "/etc/cron.monthly",
    ];
    // cron(8) and run-parts(8) pass over names with a dot, a tilde, a hash.
    let is_read = |name: &std::ffi::OsString| {
        name.as_encoded_bytes()
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let listed = directories.map(PathBuf::from).into_iter().flat_map(|directory| {
        let names = files::list(&directory).unwrap_or_default().into_iter().filter(is_read);
        names.map(move |name| directory.join(name)).collect::<Vec<_>>()
    });
    let all = single.map(PathBuf::from).into_iter().chain(listed);
    all.filter_map(|file| Some((file.clone(), text(&file)?))).collect()
}

fn version(settings: &Settings) -> Option<Version> {
    Version::of(number(&this_host::printed_version(&this_host::program(settings)?).ok()?)?)
}

/// The files of the lineages as Apache may name them.
pub fn lineage_files(known: &Lineages) -> Vec<Files> {
    let read = |lineage: &crate::certbot::renewal_file::Lineage| {
        let pem = files::read_trusted(&lineage.cert).ok()?;
        Some(Files {
            name: lineage.name.clone(),
            live: lineage.fullchain.parent()?.to_owned(),
            cert: files::real_path(&lineage.cert).ok()?,
            fullchain: files::real_path(&lineage.fullchain).ok()?,
            serial: certificate::from_pem(&pem).ok()?.serial,
        })
    };
    known.usable.iter().filter_map(read).collect()
}

/// The names that a vhost has beside those of `known`, whose files are `files`, and that its
/// certificate lacks; of those of `asked` whichever vhost has them.
pub fn uncovered(
    observed: &Observation,
    known: &Lineages,
    files: &[Files],
    asked: &BTreeSet<Hostname>,
) -> Vec<Uncovered> {
    let texts = Texts { documents: &observed.documents, blocks: &observed.blocks };
    let renewed = known.usable.iter().flat_map(|lineage| lineage.names.iter().cloned()).collect();
    uncovered::uncovered(&observed.user, &texts, asked, (files, &renewed), &RealDisk)
}

/// The disk itself.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn certificate(&self, path: &Path) -> Option<OnDisk> {
        let pem = files::read_foreign(path).ok()?;
        Some(OnDisk {
            serial: certificate::from_pem(&pem).ok()?.serial,
            names: certificate::name_set(&pem).ok()?,
            real: files::real_path(path).ok()?,
            written: files::modified(path).ok()?,
        })
    }

    fn belong_together(&self, certificate: &Path, key: &Path) -> Option<bool> {
        let read = |path: &Path| files::read_foreign(path).ok();
        certificate::key_matches(&read(certificate)?, &read(key)?).ok()
    }

    fn is_broken(&self, certificates: &Path) -> bool {
        files::read_foreign(certificates).is_ok_and(|pem| certificate::all_readable(&pem).is_err())
    }
}

/// For systemd to answer, on a small machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer is no script.
const LONGEST: usize = 256 * 1024;
