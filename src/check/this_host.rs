//! flow: the web server and the certbot of this host, looked at and not touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::apache::server::{self, Inquirer};
use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::files;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::lock;
use crate::base::names::Hostname;
use crate::base::process;
use crate::certbot::halfway;
use crate::certbot::installed;
use crate::certbot::lineages::lineages;
use crate::certbot::renewal_file;
use crate::certbot::version::number;
use crate::check::leftovers;
use crate::check::reading;
use crate::check::uncovered::Uncovered;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::renewal::right;
use crate::switch::apply;
use crate::switch::foreign_reload;
use crate::switch::observe;
use crate::switch::plan;
use crate::switch::report;

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
    /// Names that are switched to this host now.
    pub local: Vec<Hostname>,
    /// Marked lines that somebody changed.
    pub damaged: Vec<String>,
    /// Whether Apache may still serve what is switched no more.
    pub pending: bool,
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
    match look(&mut looked) {
        Ok((seen, said)) => {
            notes.extend(said.iter().map(ToString::to_string));
            looked.since = seen.journal.since;
            looked.local = seen.local.into_iter().map(|route| route.name).collect();
            looked.damaged = seen.damaged.iter().map(ToString::to_string).collect();
            looked.pending = seen.journal.pending;
            looked
        }
        Err(error) => {
            let failure = Some(chain(&error));
            let finding = Some(leftovers::unusable(&error));
            let Looked { local, pending, since, .. } = journalled(settings);
            Looked { failure, finding, local, pending, since, ..looked }
        }
    }
}

/// What the journal tells where Apache does not.
pub fn journalled(settings: &Settings) -> Looked {
    let (journal, _) = apply::read_journal(&settings.state_directory).unwrap_or_default();
    Looked {
        local: journal.local.into_iter().map(|route| route.name).collect(),
        pending: journal.pending,
        since: journal.since,
        ..Looked::default()
    }
}

/// The same of a web server where nothing is switched, unless it was Apache before.
fn foreign(settings: &Settings, server: &WebServer) -> Looked {
    let failure = foreign_reload::test(server).err();
    let finding = failure.as_ref().map(leftovers::broken);
    let (failure, foreign) = (failure.as_ref().map(|e| chain(e)), Some(server.to_string()));
    Looked { failure, finding, foreign, ..journalled(settings) }
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

/// The certbot's version, `2.1.0`, by its package; Python itself is only asked where that does not tell.
pub fn version(program: &Path) -> Option<String> {
    let printed = || Some(number(&printed_version(program).ok()?)?.to_owned());
    installed::version(program).or_else(printed)
}

/// What `certbot --version` prints; it takes Python half a second.
pub fn printed_version(program: &Path) -> Result<String, process::Error> {
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
const VERSION_TIME: Duration = Duration::from_mins(1);
