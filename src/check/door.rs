//! system: reads whom this host lets in: the lines of keys, sshd's settings for the user that callers are, sudo.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User, getgrouplist};

use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::files;
use crate::base::host;
use crate::check::admission::{self, Admission, LoginUser, called};
use crate::config::Settings;
use crate::fleet::relay::SUDO;

/// The user that the arbiter runs as, and its group.
pub const ACCOUNT: &str = "certbaton";

/// Its home directory, which sshd looks into.
pub const ACCOUNT_HOME: &str = "/var/lib/certbaton-ssh";

/// Who may call.
pub fn authorized_keys() -> PathBuf {
    Path::new(ACCOUNT_HOME).join(".ssh/authorized_keys")
}

/// Looks, where somebody may call.
pub fn door(settings: &Settings) -> Option<Admission> {
    let file = authorized_keys();
    let text = String::from_utf8(files::read_trusted(&file).ok()?).ok()?;
    text.lines().find_map(called)?;
    let hosts = settings.hosts.iter().map(|host| &host.name);
    let others: Vec<_> = hosts.filter(|name| settings.name.as_ref() != Some(name)).collect();
    let strangers = if settings.hosts.is_empty() {
        Vec::new()
    } else {
        admission::strangers(&file, &text, &others)
    };
    let is_ordered = text.lines().any(|line| called(line).is_some() && line.contains(" --renew"));
    let lacks_sudo = is_ordered && !host::is_executable(Path::new(SUDO));
    Some(Admission { kept_out: kept_out(), lacks_sudo, strangers })
}

/// What keeps every caller out, although its key is in place; nothing where sshd cannot be asked.
pub fn kept_out() -> Option<String> {
    let groups = groups();
    let groups = if groups.is_empty() { vec![ACCOUNT.to_owned()] } else { groups };
    let caller = LoginUser { user: ACCOUNT, groups: &groups, home: Path::new(ACCOUNT_HOME) };
    admission::refusal(&sshd_settings()?, caller)
}

/// What sshd says of its settings for that user.
fn sshd_settings() -> Option<String> {
    let who = format!("user={ACCOUNT},host=localhost,addr=127.0.0.1");
    let words = ["-T", "-C", &who].map(Into::into).into();
    let output = Program::plain("/usr/sbin/sshd".into(), words).run(&Deadline::after(PATIENCE));
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The names of the user's groups.
fn groups() -> Vec<String> {
    let Some(user) = User::from_name(ACCOUNT).ok().flatten() else { return Vec::new() };
    let Ok(name) = CString::new(ACCOUNT) else { return Vec::new() };
    let groups = getgrouplist(&name, user.gid).unwrap_or_default();
    let named = groups.into_iter().filter_map(|id| Group::from_gid(id).ok().flatten());
    named.map(|group| group.name).collect()
}

/// For sshd to read its own configuration.
const PATIENCE: Duration = Duration::from_secs(20);
