//! pure: what keeps a host from renewing whatever its web server and the CA say, from what is seen of it.
//!
//! The same findings stand in a check and in a status.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::text::span;
use crate::check::admission::{self, Admission};
use crate::fleet::host_report::Hold;

/// What is seen of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Where a renewal writes.
    pub room: Vec<FileSystem>,
    /// The newest beginning of a certificate, whose the certificate is, and this host's own time.
    pub clock: Option<(Timestamp, String, Timestamp)>,
    /// There are lineages, and no certbot to renew them: what was looked for.
    pub no_certbot: Option<String>,
    /// The certbot that holds certbot's lock.
    pub certbot: Option<Worker>,
    /// Who holds this host's lock, for a renewal.
    pub hold: Option<Hold>,
    /// Why the arbiter grants nothing: its name, and what was said.
    pub arbiter: Option<(String, String)>,
    /// It is done without the arbiter where it must be (`lease.break-glass`).
    pub breaks_glass: bool,
    /// Whom it lets in, where others call.
    pub door: Option<Admission>,
    /// A configuration that everybody can read, and that holds a secret.
    pub exposed: Option<PathBuf>,
}

/// Directories on one file system that a renewal writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// The directories.
    pub paths: Vec<PathBuf>,
    /// Bytes that are left.
    pub bytes: u64,
    /// Files that are left; none where the file system does not count them.
    pub files: Option<u64>,
    /// It can be written to at all.
    pub is_writable: bool,
}

/// A process at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its pid.
    pub pid: i32,
    /// It is stopped (SIGSTOP, Ctrl-Z), and does nothing.
    pub is_stopped: bool,
    /// How long it has been there.
    pub age: Duration,
}

/// Whether `finding` is that `arbiter` cannot be asked, whoever asked it.
pub fn is_of_arbiter(finding: &Finding, arbiter: &str) -> bool {
    finding.code == Code::ArbiterUnreachable && finding.what.starts_with(&unasked(arbiter))
}

/// How that begins.
fn unasked(arbiter: &str) -> String {
    format!("the arbiter of the lease, {arbiter}, cannot be asked")
}

/// What is wrong.
pub fn findings(seen: &Vitals, now: Timestamp) -> Vec<Finding> {
    let mut found: Vec<Finding> = seen.room.iter().filter_map(no_room).collect();
    found.extend(seen.clock.as_ref().and_then(|(begins, whose, now)| behind(*begins, whose, *now)));
    found.extend(seen.no_certbot.as_ref().map(|place| {
        Finding::new(
            Code::CertbotMissing,
            Some(place.clone()),
            "certbot is not there, so nothing is renewed here",
            "install it (apt-get install certbot), or let certbot.program of config.toml name it",
        )
    }));
    found.extend(seen.certbot.as_ref().and_then(certbot));
    found.extend(seen.hold.as_ref().and_then(|hold| held(hold, now)));
    found.extend(seen.arbiter.as_ref().map(|(arbiter, said)| {
        let severity = if seen.breaks_glass { Severity::Warning } else { Severity::Problem };
        Finding::new(
            Code::ArbiterUnreachable,
            Some("[lease] arbiter".into()),
            format!("{}, so nothing is renewed here: {said}", unasked(arbiter)),
            format!("see that {arbiter} is up, and that certbaton lease show works here"),
        )
        .severity(severity)
    }));
    found.extend(seen.door.iter().flat_map(admission::findings));
    found.extend(seen.exposed.as_ref().map(|path| {
        let path = path.display();
        Finding::new(
            Code::ExposedSecret,
            Some(path.to_string()),
            "whoever knows notify.url or the words of notify.command can use them, and every user of this host can read them in this file",
            format!("chmod 600 {path}; on the host of the arbiter chgrp certbaton {path} and chmod 640 {path}"),
        )
    }));
    found
}

fn no_room(room: &FileSystem) -> Option<Finding> {
    let FileSystem { paths, bytes, files, is_writable } = room;
    let what = if !is_writable {
        "nothing can be written there: the file system is read-only".to_owned()
    } else if *bytes < ENOUGH {
        format!(
            "only {} KiB are left on this file system: a renewal cannot write there",
            bytes / 1024
        )
    } else if files.is_some_and(|files| files < FILES) {
        "no file can be made on this file system any more: a renewal cannot write there".to_owned()
    } else {
        return None;
    };
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let place = Some(paths.join(" "));
    let remedy = "make room: df shows the file system, df -i its files";
    Some(Finding::new(Code::DiskFull, place, what, remedy))
}

/// A CA signs nothing that begins tomorrow: this host's clock is behind the CA's.
fn behind(begins: Timestamp, whose: &str, now: Timestamp) -> Option<Finding> {
    let behind = begins.duration_since(now);
    (behind > DRIFT).then(|| {
        let what = format!(
            "this host's clock is {} behind at least: it says {}, and the certificate of {whose} was issued after that",
            span(behind),
            now.strftime("%Y-%m-%d %H:%M UTC")
        );
        let remedy = "set the clock, and let it keep time by NTP: nothing seems due until then";
        Finding::new(Code::ClockBehind, None, what, remedy)
    })
}

fn certbot(certbot: &Worker) -> Option<Finding> {
    let Worker { pid, is_stopped, age } = certbot;
    let place = Some(format!("process {pid}"));
    if *is_stopped {
        let what = "certbot is stopped (state T) and holds its lock: nothing is renewed";
        let remedy =
            format!("kill -CONT {pid} lets it go on, kill -CONT {pid}; kill {pid} ends it");
        return Some(Finding::new(Code::CertbotStopped, place, what, remedy));
    }
    (*age > LONG).then(|| {
        let age = span(SignedDuration::try_from(*age).unwrap_or(SignedDuration::MAX));
        let what = format!("certbot has run for {age} and holds its lock: nothing else is renewed");
        let remedy = format!("look at what it waits for; kill {pid} ends it");
        Finding::new(Code::CertbotHangs, place, what, remedy)
    })
}

fn held(hold: &Hold, now: Timestamp) -> Option<Finding> {
    let place = Some(format!("process {}", hold.keeper));
    if hold.is_stopped {
        let pid = hold.keeper;
        let what = format!("the keeper is stopped (state T): {}", hold.words(now));
        let remedy = format!("kill -CONT {pid} lets it go on");
        return Some(Finding::new(Code::KeeperStopped, place, what, remedy));
    }
    if hold.is_orphaned {
        let what = format!(
            "{}, which has ended: nobody else renews until its keeper has given everything back",
            hold.words(now)
        );
        let remedy = "certbaton recover has it try at once, and says what is in the way";
        return Some(Finding::new(Code::HeldForNobody, place, what, remedy));
    }
    let is_long = hold.since.is_some_and(|at| now.duration_since(at) > LONG_HELD);
    if hold.is_shell {
        let what = format!(
            "{}, a shell at which the hook was called: nobody else renews until it ends",
            hold.words(now)
        );
        Some(Finding::new(Code::HeldByShell, place, what, hold.remedy()))
    } else {
        is_long.then(|| {
            let what = format!("{}: nobody else renews meanwhile", hold.words(now));
            let remedy = format!("look at what it waits for; {} ends it", hold.remedy());
            Finding::new(Code::HeldLong, place, what, remedy)
        })
    }
}

/// Key, chain, log, journal.
const ENOUGH: u64 = 4 << 20;

/// The files of a renewal.
const FILES: u64 = 64;

/// A CA dates its certificates back; ours differs by no more.
const DRIFT: SignedDuration = SignedDuration::from_mins(5);

/// For a certbot: longer than its own random sleep and the lineages of a large host.
const LONG: Duration = Duration::from_hours(6);

/// For a lock.
const LONG_HELD: SignedDuration = SignedDuration::from_hours(6);

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn codes(seen: &Vitals) -> Vec<(Code, Severity)> {
        findings(seen, now()).into_iter().map(|found| (found.code, found.severity)).collect()
    }

    fn room(change: impl FnOnce(&mut FileSystem)) -> Vitals {
        let paths = vec!["/var/log/letsencrypt".into()];
        let mut room = FileSystem { paths, bytes: 1 << 30, files: Some(10_000), is_writable: true };
        change(&mut room);
        Vitals { room: vec![room], ..Vitals::default() }
    }

    #[test]
    fn a_disk_without_room_for_bytes_or_files_or_read_only_is_a_problem() {
        let full = [(Code::DiskFull, Severity::Problem)];
        assert_eq!(codes(&room(|_| {})), []);
        assert_eq!(codes(&room(|room| room.bytes = 0)), full);
        assert_eq!(codes(&room(|room| room.files = Some(0))), full);
        assert_eq!(codes(&room(|room| room.files = None)), []);
        assert_eq!(codes(&room(|room| room.is_writable = false)), full);
    }

    #[test]
    fn a_clock_before_the_newest_certificate_is_behind() {
        let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
        let clock = |begins| Some((begins, "a.example".to_owned(), now()));
        let behind = Vitals { clock: clock(days(400)), ..Vitals::default() };
        assert_eq!(codes(&behind), [(Code::ClockBehind, Severity::Problem)]);
        assert!(findings(&behind, now())[0].what.contains("400 days behind"));
        assert_eq!(codes(&Vitals { clock: clock(days(-1)), ..Vitals::default() }), []);
    }

    #[test]
    fn who_is_stopped_or_never_ends_is_told_of() {
        let certbot = |is_stopped, hours| Vitals {
            certbot: Some(Worker { pid: 7, is_stopped, age: Duration::from_hours(hours) }),
            ..Vitals::default()
        };
        assert_eq!(codes(&certbot(false, 1)), []);
        assert_eq!(codes(&certbot(true, 0)), [(Code::CertbotStopped, Severity::Problem)]);
        assert_eq!(codes(&certbot(false, 7)), [(Code::CertbotHangs, Severity::Warning)]);
        let since = |hours: i64| Some(now() - SignedDuration::from_hours(hours));
        let hold = |change: fn(&mut Hold)| {
            let mut hold = Hold { keeper: 9, since: since(1), ..Hold::default() };
            change(&mut hold);
            Vitals { hold: Some(hold), ..Vitals::default() }
        };
        assert_eq!(codes(&hold(|_| {})), []);
        let of = |code, severity| [(code, severity)];
        let stopped = hold(|hold| hold.is_stopped = true);
        assert_eq!(codes(&stopped), of(Code::KeeperStopped, Severity::Problem));
        let orphaned = hold(|hold| hold.is_orphaned = true);
        assert_eq!(codes(&orphaned), of(Code::HeldForNobody, Severity::Warning));
        let shell = hold(|hold| hold.is_shell = true);
        assert_eq!(codes(&shell), of(Code::HeldByShell, Severity::Warning));
        let long = hold(|hold| hold.since = Some(Timestamp::UNIX_EPOCH));
        assert_eq!(codes(&long), of(Code::HeldLong, Severity::Warning));
    }

    #[test]
    fn an_arbiter_that_cannot_be_asked_is_a_problem_unless_it_is_done_without() {
        let arbiter = Some(("vps".into(), "Permission denied (publickey)".into()));
        let mut seen = Vitals { arbiter, ..Vitals::default() };
        assert_eq!(codes(&seen), [(Code::ArbiterUnreachable, Severity::Problem)]);
        seen.breaks_glass = true;
        assert_eq!(codes(&seen), [(Code::ArbiterUnreachable, Severity::Warning)]);
    }
}
