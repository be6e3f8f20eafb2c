//! pure: whether certbot may go on, by what the worker said and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::exit::Exit;

/// What became of the worker.
#[derive(Debug)]
pub struct WorkerOutcome {
    /// How it ended.
    pub end: End,
    /// It said that the CA may be asked.
    pub proven: bool,
    /// What it said for people, bounded.
    pub said: Vec<u8>,
}

/// How the worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, or of a signal.
    Ended(ExitStatus),
    /// It was killed, after this time.
    Slow(Duration),
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub enum Permit {
    /// certbot may go on.
    Go,
    /// It may not; the worker said why.
    Refused(Exit),
    /// It may not: the worker did not do its work.
    Broken(String),
}

impl WorkerOutcome {
    /// Whether certbot may go on. Without a certbot there may be nothing to prove: `--help`.
    pub fn verdict(&self, worker: &Path, is_certbots: bool) -> Permit {
        let worker = worker.display();
        let status = match self.end {
            End::Ended(status) => status,
            End::Slow(time) => {
                let seconds = time.as_secs();
                return Permit::Broken(format!(
                    "{worker} did not end within {seconds} s and was killed"
                ));
            }
        };
        match status.code() {
            Some(0) if self.proven || !is_certbots => Permit::Go,
            Some(0) => {
                Permit::Broken(format!("{worker} ended without saying that anything is proven"))
            }
            Some(code) if self.said.is_empty() => {
                Permit::Broken(format!("{worker} ended with exit code {code}, without a word"))
            }
            Some(code) => Permit::Refused(u8::try_from(code).map_or(Exit::Failed, Exit::from_code)),
            None => {
                let signal = status.signal().unwrap_or_default();
                Permit::Broken(format!("{worker} was ended by signal {signal}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: i32, proven: bool, said: &str, is_certbots: bool) -> Permit {
        let end = End::Ended(ExitStatus::from_raw(status));
        let heard = WorkerOutcome { end, proven, said: said.into() };
        heard.verdict(Path::new("/usr/bin/certbaton"), is_certbots)
    }

    #[test]
    fn anything_but_a_proof_stops_certbot() {
        assert_eq!(verdict(0, true, "", true), Permit::Go);
        for (status, proven) in
            [(0, false), (1 << 8, true), (9, true), (9, false), (127 << 8, false)]
        {
            assert_ne!(verdict(status, proven, "", true), Permit::Go, "{status} {proven}");
        }
        let end = End::Slow(Duration::from_mins(1));
        let slow = WorkerOutcome { end, proven: true, said: Vec::new() };
        let slow = slow.verdict(Path::new("/c"), true);
        assert_eq!(slow, Permit::Broken("/c did not end within 60 s and was killed".into()));
    }

    #[test]
    fn without_certbot_success_is_enough_and_the_exit_code_is_passed_on() {
        assert_eq!(verdict(0, false, "", false), Permit::Go);
        assert_eq!(verdict(75 << 8, false, "busy", true), Permit::Refused(Exit::Busy));
        // The dynamic loader's, which says which library is missing.
        assert_eq!(verdict(127 << 8, false, "libssl.so.3: …", true), Permit::Refused(Exit::Failed));
        let killed = Permit::Broken("/usr/bin/certbaton was ended by signal 9".into());
        assert_eq!(verdict(9, false, "", false), killed);
    }
}
