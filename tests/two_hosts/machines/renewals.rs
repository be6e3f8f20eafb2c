//! flow: renewals that go well, or as well as they can.

use crate::clean::{LINEAGES, NAMES};
use crate::lab::{Lab, until};
use crate::scenario::Certbots::{Both, Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("home_renews_all_lineages_and_gives_back_one_by_one", Both, home_renews),
    Scenario::new("a_chain_that_is_not_sent_is_told_and_undoes_nothing", Debians, leaf_alone),
    Scenario::new("the_vps_renews_through_home", Debians, vps_renews),
    Scenario::new("a_name_that_two_lineages_share_stays_until_both_have_it", Sampled, overlap),
    Scenario::new("a_lineage_that_fails_takes_no_other_with_it", Sampled, one_fails),
    Scenario::new("a_name_without_an_address_in_dns_costs_itself_alone", Sampled, unnamed),
    Scenario::new("name_servers_that_do_not_answer_cost_nothing", Debians, mute),
    Scenario::new("a_lineage_that_is_broken_takes_no_other_with_it", Sampled, one_broken),
    Scenario::new(
        "a_certificate_whose_deploy_hook_is_not_called_is_served_all_the_same",
        Debians,
        no_deploy_hook,
    ),
    Scenario::new("nothing_due_is_nothing_done", Both, nothing_due),
    Scenario::new("a_dry_run_leaves_no_trace", Both, dry_run),
];

/// Writes down who answers, at each deploy.
fn noting(lab: &Lab) -> &'static str {
    let urls = NAMES.map(|name| format!("http://{name}/.well-known/acme-challenge/who")).join(" ");
    let text = format!(
        "#!/bin/sh\ncertbaton-deploy-hook || exit\necho $(basename $RENEWED_LINEAGE) $(curl -6 -s {urls}) >> /run/routes\n"
    );
    lab.home.script("/run/note", &text);
    "/run/note"
}

fn home_renews(lab: &Lab) {
    let since = lab.ca.mark();
    lab.renew().deploy(noting(lab)).succeed();
    lab.expect_issued(since, 3);
    lab.expect_served(&LINEAGES);
    assert_eq!(
        lab.home.read("/run/routes"),
        "cloud.example.org vps vps home home\n\
         git.example.org vps vps vps home\n\
         wiki.example.org vps vps vps vps\n"
    );
}

fn leaf_alone(lab: &Lab) {
    let site = "/etc/apache2/sites-available/git.example.org.conf";
    lab.home.replace(site, "git.example.org/fullchain.pem", "git.example.org/cert.pem");
    lab.home.reload();
    lab.note();
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    lab.renew().with(&["--cert-name", "git.example.org"]).succeed();
    lab.expect_issued(since, 1);
    lab.expect_served(&["git.example.org"]);
    let told = lab.home.journal(&cursor);
    // By its public address too.
    for address in ["::1", "2001:db8::20"] {
        let note = format!("git.example.org on {address} does not send the certificate of ");
        assert!(told.contains(&note), "{address}: {told}");
    }
    assert!(told.contains("use fullchain.pem, not cert.pem"), "{told}");
}

fn vps_renews(lab: &Lab) {
    let since = lab.ca.mark();
    lab.certbot_on(&lab.vps, "renew").with(&["--force-renewal"]).hooks().succeed();
    lab.expect_issued(since, 3);
    assert_eq!(lab.ca.served("192.0.2.10", "git.example.org"), lab.vps.serial("git.example.org"));
}

fn overlap(lab: &Lab) {
    let names = ["-d", "git.example.org", "-d", "wiki.example.org"];
    let webroots = [
        "--webroot-map",
        r#"{"git.example.org": "/var/www/html", "wiki.example.org": "/var/www/letsencrypt"}"#,
    ];
    let since = lab.ca.mark();
    let new = lab.certbot_on(&lab.home, "certonly").with(&["--webroot", "--cert-name", "both"]);
    new.with(&webroots).with(&names).hooks().succeed();
    lab.expect_issued(since, 1);
    let since = lab.ca.mark();
    lab.renew().deploy(noting(lab)).succeed();
    lab.expect_issued(since, 4);
    assert_eq!(
        lab.home.read("/run/routes"),
        "both home home home home\n\
         cloud.example.org vps vps home home\n\
         git.example.org vps vps vps home\n\
         wiki.example.org vps vps vps vps\n"
    );
}

/// A lineage on home for `gone.example.org`, proven like the others.
fn gone(lab: &Lab) {
    lab.home.site(
        "gone",
        "<VirtualHost *:80>\nServerName gone.example.org\nDocumentRoot /var/www/html\n\
         ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n</VirtualHost>\n",
    );
    lab.home.reload();
    lab.note();
    lab.ca.names("2001:db8::20 gone.example.org\n");
    let webroot = ["--webroot", "-w", "/var/www/html", "-d", "gone.example.org"];
    lab.certbot_on(&lab.home, "certonly").with(&webroot).hooks().succeed();
}

fn one_fails(lab: &Lab) {
    gone(lab);
    lab.ca.names("2001:db8::99 gone.example.org\n");
    let since = lab.ca.mark();
    let done = lab.renew().run();
    assert_eq!(done.code(), 1, "{done:?}");
    let work = lab.ca.work(since);
    assert_eq!((work.issued, work.invalid), (3, 1), "{work:?}");
    lab.expect_served(&LINEAGES);
}

fn unnamed(lab: &Lab) {
    gone(lab);
    lab.ca.names("");
    let is_gone = || lab.ca.start(&["getent", "ahosts", "gone.example.org"]).ended().out.is_empty();
    until("the name server", is_gone);
    let why = "gone.example.org has no address in DNS: the CA cannot reach it";
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    lab.renew().with(&["--cert-name", "gone.example.org"]).be_stopped();
    until("the keeper's end", || lab.home.running("certbaton").is_empty());
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    assert!(told.contains(why), "{told}");
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    let done = lab.renew().run();
    assert_eq!(done.code(), 1, "certbot tells of it: {done:?}");
    let work = lab.ca.work(since);
    assert!(work.issued == 3 && work.orders <= 4, "one failed order at most: {work:?}");
    lab.expect_served(&LINEAGES);
    let told = lab.home.journal(&cursor);
    let left_out = "left out, certbot will fail with it: gone.example.org: ";
    let line = told.lines().find(|line| line.contains(left_out));
    assert!(line.is_some_and(|line| line.contains(why)), "{told}");
}

fn mute(lab: &Lab) {
    lab.home.script(
        "/run/unheard",
        "#!/bin/sh
         nft 'add table inet mute; add chain inet mute out { type filter hook output priority 0; };
              add rule inet mute out udp dport 53 drop'
         certbaton-pre-hook; status=$?
         nft delete table inet mute
         exit $status\n",
    );
    let since = lab.ca.mark();
    lab.renew().with(&["--cert-name", "wiki.example.org"]).pre("/run/unheard").succeed();
    lab.expect_issued(since, 1);
}

/// certbot has lost its webroot, as a `certonly` by another plugin leaves it.
fn one_broken(lab: &Lab) {
    let conf = "/etc/letsencrypt/renewal/wiki.example.org.conf";
    lab.home.sh(&format!("sed -i '/webroot_path/d; /webroot_map/,$d' {conf}"));
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    let done = lab.renew().run();
    assert_eq!(done.code(), 1, "certbot tells of wiki: {done:?}");
    let work = lab.ca.work(since);
    assert_eq!((work.issued, work.invalid), (2, 0), "{work:?}");
    lab.expect_served(&LINEAGES);
    let told = lab.home.journal(&cursor);
    let words = "left out, certbot will fail with it: wiki.example.org: no webroot is known";
    assert!(told.contains(words), "{told}");
}

/// As certbot 3.2 to 5.2 does with the directory's hooks and a new certificate.
fn no_deploy_hook(lab: &Lab) {
    let (since, before) = (lab.ca.mark(), lab.home.serial("git.example.org"));
    let renew = lab.certbot_on(&lab.home, "renew");
    let renew = renew.with(&["--force-renewal", "--cert-name", "git.example.org"]);
    renew.pre("certbaton-pre-hook").post("certbaton-post-hook").succeed();
    lab.expect_issued(since, 1);
    assert_ne!(lab.home.serial("git.example.org"), before);
    lab.expect_served(&["git.example.org"]);
}

fn nothing_due(lab: &Lab) {
    lab.expect_untouched();
    lab.directory_hooks();
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    let reloads = lab.home.reloads();
    lab.certbot_on(&lab.home, "renew").hooks().succeed();
    lab.expect_not_asked(since);
    assert_eq!(lab.home.journal(&cursor), "");
    assert_eq!(lab.home.reloads(), reloads);
}

fn dry_run(lab: &Lab) {
    let (since, serials) = (lab.ca.mark(), LINEAGES.map(|l| lab.home.serial(l)));
    lab.certbot_on(&lab.home, "renew").with(&["--dry-run"]).hooks().succeed();
    let work = lab.ca.work(since);
    assert_eq!((work.issued, work.invalid), (3, 0), "{work:?}");
    assert_eq!(LINEAGES.map(|l| lab.home.serial(l)), serials);
}
