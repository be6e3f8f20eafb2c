//! flow: who starts at the same moment takes turns, and nobody's renewal fails for it.

use std::time::Duration;

use crate::checker;
use crate::clean::LINEAGES;
use crate::lab::{Lab, until_within};
use crate::lease::ONE;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;
use support::full;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("00_the_checker_finds_every_overlap", Debians, the_checker),
    Scenario::new("21_two_runs_on_one_host_take_turns", Debians, two_on_one),
    Scenario::new(
        "22_both_timers_in_the_same_second_renew_everything_without_overlap",
        Debians,
        same_second,
    ),
];

fn the_checker(_: &Lab) {
    checker::finds_what_it_is_for();
}

/// certbot's own lock refuses a second run of one configuration; two configurations wait for one lease.
fn two_on_one(lab: &Lab) {
    let cursor = lab.vps.cursor();
    lab.home.sh("rm -rf /root/scenario && mkdir /root/scenario && cp -a /etc/letsencrypt /root/scenario/config");
    lab.home.sh(
        "sed -i 's|/etc/letsencrypt/|/root/scenario/config/|' /root/scenario/config/renewal/*.conf",
    );
    let since = lab.ca.mark();
    let directories = [
        "--config-dir",
        "/root/scenario/config",
        "--work-dir",
        "/root/scenario/work",
        "--logs-dir",
        "/root/scenario/logs",
    ];
    let first = lab.renew().with(&ONE).start();
    let second = lab.renew().with(&ONE).with(&directories).start();
    for run in [first, second] {
        let done = run.ended();
        assert_eq!(done.code(), 0, "{done:?}");
    }
    lab.expect_issued(since, 2);
    crate::faults::deaths::expect_no_overlap(lab, &cursor);
    lab.expect_free();
}

fn same_second(lab: &Lab) {
    let rounds = if full() { 20 } else { 3 };
    let cursor = lab.vps.cursor();
    let since = lab.ca.mark();
    let began: u64 = lab.vps.sh("date +%s").parse().unwrap();
    for host in [&lab.home, &lab.vps] {
        host.directory_hooks();
        host.sh(
            "mkdir -p /run/systemd/system/certbot.service.d /run/systemd/system/certbot.timer.d",
        );
        host.write(
            "/run/systemd/system/certbot.service.d/force.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/certbot -q renew --no-random-sleep-on-renew --force-renewal\n",
        );
    }
    for round in 1..=rounds {
        let at = lab.vps.sh("date -u -d '+4 seconds' '+%Y-%m-%d %H:%M:%S UTC'");
        let ran = |host: &crate::host::Host| {
            host.sh("systemctl show -p InvocationID --value certbot.service")
        };
        let before = [ran(&lab.home), ran(&lab.vps)];
        for host in [&lab.home, &lab.vps] {
            host.write(
                "/run/systemd/system/certbot.timer.d/same.conf",
                &format!("[Timer]\nOnCalendar=\nOnCalendar={at}\nRandomizedDelaySec=0\nAccuracySec=1us\nPersistent=false\n"),
            );
            host.sh("systemctl daemon-reload; systemctl restart certbot.timer");
        }
        until_within("both runs", Duration::from_mins(2), || {
            let over = |host| {
                let said = crate::host::Host::sh(
                    host,
                    "systemctl show -p ActiveState --value certbot.service",
                );
                said == "inactive" || said == "failed"
            };
            ran(&lab.home) != before[0]
                && ran(&lab.vps) != before[1]
                && over(&lab.home)
                && over(&lab.vps)
        });
        let began = |host: &crate::host::Host| {
            host.sh("date -d \"$(systemctl show -p ExecMainStartTimestamp --value certbot.service)\" +%s")
        };
        assert_eq!(began(&lab.home), began(&lab.vps), "the same second");
        for host in [&lab.home, &lab.vps] {
            let result = host.sh("systemctl show -p Result --value certbot.service");
            assert_eq!(result, "success", "{} in round {round}", host.name);
        }
    }
    lab.expect_issued(since, rounds * 2 * LINEAGES.len());
    lab.expect_served(&LINEAGES);
    let events = lab.events(&cursor);
    let mut validations = checker::validations(&lab.home, &lab.vps);
    validations.retain(|v| v.second >= began);
    assert!(validations.len() >= rounds * 2 * LINEAGES.len(), "{}", validations.len());
    assert_eq!(checker::overlaps(&events, &validations), Vec::<String>::new(), "{events:?}");
    lab.expect_free();
}
