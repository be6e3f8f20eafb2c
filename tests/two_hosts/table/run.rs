//! system: a run of each kind on the lab, followed from its first step, and what can fall on it.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::host::{Host, Output};
use crate::lab::{Lab, until};
use crate::table::tracer::{Blow, Followed, Seen, Step, Who, follow};

/// Who starts it, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// certbot by hand, on home: with a switch.
    Home,
    /// The same on the vps: without.
    Vps,
    /// certbot.service on home.
    Timer,
    /// By hand on home, and the vps has the lease.
    Waiting,
    /// renew-coordinate on home.
    CoordinatedFromHome,
    /// renew-coordinate on the vps.
    CoordinatedFromVps,
}

/// What falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// One process gets this signal.
    One(Who, Signal),
    /// All that a terminal's Ctrl-C, Ctrl-\ or end reaches get it.
    Group(Signal),
    /// certbot and its keeper are killed.
    Both,
    /// systemd stops the service.
    StopUnit,
}

/// What the run waits for before its first step.
const GATE: &str = "read -r _ < /run/gate";

/// A run whose processes are followed.
pub(crate) struct Run {
    told: Receiver<Followed>,
    ended: Receiver<Output>,
}

impl Kind {
    /// The host whose certbot is followed.
    pub(crate) fn host(self, lab: &Lab) -> &Host {
        match self {
            Self::Vps | Self::CoordinatedFromVps => &lab.vps,
            Self::Home | Self::Timer | Self::Waiting | Self::CoordinatedFromHome => &lab.home,
        }
    }

    pub(crate) fn is_coordinated(self) -> bool {
        matches!(self, Self::CoordinatedFromHome | Self::CoordinatedFromVps)
    }

    /// What is started.
    fn words(self, lab: &Lab) -> String {
        match self {
            Self::Home | Self::Vps | Self::Waiting => {
                format!("{} renew --force-renewal", lab.certbot)
            }
            Self::Timer => format!("{} -q renew --force-renewal", lab.certbot),
            Self::CoordinatedFromHome | Self::CoordinatedFromVps => {
                "renew-coordinate --force-renewal --json --cert-name wiki.example.org".into()
            }
        }
    }

    /// Starts it, followed to its end or to the step at which `fault` falls.
    pub(crate) fn start(self, lab: &Lab, at: Option<(Step, Blow)>) -> Run {
        let host = self.host(lab);
        host.sh("rm -f /run/gate; mkfifo /run/gate");
        let shell = format!("{GATE}; exec {}", self.words(lab));
        let started = if self == Self::Timer {
            host.sh("mkdir -p /run/systemd/system/certbot.service.d");
            host.write(
                "/run/systemd/system/certbot.service.d/gate.conf",
                &format!("[Service]\nExecStart=\nExecStart=/bin/sh -c '{shell}'\n"),
            );
            host.sh("systemctl daemon-reload");
            host.start(&["systemctl", "start", "certbot.service"])
        } else {
            // As at a terminal: a session of its own.
            host.start(&["setsid", "sh", "-c", &shell])
        };
        let mut first = None;
        until("the run at its gate", || {
            let found = host.processes(GATE);
            first = found.into_iter().find(|pid| {
                let runs = std::fs::read_link(format!("/proc/{pid}/exe"));
                runs.is_ok_and(|program| program.ends_with("dash"))
            });
            first.is_some()
        });
        let told = follow(first.unwrap(), at);
        host.sh("echo go > /run/gate");
        let (tell, ended) = channel();
        thread::spawn(move || tell.send(started.ended()));
        Run { told, ended }
    }
}

impl Run {
    /// Until the step, or the run's end.
    pub(crate) fn followed(&self, patience: Duration) -> Option<Followed> {
        self.told.recv_timeout(patience).ok()
    }

    /// The run's end, if it comes.
    pub(crate) fn ended(&self, patience: Duration) -> Option<Output> {
        self.ended.recv_timeout(patience).ok()
    }
}

impl Fault {
    pub(crate) fn blow(self, kind: Kind) -> Blow {
        Box::new(move |seen| self.fall(kind, seen))
    }

    fn fall(self, kind: Kind, seen: &Seen) -> bool {
        let hit = |who: Who, signal: Signal| {
            seen.process(who).is_some_and(|pid| kill(pid, signal).is_ok())
        };
        match self {
            Self::One(who, signal) => hit(who, signal),
            Self::Group(signal) => {
                let first = if kind.is_coordinated() { Who::Coordinator } else { Who::Certbot };
                // Its own session's.
                seen.process(first).is_some_and(|pid: Pid| killpg(pid, signal).is_ok())
            }
            Self::Both => hit(Who::Keeper, Signal::SIGKILL) & hit(Who::Certbot, Signal::SIGKILL),
            Self::StopUnit => {
                let words = ["on", "home", "systemctl", "stop", "--no-block", "certbot.service"];
                crate::lab::tool().args(words).status().is_ok_and(|s| s.success())
            }
        }
    }

    /// Whether certbot itself gets the signal.
    pub(crate) fn is_certbots(self) -> bool {
        !matches!(self, Self::One(Who::Keeper, _))
    }
}
