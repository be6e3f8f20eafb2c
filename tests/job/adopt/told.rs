//! flow: what is not certain stays as it is, and a person is told.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use certbaton::base::names::{Hostname, Route, Webroot};
use certbaton::setup::adopt::{self, Adoption};
use certbaton::setup::error::Error;
use certbaton::switch::commit;
use certbaton::switch::order::{Options, Order};

use crate::adopt::place::Place;
use support::apache::on_a_network;

const OFF: &str = "perl -pi -e 's/^(\\s*)(ProxyPass)/$1#$2/' @ROOT@/sites-enabled/*.conf";

const ON: &str = "perl -pi -e 's/#ProxyPass/ProxyPass/' @ROOT@/sites-enabled/*.conf";

#[test]
fn without_an_old_hook_nothing_is_offered() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        place.save("renew_hook = systemctl restart apache2\n");
        place.run(OFF);
        assert_eq!(place.adoption(), Adoption::default());
    });
}

#[test]
fn a_hook_that_does_more_is_told_by_its_line_and_others_are_named() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        let script = place.certbot().join("renewal-hooks/deploy/install");
        place.script(&script, &format!("#!/bin/sh\n\n{ON}\ncp /etc/a /etc/b\n"));
        place.save("post_hook = systemctl restart postfix\n");
        let adoption = place.adoption();
        assert_eq!(adoption.changes, []);
        let expected = [
            "hook-stays letsencrypt/renewal/one.example.org.conf:9",
            "old-hook-mixed letsencrypt/renewal-hooks/deploy/install:3",
        ];
        assert_eq!(place.told(&adoption), expected);
        let said = adoption.findings[1].to_string();
        assert!(said.contains("what is to stay: cp /etc/a /etc/b"), "{said}");
    });
}

#[test]
fn where_a_copy_was_edited_both_files_are_named() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        place.save(&format!("pre_hook = \"{OFF}\"\nrenew_hook = \"{ON}\"\n"));
        // Its way back took the owner's own # away as well.
        place.run(OFF);
        place.run(ON);
        let adoption = place.adoption();
        assert_eq!(place.told(&adoption), ["site-differs apache/sites-enabled/site.conf:6"]);
        let remedy = &adoption.findings[0].remedy;
        let [one, other] = [place.available(), place.enabled()].map(|at| at.display().to_string());
        assert!(remedy.contains(&format!("(diff {one} {other})")), "{remedy}");
        assert_eq!(adoption.changes.len(), 1, "the hooks alone: {:?}", adoption.changes);
    });
}

#[test]
fn a_site_that_the_available_one_leads_to_is_no_copy() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        fs::remove_file(place.enabled()).unwrap();
        fs::rename(place.available(), place.enabled()).unwrap();
        symlink("../sites-enabled/site.conf", place.available()).unwrap();
        place.save(&format!("pre_hook = \"{OFF}\"\n"));
        let adoption = place.adoption();
        // `ln -sfn` would make each lead to the other, and the site would be gone.
        assert_eq!(place.told(&adoption), [] as [&str; 0]);
    });
}

#[test]
fn what_one_run_left_without_a_twin_is_told() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        fs::remove_file(place.enabled()).unwrap();
        fs::rename(place.available(), place.enabled()).unwrap();
        place.save(&format!("pre_hook = \"{OFF}\"\n"));
        place.run(OFF);
        let adoption = place.adoption();
        let line = |at| format!("old-hook-line apache/sites-enabled/site.conf:{at}");
        assert_eq!(place.told(&adoption), [5, 6, 7, 8].map(line));
        assert_eq!(adoption.changes.len(), 1);
    });
}

/// How a hook comes to be run.
type Way<'a> = dyn Fn(&Place<'_>, &str) + Sync + 'a;

#[test]
fn what_one_run_left_in_sites_available_is_told() {
    let edit = "perl -pi -e 's/^(\\s*ProxyPass)/#$1/'";
    let saved = |place: &Place<'_>, off: &str| place.save(&format!("pre_hook = {off}\n"));
    let script = |place: &Place<'_>, off: &str| {
        let path = place.certbot().join("renewal-hooks/pre/switch");
        place.script(&path, &format!("#!/bin/sh\n{off}\nsystemctl restart apache2\n"));
    };
    let named = |place: &Place<'_>, off: &str| {
        let path = place.layout.base().join("toggle");
        place.script(&path, &format!("#!/bin/sh\n{off}\n"));
        let path = path.display();
        let hook = place.certbot().join("renewal-hooks/pre/switch");
        place.script(&hook, &format!("#!/bin/sh\n{path}\nsystemctl restart apache2\n"));
    };
    let ways: [&Way<'_>; 3] = [&saved, &script, &named];
    for (files, way) in [
        ("@ROOT@/sites-available/*.conf", ways[0]),
        ("@ROOT@/sites-available/site.conf", ways[1]),
        ("@ROOT@/sites-available/*", ways[2]),
        ("$(readlink -f @ROOT@/sites-enabled/*.conf)", ways[1]),
    ] {
        on_a_network("adoption", |network| {
            let place = Place::new(network);
            let off = format!("{edit} {files}");
            way(&place, &off);
            place.run(&off);
            let adoption = place.adoption();
            let line = |at| format!("old-hook-line apache/sites-enabled/site.conf:{at}");
            let told = place.told(&adoption);
            let lines: Vec<_> = told.iter().filter(|told| told.contains("-line")).collect();
            assert_eq!(
                lines,
                [5, 6, 7, 8].map(line).iter().collect::<Vec<_>>(),
                "{files}: {told:?}"
            );
        });
    }
}

#[test]
fn while_certbot_runs_or_a_route_is_switched_nothing_is_offered() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        place.save(&format!("pre_hook = \"{OFF}\"\n"));
        let refused = || {
            let (_, observed) = place.observed();
            adopt::adoption(&place.settings(), &observed).unwrap_err()
        };
        let certbot = LockedBy::certbot(&place.certbot().join(".certbot.lock"));
        assert!(matches!(refused(), Error::CertbotRuns));
        drop(certbot);
        let webroot = place.layout.server_root().join("www");
        let route = Route {
            name: Hostname::parse("one.example.org").unwrap(),
            webroot: Webroot::parse(webroot.to_str().unwrap()).unwrap(),
        };
        let order = Order::Add(vec![route]);
        commit::switch(&place.settings(), &order, &Options::default()).unwrap();
        assert!(matches!(refused(), Error::Switched(name) if name == "one.example.org"));
    });
}

/// A process that holds a file's lock as certbot does (`lock.py`).
struct LockedBy(Child);

impl LockedBy {
    fn certbot(file: &Path) -> Self {
        const HOLD: &str = "import fcntl, sys\nf = open(sys.argv[1], 'w')\n\
                            fcntl.lockf(f, fcntl.LOCK_EX)\nprint(flush=True)\nsys.stdin.read()\n";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", HOLD]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let held = child.stdout.as_mut().unwrap().read(&mut [0]).unwrap();
        assert_eq!(held, 1, "the lock is not held");
        Self(child)
    }
}

impl Drop for LockedBy {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}
