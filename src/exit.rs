//! pure: the exit code of every program, and which error means which.

use crate::apache::server;
use crate::files;
use crate::foreign::control;
use crate::lock;
use crate::route::report::Error;

/// How a program ends; scripts and timers read it (sysexits.h where it has a word).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Failed, and everything is as before.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Failed, and not everything is as before.
    NotUndone,
    /// Somebody else is at it; try later.
    Busy,
    /// Not root, or a path that others may change.
    Unsafe,
    /// The configuration is wrong.
    Config,
    /// How things are, as Nagios reads it: what `certbaton status` found, and nothing else.
    Found(u8),
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotUndone => 70,
            Self::Busy => 75,
            Self::Unsafe => 77,
            Self::Config => 78,
            Self::Found(code) => code,
        }
    }

    /// The exit that has this code; any other code is a failure.
    pub fn from_code(code: u8) -> Self {
        let all =
            [Self::Done, Self::Usage, Self::NotUndone, Self::Busy, Self::Unsafe, Self::Config];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
    }

    /// What a failed switch means.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NotUndone { .. } | Error::LeftBehind(_) => Self::NotUndone,
            Error::Undone(cause) => Self::of(cause),
            Error::Lock(lock::Error::Busy { .. }) => Self::Busy,
            Error::File(error)
            | Error::Apache(server::Error::File(error))
            | Error::Foreign(control::Error::File(error)) => of_file(error),
            _ => Self::Failed,
        }
    }
}

fn of_file(error: &files::Error) -> Exit {
    if error.is_unsafe() { Exit::Unsafe } else { Exit::Failed }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
