//! system: the lease of the lab: set up, held, waited for, looked at, and tidied up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::checker::Event;
use crate::host::{Host, Started};
use crate::lab::{Lab, tool, until, until_within};

/// The arbiter grants anew this long after a holder's last word.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// A holder gives up this long after its last word that was answered.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A heartbeat is due every 5 s, so that the last word may be so much older than the fault.
pub(crate) const GRACE_LEAST: Duration = Duration::from_secs(24);

/// The same of the holder's own limit.
pub(crate) const DEADLINE_LEAST: Duration = Duration::from_secs(14);

/// One lineage is enough where it is not about the names.
pub(crate) const ONE: [&str; 2] = ["--cert-name", "wiki.example.org"];

/// A certbot that has the lease and stands still behind its pre-hook.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    pub(crate) host: &'a Host,
    pub(crate) certbot: Started,
    pub(crate) token: u64,
}

/// The vps is arbiter, and both hosts reach each other.
pub(crate) fn prepare(lab: &Lab) {
    let done = tool().arg("lease").output().unwrap();
    assert!(done.status.success(), "lab lease: {done:?}");
    // Where there is no record of a holder nobody gets the lease for a while: once after a boot.
    lab.settle();
}

/// Ends what a scenario did to networks, processes and disks.
pub(crate) fn tidy(lab: &Lab) {
    lab.signal_ca("CONT");
    for host in [&lab.home, &lab.vps] {
        if !host.run(&["true"]).status.success() {
            host.power(true);
        }
        host.run(&[
            "sh",
            "-c",
            "
            nft delete table inet cut
            pkill -CONT -x certbaton; pkill -CONT -x ssh; pkill -CONT certbot
            rm -f /run/paused
            for disk in /var/lib/certbaton/arbiter /run/certbaton/arbiter /var/lib/certbaton; do
                while mountpoint -q $disk; do umount -l $disk; done
            done
            ip link show dev eth0 | grep -q 'state UP' || ip link set eth0 up
            rm -rf /run/systemd/system/certbot.*.d; systemctl daemon-reload",
        ]);
    }
    lab.home.sh("ip address replace 2001:db8::20/64 dev eth0 nodad");
}

impl Lab {
    /// Has the CA stand still, or go on.
    pub(crate) fn signal_ca(&self, signal: &str) {
        self.ca.start(&["pkill", &format!("-{signal}"), "-x", "pebble"]).ended();
    }

    /// Has the lease once, so that the arbiter knows that nobody has it.
    fn settle(&self) {
        let said = self.vps.by_hand(
            "home",
            &[&acquire("settle"), "\"release\""],
            GRACE + Duration::from_secs(10),
        );
        assert!(said.contains("released"), "the arbiter: {said}");
    }

    /// A certbot on `host` that has the lease, and stands still before it asks the CA.
    pub(crate) fn hold<'a>(&self, host: &'a Host) -> Holding<'a> {
        let cursor = self.vps.cursor();
        let pre = format!("certbaton-pre-hook && {}", host.pausing());
        let certbot = self.renew_on(host).with(&ONE).pre(&pre).start();
        until_within("the pre-hook's end", Duration::from_mins(1), || {
            host.path("/run/paused").exists()
        });
        let granted = self.events(&cursor);
        let Some(Event::Granted { token, .. }) =
            granted.iter().rev().find(|e| matches!(e, Event::Granted { .. }))
        else {
            panic!("nothing was granted: {granted:?}")
        };
        Holding { host, token: *token, certbot }
    }

    /// A certbot on `host` that waits for the lease.
    pub(crate) fn wait_for_lease(&self, host: &Host) -> Started {
        let waiting = self.renew_on(host).with(&ONE).start();
        until("a waiter", || self.status().contains("wait"));
        waiting
    }

    /// The same, and it stands still behind its pre-hook when it has the lease.
    ///
    /// For when home is away: the CA of the lab never falls back to IPv4, as the probe and Let's Encrypt do.
    pub(crate) fn wait_and_pause(&self, host: &Host) -> Started {
        let pre = format!("certbaton-pre-hook && {}", host.pausing());
        let waiting = self.renew_on(host).with(&ONE).pre(&pre).start();
        until("a waiter", || self.status().contains("wait"));
        waiting
    }

    /// What `certbaton lease show` says on the vps.
    pub(crate) fn status(&self) -> String {
        self.vps.run(&["certbaton", "lease", "show"]).out
    }

    /// What the arbiter did since.
    pub(crate) fn events(&self, cursor: &str) -> Vec<Event> {
        crate::checker::events(&self.vps, cursor)
    }

    /// Waits for the next grant to `host`; its token.
    pub(crate) fn granted(&self, cursor: &str, host: &Host, within: Duration) -> u64 {
        let mut found = None;
        until_within(&format!("a grant to {}", host.name), within, || {
            found = self.events(cursor).iter().find_map(|event| match event {
                Event::Granted { token, to, .. } if to == host.name => Some(*token),
                _ => None,
            });
            found.is_some()
        });
        found.unwrap()
    }

    /// Everything of both runs is over, and the next gets the lease at once.
    pub(crate) fn expect_free(&self) {
        for host in [&self.home, &self.vps] {
            until("the keepers' end", || host.processes("certbaton keep").is_empty());
            until("the callers' end", || host.processes("certbaton serve").is_empty());
        }
        let began = Instant::now();
        let said =
            self.vps.by_hand("home", &[&acquire("next"), "\"release\""], Duration::from_secs(5));
        assert!(said.contains("granted"), "not free after {:?}: {said}", began.elapsed());
    }
}

/// A request for the lease, in the lease's own words; another each time.
pub(crate) fn acquire(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (run, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!(
        "{{\"acquire\":{{\"request\":\"{name}-{run}-{count}\",\"floor\":0,\"held\":null,\
         \"purpose\":{{\"host\":\"by hand\",\"pid\":1,\"why\":\"a test\"}}}}}}"
    )
}

impl Host {
    /// Says `words` to the arbiter as `caller`, each after the first when the one before was granted or answered;
    /// all that it answers. It is the arbiter's own user that runs it, as sshd does.
    pub(crate) fn by_hand(&self, caller: &str, words: &[&str], patience: Duration) -> String {
        let text = words.join("\n");
        self.write("/run/words", &format!("{text}\n"));
        let script = format!(
            "rm -f /run/heard /run/say; mkfifo -m 666 /run/say; : > /run/heard; chmod 666 /run/heard
             runuser -u certbaton -- certbaton serve --as {caller} < /run/say >> /run/heard &
             exec 3> /run/say
             heard=1 beats=0
             trap '' PIPE
             await() {{
                 until [ $(grep -vc 'waiting\\|beaten' /run/heard) -gt $heard ]; do
                     kill -0 $! 2> /dev/null || return 0
                     [ $(date +%s) -lt $limit ] || return 0
                     sleep 0.02
                     beats=$((beats + 1))
                     [ $((beats % 200)) != 0 ] || echo '{{\"beat\":{{\"number\":1}}}}' >&3 || true
                 done
             }}
             limit=$(($(date +%s) + {}))
             while read -r word; do
                 printf '%s\\n' \"$word\" >&3
                 await
                 heard=$((heard + 1))
             done < /run/words
             exec 3>&-
             wait $! || true
             cat /run/heard",
            patience.as_secs()
        );
        self.sh(&script)
    }

    /// The keeper of the run under way here.
    pub(crate) fn own_keeper(&self) -> Pid {
        self.the("certbaton keep")
    }

    /// The arbiter's process that serves `caller`.
    pub(crate) fn arbiter_of(&self, caller: &str) -> Pid {
        self.the(&format!("certbaton serve --as {caller}"))
    }

    /// The ssh that the keeper speaks through.
    pub(crate) fn ssh(&self) -> Pid {
        self.process("ssh")
    }

    fn the(&self, text: &str) -> Pid {
        let mut found = Vec::new();
        until(text, || {
            let named = self.processes(text);
            found = self.running("certbaton");
            found.retain(|pid| named.contains(pid));
            found.len() == 1
        });
        found[0]
    }
}

impl Holding<'_> {
    /// Lets certbot go on to its end, which must be good.
    pub(crate) fn succeed(self) {
        self.host.go_on();
        let done = self.certbot.ended();
        assert_eq!(done.code(), 0, "{done:?}");
    }

    /// certbot is stopped by its keeper, and how long after `from`.
    pub(crate) fn be_stopped(self, from: Instant) -> Duration {
        let done = self.certbot.ended();
        let after = from.elapsed();
        assert_eq!(done.code(), 143, "{done:?}");
        self.host.go_on();
        after
    }
}

/// SIGKILL.
pub(crate) fn kill_hard(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
}

/// Asserts that something took about so long.
pub(crate) fn expect_within(what: &str, took: Duration, least: Duration, most: Duration) {
    assert!((least..=most).contains(&took), "{what}: {took:?}, not {least:?} to {most:?}");
}
