//! pure: what a switch tells people: notes, and errors with the state things are in.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::apache::complaint::Complaint;
use crate::apache::dump::Origin;
use crate::apache::misread;
use crate::apache::refusal::Refusal;
use crate::apache::server;
use crate::base::cause::chain;
use crate::base::certificate;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;
use crate::switch::challenge_proof;
use crate::switch::edited_lines::{Damage, diffs, left};
use crate::switch::order::LeftOutRoute;

/// Something a person should know although nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    /// It is so until somebody changes a file, so that it need not be said each time.
    pub lasts: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Note {
    /// What happens this time.
    pub fn new(text: String) -> Self {
        Self { text, lasts: false }
    }

    fn lasting(text: String) -> Self {
        Self { text, lasts: true }
    }

    /// A line for the challenge path that never decides.
    pub fn dead(origin: &Origin) -> Self {
        Self::lasting(format!(
            "{origin}: this line for the challenge path is dead: another one always comes first"
        ))
    }

    /// A file that the next reload activates for somebody else.
    pub fn unloaded(file: &str) -> Self {
        Self::new(format!(
            "{file} was changed after Apache last loaded its configuration: this reload activates it too"
        ))
    }

    /// A line that an older hook commented out.
    pub fn commented(file: &str, line: u32, text: &str) -> Self {
        Self::lasting(format!(
            "{file}:{line}: left behind by an older hook: {text}; remove the # if the line is still wanted"
        ))
    }

    /// What a `<Perl>` section of the main server does is for the proof to show.
    pub fn perl(origin: &Origin) -> Self {
        Self::lasting(format!(
            "{origin}: what this <Perl> section writes is not listed by Apache: if it takes the challenge path of a name, only the proof shows it"
        ))
    }

    /// A regular file where a2ensite makes a link.
    pub fn not_a_link(file: &str) -> Self {
        Self::lasting(format!(
            "{file} is a regular file, not a link to sites-available: the copy there is not the one in use"
        ))
    }

    /// Apache's configuration is broken, and nothing is known to be switched.
    pub fn unasked(complaint: &Complaint) -> Self {
        Self::lasting(format!(
            "{complaint}; Apache cannot be asked, but no route is journalled as local"
        ))
    }

    /// A journal that cannot be read.
    pub fn journal(file: &str, why: &str) -> Self {
        Self::lasting(format!(
            "{file}: {why}; the marked lines in the configuration files are used instead"
        ))
    }
}

/// Why a switch was not made, and in what state things are now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be switched safely; nothing was changed.
    #[error("{}", lines(.0))]
    Refused(Vec<Refusal>),
    /// Marked lines are not as they were written; nothing was changed.
    #[error("{0}; compare, then remove them by hand and reload Apache:\n{diff}", diff = .0.diff.trim_end())]
    Damaged(Damage),
    /// The same, found when everything else was given back.
    #[error("{}; compare, then remove them by hand and reload Apache:\n{}", left(.0), diffs(.0))]
    LeftBehind(Vec<Damage>),
    /// The same, and Apache does not know what was given back: mostly, it is those that it refuses.
    #[error("{}; {}, and Apache has not loaded what was given back, so names may still be local; compare, then remove them by hand and run certbaton recover:\n{}", chain(cause.as_ref()), left(damage), diffs(damage))]
    OwedBeside {
        /// Why Apache could not be told.
        cause: Box<Error>,
        /// What was left.
        damage: Vec<Damage>,
    },
    /// Not one of several routes could be switched and proven.
    #[error("{}", named(.0))]
    NoneLeft(Vec<LeftOutRoute>),
    /// Somebody called it off before it had changed anything.
    #[error("{0}; nothing was changed")]
    CalledOff(String),
    /// It failed on the way and everything is as before.
    #[error("{}; everything is as before", chain(.0.as_ref()))]
    Undone(Box<Error>),
    /// It failed on the way, and so did the undoing.
    #[error("{}; undoing it failed too: {}; some routes may still be switched: run certbaton recover", chain(cause.as_ref()), chain(obstacle.as_ref()))]
    NotUndone {
        /// The first failure.
        cause: Box<Error>,
        /// Why it could not be undone.
        obstacle: Box<Error>,
    },
    /// Lines of ours could not be taken out of a file.
    #[error("{}; the lines of certbaton are still in it, and its names may still be local; mend that, then run certbaton recover", chain(.0.as_ref()))]
    Kept(Box<Error>),
    /// They are out, and Apache does not know it yet.
    #[error("{}; the lines of certbaton are out of the files, but Apache has not loaded that yet, so names may still be local; once that is mended, certbaton recover, which its timer runs too, tells it", chain(.0.as_ref()))]
    Owed(Box<Error>),
    /// They are out and Apache has loaded that, but a process of before goes on.
    #[error("{}; the lines of certbaton are out of the files, but until then it may answer as before; certbaton recover, which its timer runs too, looks again", chain(.0.as_ref()))]
    Lingers(Box<Error>),
    /// They are out and Apache knows, but the journal cannot be brought up to date.
    #[error("{}; every route is given back, and only the journal remains: mend that, then run certbaton recover", chain(.0.as_ref()))]
    JournalRemains(Box<Error>),
    /// Apache ended when it was told.
    #[error("{}; the routes are given back", chain(.0.as_ref()))]
    Ended(Box<Error>),
    /// A key that does not belong to its certificate: apache would end at the reload.
    #[error(
        "{certificate} and {key} do not belong together, which configtest does not see but ends Apache at a reload; nothing was reloaded"
    )]
    KeyMismatch {
        /// `SSLCertificateFile`.
        certificate: PathBuf,
        /// `SSLCertificateKeyFile`.
        key: PathBuf,
    },
    /// A line that Apache's test passes and its reload does not.
    #[error(
        "{origin}: {what}, which its test does not see but ends it at a reload; nothing was reloaded"
    )]
    Deadly {
        /// Where.
        origin: Origin,
        /// What.
        what: String,
    },
    /// A certificate or key that cannot be read.
    #[error("cannot compare {} with its key, and a mismatch would end Apache at a reload; nothing was reloaded", file.display())]
    Key {
        /// The certificate file.
        file: PathBuf,
        /// Why.
        source: certificate::Error,
    },
    /// Apache's configuration holds what cannot be read line by line.
    #[error("{file}")]
    Document {
        /// The file.
        file: String,
        /// Why.
        source: misread::Error,
    },
    /// Apache's answer is not understood.
    #[error(transparent)]
    Dump(#[from] misread::Error),
    /// Apache.
    #[error(transparent)]
    Apache(#[from] server::Error),
    /// A web server that is not Apache does not pass its own test, or was not reloaded.
    #[error("{command} ended with {status}, so {outcome}: {said}")]
    Foreign {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What comes of that.
        outcome: &'static str,
        /// What it printed.
        said: String,
    },
    /// Its program could not be run, or hung.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The proof.
    #[error(transparent)]
    Proof(#[from] challenge_proof::Error),
    /// The journal.
    #[error("cannot write a journal record")]
    Journal(#[from] serde_json::Error),
}

impl Error {
    /// Trying again mends nothing, and nothing that could be given back is still local.
    pub fn is_for_a_person(&self) -> bool {
        matches!(
            self,
            Self::LeftBehind(_) | Self::Lingers(_) | Self::JournalRemains(_) | Self::Ended(_)
        )
    }

    /// A return that failed with it has given everything back all the same.
    pub fn is_given_back(&self) -> bool {
        matches!(self, Self::JournalRemains(_) | Self::Ended(_))
    }

    /// It ends with the state that things are in, and what to do.
    pub fn says_what_is_left(&self) -> bool {
        matches!(
            self,
            Self::LeftBehind(_)
                | Self::OwedBeside { .. }
                | Self::Kept(_)
                | Self::Owed(_)
                | Self::Lingers(_)
                | Self::JournalRemains(_)
                | Self::Ended(_)
                | Self::NotUndone { .. }
        )
    }

    /// The file that Apache complains about.
    pub fn complaint(&self) -> Option<&str> {
        match self {
            Self::Owed(cause) | Self::Kept(cause) | Self::OwedBeside { cause, .. } => {
                cause.complaint()
            }
            Self::Apache(server::Error::Configtest { complaint, .. }) => {
                complaint.origin.as_ref().map(Origin::written_in)
            }
            _ => None,
        }
    }
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::NotUndone { .. }
            | Self::LeftBehind(_)
            | Self::OwedBeside { .. }
            | Self::Kept(_)
            | Self::Owed(_)
            | Self::Lingers(_) => Exit::NotUndone,
            Self::Undone(cause) => cause.exit(),
            Self::NoneLeft(left_out) => left_out.first().map_or(Exit::Failed, |left| left.exit),
            Self::Dump(error) => error.exit(),
            Self::Apache(error) => error.exit(),
            Self::Command(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Proof(error) => error.exit(),
            Self::Refused(_)
            | Self::CalledOff(_)
            | Self::Damaged(_)
            | Self::JournalRemains(_)
            | Self::Ended(_)
            | Self::Deadly { .. }
            | Self::KeyMismatch { .. }
            | Self::Key { .. }
            | Self::Document { .. }
            | Self::Foreign { .. }
            | Self::Journal(_) => Exit::Failed,
        }
    }
}

/// Each route that is left out, with its own reason.
fn named(left_out: &[LeftOutRoute]) -> String {
    let line = |LeftOutRoute { route, why, .. }: &LeftOutRoute| format!("{}: {why}", route.name);
    left_out.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn lines(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
