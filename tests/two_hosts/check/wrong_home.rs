//! pure: an Apache at home that does not hand the challenges of the vps on, or cannot be switched.

use crate::check::healthy::{CLOUD_PROXY_PASS, GIT_PROXY_PASS};
use crate::check::setup::Change::{Address, Before, Edit, Run, Write};
use crate::check::setup::On::{Home, Vps};
use crate::check::setup::Renewal::Passes;
use crate::check::setup::{CLOUD, CLOUD_CONF, GIT, GIT_CONF, Setup, WIKI, WIKI_CONF, line, words};

const DEFAULT_CONF: &str = "/etc/apache2/sites-enabled/000-default.conf";

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("home_keeps_the_path", CLOUD)
        .with(&[Edit(Home, CLOUD_CONF, CLOUD_PROXY_PASS, "")])
        .finds(&[line(Home, "not-passed-on", CLOUD_CONF, "<VirtualHost *:80>", "ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails()
        .home(Passes),
    Setup::new("home_asks_a_port_where_nobody_is", CLOUD)
        .with(&[Edit(Home, CLOUD_CONF, "http://vps.example.org/", "http://vps.example.org:8081/")])
        .finds(&[line(Home, "cannot-pass-on", CLOUD_CONF, "ProxyPass ", "firewall")])
        .vps_fails(),
    Setup::new("home_asks_another_host", CLOUD)
        .with(&[Edit(Home, CLOUD_CONF, "http://vps.example.org/", "http://[2001:db8::66]/")])
        .finds(&[line(Home, "wrong-target", CLOUD_CONF, "ProxyPass ", "ProxyPreserveHost On and ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails(),
    Setup::new("home_asks_another_path", CLOUD)
        .with(&[Edit(Home, CLOUD_CONF, CLOUD_PROXY_PASS, "\tProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .finds(&[line(Home, "wrong-target", CLOUD_CONF, "ProxyPass /", "ProxyPreserveHost On and ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails(),
    Setup::new("home_asks_by_https_without_the_engine", CLOUD)
        .with(&[Edit(Home, CLOUD_CONF, "http://vps.example.org/", "https://vps.example.org/")])
        .finds(&[line(Home, "wrong-target", CLOUD_CONF, "ProxyPass ", "ProxyPreserveHost On and ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails(),
    Setup::new("home_asks_by_https_and_does_not_believe_it", CLOUD)
        .with(&[
            Edit(Home, CLOUD_CONF, "http://vps.example.org/", "https://vps.example.org/"),
            Before(
                Home,
                CLOUD_CONF,
                "# the CA comes",
                "\tSSLProxyEngine on
\tSSLProxyVerify require
\tSSLProxyCACertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem",
            ),
        ])
        .finds(&[line(Home, "wrong-target", CLOUD_CONF, "ProxyPass ", "ProxyPreserveHost On and ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails(),
    // The other host has a vhost for the name, and never sees the name.
    Setup::new("home_does_not_tell_the_name", CLOUD)
        .with(&[
            Run(Vps, "mkdir -p /var/www/cloud"),
            Edit(Vps, CLOUD_CONF, "DocumentRoot /var/www/html", "DocumentRoot /var/www/cloud"),
            Edit(
                Vps,
                "/etc/letsencrypt/renewal/cloud.example.org.conf",
                "/var/www/html",
                "/var/www/cloud",
            ),
        ])
        .finds(&[line(Home, "wrong-target", CLOUD_CONF, "ProxyPass ", "ProxyPreserveHost On and ProxyPass /.well-known/acme-challenge/ http://vps.example.org/")])
        .vps_fails(),
    Setup::new("home_asks_its_application_first", WIKI)
        .with(&[Edit(
            Home,
            WIKI_CONF,
            "    ProxyPass        /.well-known",
            "    ProxyPass        / http://localhost:8080/\n    ProxyPass        /.well-known",
        )])
        .finds(&[line(Home, "wrong-target", WIKI_CONF, "ProxyPass        / ", "http://vps.example.org/.well-known/acme-challenge/"),line(Home, "dead-line", WIKI_CONF, "ProxyPass        /.well-known", "move it before").warns()])
        .vps_fails(),
    Setup::new("home_redirects_to_another_host", CLOUD)
        .with(&[
            Address("portal.example.org", &["2001:db8::66"]),
            Before(
                Home,
                CLOUD_CONF,
                "# the CA comes",
                "\tRewriteEngine On
\tRewriteRule ^ http://portal.example.org%{REQUEST_URI} [R=301,L]",
            ),
        ])
        .finds(&[line(Home, "redirected", CLOUD_CONF, "RewriteRule", "RewriteCond %{REQUEST_URI} !^"),line(Home, "dead-line", CLOUD_CONF, "ProxyPass        /.well-known", "move it before").warns()])
        .vps_fails(),
    Setup::new("home_redirects_to_another_port", CLOUD)
        .with(&[Edit(
            Home,
            CLOUD_CONF,
            CLOUD_PROXY_PASS,
            "\tRedirect permanent / http://cloud.example.org:8080/",
        )])
        .finds(&[line(Home, "redirected", CLOUD_CONF, "Redirect permanent", "RedirectMatch")])
        .vps_fails(),
    Setup::new("home_redirects_in_a_circle", WIKI)
        .with(&[Before(
            Home,
            WIKI_CONF,
            "ProxyPreserveHost",
            "    RewriteEngine On
    RewriteRule ^ http://wiki.example.org%{REQUEST_URI} [R=302,L]",
        )])
        .finds(&[line(Home, "redirected", WIKI_CONF, "RewriteRule", "RewriteCond"),line(Home, "dead-line", WIKI_CONF, "ProxyPass        /.well-known", "move it before").warns()])
        .vps_fails(),
    Setup::new("home_redirects_to_https_and_asks_its_application", GIT)
        .with(&[Edit(Home, GIT_CONF, GIT_PROXY_PASS, "")])
        .finds(&[line(Home, "redirected", GIT_CONF, "Redirect permanent", "ProxyPass")])
        .vps_fails(),
    Setup::new("home_redirects_in_a_location", GIT)
        .with(&[Edit(
            Home,
            GIT_CONF,
            "  Redirect permanent / https://git.example.org/",
            "  <Location />\n    Redirect permanent https://git.example.org/\n  </Location>",
        )])
        .finds(&[line(Home, "redirected", GIT_CONF, "Redirect permanent", "RedirectMatch"),line(Home, "cannot-switch", GIT_CONF, "Redirect permanent", "outside of the section")])
        .nobody_renews(),
    Setup::new("home_has_the_challenges_answered_by_mod_md", WIKI)
        .with(&[
            Run(Home, "a2enmod -q md > /dev/null"),
            Write(
                Home,
                "/etc/apache2/conf-enabled/md.conf",
                "MDomain wiki.example.org\nMDCertificateAgreement accepted\nMDRenewMode always\n\
                 MDCertificateAuthority https://ca.example.org/dir\n",
            ),
        ])
        .finds(&[line(Home, "mod-md", "/etc/apache2/conf-enabled/md.conf", "MDomain", "MDCertificateFile")])
        .nobody_renews(),
    Setup::new("home_has_no_vhost_of_that_name", WIKI)
        .with(&[Run(Home, "a2dissite -q wiki.example.org > /dev/null; systemctl restart apache2")])
        .finds(&[line(Home, "wrong-directory", DEFAULT_CONF, "DocumentRoot", "ProxyPass /.well-known"),
            words(Home, "served-not-covered", "AAAA 2001:db8::20 port 443", "vhost"),
            line(Home, "no-vhost", DEFAULT_CONF, "<VirtualHost", "ServerAlias wiki.example.org").warns()])
        .vps_fails(),
    Setup::new("home_has_no_webroot", WIKI)
        .with(&[Run(Home, "rm -r /var/www/letsencrypt")])
        .finds(&[line(Home, "webroot-missing", "/etc/letsencrypt/renewal/wiki.example.org.conf", "webroot_path", "mkdir")])
        .home_fails(),
    Setup::new("home_has_a_webroot_that_apache_cannot_read", WIKI)
        .with(&[Run(Home, "chmod 700 /var/www/letsencrypt")])
        .finds(&[words(Home, "webroot-unreadable", "/var/www/letsencrypt", "chmod")])
        .home_fails(),
    Setup::new("home_has_an_error_in_its_configuration", CLOUD)
        .with(&[Run(Home, "sed -i 's/ServerAdmin/ServerAdmim/' /etc/apache2/sites-available/cloud.example.org.conf")])
        .finds(&[line(Home, "configtest", CLOUD_CONF, "ServerAdmim", "correct this line (Invalid command 'ServerAdmim'")])
        .home_fails()
        .all(),
    Setup::new("home_has_a_copy_where_a_link_should_be", CLOUD)
        .with(&[Run(
            Home,
            "cd /etc/apache2/sites-enabled && cp --remove-destination ../sites-available/cloud.example.org.conf .
             systemctl restart apache2",
        )])
        .finds(&[words(Home, "site-copied", CLOUD_CONF, "a2ensite").warns()]),
    Setup::new("home_was_left_to_itself_by_an_old_hook", WIKI)
        .with(&[Edit(Home, WIKI_CONF, "    ProxyPass ", "##    ProxyPass ")])
        .finds(&[line(Home, "not-passed-on", WIKI_CONF, "<VirtualHost *:80>", "ProxyPass"),
            line(Home, "old-hook", WIKI_CONF, "##    ProxyPass        /.well-known", "remove the #").warns(),
        ])
        .vps_fails()
        .home(Passes),
    Setup::new("home_was_left_switched", WIKI)
        .with(&[Run(Home, "certbaton switch local wiki.example.org")])
        .finds(&[words(Home, "abandoned-route", WIKI_CONF, "certbaton recover")])
        .vps_fails()
        .home(Passes),
    Setup::new("home_was_left_switched_and_edited", WIKI)
        .with(&[Run(
            Home,
            "certbaton switch local wiki.example.org
             sed -i '/certbaton.*end/Id' /etc/apache2/sites-available/wiki.example.org.conf",
        )])
        .finds(&[line(Home, "damaged-block", WIKI_CONF, "# certbaton", "delete these lines"),
            line(Home, "not-passed-on", WIKI_CONF, "<VirtualHost *:80>", "ProxyPass")])
        .nobody_renews()
        // No switch at all is made beside lines that somebody changed.
        .all_at_home(),
    Setup::new("home_has_no_hooks", WIKI)
        .with(&[Run(Home, "rm /etc/letsencrypt/renewal-hooks/*/certbaton")])
        .finds(&[words(Home, "hooks-missing", "renewal-hooks", "certbaton install")])
        .home_fails()
        .all(),
];
