//! flow: what cannot succeed is refused before the CA is asked, and touches nothing.

use crate::clean::LINEAGES;
use crate::lab::Lab;
use crate::scenario::Certbots::{Both, Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("a_configuration_that_somebody_broke_is_refused_by_its_line", Both, broken),
    Scenario::new("an_apache_that_does_not_run_is_not_started", Sampled, not_running),
    Scenario::new(
        "a_key_of_another_vhost_that_does_not_match_is_never_loaded",
        Sampled,
        foreign_key,
    ),
    Scenario::new("a_renewed_certificate_without_its_key_is_never_loaded", Sampled, renewed_key),
    Scenario::new("a_webroot_that_is_missing_is_refused", Sampled, no_webroot),
    Scenario::new("a_person_at_a_terminal_reads_why_certbot_was_stopped", Sampled, terminal),
    Scenario::new("a_certbot_that_keeps_sigterm_to_itself_is_stopped_too", Sampled, deaf_certbot),
    Scenario::new("a_webroot_that_leads_elsewhere_is_refused", Debians, linked_webroot),
    Scenario::new("a_vhost_that_cannot_be_switched_is_refused_by_its_line", Sampled, location),
    Scenario::new("a_vhost_that_cannot_be_switched_costs_itself_alone", Debians, location_beside),
];

const WIKI: [&str; 2] = ["--cert-name", "wiki.example.org"];
const CLOUD: &str = "/etc/apache2/sites-available/cloud.example.org.conf";

/// certbot is stopped before it asks the CA, and a person can read each of `words`.
fn expect_refused(lab: &Lab, words: &[&str]) {
    expect_refused_of(lab, &[], words);
}

/// The same of a run with `more` options: what concerns one lineage stops only a run of that alone.
fn expect_refused_of(lab: &Lab, more: &[&str], words: &[&str]) {
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    lab.renew().with(more).be_stopped();
    lab.home.at_rest();
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    for word in words.iter().chain(&["was stopped before it asked the CA"]) {
        assert!(told.contains(word), "no {word:?} in:\n{told}");
    }
}

/// A run of all renews those beside `lineage`, which is named before certbot reports it.
fn expect_left_out(lab: &Lab, lineage: &str, words: &str) {
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    let done = lab.renew().run();
    assert_eq!(done.code(), 1, "certbot tells of {lineage}: {done:?}");
    lab.home.at_rest();
    let work = lab.ca.work(since);
    assert!(work.issued == 2 && work.orders <= 3, "one failed order at most: {work:?}");
    lab.expect_served(&LINEAGES);
    let told = lab.home.journal(&cursor);
    let line = told.lines().find(|line| line.contains("left out, certbot will fail with it: "));
    let named = line.is_some_and(|line| line.contains(lineage) && line.contains(words));
    assert!(named, "no {words:?} of {lineage} in:\n{told}");
}

fn broken(lab: &Lab) {
    lab.expect_untouched();
    lab.home.site("mine", "<VirtualHost *:80>\n  ServerName mine.example.org\n  ProxyPas / http://x/\n</VirtualHost>\n");
    lab.note();
    expect_refused(lab, &["/etc/apache2/sites-enabled/mine.conf:3: ", "ProxyPas"]);
}

fn not_running(lab: &Lab) {
    lab.expect_untouched();
    lab.home.sh("systemctl stop apache2");
    lab.note();
    expect_refused(lab, &["not running"]);
    assert_eq!(lab.home.run(&["systemctl", "is-active", "-q", "apache2"]).code(), 3);
}

fn foreign_key(lab: &Lab) {
    lab.home.site(
        "mine",
        "<VirtualHost *:443>\n  ServerName mine.example.org\n  SSLEngine on\n\
         SSLCertificateFile /etc/letsencrypt/live/git.example.org/fullchain.pem\n\
         SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key\n</VirtualHost>\n",
    );
    // Apache has it as old as this; what is saved and not loaded is newer.
    lab.home.sh("cp -a /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/private/mine.key");
    lab.home.replace("/etc/apache2/sites-available/mine.conf", "ssl-cert-snakeoil", "mine");
    lab.note();
    let reloads = lab.home.reloads();
    expect_refused(
        lab,
        &[
            "live/git.example.org/fullchain.pem",
            "/etc/ssl/private/mine.key",
            "do not belong together",
        ],
    );
    assert_eq!(lab.home.reloads(), reloads);
    lab.home.sh("rm /etc/ssl/private/mine.key");
}

fn renewed_key(lab: &Lab) {
    lab.home.script(
        "/run/swap",
        "#!/bin/sh\ncd $RENEWED_LINEAGE && cp -P privkey.pem /run/key\n\
         ln -sf /etc/ssl/private/ssl-cert-snakeoil.key privkey.pem\ncertbaton-deploy-hook\n",
    );
    let (cursor, reloads) = (lab.home.cursor(), lab.home.reloads());
    let done = lab.renew().with(&["--cert-name", "git.example.org"]).deploy("/run/swap").run();
    assert_eq!(lab.home.reloads(), reloads + 1, "but for the pre-hook's");
    let told = lab.home.journal(&cursor);
    assert!(
        told.contains("live/git.example.org/privkey.pem do not belong together"),
        "{told}\n{done:?}"
    );
    assert!(told.contains("names may still be local"), "{told}");
    // Once somebody repairs it, the keeper goes on by itself.
    lab.home.sh("cp -P /run/key /etc/letsencrypt/live/git.example.org/privkey.pem");
    lab.home.at_rest();
    lab.expect_served(&LINEAGES);
}

fn no_webroot(lab: &Lab) {
    lab.home.sh("sed -i s:/var/www/letsencrypt:/var/www/gone: /etc/letsencrypt/renewal/wiki.example.org.conf");
    expect_refused_of(lab, &WIKI, &["/var/www/gone"]);
    expect_left_out(lab, "wiki.example.org", "/var/www/gone");
}

fn terminal(lab: &Lab) {
    lab.home.sh("sed -i s:/var/www/letsencrypt:/var/www/gone: /etc/letsencrypt/renewal/wiki.example.org.conf");
    let since = lab.ca.mark();
    let options = "--cert-name wiki.example.org --pre-hook certbaton-pre-hook";
    let command = format!("{} renew -q --force-renewal {options}", lab.certbot);
    let done = lab.home.run(&["script", "-qec", &command, "/dev/null"]);
    assert_eq!(done.code(), 143, "{done:?}");
    for words in
        ["certbaton-pre-hook: ", "/var/www/gone", "certbot is stopped before it asks the CA"]
    {
        assert!(done.out.contains(words), "no {words:?}: {done:?}");
    }
    lab.home.at_rest();
    lab.expect_not_asked(since);
}

/// One lineage is renewed before the pre-hook of another, saved with it, cannot succeed.
fn deaf_certbot(lab: &Lab) {
    lab.home.sh("certbaton switch local cloud.example.org www.cloud.example.org > /dev/null
         cd /etc/letsencrypt/renewal
         rm git.example.org.conf
         sed -i 's:/var/www/letsencrypt:/var/www/gone:; /renewalparams/a pre_hook = /run/last' \
             wiki.example.org.conf");
    // By then none of both can be proven: what is renewed already would do for the run to go on.
    lab.home.script(
        "/run/last",
        "#!/bin/sh\nsed -i s:/var/www/html:/var/www/gone: /etc/letsencrypt/renewal/cloud.example.org.conf\n\
         exec certbaton-pre-hook\n",
    );
    let since = lab.ca.mark();
    let done = lab.certbot_on(&lab.home, "renew").with(&["--force-renewal"]).run();
    assert_ne!(done.code(), 0, "{done:?}");
    lab.home.at_rest();
    let work = lab.ca.work(since);
    assert_eq!((work.orders, work.issued, work.invalid), (1, 1, 0), "{work:?}");
    lab.home.sh("certbaton switch peer > /dev/null");
}

fn linked_webroot(lab: &Lab) {
    lab.home.sh("cd /var/www/letsencrypt && mv .well-known /var/www/elsewhere && ln -s /var/www/elsewhere .well-known");
    lab.note();
    expect_refused_of(lab, &WIKI, &["/var/www/letsencrypt/.well-known"]);
}

fn location(lab: &Lab) {
    lab.expect_untouched();
    redirect_all(lab);
    let cloud = ["--cert-name", "cloud.example.org"];
    expect_refused_of(lab, &cloud, &["cloud.example.org.conf:7", "Redirect"]);
}

fn location_beside(lab: &Lab) {
    redirect_all(lab);
    expect_left_out(lab, "cloud.example.org", "cloud.example.org.conf:7");
}

/// The challenge path of cloud.example.org is redirected where no line of ours can come first.
fn redirect_all(lab: &Lab) {
    lab.home.replace(
        CLOUD,
        "\tDocumentRoot /var/www/html\n",
        "\tDocumentRoot /var/www/html\n\t<Location />\n\t\tRedirect permanent https://cloud.example.org/\n\t</Location>\n",
    );
    lab.home.reload();
    lab.note();
}
