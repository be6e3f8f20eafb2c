//! pure: what the guard and the worker tell each other, a line each way at a time.
//!
//! Words, no JSON: the guard has to do without whatever is not in it.

use std::time::Duration;

use crate::base::process::Process;

/// What the guard tells the worker it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The hook: the guard itself.
    pub hook: Process,
    /// The certbot that runs it, which is stopped unless the worker succeeds.
    pub certbot: Option<Process>,
    /// A person reads what is said.
    pub is_at_terminal: bool,
}

/// What the worker tells the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It ends within this time from now.
    Within(Duration),
    /// The CA may be asked.
    Proven,
}

impl Charge {
    /// As a line, without its end.
    pub fn line(&self) -> String {
        let certbot = match self.certbot {
            Some(Process { pid, start_time }) => format!("{pid} {start_time}"),
            None => "- -".to_owned(),
        };
        let Process { pid, start_time } = self.hook;
        let reader = if self.is_at_terminal { "terminal" } else { "-" };
        format!("hook {pid} {start_time} certbot {certbot} at {reader}")
    }

    /// Reads it.
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["hook", pid, start, "certbot", certbot, certbots_start, "at", reader] = words[..]
        else {
            return None;
        };
        let certbot = match certbot {
            "-" => None,
            pid => Some(process(pid, certbots_start)?),
        };
        let is_at_terminal = reader == "terminal";
        Some(Self { hook: process(pid, start)?, certbot, is_at_terminal })
    }
}

/// A process as it is written in a charge.
pub fn process(pid: &str, start_time: &str) -> Option<Process> {
    Some(Process { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

impl Word {
    /// As a line, without its end.
    pub fn line(self) -> String {
        match self {
            // Rounded up.
            Self::Within(time) => format!("within {}", time.as_secs().saturating_add(1)),
            Self::Proven => "proven".to_owned(),
        }
    }

    /// Reads it; nothing of a newer worker is understood.
    pub fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("within", seconds)) => {
                Some(Self::Within(Duration::from_secs(seconds.parse().ok()?)))
            }
            None if line == "proven" => Some(Self::Proven),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let hook = Process { pid: 7, start_time: u64::MAX };
        for certbot in [None, Some(Process { pid: 1, start_time: 0 })] {
            for is_at_terminal in [false, true] {
                let charge = Charge { hook, certbot, is_at_terminal };
                assert_eq!(Charge::parse(&charge.line()), Some(charge));
            }
        }
        for strange in ["", "hook", "hook 7 x certbot - - at -", "hook 7 8 certbot 9 - at -"] {
            assert_eq!(Charge::parse(strange), None, "{strange}");
        }
        assert_eq!(Word::parse(&Word::Proven.line()), Some(Word::Proven));
        let within = Word::Within(Duration::from_millis(1500));
        assert_eq!(Word::parse(&within.line()), Some(Word::Within(Duration::from_secs(2))));
        for strange in ["", "within", "within x", "proven too", "Proven"] {
            assert_eq!(Word::parse(strange), None, "{strange}");
        }
    }
}
