//! flow: a caller is greeted, and has its connection, if it may have one more.
//!
//! What its first line is about, whoever called this one tells.

use std::os::fd::AsFd;
use std::path::Path;

use crate::base::caller::Caller;
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::files;
use crate::base::host;
use crate::base::lock::Lock;
use crate::base::names::HostLabel;
use crate::base::process;
use crate::config::Settings;
use crate::lease::arbiter::Arbiter;
use crate::lease::conversation::Conversation;
use crate::lease::lines::Lines;
use crate::lease::memory::millis;
use crate::lease::slots;
use crate::lease::store::{self, Store};
use crate::lease::times::{Periods, SILENCE};
use crate::lease::wire::{self, ArbiterAnswer, Error, Hello};

/// A caller who was greeted.
pub struct Greeted<'a> {
    settings: &'a Settings,
    caller: &'a HostLabel,
    lines: Lines,
    first: Option<Vec<u8>>,
}

/// A first line that is not about the lease.
pub struct OtherLine {
    /// The line.
    pub line: Vec<u8>,
    /// Whose it is.
    pub caller: Caller,
    /// Why the caller may not say it.
    pub refused: Option<String>,
    _slot: Option<Lock>,
}

/// Greets a caller, and with `hears` waits for the first line; none: the caller has gone.
pub fn greet<'a>(
    settings: &'a Settings,
    caller: &'a HostLabel,
    hears: bool,
) -> Result<Option<Greeted<'a>>, Error> {
    let mut lines = Lines::standard().map_err(Error::Standard)?;
    let name = settings.name.as_ref().map_or_else(host::machine, ToString::to_string);
    let hello = Hello {
        version: wire::VERSION,
        host: name,
        caller: caller.as_str().to_owned(),
        grace_millis: millis(settings.lease_grace),
    };
    lines.say(&hello)?;
    let first = match hears.then(|| first_line(&mut lines)).transpose() {
        Err(Error::Closed) => return Ok(None),
        first => first?,
    };
    Ok(Some(Greeted { settings, caller, lines, first }))
}

impl Greeted<'_> {
    /// The first line, if that was waited for.
    pub fn first(&self) -> Option<&[u8]> {
        self.first.as_deref()
    }

    /// The first line as one that is not about the lease. It takes a connection as others do.
    pub fn other(self) -> OtherLine {
        let slot = slot(&store::arbiter_directory(&self.settings.runtime_directory), self.caller);
        let (slot, refused) = slot.unwrap_or_else(|error| (None, Some(chain(&error))));
        let line = self.first.unwrap_or_default();
        OtherLine { line, caller: self.lines.into(), refused, _slot: slot }
    }

    /// The whole conversation about the lease.
    pub fn converse(self) -> Result<(), Error> {
        let Self { settings, caller, mut lines, first } = self;
        let directory = store::arbiter_directory(&settings.runtime_directory);
        step_down(&directory)?;
        let tokens = store::token_directory(&settings.state_directory);
        let store = match Store::open(directory.clone(), tokens) {
            Ok(store) => store,
            Err(error) => {
                lines.say(&ArbiterAnswer::Refused { why: chain(&error) })?;
                return Err(error.into());
            }
        };
        let (_slot, refused) = slot(&directory, caller)?;
        if let Some(why) = refused {
            return lines.say(&ArbiterAnswer::Refused { why });
        }
        let periods = Periods::of(settings.lease_grace);
        let arbiter = Arbiter { store, periods, me: process::own()? };
        Conversation::new(arbiter, caller, lines).whole(first.as_deref())
    }
}

/// The caller's right to one connection more, or why it has none.
fn slot(directory: &Path, caller: &HostLabel) -> Result<(Option<Lock>, Option<String>), Error> {
    // What root makes in the directory of another, that one could not open any more.
    if process::is_own_root() && is_anothers(directory)? {
        return Ok((None, None));
    }
    let slot = slots::take(directory, caller)?;
    let why = format!("{caller} has {} connections here already", slots::AT_ONCE);
    if slot.is_none() {
        tracing::warn!(host = %caller, "lease: {why}");
    }
    let refused = slot.is_none().then_some(why);
    Ok((slot, refused))
}

fn is_anothers(directory: &Path) -> Result<bool, Error> {
    match files::owner(directory) {
        Err(error) if error.is_missing() => Ok(false),
        owner => Ok(owner?.0 != 0),
    }
}

/// Root becomes the user whose memory the lease is: all arbiters of a host run as that one.
fn step_down(directory: &Path) -> Result<(), Error> {
    if !process::is_own_root() {
        return Ok(());
    }
    match files::owner(directory) {
        Err(error) if error.is_missing() => Ok(files::own_directory(directory, 0o755)?),
        owner => match owner? {
            (0, _) => Ok(()),
            (user, group) => process::step_down(user, group).map_err(Error::Owner),
        },
    }
}

/// Waits for the first line, as long as for any other.
fn first_line(lines: &mut Lines) -> Result<Vec<u8>, Error> {
    let deadline = Deadline::after(SILENCE);
    loop {
        if let Some(line) = lines.next_line()? {
            return Ok(line);
        }
        let left = deadline.remaining().ok_or(Error::Silent(SILENCE))?;
        if clock::ready(&[lines.as_fd()], Some(left)).map_err(Error::Wait)? == [true] {
            lines.fill()?;
        }
    }
}
