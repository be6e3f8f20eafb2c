//! flow: `certbaton init`: from what is on a host to one of two that share a lease.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::files;
use crate::base::files::displace::{self, State};
use crate::base::names::{HostLabel, Hostname};
use crate::base::sockets;
use crate::ca::dns::Nameservers;
use crate::check::admission::called;
use crate::check::door;
use crate::config::context::Context;
use crate::config::{self, Settings};
use crate::renewal::right;
use crate::setup::configuration::Pair;
use crate::setup::consent::{Consent, Person};
use crate::setup::discovered::Unserved;
use crate::setup::error::Error;
use crate::setup::keys::{self, CallerKey};
use crate::setup::ledger::Ledger;
use crate::setup::manifest::Manifest;
use crate::setup::payload::ProgramDirectory;
use crate::setup::perform::{SetupOutcome, Work, is_held, perform};
use crate::setup::role::{Doubt, Role};
use crate::setup::wanted::{Text, Wanted};
use crate::setup::{discovered, install, machine, openssh};

mod home;

pub use home::{HomeOptions, home};

/// What both roles are told.
#[derive(Debug)]
pub struct InitCall<'a> {
    /// As things are, and the running program.
    pub context: &'a Context,
    /// Whether changes are made.
    pub consent: Consent,
    /// What the vps is called.
    pub vps: HostLabel,
    /// What home is called.
    pub home: HostLabel,
    /// Whether it may be another role than the configuration or DNS has this host in.
    pub change_role: bool,
}

/// How it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What is left to be done here.
    pub next: NextStep,
    /// What to say when that is done: the next step, elsewhere.
    pub last: Option<String>,
}

/// What is left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Look at everything: `check`.
    Check,
    /// A line has to be pasted on the other side first.
    Paste,
    /// The first certificate.
    Certificate,
    /// It was only shown.
    Nothing,
}

/// Makes this host the arbiter; `caller` may call it then.
pub fn vps(
    call: &InitCall<'_>,
    caller: Option<&CallerKey>,
    person: &mut dyn Person,
) -> Result<Ended, Error> {
    let Begun { mut work, programs, manifest, has_lineages, first } =
        begin(call, Role::Vps, person)?;
    match machine::account() {
        Some(account) if account.home != Path::new(machine::ACCOUNT_HOME) => {
            return Err(Error::ForeignAccount(account.home));
        }
        None if !work.account => return Err(Error::NoAccount),
        _ => {}
    }
    let home = caller.map_or(&call.home, |caller| &caller.name);
    let pair = Pair { vps: call.vps.clone(), home: home.clone(), way: None };
    let settings = configure(&mut work, &pair, &manifest)?;
    let caller = caller.map(|caller| (caller, programs.program("certbaton")));
    admit(&mut work, &call.context.settings, &settings, caller, &manifest)?;
    let outcome = perform(&call.context.settings, person, call.consent, &work, None)?;
    let has_caller = files::exists(&door::authorized_keys());
    let kept_out = door::kept_out();
    if outcome == SetupOutcome::Rehearsed {
        let told = kept_out.map(|why| format!("sshd does not let the user certbaton in: {why}\n"));
        person.tell(&told.unwrap_or_default());
        return Ok(Ended { next: NextStep::Nothing, last: None });
    }
    if let Some(why) = kept_out {
        return Err(Error::KeptOut(why));
    }
    let next = if has_lineages { NextStep::Check } else { NextStep::Certificate };
    let last = if !has_caller {
        format!("\nnow on {}:\n{}\n", call.home, home_line(call))
    } else if has_lineages {
        format!("\nnow on {home}:\ncertbaton check\n")
    } else {
        first
    };
    Ok(Ended { next, last: Some(last) })
}

/// How the first certificates are had, a line each: the directory hooks of some certbots do not run for a new one.
fn first_certificates(
    certbot: &Path,
    unserved: &[Unserved],
    programs: &ProgramDirectory,
) -> String {
    let command = |webroot: &Path, names: &[&str]| {
        let mut words = vec![certbot.display().to_string(), "certonly".into(), "--webroot".into()];
        words.extend(["-w".into(), webroot.display().to_string()]);
        words.extend(names.iter().flat_map(|name| ["-d".to_owned(), (*name).to_owned()]));
        for kind in ["pre", "deploy", "post"] {
            let program = programs.program(&format!("certbaton-{kind}-hook"));
            words.extend([format!("--{kind}-hook"), program]);
        }
        openssh::quoted(&words) + "\n"
    };
    let known = unserved.iter().take(FIRST).map(|vhost| {
        let names: Vec<&str> = vhost.names.iter().map(Hostname::as_str).collect();
        command(&vhost.webroot, &names)
    });
    let known: String = known.collect();
    if known.is_empty() {
        let command = command(Path::new("/var/www/html"), &["NAME"]);
        return format!("\nnow the first certificate, with your directory and names:\n{command}");
    }
    let more = unserved.len().saturating_sub(FIRST);
    let more = if more == 0 { String::new() } else { format!(", and likewise for {more} more") };
    format!("\nnow the first certificates, by the vhosts that are here{more}:\n{known}")
}

/// The command for home, with this host's own fingerprint in it.
fn home_line(call: &InitCall<'_>) -> String {
    let key = files::read_foreign(Path::new(HOST_KEY)).unwrap_or_default();
    let key = keys::host_keys(&format!("x {}", String::from_utf8_lossy(&key))).into_iter().next();
    let own = machine::own_name().unwrap_or_else(|| "HOST".to_owned());
    let mut words = vec!["certbaton", "init", "--role", "home", "--vps", &own];
    let fingerprint = key.map(|key| key.fingerprint().to_string());
    words.extend(fingerprint.iter().flat_map(|print| ["--host-key", print]));
    if call.vps.as_str() != "vps" {
        words.extend(["--vps-name", call.vps.as_str()]);
    }
    openssh::quoted(&words)
}

/// Looks at the host, and begins with what an installation lacks.
fn begin(call: &InitCall<'_>, role: Role, person: &mut dyn Person) -> Result<Begun, Error> {
    if let Some(now) =
        Role::of(&call.context.settings).filter(|now| *now != role && !call.change_role)
    {
        return Err(Error::OtherRole { now, wanted: role });
    }
    if is_held(&right::lease_lock(&call.context.settings.runtime_directory))? {
        return Err(Error::UnderWay("a renewal is under way on this host".into()));
    }
    let programs = install::programs(&call.context.program)?;
    let ledger = Ledger::open(&call.context.settings.state_directory)?;
    let found = discovered::find(&call.context.settings)?;
    person.tell(&found.to_string());
    let names = found.lineages.iter().flat_map(|lineage| &lineage.names);
    let names = names.chain(found.unserved.iter().flat_map(|vhost| &vhost.names));
    if let Some(doubt) = doubt(role, names).filter(|_| !call.change_role) {
        if call.consent == Consent::Given {
            return Err(Error::Doubtful(doubt, role));
        }
        person.tell(&format!("warning: {doubt}\n"));
    }
    let has_lineages = !found.lineages.is_empty();
    found.switch.map_err(Error::Unswitchable)?;
    let mut work = install::work(&call.context.settings, &programs, &ledger.manifest)?;
    work.changes.extend(found.adoption.changes);
    let first = first_certificates(&found.certbot, &found.unserved, &programs);
    Ok(Begun { work, programs, manifest: ledger.manifest, has_lineages, first })
}

/// What every set-up begins with.
struct Begun {
    work: Work,
    programs: ProgramDirectory,
    manifest: Manifest,
    has_lineages: bool,
    /// What to run if there are none.
    first: String,
}

/// What DNS says against `role`; where it does not answer in time, nothing.
fn doubt<'a>(role: Role, names: impl Iterator<Item = &'a Hostname>) -> Option<Doubt> {
    let servers = Nameservers::system().ok()?;
    let own = sockets::interface_addresses().ok()?;
    let deadline = Deadline::after(DNS_TIME);
    names.take(ASKED_NAMES).find_map(|name| {
        let ipv4 = servers.ipv4(name, &deadline).ok()?.records().into_iter().map(IpAddr::from);
        let ipv6 = servers.ipv6(name, &deadline).ok()?.records().into_iter().map(IpAddr::from);
        let addresses: Vec<IpAddr> = ipv4.chain(ipv6).collect();
        let rather = Role::seen(&addresses, &own).filter(|seen| *seen != role)?;
        Some(Doubt { name: name.clone(), rather })
    })
}

/// Who may call this host: `caller`, by that program of ours, and no host that leaves the
/// configuration, nor what this one is called now.
fn admit(
    work: &mut Work,
    before: &Settings,
    after: &Settings,
    caller: Option<(&CallerKey, String)>,
    manifest: &Manifest,
) -> Result<(), Error> {
    let path = door::authorized_keys();
    let now = text(&path)?;
    let is_host = |name: &HostLabel| {
        after.name.as_ref() != Some(name) && after.hosts.iter().any(|host| host.name == *name)
    };
    let known = before.hosts.iter().map(|host| &host.name).chain(&after.name);
    let gone: Vec<HostLabel> = known.filter(|name| !is_host(name)).cloned().collect();
    let left = keys::without(&now, &gone);
    let cut_off = now.lines().filter_map(called).filter(|name| gone.contains(name));
    let mut why: Vec<String> =
        cut_off.map(|name| format!("{name} may not call any more")).collect();
    let Some((caller, program)) = caller else {
        return if why.is_empty() {
            Ok(())
        } else {
            work.add(merged(path, left, why.join("; ")), manifest, false)
        };
    };
    let may = "may ask for the lease and coordinate, and nothing else";
    why.insert(0, format!("{} {may}", caller.name));
    let bytes = keys::authorized_keys(&left, caller, &program);
    work.add(merged(path, bytes, why.join("; ")), manifest, false)
}

/// The configuration file, and what it says then.
fn configure(work: &mut Work, pair: &Pair, manifest: &Manifest) -> Result<Settings, Error> {
    let path = Path::new(config::DEFAULT_PATH);
    let state = displace::state(path)?;
    let bytes = match &state {
        State::File { .. } if !manifest.is_ours(path, &state) => {
            pair.merged(config::DEFAULT_PATH, &text(path)?)?
        }
        _ => pair.text(),
    };
    let settings = Settings::parse(config::DEFAULT_PATH, &bytes)?;
    let why = format!("this host is {}, and {} grants the lease", pair.own(), pair.vps);
    work.add(merged(path.to_owned(), bytes, why), manifest, false)?;
    Ok(settings)
}

fn merged(path: std::path::PathBuf, text: String, why: String) -> Wanted {
    Wanted { path, bytes: text.into_bytes(), mode: 0o644, why, text: Text::Merged }
}

/// The text of a file of ours; nothing if it is not there.
fn text(path: &Path) -> Result<String, Error> {
    match files::read_trusted(path) {
        Err(error) if error.is_missing() => Ok(String::new()),
        bytes => {
            let problem = "it is not UTF-8".to_owned();
            let not_text = |_| Error::OwnKey { path: path.to_owned(), problem };
            String::from_utf8(bytes?).map_err(not_text)
        }
    }
}

/// For all answers about the role.
const DNS_TIME: Duration = Duration::from_secs(5);

/// More of them say the same.
const ASKED_NAMES: usize = 5;

/// As many of the first certificates are written out.
const FIRST: usize = 5;

/// Where sshd has the key that home pins.
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key.pub";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certificates_are_whole_lines_with_the_names_that_are_here() {
        let programs = ProgramDirectory::parse(Path::new("/usr/bin")).unwrap();
        let unserved = |name: &str| Unserved {
            names: vec![Hostname::parse(name).unwrap(), Hostname::parse("www.x.example").unwrap()],
            webroot: "/srv/it's".into(),
        };
        let certbot = Path::new("/opt/certbot/bin/certbot");
        let hooks = "--pre-hook /usr/bin/certbaton-pre-hook --deploy-hook /usr/bin/certbaton-deploy-hook --post-hook /usr/bin/certbaton-post-hook";
        assert_eq!(
            first_certificates(certbot, &[unserved("a.example")], &programs),
            format!(
                "\nnow the first certificates, by the vhosts that are here:\n/opt/certbot/bin/certbot certonly --webroot -w '/srv/it'\\''s' -d a.example -d www.x.example {hooks}\n"
            )
        );
        let many: Vec<Unserved> = (0..7).map(|n| unserved(&format!("n{n}.example"))).collect();
        let text = first_certificates(certbot, &many, &programs);
        assert_eq!(text.matches(" certonly ").count(), FIRST, "{text}");
        assert!(text.contains("that are here, and likewise for 2 more:\n"), "{text}");
        let text = first_certificates(certbot, &[], &programs);
        assert!(text.ends_with(&format!("-w /var/www/html -d NAME {hooks}\n")), "{text}");
    }
}
