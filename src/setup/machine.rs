//! system: what a set-up needs of the machine beside files: systemd, the user certbaton, sudo's own check.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};

use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::files;
use crate::base::host;
use crate::base::names::Hostname;
use crate::base::sockets;
use crate::ca::resolve::{Resolve, System};
use crate::fleet::relay::SUDO;
use crate::setup::error::Error;

pub use crate::check::door::{ACCOUNT, ACCOUNT_HOME};

/// The user certbaton.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its home directory.
    pub home: PathBuf,
}

/// Runs a program of the system's; what it printed.
pub fn run(path: &str, arguments: &[&str]) -> Result<String, Error> {
    let program = Program::plain(path.into(), arguments.iter().map(Into::into).collect());
    let output = program.run(&Deadline::after(PATIENCE))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = if lines.is_empty() { output.status.to_string() } else { lines.join("; ") };
    Err(Error::Failed { command: [&[path], arguments].concat().join(" "), said })
}

/// Whether systemd is the init system here (`sd_booted(3)`).
pub fn has_systemd() -> bool {
    files::exists(Path::new("/run/systemd/system"))
}

/// systemctl with these arguments.
pub fn systemctl(arguments: &[&str]) -> Result<(), Error> {
    run(SYSTEMCTL, &[&["--quiet"], arguments].concat()).map(drop)
}

/// What systemd says of whether `unit` starts at boot: `enabled`, `disabled`, `masked`, … (systemctl(1)).
pub fn enabled(unit: &str) -> String {
    match run(SYSTEMCTL, &["is-enabled", unit]) {
        Ok(said) => said.trim().to_owned(),
        // It says so and ends with 1.
        Err(Error::Failed { said, .. }) => said.lines().next().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    }
}

/// Whether `unit` runs, or is a timer that waits.
pub fn is_active(unit: &str) -> bool {
    systemctl(&["is-active", unit]).is_ok()
}

/// The user certbaton, if there is one.
pub fn account() -> Option<Account> {
    let user = User::from_name(ACCOUNT).ok().flatten()?;
    Some(Account { home: user.dir })
}

/// A name by which others find this host, else an address of its own; the public ones first.
pub fn own_name() -> Option<String> {
    let own = sockets::interface_addresses().ok()?;
    let name = host::machine();
    let name = Some(&name).filter(|name| name.contains('.'));
    let name = name.and_then(|name| Hostname::parse(name).ok());
    let found = name.filter(|name| {
        let addresses = System.addresses(name, &Deadline::after(MOMENT)).unwrap_or_default();
        !addresses.is_empty() && addresses.iter().all(|at| own.contains(at) && !at.is_loopback())
    });
    let is_public = |address: &&IpAddr| match address {
        IpAddr::V4(address) => !address.is_private() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unique_local() && !address.is_unicast_link_local(),
    };
    let others = || own.iter().filter(|address| !address.is_loopback());
    let address = || others().find(is_public).or_else(|| others().next()).map(ToString::to_string);
    found.map(String::from).or_else(address)
}

/// Whether `host`, a name or an address, leads to this host and nowhere else.
pub fn is_this_host(host: &str) -> bool {
    let own = sockets::interface_addresses().unwrap_or_default();
    let named = |name| System.addresses(&name, &Deadline::after(MOMENT)).unwrap_or_default();
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => Hostname::parse(host).map(named).unwrap_or_default(),
    };
    !addresses.is_empty() && addresses.iter().all(|at| at.is_loopback() || own.contains(at))
}

/// Makes the user by its sysusers.d file.
pub fn make_account() -> Result<(), Error> {
    run("/usr/bin/systemd-sysusers", &["certbaton.conf"]).map(drop)
}

/// Makes the directories of its tmpfiles.d file.
pub fn make_directories() -> Result<(), Error> {
    run("/usr/bin/systemd-tmpfiles", &["--create", "certbaton.conf"]).map(drop)
}

/// Removes user and group.
pub fn remove_account() -> Result<(), Error> {
    if account().is_some() {
        // A caller may still be connected; nothing but what goes here belongs to it.
        run("/usr/sbin/userdel", &["--force", ACCOUNT])?;
    }
    // userdel takes it along where USERGROUPS_ENAB says so (login.defs(5)).
    if Group::from_name(ACCOUNT).is_ok_and(|group| group.is_some()) {
        run("/usr/sbin/groupdel", &[ACCOUNT])?;
    }
    Ok(())
}

/// Whether sudo is here.
pub fn has_sudo() -> bool {
    let are_there = [VISUDO, SUDO].iter().all(|program| host::is_executable(Path::new(program)));
    are_there && files::exists(Path::new("/etc/sudoers.d"))
}

/// Has sudo read the candidate `file`, with a mode that it accepts.
pub fn check_sudoers(file: &Path) -> Result<(), Error> {
    run(VISUDO, &["-q", "-c", "-f", &file.display().to_string()]).map(drop)
}

const SYSTEMCTL: &str = "/usr/bin/systemctl";
const VISUDO: &str = "/usr/sbin/visudo";

/// For this host's own resolver.
const MOMENT: Duration = Duration::from_secs(3);

/// For any of these; a stopped unit may take its own time to end.
const PATIENCE: Duration = Duration::from_mins(4);
