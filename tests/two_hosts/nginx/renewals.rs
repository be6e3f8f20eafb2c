//! flow: what renewing on an nginx host is, and what it must not be.

use crate::ca::Work;
use crate::clean::LINEAGES;
use crate::host::Host;
use crate::lab::{Lab, tool};
use crate::nginx::foreign::{CONFIGURED, Nginx};
use crate::scenario::Certbots::{Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("the_vps_renews_behind_nginx_and_nginx_serves_it", Sampled, renews),
    Scenario::new("the_coordinators_unit_reloads_nginx_in_its_sandbox", Debians, by_unit),
    Scenario::new("an_nginx_that_fails_its_test_is_not_reloaded", Debians, broken),
    Scenario::new("an_nginx_that_keeps_the_old_certificate_is_told", Debians, keeps),
    Scenario::new(
        "what_does_not_arrive_is_left_out_and_if_nothing_does_certbot_is_stopped",
        Debians,
        not_through,
    ),
    Scenario::new(
        "an_nginx_that_is_not_configured_is_told_by_what_to_write",
        Debians,
        unconfigured,
    ),
    Scenario::new("init_completes_with_the_line_that_it_prints", Debians, set_up),
    Scenario::new("nothing_is_switched_and_status_and_check_say_so", Debians, looked_at),
];

/// Each host knows the other and has a lease of its own; the vps also knows its nginx.
fn together(lab: &Lab) {
    let done = tool().arg("lease").output().unwrap();
    assert!(done.status.success(), "lab lease: {done:?}");
    [&lab.home, &lab.vps].into_iter().for_each(Host::directory_hooks);
    for (host, more) in [(&lab.home, ""), (&lab.vps, CONFIGURED)] {
        let path = "/etc/certbaton/config.toml";
        let text = host.read(path).replace("[lease]\narbiter = \"vps\"\n", "") + more;
        host.write(path, &text);
    }
}

const V4: &str = "192.0.2.10";

fn expect_served_by_nginx(lab: &Lab) {
    for lineage in LINEAGES {
        for address in [V4, "2001:db8::10"] {
            assert_eq!(lab.ca.served(address, lineage), lab.vps.serial(lineage), "{lineage}");
        }
    }
}

fn renews(lab: &Lab) {
    let nginx = Nginx::instead_of_apache(lab, CONFIGURED);
    let (since, cursor) = (lab.ca.mark(), lab.vps.cursor());
    lab.renew_on(&lab.vps).succeed();
    lab.expect_issued(since, LINEAGES.len());
    expect_served_by_nginx(lab);
    nginx.expect_same_process();
    let told = lab.vps.journal(&cursor);
    assert_eq!(told.matches("nginx reloaded").count(), LINEAGES.len(), "{told}");
}

fn by_unit(lab: &Lab) {
    let nginx = Nginx::instead_of_apache(lab, "");
    together(lab);
    let (since, cursor) = (lab.ca.mark(), lab.vps.cursor());
    let drop_in = "/run/systemd/system/certbaton-renew.service.d";
    lab.vps.sh(&format!("mkdir -p {drop_in}"));
    let text = "[Service]\nExecStart=\nExecStart=/usr/bin/renew-coordinate --force-renewal\n";
    lab.vps.write(&format!("{drop_in}/force.conf"), text);
    lab.vps.sh("systemctl daemon-reload");
    let done = lab.vps.run(&["systemctl", "start", "certbaton-renew.service"]);
    let said = lab.vps.journal(&cursor);
    lab.vps.sh(&format!("rm -r {drop_in}; systemctl daemon-reload"));
    assert_eq!(done.code(), 0, "{said}");
    lab.expect_issued(since, 2 * LINEAGES.len());
    expect_served_by_nginx(lab);
    lab.expect_served(&LINEAGES);
    nginx.expect_same_process();
}

fn broken(lab: &Lab) {
    let nginx = Nginx::instead_of_apache(lab, CONFIGURED);
    let (served, workers) = (lab.ca.served(V4, "git.example.org"), nginx.workers());
    lab.vps.write("/etc/nginx/sites-enabled/broken", "nonsense;\n");
    let cursor = lab.vps.cursor();
    let git = ["--cert-name", "git.example.org"];
    let done = lab.renew_on(&lab.vps).with(&git).succeed();
    let why = "/usr/sbin/nginx -t ended with exit status: 1, so nothing was reloaded";
    let told = lab.vps.journal(&cursor);
    for part in [why, "/etc/nginx/sites-enabled/broken:1"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(done.err.contains(why) || done.out.contains(why), "{done:?}");
    assert_eq!(lab.ca.served(V4, "git.example.org"), served);
    assert_ne!(lab.vps.serial("git.example.org"), served);
    assert_eq!(nginx.workers(), workers, "not reloaded");
    let check = lab.vps.run(&["certbaton", "check"]);
    for part in ["ended with exit status: 1", "git.example.org"] {
        assert!(check.out.contains(part), "{part}: {check:?}");
    }
    // Corrected, the next deployment of it serves what is there.
    lab.vps.sh("rm /etc/nginx/sites-enabled/broken");
    lab.vps.sh("RENEWED_LINEAGE=/etc/letsencrypt/live/git.example.org RENEWED_DOMAINS=git.example.org certbaton-deploy-hook");
    expect_served_by_nginx(lab);
    nginx.expect_same_process();
}

/// A reload that comes to nothing: the site has a copy of the files.
fn keeps(lab: &Lab) {
    let config = format!("{CONFIGURED}[proof]\ntime = \"3s\"\n");
    let nginx = Nginx::instead_of_apache(lab, &config);
    let live = "/etc/letsencrypt/live/git.example.org";
    lab.vps.sh(&format!(
        "mkdir -p /root/scenario; cp -L {live}/fullchain.pem {live}/privkey.pem /root/scenario/"
    ));
    lab.vps.replace("/etc/nginx/sites-enabled/git.example.org", live, "/root/scenario");
    let cursor = lab.vps.cursor();
    lab.renew_on(&lab.vps).with(&["--cert-name", "git.example.org"]).succeed();
    let told = lab.vps.journal(&cursor);
    assert!(
        told.contains("git.example.org on 127.0.0.1:443 still serves the certificate"),
        "{told}"
    );
    assert!(
        told.contains("see that its configuration names the lineage's fullchain.pem"),
        "{told}"
    );
    nginx.expect_same_process();
}

/// What does not arrive is left out and named, and costs what it asks for; the rest renews. If nothing does, nobody asks.
fn not_through(lab: &Lab) {
    let config = format!("{CONFIGURED}[proof]\ntime = \"3s\"\n");
    let nginx = Nginx::instead_of_apache(lab, &config);
    let gone = |name: &str| {
        lab.vps.replace(
            &format!("/etc/nginx/sites-enabled/{name}"),
            "location /.well-known/acme-challenge/ { }",
            "location /.well-known/acme-challenge/ { return 404; }",
        );
        lab.vps.sh("systemctl reload nginx");
    };
    let why =
        |name: &str| format!("{name} does not answer from /var/www/html for the CA: status 404");
    // home asks for the vps's own name, which leads to nginx's first site; for the wiki's, it keeps the name.
    gone("cloud.example.org");
    let (since, cursor) = (lab.ca.mark(), lab.vps.cursor());
    let done = lab.renew_on(&lab.vps).run();
    assert_eq!(done.code(), 1, "{done:?}");
    // Its two names and git's.
    assert_eq!(lab.ca.work(since), Work { orders: 3, valid: 1, invalid: 3, issued: 1 });
    let told = lab.vps.journal(&cursor);
    for name in ["cloud.example.org", "git.example.org"] {
        let left_out = format!("left out, certbot will fail with it: {name}: {}", why(name));
        assert_eq!(told.matches(&left_out).count(), 1, "{left_out}: {told}");
    }
    assert!(!told.contains("left out, certbot will fail with it: wiki"), "{told}");
    expect_served_by_nginx(lab);
    nginx.expect_same_process();

    gone("wiki.example.org");
    let (since, cursor) = (lab.ca.mark(), lab.vps.cursor());
    lab.renew_on(&lab.vps).be_stopped();
    lab.expect_not_asked(since);
    let told = lab.vps.journal(&cursor);
    for name in LINEAGES {
        assert!(told.contains(&why(name)), "{name}: {told}");
    }
}

fn unconfigured(lab: &Lab) {
    let nginx = Nginx::instead_of_apache(lab, "");
    let (since, cursor) = (lab.ca.mark(), lab.vps.cursor());
    lab.renew_on(&lab.vps).be_stopped();
    lab.expect_not_asked(since);
    let told = lab.vps.journal(&cursor);
    let (_, line) =
        told.split_once("above its first section: ").unwrap_or_else(|| panic!("{told}"));
    let line = &line[..=line.find('}').unwrap()];
    // What is told to be written does it.
    lab.vps.write("/etc/certbaton/config.toml", line);
    let since = lab.ca.mark();
    lab.renew_on(&lab.vps).with(&["--cert-name", "git.example.org"]).succeed();
    lab.expect_issued(since, 1);
    expect_served_by_nginx(lab);
    nginx.expect_same_process();
}

/// A person copies the line off a terminal of 80 columns.
fn set_up(lab: &Lab) {
    let nginx = Nginx::instead_of_apache(lab, "");
    lab.vps.sh("rm /etc/certbaton/config.toml");
    let init = "certbaton init --role vps --yes";
    let said = lab.vps.run(&["script", "-qec", init, "/dev/null"]);
    assert_eq!(said.code(), 1, "{said:?}");
    let line = said.out.lines().find(|line| line.contains("web-server = {"));
    let line = line.unwrap_or_else(|| panic!("{}", said.out)).trim();
    assert!(line.starts_with("web-server") && line.ends_with('}'), "{}", said.out);
    lab.vps.write("/etc/certbaton/config.toml", &format!("{line}\n"));
    let done = lab.vps.run(&["script", "-qec", init, "/dev/null"]);
    // home is not set up, which the check at its end may find.
    assert!([0, 1].contains(&done.code()), "{done:?}");
    for part in ["nginx, by [web-server]", "now on home:", "certbaton init --role home --vps "] {
        assert!(done.out.contains(part), "no {part:?} in {}", done.out);
    }
    let config = lab.vps.read("/etc/certbaton/config.toml");
    assert!(config.contains(line) && config.contains("arbiter = \"vps\""), "{config}");
    lab.vps.sh("certbaton uninstall --yes > /dev/null");
    nginx.expect_same_process();
}

fn looked_at(lab: &Lab) {
    let _nginx = Nginx::instead_of_apache(lab, "");
    together(lab);
    let switch = lab.vps.run(&["certbaton", "switch", "local"]);
    assert_eq!(switch.code(), 1, "{switch:?}");
    assert!(switch.err.contains("nothing can be switched here"), "{switch:?}");
    assert!(switch.err.contains("nginx"), "{switch:?}");
    assert_eq!(lab.vps.run(&["certbaton", "recover"]).code(), 0);
    let status = lab.vps.run(&["certbaton", "status"]);
    assert!(status.out.contains("web server nginx"), "{status:?}");
    let status = lab.vps.run(&["certbaton", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    support::schema::expect("status", &status);
    assert_eq!(status["hosts"][0]["found"]["apache"], serde_json::Value::Null, "{status}");
    let check = lab.vps.run(&["certbaton", "check"]);
    for part in ["if vps renewed now: succeeds (all 4 names)", "nothing wrong"] {
        assert!(check.out.contains(part), "{part}: {}", check.out);
    }
}
