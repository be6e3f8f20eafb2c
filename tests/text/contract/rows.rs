//! pure: what each verb promises beside its work. A new verb needs a row here.

use Config::{Own, Read};
use Output::{Printed, Silent};
use Wait::{Arbiter, Keeper, Silence, Unread};
use Who::{Anyone, Root};

/// A program or verb, by the words that begin its command line.
#[derive(Debug)]
pub(crate) struct Row {
    /// As clap names them.
    pub(crate) path: &'static [&'static str],
    /// What has to follow for the words to be right.
    pub(crate) given: &'static [&'static str],
    pub(crate) who: Who,
    pub(crate) config: Config,
    pub(crate) output: Output,
    /// Where it waits, and the words with which it does. A keeper gives back first, and has tests of its own.
    pub(crate) waits: &'static [(Wait, &'static [&'static str])],
}

/// Who may do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    Anyone,
}

/// Which configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Config {
    /// Any.
    Read,
    /// Only that of the host, which a test leaves alone when it is whole.
    Own,
}

/// What comes on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Something, with these words and nothing set up.
    Printed(&'static [&'static str]),
    /// Nothing, for this reason.
    Silent(&'static str),
}

/// What a program waits for, which never comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A word on standard input.
    Silence,
    /// Room in the pipe that is its standard output and error.
    Unread,
    /// An answer of the keeper of the run under way.
    Keeper,
    /// An answer of the arbiter, or of another host.
    Arbiter,
}

const fn row(
    path: &'static [&'static str],
    given: &'static [&'static str],
    who: Who,
    config: Config,
    output: Output,
    waits: &'static [(Wait, &'static [&'static str])],
) -> Row {
    Row { path, given, who, config, output, waits }
}

/// A run that asks for the lease.
const NAME: &[&str] = &["--name", "a.example.org", "--webroot", "/srv"];

const HOOK: Output = Silent("a hook prints nothing");

pub(crate) const ROWS: &[Row] = &[
    row(
        &["certbaton", "switch"],
        &["peer"],
        Root,
        Read,
        Printed(&["peer"]),
        &[(Unread, &["peer"])],
    ),
    row(
        &["certbaton", "recover"],
        &[],
        Root,
        Read,
        Silent("it is silent"),
        &[(Keeper, &[]), (Arbiter, &[])],
    ),
    row(&["certbaton", "status"], &[], Root, Read, Printed(&[]), &[(Unread, &[]), (Arbiter, &[])]),
    row(&["certbaton", "check"], &[], Root, Read, Printed(&[]), &[(Unread, &[]), (Arbiter, &[])]),
    row(
        &["certbaton", "init"],
        &["--dry-run"],
        Root,
        Own,
        Silent("no web server runs"),
        &[(Unread, &["--dry-run"])],
    ),
    row(
        &["certbaton", "install"],
        &["--dry-run"],
        Root,
        Own,
        Printed(&["--dry-run"]),
        &[(Unread, &["--dry-run"])],
    ),
    row(
        &["certbaton", "uninstall"],
        &["--dry-run"],
        Root,
        Own,
        Printed(&["--dry-run"]),
        &[(Unread, &["--dry-run"])],
    ),
    row(
        &["certbaton", "render"],
        &["--check"],
        Root,
        Read,
        Silent("nothing is renewed"),
        &[(Unread, &["--check"])],
    ),
    row(
        &["certbaton", "thumbprint"],
        &[],
        Root,
        Read,
        Silent("certbot has no account"),
        &[(Unread, &[])],
    ),
    row(
        &["certbaton", "lease", "show"],
        &[],
        Root,
        Read,
        Printed(&[]),
        &[(Unread, &[]), (Arbiter, &[])],
    ),
    row(
        &["certbaton", "lease", "break"],
        &["1"],
        Root,
        Read,
        Silent("nobody holds it"),
        &[(Arbiter, &["1"]), (Keeper, &[])],
    ),
    row(&["certbaton", "keep"], &[], Root, Read, Silent("no hook calls"), &[]),
    row(&["certbaton", "agent"], &[], Root, Read, Printed(&[]), &[(Silence, &[])]),
    row(
        &["certbaton", "serve"],
        &["--as", "home"],
        Anyone,
        Read,
        Printed(&["--as", "home"]),
        &[(Silence, &["--as", "home"]), (Unread, &["--as", "home"])],
    ),
    row(&["certbaton-pre-hook"], &[], Root, Read, HOOK, &[(Keeper, &[]), (Arbiter, NAME)]),
    row(&["certbaton-deploy-hook"], &[], Root, Read, HOOK, &[(Keeper, &[])]),
    row(&["certbaton-post-hook"], &[], Root, Read, HOOK, &[(Keeper, &[])]),
    row(&["renew-coordinate"], &[], Root, Read, Printed(&[]), &[(Unread, &[]), (Arbiter, &[])]),
];
