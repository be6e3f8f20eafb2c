//! system: how long `certbaton-pre-hook` runs before its worker does.
//!
//! The kernel tells when a program is opened to be run (inotify(7)); the worker
//! is none that loads anything, so what comes before is the guard's alone.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// From the start of the guard to that of its worker, `count` times.
pub(crate) fn times(count: usize) -> Vec<Duration> {
    let directory = tempfile::Builder::new()
        .prefix("certbaton-bench-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in("/var/lib")
        .unwrap();
    let at = |name: &str| directory.path().join(name);
    let (guard, worker) = (at("certbaton-pre-hook"), at("certbaton"));
    fs::copy(env!("CARGO_BIN_EXE_certbaton-pre-hook"), &guard).unwrap();
    fs::copy("/bin/false", &worker).unwrap();
    let one = || {
        let watch = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::OPEN | WatchFlags::CLOSE_NOWRITE | WatchFlags::ATTRIB;
        inotify::add_watch(&watch, &worker, flags).unwrap();
        let begin = Instant::now();
        thread::scope(|scope| {
            let last = scope.spawn(move || last_opened(&mut File::from(watch)));
            let run = Command::new(&guard).stderr(Stdio::null()).status().unwrap();
            assert!(!run.success(), "a worker that refuses");
            fs::set_permissions(&worker, Permissions::from_mode(0o755)).unwrap();
            last.join().unwrap().duration_since(begin)
        })
    };
    (0..count).map(|_| one()).collect()
}

/// When it was opened for the last time before it is no longer watched: the guard looks at it first.
fn last_opened(watch: &mut File) -> Instant {
    let (mut last, mut part) = (None, [0; 4096]);
    loop {
        let count = watch.read(&mut part).unwrap();
        let now = Instant::now();
        let mut events = &part[..count];
        // wd, mask, cookie, len, then a name (inotify(7)); a file that is watched itself has none.
        while let Some((event, rest)) = events.split_at_checked(16) {
            let mask = u32::from_ne_bytes(event[4..8].try_into().unwrap());
            let flags = ReadFlags::from_bits_retain(mask);
            if flags.contains(ReadFlags::OPEN) {
                last = Some(now);
            }
            if flags.contains(ReadFlags::ATTRIB) {
                return last.unwrap();
            }
            events = rest;
        }
    }
}
