//! flow: one order to renew: certbot is run when its turn comes, watched to its end, and read by its files.
//!
//! certbot never outlives whoever ordered it, and its keeper's end is waited for.

use std::path::Path;
use std::time::Duration;

use super::{BEAT, Error, Other};
use crate::base::caller::{Caller, Heard};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::command::piped::{Next, Piped};
use crate::base::lock::{self, Lock};
use crate::base::process::{self, LockOwner, Process, Signal};
use crate::certbot::failures::Failures;
use crate::certbot::log::Log;
use crate::certbot::running::LOCK_FILE;
use crate::check::own_report;
use crate::check::this_host::{self, serials};
use crate::config::Settings;
use crate::fleet::duplicates::Budget;
use crate::fleet::host_report::LineageReport;
use crate::fleet::protocol::{self, AgentAnswer, MAX_TEXT, RenewalOrder, Renewed};

impl Caller {
    /// Runs certbot once, or once per name, and tells by its files what came of it.
    pub(super) fn renew(
        &self,
        settings: &Settings,
        renewal: &RenewalOrder,
    ) -> Result<Vec<Renewed>, Error> {
        let program = this_host::program(settings).ok_or(Error::NoCertbot)?;
        let known = serials(settings);
        for name in &renewal.cert_names {
            if known.iter().all(|(known, _)| known != name.as_str()) {
                return Err(Error::NoLineage(name.as_str().to_owned()));
            }
        }
        let is_limited = renewal.force && !renewal.dry_run;
        let over = if is_limited { over_limit(settings, renewal) } else { Vec::new() };
        let mut names: Vec<String> =
            renewal.cert_names.iter().map(|name| name.as_str().to_owned()).collect();
        if names.is_empty() && !over.is_empty() {
            names = known.iter().map(|(name, _)| name.clone()).collect();
        }
        names.retain(|name| over.iter().all(|(refused, _)| refused != name));
        let runs: Vec<Option<&str>> = match (&names[..], over.first()) {
            ([], None) => vec![None],
            ([], Some((lineage, why))) => {
                return Err(Error::Limit { lineage: lineage.clone(), why: why.clone() });
            }
            (names, _) => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let untried = |name: &str, why: String| {
            let serial = known.iter().find(|(known, _)| known == name).map(|(_, s)| s.clone());
            let (before, after, name) = (serial.clone(), serial, name.to_owned());
            Renewed { name, before, after, status: None, why: Some(why) }
        };
        let refused = |(lineage, why): (String, String)| {
            let error = Error::Limit { lineage: lineage.clone(), why };
            untried(&lineage, chain(&error))
        };
        let mut results: Vec<Renewed> = over.into_iter().map(refused).collect();
        for (at, name) in runs.iter().copied().enumerate() {
            let (before, status, failures) = match self.in_turn(settings, &program, renewal, name) {
                Ok(ended) => ended,
                // What was renewed before it is told all the same.
                Err(error) if at > 0 && !matches!(error, Error::CalledOff | Error::Caller(_)) => {
                    let rest = runs[at..].iter().flatten();
                    results.extend(rest.map(|name| untried(name, chain(&error))));
                    break;
                }
                Err(error) => return Err(error),
            };
            let after = serials(settings);
            let of = |list: &[(String, String)], name: &str| {
                list.iter().find(|(known, _)| known == name).map(|(_, serial)| serial.clone())
            };
            let touched = after.iter().filter(|(known, _)| name.is_none_or(|name| name == known));
            results.extend(touched.map(|(name, serial)| Renewed {
                name: name.clone(),
                before: of(&before, name),
                after: Some(serial.clone()),
                status,
                why: failures.of(name).map(str::to_owned),
            }));
        }
        Ok(results)
    }

    /// One run of certbot when no other runs: what was there before, and its exit code.
    ///
    /// Between the look at certbot's lock and the start of ours, certbot's own timer may
    /// be quicker. Then ours ends at once, and waits for its turn once more.
    #[expect(clippy::type_complexity, reason = "serial numbers by name")]
    fn in_turn(
        &self,
        settings: &Settings,
        program: &Path,
        renewal: &RenewalOrder,
        name: Option<&str>,
    ) -> Result<(Vec<(String, String)>, Option<i32>, Failures), Error> {
        let deadline = Deadline::after(settings.lease_wait);
        loop {
            let _turn = self.wait_for_others(settings, &deadline)?;
            let before = serials(settings);
            match self.certbot(settings, program, renewal, name)? {
                Run::Second => {}
                Run::Ended(status, failures) => return Ok((before, status, failures)),
            }
        }
    }

    /// certbot does not wait for another certbot (`lock.py`); this does, and for agents of other coordinators.
    fn wait_for_others(&self, settings: &Settings, deadline: &Deadline) -> Result<Lock, Error> {
        settings.runtime_directory.make()?;
        let (mut told, mut beat) = (None, Deadline::after(BEAT));
        loop {
            // What cannot be seen from here, certbot itself will tell.
            let other = match certbots_lock(settings) {
                Some(pid) => Other::Certbot(pid),
                None => match lock::attempt(&settings.runtime_directory.join("agent.lock"))? {
                    Some(turn) => return Ok(turn),
                    None => Other::Agent,
                },
            };
            if told != Some(other) {
                self.answer(&AgentAnswer::Line { text: format!("waiting: {other} runs here") })?;
                told = Some(other);
            } else if beat.remaining().is_none() {
                self.answer(&AgentAnswer::Alive)?;
                beat = Deadline::after(BEAT);
            }
            if deadline.remaining().is_none() {
                return Err(Error::Busy { other, waited: settings.lease_wait });
            }
            if self.wait(LOOK_AGAIN).map_err(Error::Caller)? == Heard::End {
                return Err(Error::CalledOff);
            }
        }
    }

    /// One run of certbot.
    fn certbot(
        &self,
        settings: &Settings,
        program: &Path,
        renewal: &RenewalOrder,
        name: Option<&str>,
    ) -> Result<Run, Error> {
        let mut run = this_host::run_of(program);
        let mut words = vec!["renew", "--non-interactive", "--no-random-sleep-on-renew"];
        words.extend(name.iter().flat_map(|name| ["--cert-name", name]));
        words.extend(renewal.force.then_some("--force-renewal"));
        words.extend(renewal.dry_run.then_some("--dry-run"));
        run.arguments.extend(words.into_iter().map(Into::into));
        if settings.certbot_directory != Settings::default().certbot_directory {
            run.arguments.extend(["--config-dir".into(), (&settings.certbot_directory).into()]);
        }
        tracing::info!("certbot renew started for the coordinator");
        let mut certbot = run.talk(MAX_TEXT)?;
        certbot.hang_up();
        let (mut is_ours, mut is_anothers) = (false, false);
        let (mut log, mut printed) = (None, Failures::default());
        let heard = self.follow(&mut certbot, |line| {
            printed.line(line);
            match certbots_lock(settings) {
                Some(pid) if is_below_us(pid) => {
                    is_ours = true;
                    // Its output comes by two ways, which its log does not.
                    log = log.take().or_else(|| Log::of(pid));
                }
                Some(_) => is_anothers = true,
                None => {}
            }
        });
        if heard.is_err() {
            self.stop(&mut certbot);
            // The keeper, which sees certbot's end, needs nobody for the rest.
            if self.is_signalled() {
                return Err(Error::CalledOff);
            }
        }
        let back = self.wait_for_the_end_of_the_run(settings)?;
        heard?;
        if !back {
            tracing::warn!("the run's keeper still holds the lease");
        }
        let status = certbot.end(Duration::ZERO).map_err(Error::Caller)?;
        let code = status.and_then(|status| status.code());
        let is_second = is_anothers && !is_ours && code == Some(1);
        let failures = log.map_or(printed, |log| log.failures());
        Ok(if is_second { Run::Second } else { Run::Ended(code, failures) })
    }

    /// Passes on what certbot prints until it ends; an error if nobody hears it any more.
    ///
    /// `at_a_line` is called before each.
    fn follow(&self, certbot: &mut Piped, mut at_a_line: impl FnMut(&str)) -> Result<(), Error> {
        loop {
            match certbot.next(&self.ends(), BEAT).map_err(Error::Caller)? {
                // Blank lines and the rules that certbot draws between its paragraphs.
                Next::Out(line) | Next::Err(line)
                    if line.iter().all(|b| b.is_ascii_whitespace() || *b == b'-') => {}
                Next::Out(line) | Next::Err(line) => {
                    let text = protocol::shown(&line);
                    at_a_line(&text);
                    self.answer(&AgentAnswer::Line { text })?;
                }
                Next::Silence => self.answer(&AgentAnswer::Alive)?,
                Next::Woken(_) => return Err(Error::CalledOff),
                Next::Ended => return Ok(()),
            }
        }
    }
}

impl Caller {
    /// Ends certbot, in the time that there is.
    fn stop(&self, certbot: &mut Piped) {
        for (signal, patience) in LADDER {
            if self.is_signalled() {
                return stop_at_once(certbot);
            }
            certbot.signal(signal);
            let deadline = Deadline::after(patience);
            while let Some(left) = deadline.remaining() {
                if self.is_signalled() {
                    return stop_at_once(certbot);
                }
                if matches!(certbot.end(left.min(LOOK_AGAIN)), Ok(Some(_)) | Err(_)) {
                    return;
                }
            }
        }
    }

    /// Waits until the keeper of the run has given back routes and lease; says whether it has.
    fn wait_for_the_end_of_the_run(&self, settings: &Settings) -> Result<bool, Error> {
        let deadline = Deadline::after(KEEPER_TIME);
        while this_host::under_way(settings) {
            if self.is_signalled() {
                return Err(Error::CalledOff);
            }
            // It is another process, and may be another run's by now.
            if clock::pause(LOOK_AGAIN, &deadline).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whoever orders: what a CA gives of the same names in a week is not used up by force.
/// Those that would be one more, and why that is none.
fn over_limit(settings: &Settings, renewal: &RenewalOrder) -> Vec<(String, String)> {
    let known = own_report::known(settings);
    let own = known.iter().map(|lineage| ("", lineage));
    let mut budget = Budget::new(own, settings.duplicates_per_week, clock::now());
    let is_asked = |lineage: &&LineageReport| {
        let mut names = renewal.cert_names.iter();
        renewal.cert_names.is_empty() || names.any(|name| name.as_str() == lineage.name)
    };
    let over = known.iter().filter(is_asked).filter_map(|lineage| {
        let why = budget.take("", lineage).err()?;
        Some((lineage.name.clone(), why))
    });
    over.collect()
}

fn stop_at_once(certbot: &mut Piped) {
    for (signal, patience) in STEEP_LADDER {
        certbot.signal(signal);
        if matches!(certbot.end(patience), Ok(Some(_)) | Err(_)) {
            return;
        }
    }
}

/// How a run of certbot ended.
enum Run {
    /// With this exit code, or none if a signal ended it, and with these failures.
    Ended(Option<i32>, Failures),
    /// It failed, and all that it said it said while another certbot held the lock.
    Second,
}

/// Who holds certbot's lock, as far as that can be seen.
fn certbots_lock(settings: &Settings) -> Option<i32> {
    match process::lock_holder(&settings.certbot_directory.join(LOCK_FILE)) {
        Ok(Some(LockOwner::Pid(pid))) => Some(pid),
        _ => None,
    }
}

/// Whether this process started that one, or who started it.
fn is_below_us(pid: i32) -> bool {
    let is_own = |own: Process| process::ancestors(pid).is_ok_and(|all| all.contains(&own));
    process::own().is_ok_and(is_own)
}

/// Signals to end certbot: an interrupt first, with which it cleans up best; each with its time.
const LADDER: [(Signal, Duration); 4] = [
    (Signal::INT, Duration::from_secs(10)),
    (Signal::TERM, Duration::from_secs(5)),
    (Signal::INT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// The same where this agent itself is to end: two seconds for all.
const STEEP_LADDER: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_millis(700)),
    (Signal::TERM, Duration::from_millis(400)),
    (Signal::KILL, Duration::from_millis(300)),
];

/// Between two looks at what cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// For a keeper to give everything back; `recover` goes on where it gives up.
const KEEPER_TIME: Duration = Duration::from_mins(2);
