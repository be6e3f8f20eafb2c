//! flow: configurations as people have them: many files, two webroots, what an older hook left, what nobody loaded.

use crate::lab::Lab;
use crate::machines::hooks::new_name;
use crate::scenario::Certbots::{Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("two_webroots_in_one_vhost", Sampled, one_vhost),
    Scenario::new("two_webroots_in_two_vhosts", Debians, two_vhosts),
    Scenario::new("a_name_that_redirects_to_https", Debians, redirecting),
    Scenario::new("several_ca_files_of_a_script", Debians, ca_files),
    Scenario::new("what_the_old_hook_left_is_reported_and_not_worsened", Debians, old_hook),
    Scenario::new("a_file_that_nobody_loaded_is_named", Debians, not_loaded),
];

fn issued_for(lab: &Lab, words: &[&str]) {
    let since = lab.ca.mark();
    lab.certbot_on(&lab.home, "certonly").with(&["--webroot"]).with(words).hooks().succeed();
    lab.expect_issued(since, 1);
}

fn one_vhost(lab: &Lab) {
    two_webroots(lab, "www.cloud.example.org");
}

fn two_vhosts(lab: &Lab) {
    two_webroots(lab, "wiki.example.org");
}

/// One lineage, its first name in one webroot and `other` in another.
fn two_webroots(lab: &Lab, other: &str) {
    let first = ["--cert-name", "two", "-w", "/var/www/html", "-d", "cloud.example.org"];
    let second = ["-w", "/var/www/letsencrypt", "-d", other];
    issued_for(lab, &[&first[..], &second].concat());
}

fn redirecting(lab: &Lab) {
    lab.home.site(
        "new.example.org",
        "<VirtualHost *:80>\n  ServerName new.example.org\n  RewriteEngine on\n  \
         RewriteRule ^/(.*)$ https://new.example.org/$1 [R=301,L]\n</VirtualHost>\n\
         <VirtualHost *:443>\n  ServerName new.example.org\n  DocumentRoot /var/www/html\n  SSLEngine on\n  \
         SSLCertificateFile /etc/letsencrypt/live/git.example.org/fullchain.pem\n  \
         SSLCertificateKeyFile /etc/letsencrypt/live/git.example.org/privkey.pem\n  \
         ProxyPass / http://localhost:8080/\n</VirtualHost>\n",
    );
    lab.home.reload();
    lab.note();
    lab.ca.names("2001:db8::20 new.example.org\n192.0.2.10 new.example.org\n");
    issued_for(lab, &["-w", "/var/www/html", "-d", "new.example.org"]);
}

fn ca_files(lab: &Lab) {
    for name in ["cloud", "git", "wiki"] {
        let site = lab.home.read(&format!("/etc/apache2/sites-available/{name}.example.org.conf"));
        // A script made these: the challenge path of each name in a vhost of its own.
        let tls = site.find("<VirtualHost *:443>").unwrap();
        lab.home.write(
            &format!("/etc/apache2/sites-available/{name}.example.org.conf"),
            site[tls..].trim_end_matches("</IfModule>\n"),
        );
        let alias = if name == "cloud" { "    ServerAlias www.cloud.example.org\n" } else { "" };
        lab.home.site(
            &format!("{name}.ca"),
            &format!(
                "<VirtualHost *:80>\n    ServerName {name}.example.org\n{alias}    DocumentRoot /var/www/html\n    \
                 ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n    \
                 ProxyPassReverse /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n\
                 </VirtualHost>\n"
            ),
        );
    }
    lab.home.reload();
    lab.note();
    let since = lab.ca.mark();
    lab.renew().succeed();
    lab.expect_issued(since, 3);
}

fn old_hook(lab: &Lab) {
    // s/ProxyPass/#ProxyPass/, twice, with the link replaced by the file it wrote.
    lab.home.sh("cd /etc/apache2/sites-enabled
         perl -pi -e 's/^(\\s*)ProxyPass(?=.*acme)/$1##ProxyPass/' git.example.org.conf");
    lab.home.sh("test -f /etc/apache2/sites-enabled/git.example.org.conf -a ! -L /etc/apache2/sites-enabled/git.example.org.conf");
    lab.home.reload();
    lab.note();
    let left = [
        "git.example.org.conf:5",
        "##ProxyPass /.well-known",
        "git.example.org.conf is a regular file, not a link",
    ];
    let done = lab.home.run(&["certbaton", "switch", "local", "git.example.org"]);
    assert_eq!(done.code(), 0, "{done:?}");
    for words in left {
        assert!(done.err.contains(words), "no {words:?}: {done:?}");
    }
    // What only takes away has nothing to say of that.
    let done = lab.home.run(&["certbaton", "switch", "peer", "git.example.org"]);
    assert_eq!((done.code(), done.err.as_str()), (0, ""), "{done:?}");
    // A renewal says it in the journal, and the next one not again.
    for times in [1, 0] {
        let cursor = lab.home.cursor();
        lab.renew().with(&["--cert-name", "git.example.org"]).succeed();
        lab.home.at_rest();
        let told = lab.home.journal(&cursor);
        for words in left {
            assert_eq!(told.matches(words).count(), times, "{words:?} in {told}");
        }
    }
}

fn not_loaded(lab: &Lab) {
    new_name(lab, "new.example.org");
    let site = "/etc/apache2/sites-available/new.example.org.conf";
    lab.home.replace(site, "  DocumentRoot", "  # saved, not loaded\n  DocumentRoot");
    lab.note();
    let cursor = lab.home.cursor();
    lab.renew().succeed();
    let told = lab.home.journal(&cursor);
    assert_eq!(
        told.matches("new.example.org.conf was changed after Apache last loaded").count(),
        1,
        "{told}"
    );
}
