//! pure: what each verb promises beside its work. A new verb needs a row here.

use Config::{Own, Read};
use Output::{Printed, Silent};
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

const fn row(
    path: &'static [&'static str],
    given: &'static [&'static str],
    who: Who,
    config: Config,
    output: Output,
) -> Row {
    Row { path, given, who, config, output }
}

const HOOK: Output = Silent("a hook prints nothing");

pub(crate) const ROWS: &[Row] = &[
    row(&["certbaton", "switch"], &["peer"], Root, Read, Printed(&["peer"])),
    row(&["certbaton", "recover"], &[], Root, Read, Silent("it is silent")),
    row(&["certbaton", "status"], &[], Root, Read, Printed(&[])),
    row(&["certbaton", "check"], &[], Root, Read, Printed(&[])),
    row(&["certbaton", "init"], &["--dry-run"], Root, Own, Silent("no web server runs")),
    row(&["certbaton", "install"], &["--dry-run"], Root, Own, Printed(&["--dry-run"])),
    row(&["certbaton", "uninstall"], &["--dry-run"], Root, Own, Printed(&["--dry-run"])),
    row(&["certbaton", "render"], &["--check"], Root, Read, Silent("nothing is renewed")),
    row(&["certbaton", "thumbprint"], &[], Root, Read, Silent("certbot has no account")),
    row(&["certbaton", "lease", "show"], &[], Root, Read, Printed(&[])),
    row(&["certbaton", "lease", "break"], &["1"], Root, Read, Silent("nobody holds it")),
    row(&["certbaton", "keep"], &[], Root, Read, Silent("no hook calls")),
    row(&["certbaton", "agent"], &[], Root, Read, Printed(&[])),
    row(&["certbaton", "serve"], &["--as", "home"], Anyone, Read, Printed(&["--as", "home"])),
    row(&["certbaton-pre-hook"], &[], Root, Read, HOOK),
    row(&["certbaton-deploy-hook"], &[], Root, Read, HOOK),
    row(&["certbaton-post-hook"], &[], Root, Read, HOOK),
    row(&["renew-coordinate"], &[], Root, Read, Printed(&[])),
];
