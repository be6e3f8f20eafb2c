//! flow: one cell of the table: a run, what falls on it at which step, and what must hold afterwards.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::ca::{Ca, Mark};
use crate::clean::{LINEAGES, NAMES};
use crate::host::{Host, Output};
use crate::lab::{Lab, state, until_within};
use crate::table::run::{Fault, Kind};
use crate::table::tracer::{Followed, Seen, Step, Who};
use crate::trials::told;

/// A step, and what falls there. Without a step: while the lease is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    pub(crate) step: Option<Step>,
}

/// What a cell came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// The blow fell, and all that must hold held.
    Held,
    /// The run ended before, or nobody was there to be hit; all held.
    Missed,
}

/// What the lab's configuration says here (`main::prepare`).
pub(crate) const GRACE: Duration = Duration::from_secs(9);

/// From certbot's end until no route is local any more.
const BACK: Duration = Duration::from_secs(10);

/// From certbot's end until the lease of a holder that died is free again, and all that waited for it has ended.
const QUIET: Duration = Duration::from_secs(30);

/// Longer than any run that does not hang.
const HANGS: Duration = Duration::from_mins(3);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?} ", self.kind, self.fault)?;
        match &self.step {
            None => write!(f, "while the lease is waited for"),
            Some(Step { who, what, nth, label }) => {
                write!(f, "before {who:?} {what} {label} ({nth})")
            }
        }
    }
}

impl Cell {
    /// Performs it; all that did not hold.
    pub(crate) fn perform(&self, lab: &Lab) -> Result<Came, String> {
        let cursors = [&lab.home, &lab.vps].map(|host| (host, host.cursor()));
        let done = catch_unwind(AssertUnwindSafe(|| self.struck(lab)));
        done.unwrap_or_else(|panic| Err(told(&*panic))).map_err(|why| {
            let journals = cursors.iter().map(|(host, cursor)| {
                let journal = catch_unwind(AssertUnwindSafe(|| host.journal(cursor)));
                format!("journal of {}:\n{}", host.name, journal.unwrap_or_default())
            });
            format!("{why}\n{}", journals.collect::<Vec<_>>().join("\n"))
        })
    }

    fn struck(&self, lab: &Lab) -> Result<Came, String> {
        let host = self.kind.host(lab);
        let before = Serials::of(lab);
        let since = lab.ca.mark();
        let struck: Arc<Mutex<Option<Mark>>> = Arc::default();
        let (run, hit) = if let Some(step) = &self.step {
            let fall = self.fault.blow(self.kind);
            let at = Arc::clone(&struck);
            let blow = Box::new(move |seen: &Seen| {
                *at.lock().unwrap() = Some(Ca::new(&state()).mark());
                fall(seen)
            });
            let run = self.kind.start(lab, Some((step.clone(), blow)));
            let hit = match run.followed(HANGS) {
                Some(Followed::Struck(hit)) => hit,
                Some(Followed::ToItsEnd(_)) => false,
                None => return Err("it hangs before the step".into()),
            };
            (run, hit)
        } else {
            let holding = lab.hold(&lab.vps);
            let run = self.kind.start(lab, None);
            until_within("a waiter", HANGS, || lab.status().contains("wait"));
            let hit = self.fault.blow(self.kind)(&Seen::on(host));
            *struck.lock().unwrap() = Some(lab.ca.mark());
            holding.succeed();
            (run, hit)
        };
        let struck = struck.lock().unwrap().unwrap_or(since);
        if let (true, Fault::One(Who::Keeper, Signal::SIGSTOP)) = (hit, self.fault) {
            wake(lab, host);
        }
        let Some(done) = run.ended(HANGS) else { return Err(hanging(lab)) };
        self.certbots_end(lab)?;
        let end = Instant::now();
        let mut wrong = Vec::new();
        if self.fault == Fault::Both {
            let done = host.run(&["certbaton", "recover"]);
            if done.code() != 0 {
                wrong.push(format!("recover: {done:?}"));
            }
        }
        wrong.extend(routes(lab, end));
        if let (true, Fault::One(Who::Keeper, Signal::SIGKILL)) = (hit, self.fault) {
            // At its very end nobody waits for it any more: its socket stays until somebody looks.
            host.run(&["certbaton", "recover"]);
        }
        wrong.extend(rest(lab, end));
        let after = Serials::of(lab);
        wrong.extend(served(lab, &after, end));
        wrong.extend(self.orders(lab, since, struck, hit));
        wrong.extend(self.words(&done, &before, &after));
        if wrong.is_empty() {
            wrong.extend(next_run(lab, host, &before, &after));
        }
        if wrong.is_empty() {
            return Ok(if hit { Came::Held } else { Came::Missed });
        }
        Err(format!("{}\nthe run: {done:?}\nCA: {:?}", wrong.join("\n"), lab.ca.work(since)))
    }

    fn certbots_end(&self, lab: &Lab) -> Result<(), String> {
        let end = Instant::now() + HANGS;
        loop {
            let alive = [&lab.home, &lab.vps].iter().any(|host| {
                !host.processes(lab.certbot).is_empty()
                    || self.kind == Kind::Timer && !host.is_idle("certbot.service")
            });
            if !alive {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(hanging(lab));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The CA was asked for nothing that could not succeed.
    fn orders(&self, lab: &Lab, since: Mark, struck: Mark, hit: bool) -> Option<String> {
        let (all, late) = (lab.ca.work(since), lab.ca.work(struck));
        // What was under way when certbot was killed is nobody's fault.
        let cut_short = hit && self.fault.is_certbots() && late.orders == 0;
        let wrong = if cut_short { 0 } else { all.invalid };
        (wrong > 0)
            .then(|| format!("{wrong} validations failed: {all:?}, after the blow: {late:?}"))
    }

    /// The exit code and the report say what is on the disks.
    fn words(&self, done: &Output, before: &Serials, after: &Serials) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.kind.is_coordinated() {
            let host = usize::from(self.kind == Kind::Vps);
            // certbot takes a lineage's new certificate back at SIGTERM, and says "success" where it had renewed another
            // before: its handler of the first one stays (`ErrorHandler.__exit__` in error_handler.py).
            if done.code() == 0 && self.kind != Kind::Timer && !self.fault.is_certbots() {
                let old = LINEAGES
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| before.0[host][*i] == after.0[host][*i]);
                wrong.extend(old.map(|(_, name)| format!("exit code 0, and {name} is old")));
            }
            return wrong;
        }
        let Ok(report) = serde_json::from_str::<serde_json::Value>(&done.out) else {
            // Whoever is killed says nothing.
            if done.code() < 128 {
                wrong.push("no report".into());
            }
            return wrong;
        };
        if report["exit"] != done.code() {
            wrong.push(format!("the report says exit code {}", report["exit"]));
        }
        for told in report["hosts"].as_array().into_iter().flatten() {
            let name = told["name"].as_str().unwrap_or_default();
            let host = usize::from(name != "home");
            for lineage in told["lineages"].as_array().into_iter().flatten() {
                let Some(index) = LINEAGES.iter().position(|known| lineage["name"] == *known)
                else {
                    continue;
                };
                let is_new = before.0[host][index] != after.0[host][index];
                if (lineage["result"] == "renewed") != is_new {
                    wrong.push(format!("new: {is_new}, and the report says {lineage}"));
                }
                if done.code() == 0 && !is_new {
                    wrong.push(format!("exit code 0, and {lineage} is old"));
                }
            }
        }
        wrong
    }
}

/// Lets a stopped keeper go on when its lease has run out.
fn wake(lab: &Lab, host: &Host) {
    until_within("the end of the stopped keeper's lease", HANGS, || held(lab).is_none());
    for keeper in host.processes("certbaton keep") {
        kill(keeper, Signal::SIGCONT).ok();
    }
}

/// What this run did not renew, the next one does.
fn next_run(lab: &Lab, host: &Host, before: &Serials, after: &Serials) -> Option<String> {
    let index = usize::from(host.name != "home");
    let old = (0..LINEAGES.len()).find(|i| before.0[index][*i] == after.0[index][*i])?;
    let since = lab.ca.mark();
    let again = lab.certbot_on(host, "renew");
    let done = again.with(&["--force-renewal", "--cert-name", LINEAGES[old]]).run();
    let work = lab.ca.work(since);
    let good = done.code() == 0 && work.issued == 1 && work.invalid == 0;
    if good {
        return rest(lab, Instant::now()).into_iter().next();
    }
    Some(format!("the next run: {work:?}, {done:?}"))
}

/// What all lineages of both hosts have on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Serials([Vec<String>; 2]);

impl Serials {
    fn of(lab: &Lab) -> Self {
        let files =
            LINEAGES.map(|name| format!("/etc/letsencrypt/live/{name}/fullchain.pem")).join(" ");
        let script = format!("for file in {files}; do openssl x509 -noout -serial -in $file; done");
        Self([&lab.home, &lab.vps].map(|host| {
            let said = host.sh(&script);
            said.lines().map(str::to_owned).collect()
        }))
    }
}

/// No route is local 10 s after certbot's end.
fn routes(lab: &Lab, end: Instant) -> Option<String> {
    loop {
        let answers = lab.ca.answers(&NAMES);
        if answers == ["vps"; 4] {
            return None;
        }
        if end.elapsed() > BACK {
            return Some(format!("{:?} after certbot's end {answers:?} answer", end.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every file as before, the same Apache, nothing left behind, and the lease free.
fn rest(lab: &Lab, end: Instant) -> Vec<String> {
    for host in [&lab.home, &lab.vps] {
        // certbot's own, when it was killed.
        host.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
    }
    loop {
        let mut wrong = lab.problems();
        wrong.extend(held(lab).map(|holder| format!("the lease is held: {holder}")));
        if wrong.is_empty() || end.elapsed() > QUIET {
            return wrong;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Who holds the lease: who has died holds it for its grace, after which it is granted to whoever asks next.
fn held(lab: &Lab) -> Option<serde_json::Value> {
    let lease = lab.vps.run(&["certbaton", "lease", "show", "--json"]);
    let lease: serde_json::Value = serde_json::from_str(&lease.out).unwrap_or_default();
    let silent = lease["holder"]["silent-millis"].as_u64().map(Duration::from_millis);
    let is_free = lease["holder"].is_null() || silent.is_some_and(|silent| silent > GRACE);
    (!is_free || lease.is_null()).then_some(lease)
}

/// Both hosts serve what is on their disks.
fn served(lab: &Lab, after: &Serials, end: Instant) -> Vec<String> {
    let addresses = ["2001:db8::20", "2001:db8::10"];
    loop {
        let mut wrong = Vec::new();
        for (address, serials) in addresses.iter().zip(&after.0) {
            for (name, serial) in LINEAGES.iter().zip(serials) {
                let served = lab.ca.served(address, name);
                if served != *serial {
                    wrong
                        .push(format!("{address} serves {served} for {name}, on disk is {serial}"));
                }
            }
        }
        if wrong.is_empty() || end.elapsed() > QUIET {
            return wrong;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn hanging(lab: &Lab) -> String {
    let running = [&lab.home, &lab.vps].map(|host| {
        let list = host.run(&[
            "sh",
            "-c",
            "ps -eo pid,ppid,stat,wchan:20,args | grep -e certb -e renew-c",
        ]);
        format!("{}:\n{}", host.name, list.out)
    });
    format!("it hangs:\n{}", running.join("\n"))
}

impl Host {
    fn is_idle(&self, unit: &str) -> bool {
        let state = self.run(&["systemctl", "show", "-P", "ActiveState", unit]).out;
        ["inactive", "failed"].contains(&state.trim())
    }
}
