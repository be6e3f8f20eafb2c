//! flow: a set-up that is killed anywhere can be repeated, and taken back.

use crate::setup::site::{Rule, Site, certbaton};
use support::full;

pub(crate) const RULES: &[Rule] =
    &[("a_run_that_is_killed_anywhere_is_repeated_or_taken_back", killed)];

/// At which of its calls that make something last it is killed.
fn moments(verb: &str) -> Vec<u32> {
    if full() {
        (1..60).collect()
    } else {
        match verb {
            "install" => vec![1, 6, 31],
            _ => vec![4, 19],
        }
    }
}

fn killed(site: &Site) {
    let home = &site.lab.home;
    for verb in ["install", "uninstall"] {
        for at in moments(verb) {
            if verb == "uninstall" {
                certbaton(home, &["install", "--yes"]).expect(0, &[]);
            }
            let inject = format!(
                "inject=rename,renameat,renameat2,link,linkat,mkdir,fsync,unlink,unlinkat,rmdir:signal=KILL:when={at}"
            );
            let strace = [
                "strace",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=rename,renameat,renameat2,link,linkat,mkdir,fsync,unlink,unlinkat,rmdir",
                "-e",
                &inject,
            ];
            let cut = home.run(&[&strace[..], &["certbaton", verb, "--yes"]].concat());
            let code = cut.code();
            assert!([0, 137].contains(&code), "{verb} at {at}: {cut:?}");
            if verb == "install" && at % 2 == 1 {
                certbaton(home, &["install", "--yes"]).expect(0, &[]);
                certbaton(home, &["install", "--yes"]).expect(0, &["nothing to change"]);
            }
            certbaton(home, &["uninstall", "--yes"]).expect(0, &[]);
            site.is_as_before();
        }
    }
}
