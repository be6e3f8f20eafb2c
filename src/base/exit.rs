//! pure: the exit code of every program, and that every failure carries its own.

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
    /// Another run holds the lock or the lease; try again later.
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
}

/// A failure that says how a program ends because of it, from where it arises to the last step.
///
/// Each type matches all its variants by name: a wildcard would flatten what a new one, or a
/// new cause below it, means. clippy refuses one (`wildcard_enum_match_arm`), and a test
/// of this file refuses an implementation that does not ask for that.
pub trait CarriesExit {
    /// The exit code.
    fn exit(&self) -> Exit;
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::files;
    use crate::lease::holder::GiveUp;
    use crate::lease::wire;
    use crate::renewal;
    use crate::setup;
    use crate::switch::report;

    fn others_may_change_it() -> files::Error {
        files::Error::Unsafe { path: "/x".into(), problem: "is anybody's".into() }
    }

    fn held() -> files::Error {
        files::Error::Busy { path: "/x".into(), waited: Duration::ZERO }
    }

    /// What used to end as 1 by a default arm on its way up.
    #[test]
    fn a_failure_keeps_its_exit_code_through_everybody_above_it() {
        let of = |error: &dyn CarriesExit| error.exit();
        assert_eq!(of(&renewal::Error::from(others_may_change_it())), Exit::Unsafe);
        assert_eq!(of(&renewal::Error::from(held())), Exit::Busy);
        assert_eq!(of(&renewal::Error::Certbot(others_may_change_it().into())), Exit::Unsafe);
        assert_eq!(of(&renewal::Error::Connection(wire::Error::NoArbiter)), Exit::Config);
        let grace = GiveUp::Grace { ours: Duration::from_secs(2), theirs: Duration::from_secs(1) };
        assert_eq!(of(&renewal::Error::NotGranted(grace)), Exit::Config);
        let undone = report::Error::Undone(Box::new(held().into()));
        assert_eq!(of(&setup::error::Error::Unswitchable(undone)), Exit::Busy);
        assert_eq!(of(&setup::error::Error::File(others_may_change_it())), Exit::Unsafe);
    }

    #[test]
    fn a_code_says_which_exit_it_was() {
        let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NotUndone, Exit::Busy];
        for exit in all.into_iter().chain([Exit::Unsafe, Exit::Config]) {
            assert_eq!(Exit::from_code(exit.code()), exit);
        }
        assert_eq!(Exit::from_code(255), Exit::Failed);
    }
}
