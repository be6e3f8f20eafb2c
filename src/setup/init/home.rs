//! flow: home's side: a key pair, the vps's host key, the line on the other side, and whether the way is open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;

use super::{Begun, Ended, HOST_KEY, InitCall, NextStep, admit, begin, configure, merged, text};
use crate::base::cause::chain;
use crate::base::command::ssh::Bar;
use crate::base::files;
use crate::base::files::displace;
use crate::base::harmless;
use crate::base::names::{Destination, HostLabel};
use crate::config::{self, Settings};
use crate::fleet::link::Way;
use crate::fleet::protocol::LookOrder;
use crate::lease::question::{self, question_abroad};
use crate::lease::wire::{self, Ask};
use crate::setup::configuration::{Pair, ssh_config};
use crate::setup::consent::{Consent, Person};
use crate::setup::error::Error;
use crate::setup::keys::{self, CallerKey, Fingerprint, PublicKey};
use crate::setup::machine::{self, ACCOUNT};
use crate::setup::openssh::{self, Login};
use crate::setup::payload::RENEW_TIMER;
use crate::setup::perform::{SetupOutcome, perform};
use crate::setup::role::Role;
use crate::setup::show;
use crate::setup::wanted::{Text, Wanted};

/// What home alone is told.
#[derive(Debug)]
pub struct HomeOptions {
    /// The vps, by name or address.
    pub host: String,
    /// Where its sshd listens.
    pub port: u16,
    /// Its host key's fingerprint, as the person knows it.
    pub fingerprint: Option<Fingerprint>,
    /// A login there that works already.
    pub login: Option<Login>,
}

/// Makes this host the one that calls, and coordinates.
pub fn home(
    call: &InitCall<'_>,
    order: &HomeOptions,
    person: &mut dyn Person,
) -> Result<Ended, Error> {
    if machine::is_this_host(&order.host) {
        return Err(Error::OwnAddress(order.host.clone()));
    }
    let Begun { mut work, manifest, has_lineages, first, .. } = begin(call, Role::Home, person)?;
    let user = order.login.as_ref().and_then(|login| login.user.as_deref());
    let owner = user.and_then(|user| User::from_name(user).ok().flatten());
    let sockets = displace::scratch(Path::new("/run"), owner.map(|user| user.uid.as_raw()))?;
    let remote = order.login.as_ref().map(|login| Remote { login, sockets: sockets.path() });
    let (host_keys, is_root) = match &remote {
        Some(remote) => remote.host_key(&order.host)?,
        None => (host_keys(order, call.consent, person)?, false),
    };
    let destination = Destination::parse(&format!("{ACCOUNT}@{}", order.host))
        .ok_or(Error::Missing("--vps is not a name or an address"))?;
    let pair = Pair { vps: call.vps.clone(), home: call.home.clone(), way: Some(destination) };
    let settings = configure(&mut work, &pair, &manifest)?;
    admit(&mut work, &call.context.settings, &settings, None, &manifest)?;
    let pattern = keys::host_pattern(&order.host, order.port);
    let pins = keys::known_hosts(&text(&own("known_hosts"))?, &pattern, &host_keys);
    let why = format!("the host key of {}", order.host);
    work.add(merged(own("known_hosts"), pins, why), &manifest, false)?;
    let bytes = ssh_config(&order.host, order.port).into_bytes();
    let why = "how ssh gets there, whatever root's own configuration says".to_owned();
    let config = own("ssh_config");
    let wanted = Wanted { path: config, bytes, mode: 0o644, why, text: Text::Whole };
    work.add(wanted, &manifest, false)?;
    let key = Key::known_or_new(call)?;
    for wanted in key.files() {
        work.add(wanted, &manifest, false)?;
    }
    work.enable(RENEW_TIMER);
    let line = line(call, &key.caller);
    if let Some(remote) = &remote {
        // Before anything is changed here: what would be done there, or why it cannot be.
        let text = remote.certbaton(&line, is_root, "--dry-run")?;
        if call.consent == Consent::Rehearsal {
            person.tell(&prefixed(&call.vps, &text));
        } else if call.consent != Consent::Given {
            person.tell(&prefixed(&call.vps, &show::brief(&text)));
        }
    }
    let also = remote.as_ref().map(|remote| {
        format!("then, on {}: {}\n", remote.login.destination.as_str(), openssh::quoted(&line))
    });
    let outcome = perform(&call.context.settings, person, call.consent, &work, also.as_deref())?;
    if outcome == SetupOutcome::Rehearsed {
        return Ok(Ended { next: NextStep::Nothing, last: None });
    }
    if let Some(remote) = &remote {
        let text = remote.certbaton(&line, is_root, "--yes").map_err(halfway)?;
        if call.consent == Consent::Given {
            person.tell(&prefixed(&call.vps, &text));
        }
    }
    match try_way()? {
        Opened::Open if has_lineages => {
            let last = Some("\nnow rehearse:\nrenew-coordinate --dry-run\n".to_owned());
            Ok(Ended { next: NextStep::Check, last })
        }
        Opened::Open => Ok(Ended { next: NextStep::Certificate, last: Some(first) }),
        Opened::Refused if remote.is_none() => {
            let line = openssh::quoted(&line);
            let last = format!(
                "this host's key is not on {} yet; paste this there, which also says where sshd there keeps this host out; then run this again or certbaton check:\n\n{line}\n",
                order.host
            );
            Ok(Ended { next: NextStep::Paste, last: Some(last) })
        }
        Opened::Refused => {
            let said = "permission denied although the key's line is there; see AllowUsers, AuthorizedKeysFile and PubkeyAuthentication in its sshd_config".to_owned();
            Err(Error::Way { host: order.host.clone(), said })
        }
        Opened::Not(said) => Err(Error::Way { host: order.host.clone(), said }),
    }
}

fn halfway(error: Error) -> Error {
    Error::Halfway(Box::new(error))
}

/// The command that lets this host in on the other side; it can be run again.
fn line(call: &InitCall<'_>, caller: &CallerKey) -> Vec<String> {
    let key = caller.to_string();
    let mut words = vec!["certbaton", "init", "--role", "vps", "--home-key", &key];
    if call.vps.as_str() != "vps" {
        words.extend(["--name", call.vps.as_str()]);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// The key pair of this host.
struct Key {
    caller: CallerKey,
    /// A new one: private and public half.
    new: Option<(Vec<u8>, Vec<u8>)>,
    /// The public file is missing, or another's.
    public: bool,
}

impl Key {
    fn known_or_new(call: &InitCall<'_>) -> Result<Self, Error> {
        let file = own("id_ed25519");
        let wrong = |problem| Error::OwnKey { path: own("id_ed25519"), problem };
        let named = |text: &str| {
            let key: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
            CallerKey::parse(&format!("{} {}", key.join(" "), call.home))
        };
        if files::exists(&file) {
            files::read_secret(&file)?;
            let half = openssh::public_half(&file)?;
            let caller = named(&half).map_err(wrong)?;
            let public = text(&own("id_ed25519.pub"))?.starts_with(&caller.key.to_string());
            return Ok(Self { caller, new: None, public });
        }
        let scratch = displace::scratch(Path::new("/run"), None)?;
        let made = scratch.path().join("id_ed25519");
        openssh::make_key(&made, &call.home)?;
        let private = files::read_secret(&made)?;
        let public = files::read_foreign(&made.with_extension("pub"))?;
        let caller = named(&String::from_utf8_lossy(&public)).map_err(wrong)?;
        Ok(Self { caller, new: Some((private, public)), public: false })
    }

    fn files(&self) -> Vec<Wanted> {
        let mut files = Vec::new();
        if let Some((private, _)) = &self.new {
            files.push(Wanted {
                path: own("id_ed25519"),
                bytes: private.clone(),
                mode: 0o600,
                why: "this host's key, made by ssh-keygen".into(),
                text: Text::Whole,
            });
        }
        if !self.public {
            let bytes = match &self.new {
                Some((_, public)) => public.clone(),
                None => format!("{}\n", self.caller).into_bytes(),
            };
            let why = "its public half".to_owned();
            let path = own("id_ed25519.pub");
            files.push(Wanted { path, bytes, mode: 0o644, why, text: Text::Merged });
        }
        files
    }
}

/// The other side, by a person's login.
struct Remote<'a> {
    login: &'a Login,
    sockets: &'a Path,
}

impl Remote<'_> {
    /// Its own host key, over a connection that has proven itself; and whether the login is root.
    fn host_key(&self, host: &str) -> Result<(Vec<PublicKey>, bool), Error> {
        let mut said = Vec::new();
        let command = format!("id -u; cat {HOST_KEY} || true");
        let mut hear = |part: &[u8]| said.extend_from_slice(part);
        self.login.run("to read its host key", &command, self.sockets, &mut hear)?;
        let said = String::from_utf8_lossy(&said);
        let (user, key) = said.split_once('\n').unwrap_or((&said, ""));
        let keys = keys::host_keys(&format!("{host} {key}"));
        if keys.is_empty() { Err(Error::NoKeyFile(host.into())) } else { Ok((keys, user == "0")) }
    }

    /// The set-up there; what it printed.
    fn certbaton(&self, line: &[String], is_root: bool, consent: &str) -> Result<String, Error> {
        let mut words: Vec<&str> = if is_root { Vec::new() } else { vec!["sudo", "-n"] };
        words.extend(line.iter().map(String::as_str));
        words.extend(["--no-check", consent]);
        let mut said = Vec::new();
        let mut hear = |part: &[u8]| said.extend_from_slice(part);
        self.login.run(
            "certbaton init there",
            &openssh::quoted(&words),
            self.sockets,
            &mut hear,
        )?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        self.login.hang_up(self.sockets);
    }
}

fn prefixed(host: &HostLabel, text: &str) -> String {
    let line =
        |line: &str| format!("{host}: {}", harmless::text(line)).trim_end().to_owned() + "\n";
    text.lines().map(line).collect()
}

/// The vps's host key, vouched for by the person or by what root trusts already.
fn host_keys(
    order: &HomeOptions,
    consent: Consent,
    person: &mut dyn Person,
) -> Result<Vec<PublicKey>, Error> {
    let HomeOptions { host, port, fingerprint, .. } = order;
    let pattern = keys::host_pattern(host, *port);
    let pinned = keys::pinned(&text(&own("known_hosts"))?, &pattern);
    let is_it = |key: &&PublicKey| fingerprint.as_ref().is_none_or(|f| key.fingerprint() == *f);
    if pinned.iter().any(|key| is_it(&key)) {
        return Ok(pinned);
    }
    if fingerprint.is_none() {
        for file in ["/root/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"] {
            let known = keys::host_keys(&openssh::known(&pattern, Path::new(file)));
            if let Some(key) = known.first() {
                let print = key.fingerprint();
                person.tell(&format!("{host} has the key {print}, says {file}\n"));
                return Ok(known);
            }
        }
    }
    let scanned = keys::host_keys(&openssh::scan(host, *port)?);
    let Some(best) = scanned.first() else { return Err(Error::NoKey(host.clone(), *port)) };
    let print = best.fingerprint();
    if let Some(wanted) = fingerprint {
        if let Some(key) = scanned.iter().find(is_it) {
            return Ok(vec![key.clone()]);
        }
        let found: Vec<String> = scanned.iter().map(|key| key.fingerprint().to_string()).collect();
        let (host, wanted, found) = (host.clone(), wanted.clone(), found.join(" "));
        return Err(Error::OtherKey { host, wanted, found });
    }
    let unproven = || Error::Unproven { host: host.clone(), fingerprint: print.clone() };
    match consent {
        Consent::Rehearsal => {
            person.tell(&format!(
                "{host} says that it has the key {print}, which is to be compared\n"
            ));
        }
        Consent::Ask => {
            let question = format!(
                "{host} says that it has the key {print}; is that what `ssh-keygen -lf {HOST_KEY}` says there?"
            );
            if !person.agrees(&question).map_err(Error::Answer)? {
                return Err(unproven());
            }
        }
        Consent::Given | Consent::Nobody => return Err(unproven()),
    }
    Ok(vec![best.clone()])
}

/// Whether the restricted key gets to the arbiter, and to the agent behind it.
enum Opened {
    Open,
    /// sshd does not take the key.
    Refused,
    /// Something else.
    Not(String),
}

fn try_way() -> Result<Opened, Error> {
    let file = config::DEFAULT_PATH;
    let settings = Settings::parse(file, &text(Path::new(file))?)?;
    match question_abroad(&settings, &Ask::Status, question::PATIENCE) {
        Ok(_) => {}
        Err(wire::Error::Unreachable { said }) if Bar::of(&said) == Some(Bar::Key) => {
            return Ok(Opened::Refused);
        }
        Err(error) => return Ok(Opened::Not(chain(&error))),
    }
    let arbiter = settings.hosts.iter().find(|host| Some(&host.name) == settings.arbiter.as_ref());
    let Some(arbiter) = arbiter else { return Ok(Opened::Not("it is no [[host]]".into())) };
    let way = Way::abroad(&settings, arbiter).patient(PATIENCE);
    Ok(match way.ask(LookOrder::Status) {
        Ok(_) => Opened::Open,
        Err(error) => Opened::Not(chain(&error)),
    })
}

fn own(name: &str) -> PathBuf {
    Path::new("/etc/certbaton").join(name)
}

/// For the agent on the vps to tell how things are.
const PATIENCE: Duration = Duration::from_mins(1);
