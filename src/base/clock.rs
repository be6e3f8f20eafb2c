//! system: the clock: deadlines, the time of day, and the only sleep.
//!
//! Deadlines use the monotonic clock, which stands still while the machine
//! sleeps; leases use `CLOCK_BOOTTIME`, which does not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::base::threads;

/// The moment by which something has to be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

/// The deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct Passed;

impl Deadline {
    /// `duration` from now (at most a year).
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration.min(YEAR))
    }

    /// The time that is left, never zero; `None` once the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The time since the machine was booted, its sleep included (`CLOCK_BOOTTIME`).
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Rings at a time since boot; what was due while the machine slept rings when it wakes.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// One that is not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Boottime, flags)?))
    }

    /// Sets it anew; it can be read from `at` on.
    pub fn set(&self, at: Duration) -> io::Result<()> {
        // Zero would disarm it (timerfd_settime(2)).
        let at = at.max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(at).map_err(io::Error::other)?;
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &value)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The time of day, for records that people read.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Waits `duration` between two looks at something that cannot be waited for,
/// and not beyond the deadline; an error when that has passed already.
pub fn pause(duration: Duration, deadline: &Deadline) -> Result<(), Passed> {
    thread::sleep(duration.min(deadline.remaining().ok_or(Passed)?));
    Ok(())
}

/// Waits until one of `sources` can be read, or is closed, at most `patience`; says which.
pub fn ready(sources: &[BorrowedFd<'_>], patience: Option<Duration>) -> io::Result<Vec<bool>> {
    wait(sources, PollFlags::IN, patience)
}

/// Waits until the other end of one of `sources` is closed, at most `patience`; says which.
pub fn closed(sources: &[BorrowedFd<'_>], patience: Duration) -> io::Result<Vec<bool>> {
    wait(sources, PollFlags::empty(), Some(patience))
}

/// Waits until something can be written to `to`, at most `patience`; `false` if that was first,
/// or one of `wake` could be read.
pub fn room(to: BorrowedFd<'_>, wake: &[BorrowedFd<'_>], patience: Duration) -> io::Result<bool> {
    let wake = wake.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
    let to = std::iter::once(PollFd::from_borrowed_fd(to, PollFlags::OUT));
    let ready = poll_all(to.chain(wake).collect(), Some(patience))?;
    Ok(ready[0] && !ready[1..].contains(&true))
}

fn wait(
    sources: &[BorrowedFd<'_>],
    events: PollFlags,
    patience: Option<Duration>,
) -> io::Result<Vec<bool>> {
    poll_all(sources.iter().map(|fd| PollFd::from_borrowed_fd(*fd, events)).collect(), patience)
}

fn poll_all(mut fds: Vec<PollFd<'_>>, patience: Option<Duration>) -> io::Result<Vec<bool>> {
    let end = patience.and_then(|patience| Instant::now().checked_add(patience));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match poll(&mut fds, left.and_then(|left| Timespec::try_from(left).ok()).as_ref()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
        }
    }
}

/// Why bounded work has no result.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// It took too long.
    #[error(transparent)]
    Passed(#[from] Passed),
    /// It did not begin.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl From<Unfinished> for io::Error {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::Passed(passed) => Self::new(io::ErrorKind::TimedOut, passed),
            Unfinished::Thread(error) => Self::new(error.kind(), Unfinished::Thread(error)),
        }
    }
}

/// Runs `work`, which has no timeout of its own, on a thread, and waits for it
/// no longer than the deadline. Work that is given up goes on until it ends by
/// itself or the process does.
pub fn within<T: Send + 'static>(
    deadline: &Deadline,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let left = deadline.remaining().ok_or(Passed)?;
    let (done, result) = mpsc::sync_channel(1);
    // Nobody listens any more after the deadline: that is not an error.
    threads::start("work", move || done.send(work()).ok()).map_err(Unfinished::Thread)?;
    Ok(result.recv_timeout(left).map_err(|_| Passed)?)
}

const YEAR: Duration = Duration::from_hours(365 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_the_past_leaves_nothing() {
        let deadline = Deadline::after(Duration::ZERO);
        assert_eq!(deadline.remaining(), None);
        assert_eq!(pause(Duration::from_mins(1), &deadline), Err(Passed));
    }

    #[test]
    fn an_endless_deadline_does_not_overflow() {
        assert!(Deadline::after(Duration::MAX).remaining().is_some());
    }

    #[test]
    fn a_pause_ends_at_the_deadline() {
        let watch = Stopwatch::start();
        let deadline = Deadline::after(Duration::from_millis(20));
        assert_eq!(pause(Duration::from_mins(1), &deadline), Ok(()));
        assert!(watch.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn work_that_hangs_is_given_up_at_the_deadline() {
        let (_never, wait) = mpsc::channel::<()>();
        let deadline = Deadline::after(Duration::from_millis(20));
        let hangs = within(&deadline, move || wait.recv().is_ok());
        assert!(matches!(hangs, Err(Unfinished::Passed(Passed))));
        assert_eq!(within(&Deadline::after(YEAR), || 7).unwrap(), 7);
    }
}
