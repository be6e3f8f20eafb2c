//! pure: an Apache on the vps that does not answer from certbot's webroot.

use crate::check::setup::Change::{Address, Before, Edit, Run, Write};
use crate::check::setup::On::Vps;
use crate::check::setup::{Change, GIT, Setup, WIKI, WIKI_CONF, line, words};

/// With its hooks it would switch, as home does, and all would be well.
const NO_HOOKS: Change = Run(Vps, "rm /etc/letsencrypt/renewal-hooks/*/certbaton");

const WIKI_RENEWAL: &str = "/etc/letsencrypt/renewal/wiki.example.org.conf";

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("vps_asks_its_application_first", WIKI)
        .with(&[NO_HOOKS, Edit(
            Vps,
            WIKI_CONF,
            "    ProxyPass        /.well-known",
            "    ProxyPass        / https://home.example.org/\n    ProxyPass        /.well-known",
        )])
        .finds(&[
            line(Vps, "passed-on", WIKI_CONF, "ProxyPass        / ", "!"),
            line(Vps, "dead-line", WIKI_CONF, "acme-challenge/ !", "move it before").warns(),
            // The same on port 443.
            words(Vps, "dead-line", WIKI_CONF, "move it before").warns(),
        ])
        .vps_fails(),
    Setup::new("vps_has_no_exclusion", WIKI)
        .with(&[NO_HOOKS, Edit(Vps, WIKI_CONF, "    ProxyPass        /.well-known/acme-challenge/ !\n", "")])
        .finds(&[line(Vps, "passed-on", WIKI_CONF, "ProxyPass        / ", "ProxyPass /.well-known/acme-challenge/ !")])
        .vps_fails(),
    Setup::new("vps_redirects_everything", WIKI)
        .with(&[NO_HOOKS, Before(
            Vps,
            WIKI_CONF,
            "# certbot on this host",
            "    RedirectMatch 301 ^/(.*)$ https://wiki.example.org/$1",
        )])
        .finds(&[line(Vps, "redirected", WIKI_CONF, "RedirectMatch", "acme-challenge")])
        .vps_fails(),
    Setup::new("vps_answers_from_another_directory", WIKI)
        .with(&[NO_HOOKS, Before(
            Vps,
            WIKI_CONF,
            "# certbot on this host",
            "    Alias /.well-known/acme-challenge/ /srv/acme/",
        )])
        .finds(&[line(Vps, "wrong-directory", WIKI_CONF, "Alias", "/var/www/html")])
        .vps_fails(),
    Setup::new("vps_has_certbot_write_elsewhere", WIKI)
        .with(&[NO_HOOKS,
            Run(Vps, "mkdir -p /var/www/elsewhere"),
            Edit(Vps, WIKI_RENEWAL, "/var/www/html", "/var/www/elsewhere"),
        ])
        .finds(&[line(Vps, "wrong-directory", WIKI_CONF, "DocumentRoot", "/var/www/elsewhere")])
        .vps_fails(),
    Setup::new("vps_has_no_webroot", WIKI)
        .with(&[NO_HOOKS, Edit(Vps, WIKI_RENEWAL, "/var/www/html", "/var/www/gone")])
        .finds(&[line(Vps, "webroot-missing", WIKI_RENEWAL, "webroot_path", "mkdir"),
            line(Vps, "wrong-directory", WIKI_CONF, "DocumentRoot", "directory that is served")])
        .vps_fails(),
    Setup::new("vps_wants_a_password", WIKI)
        .with(&[NO_HOOKS,
            Write(Vps, "/etc/apache2/users", ""),
            Before(
                Vps,
                WIKI_CONF,
                "# certbot on this host",
                "    <Location />
        AuthType Basic
        AuthName lab
        AuthUserFile /etc/apache2/users
        Require valid-user
    </Location>",
            ),
        ])
        .finds(&[line(Vps, "denied", WIKI_CONF, "Require valid-user", "Require all granted")])
        .vps_fails(),
    Setup::new("vps_denies_what_begins_with_a_dot", GIT)
        .with(&[NO_HOOKS, Write(
            Vps,
            "/etc/apache2/conf-enabled/dots.conf",
            "<LocationMatch \"/\\.\">\n    Require all denied\n</LocationMatch>\n",
        )])
        .finds(&[line(Vps, "denied", "/etc/apache2/conf-enabled/dots.conf", "Require all denied", "well-known")])
        .vps_fails()
        .all(),
    Setup::new("vps_redirects_by_htaccess", WIKI)
        .with(&[NO_HOOKS,
            Write(
                Vps,
                "/etc/apache2/conf-enabled/htaccess.conf",
                "<Directory /var/www/html>\n    AllowOverride All\n</Directory>\n",
            ),
            Write(
                Vps,
                "/var/www/html/.htaccess",
                "RewriteEngine On\nRewriteRule ^ https://home.example.org/portal [R=302,L]\n",
            ),
        ])
        .finds(&[line(Vps, "redirected", "/var/www/html/.htaccess", "RewriteRule", "RewriteCond")])
        .vps_fails()
        .all(),
    Setup::new("vps_serves_a_name_that_it_has_no_certificate_for", WIKI)
        .from(Vps)
        .with(&[
            Address("extra.example.org", &["192.0.2.10"]),
            Edit(Vps, WIKI_CONF, "ServerName wiki.example.org", "ServerName wiki.example.org\n    ServerAlias extra.example.org"),
        ])
        .finds(&[line(Vps, "served-not-covered", WIKI_CONF, "SSLCertificateFile", "certbot certonly")]),
    Setup::new("vps_has_no_vhost_of_that_name", WIKI)
        .with(&[NO_HOOKS,
            Run(Vps, "mkdir -p /var/www/wiki; sed -i 's:/var/www/html:/var/www/wiki:' /etc/letsencrypt/renewal/wiki.example.org.conf"),
            Edit(Vps, WIKI_CONF, "ServerName wiki.example.org\n    DocumentRoot /var/www/html", "ServerName wiki.example.com\n    DocumentRoot /var/www/wiki"),
        ])
        .finds(&[
            words(Vps, "no-vhost", "000-default.conf:1", "ServerAlias wiki.example.org"),
            words(Vps, "wrong-directory", "000-default.conf:12", "/var/www/wiki"),
            words(Vps, "served-not-covered", "A 192.0.2.10 port 443", "vhost"),
        ])
        .vps_fails(),
];
