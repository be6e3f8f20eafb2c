//! flow: the old hook ran once, twice, and back again, from each of its places; then it is adopted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use certbaton::setup::adopt::Adoption;

use crate::adopt::place::{Place, on_a_network};

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
fn however_often_it_ran_the_link_is_back_and_no_byte_is_lost() {
    for off in OFF {
        for times in [1, 2] {
            on_a_network(|network| {
                let mut place = Place::new(network);
                let (tree, renewal) = (place.tree(), fs::read(place.renewal()).unwrap());
                assert!(place.is_proxied());
                place.save(&format!(
                    "pre_hook = \"{off}; {RESTART}\"\npost_hook = \"{ON}; {RESTART}\"\n"
                ));
                (0..times).for_each(|_| place.run(off));
                place.restart();
                assert_ne!(place.differing(&tree), Vec::<&Path>::new());
                assert!(!place.is_proxied(), "{off}");
                let adoption = place.adopt();
                assert_eq!(adoption.findings, [], "{off}, {times} times");
                assert_eq!(place.differing(&tree), Vec::<&Path>::new(), "{off}, {times} times");
                assert!(fs::symlink_metadata(place.enabled()).unwrap().is_symlink());
                assert_eq!(fs::read(place.renewal()).unwrap(), renewal);
                assert!(place.is_proxied());
                assert_eq!(place.adoption().0, Adoption::default());
            });
        }
    }
}

#[test]
fn a_copy_that_it_left_with_nothing_commented_out_is_a_link_again() {
    on_a_network(|network| {
        let mut place = Place::new(network);
        let tree = place.tree();
        place.save(&format!("renew_hook = \"{ON}\"\n"));
        place.run("sed -i 's/ProxyPass/ProxyPass/' @ROOT@/sites-enabled/site.conf");
        assert!(!fs::symlink_metadata(place.enabled()).unwrap().is_symlink());
        place.adopt();
        assert_eq!(place.differing(&tree), Vec::<&Path>::new());
    });
}

#[test]
fn its_scripts_stay_and_are_not_run_and_options_are_commented_out() {
    on_a_network(|network| {
        let mut place = Place::new(network);
        let tree = place.tree();
        let off = place.certbot().join("renewal-hooks/pre/proxy-off");
        let on = place.certbot().join("renewal-hooks/post/proxy-on");
        let text = format!("#!/bin/sh\nset -e\n{}\n", OFF[0]);
        place.script(&off, &text);
        place.script(&on, &format!("#!/bin/bash\n{RESTART}\n"));
        let ini = place.certbot().join("cli.ini");
        let options = format!("key-type = ecdsa\ndeploy-hook = {ON}\nquiet\n");
        fs::write(&ini, place.line(&options)).unwrap();
        place.run(off.to_str().unwrap());
        place.restart();
        place.adopt();
        assert_eq!(place.differing(&tree), Vec::<&Path>::new());
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
    on_a_network(|network| {
        let mut place = Place::new(network);
        let tree = place.tree();
        let script = place.layout.base().join("toggle");
        let text = format!("#!/bin/sh\ncase \"$1\" in\noff) {};;\non) {ON};;\nesac\n", OFF[0]);
        place.script(&script, &text);
        let renewal = fs::read(place.renewal()).unwrap();
        let script = script.display();
        place.save(&format!("pre_hook = {script} off\npost_hook = {script} on\n"));
        place.run(&format!("{script} off"));
        place.adopt();
        assert_eq!(place.differing(&tree), Vec::<&Path>::new());
        assert_eq!(fs::read(place.renewal()).unwrap(), renewal);
        assert_eq!(fs::read_to_string(script.to_string()).unwrap(), place.line(&text));
    });
}

#[test]
fn a_file_without_a_twin_is_restored_where_two_runs_prove_it() {
    on_a_network(|network| {
        let mut place = Place::new(network);
        let off = "perl -pi -e 's/ProxyPass/#ProxyPass/' @ROOT@/sites-available/*.conf";
        place.save(&format!("pre_hook = \"{off}\"\n"));
        let tree = place.tree();
        place.run(off);
        place.run(off);
        place.adopt();
        let file = Path::new("sites-available/site.conf");
        let changed = place.differing(&tree);
        assert_eq!(changed, [file], "only its time");
        let before = tree[file].content.as_deref().unwrap();
        assert_eq!(fs::read(place.available()).unwrap(), before);
        assert!(place.is_proxied());
    });
}
