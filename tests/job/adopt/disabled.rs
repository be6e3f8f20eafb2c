//! flow: the old hook ran once, twice, and back again, from each of its places; then it is put out of use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use certbaton::certbot::saved_hooks;
use certbaton::setup::adopt::Adoption;

use crate::adopt::place::Place;
use support::apache::on_a_network;

/// Ways to write it: as in the article, at the start of the line, without an anchor, with sed, for the challenge path alone.
const OFF: [&str; 5] = [
    "perl -pi -e 's/^(\\s*)(ProxyPass)/$1#$2/' @ROOT@/sites-enabled/*.conf",
    "perl -pi -e 's/^(\\s*ProxyPass)/#$1/' @ROOT@/sites-enabled/*.conf",
    "perl -pi -e 's/ProxyPass/#ProxyPass/' @ROOT@/sites-enabled/*.conf",
    "cd @ROOT@/sites-enabled && sed -i 's/ProxyPass/#ProxyPass/' site.conf",
    "perl -pi -e 's/(ProxyPass.*acme-challenge)/#$1/' @ROOT@/sites-enabled/*.conf",
];

const ON: &str = "perl -pi -e 's/^(\\s*)#(ProxyPass)/$1$2/' @ROOT@/sites-enabled/*.conf";

const RESTART: &str = "systemctl restart apache2";

#[test]
fn however_often_it_ran_it_is_commented_out_and_what_it_left_is_told() {
    for (off, lines) in OFF.into_iter().zip([&ALL[..], &ALL, &ALL, &ALL, &ALL[..1]]) {
        for times in [1, 2] {
            on_a_network("adoption", |network| {
                let mut place = Place::new(network);
                let tree = place.tree();
                assert!(place.is_proxied());
                place.save(&format!(
                    "pre_hook = \"{off}; {RESTART}\"\npost_hook = \"{ON}; {RESTART}\"\n"
                ));
                let renewal = fs::read_to_string(place.renewal()).unwrap();
                (0..times).for_each(|_| place.run(off));
                place.restart();
                assert!(!place.is_proxied(), "{off}");
                let adoption = place.adopt();
                let mut expected: Vec<String> = lines.iter().map(|at| line(*at)).collect();
                expected.push("site-differs apache/sites-enabled/site.conf:5".to_owned());
                assert_eq!(place.told(&adoption), expected, "{off}, {times} times");
                let left = fs::read_to_string(place.renewal()).unwrap();
                for hook in ["pre_hook", "post_hook"] {
                    assert!(left.contains(&format!("\n# {hook} = ")), "{left}");
                    assert!(!left.contains(&format!("\n{hook}")), "{left}");
                }
                let back = saved_hooks::put_back(left.as_bytes()).unwrap().unwrap();
                assert_eq!(String::from_utf8(back).unwrap(), renewal);
                assert_eq!(place.adoption(), Adoption::default());
                // The other file needs nothing but the link.
                place.run(link(&adoption));
                assert_eq!(place.differing(&tree), Vec::<&Path>::new(), "{off}, {times} times");
                place.restart();
                assert!(place.is_proxied());
            });
        }
    }
}

/// The lines of the site that a hook, or its owner, has commented out.
const ALL: [usize; 4] = [5, 6, 7, 8];

fn line(at: usize) -> String {
    format!("old-hook-line apache/sites-enabled/site.conf:{at}")
}

/// The command by which the last finding's file is a link again.
fn link(adoption: &Adoption) -> &str {
    let remedy = &adoption.findings.last().unwrap().remedy;
    &remedy[remedy.find("ln -sfn ").unwrap()..]
}

#[test]
fn a_copy_that_it_left_with_nothing_commented_out_is_told() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        let tree = place.tree();
        place.save(&format!("renew_hook = \"{ON}\"\n"));
        place.run("sed -i 's/ProxyPass/ProxyPass/' @ROOT@/sites-enabled/site.conf");
        assert!(!fs::symlink_metadata(place.enabled()).unwrap().is_symlink());
        let adoption = place.adopt();
        assert_eq!(place.told(&adoption), ["site-copied apache/sites-enabled/site.conf"]);
        place.run(link(&adoption));
        assert_eq!(place.differing(&tree), Vec::<&Path>::new());
    });
}

#[test]
fn its_scripts_stay_and_are_not_run_and_options_are_commented_out() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        let off = place.certbot().join("renewal-hooks/pre/proxy-off");
        let on = place.certbot().join("renewal-hooks/post/proxy-on");
        let text = format!("#!/bin/sh\nset -e\n{}\n", OFF[0]);
        place.script(&off, &text);
        place.script(&on, &format!("#!/bin/bash\n{RESTART}\n"));
        let ini = place.certbot().join("cli.ini");
        let options = format!("key-type = ecdsa\ndeploy-hook = {ON}\nquiet\n");
        fs::write(&ini, place.line(&options)).unwrap();
        place.adopt();
        assert_eq!(fs::read_to_string(&off).unwrap(), place.line(&text));
        for script in [off, on] {
            assert_eq!(fs::metadata(script).unwrap().permissions().mode() & 0o7777, 0o644);
        }
        let left = fs::read_to_string(ini).unwrap();
        let lines: Vec<&str> = left.lines().collect();
        assert!(lines.len() == 4 && lines[1].starts_with("# certbaton init: "), "{left}");
        assert_eq!(lines[2], format!("# deploy-hook = {}", place.line(ON)));
    });
}

#[test]
fn a_script_that_is_named_is_looked_into_and_left_alone() {
    on_a_network("adoption", |network| {
        let place = Place::new(network);
        let script = place.layout.base().join("toggle");
        let text = format!("#!/bin/sh\ncase \"$1\" in\noff) {};;\non) {ON};;\nesac\n", OFF[0]);
        place.script(&script, &text);
        let script = script.display();
        place.save(&format!("pre_hook = {script} off\npost_hook = {script} on\n"));
        place.adopt();
        let left = fs::read_to_string(place.renewal()).unwrap();
        assert!(left.contains(&format!("\n# pre_hook = {script} off\n")), "{left}");
        assert!(left.contains(&format!("\n# post_hook = {script} on\n")), "{left}");
        assert_eq!(fs::read_to_string(script.to_string()).unwrap(), place.line(&text));
    });
}
