//! pure: set-ups that only look odd: nothing is to be found, and both hosts renew.

use crate::check::setup::Change::{Address, Before, Edit, Run, Write};
use crate::check::setup::On::{Home, Vps};
use crate::check::setup::Renewal::{Nothing, Passes};
use crate::check::setup::{CLOUD, CLOUD_CONF, GIT, GIT_CONF, Setup, WIKI, WIKI_CONF};

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("healthy_as_it_was_set_up", CLOUD),
    Setup::new("healthy_the_same_from_the_vps", GIT).from(Vps),
    Setup::new("healthy_the_challenge_path_in_a_location", CLOUD).with(&[
        Edit(Home, CLOUD_CONF, CLOUD_PROXY_PASS, CLOUD_LOCATION),
        Edit(Home, CLOUD_CONF, CLOUD_PROXY_PASS_REVERSE, ""),
    ]),
    Setup::new("healthy_the_challenge_path_by_a_rewrite", CLOUD).with(&[Edit(
        Home,
        CLOUD_CONF,
        CLOUD_PROXY_PASS,
        "\tRewriteEngine On
\tRewriteRule ^/\\.well-known/acme-challenge/(.*)$ http://vps.example.org/.well-known/acme-challenge/$1 [P,L]",
    )]),
    Setup::new("healthy_an_exclusion_for_all_vhosts", WIKI).with(&[
        Edit(Vps, WIKI_CONF, "    ProxyPass        /.well-known/acme-challenge/ !\n", ""),
        Write(
            Vps,
            "/etc/apache2/conf-enabled/acme.conf",
            "ProxyPass /.well-known/acme-challenge/ !\n",
        ),
    ]),
    Setup::new("healthy_a_redirect_to_https_that_spares_the_path", WIKI).with(&[
        Edit(Vps, WIKI_CONF, "    SetEnv proxy-initial-not-pooled 1\n", ""),
        Before(
            Vps,
            WIKI_CONF,
            "# certbot on this host",
            "    RewriteEngine On
    RewriteCond %{REQUEST_URI} !^/\\.well-known/acme-challenge/
    RewriteRule ^ https://%{SERVER_NAME}%{REQUEST_URI} [R=301,L]",
        ),
    ]),
    // The CA follows it to port 443, where the same line is.
    Setup::new("healthy_a_redirect_to_https_that_the_ca_follows", GIT).with(&[
        Edit(Home, GIT_CONF, GIT_PROXY_PASS, ""),
        Edit(
            Home,
            GIT_CONF,
            "  ProxyPass / http://localhost:8080/",
            "  ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/
  ProxyPass / http://localhost:8080/",
        ),
    ]),
    Setup::new("healthy_an_alias_to_the_webroot", WIKI).with(&[
        Run(Vps, "mkdir -p /srv/acme/.well-known/acme-challenge"),
        Before(
            Vps,
            WIKI_CONF,
            "DocumentRoot",
            "    Alias /.well-known/acme-challenge/ /srv/acme/.well-known/acme-challenge/
    <Directory /srv/acme>
        Require all granted
    </Directory>",
        ),
        Edit(
            Vps,
            "/etc/letsencrypt/renewal/wiki.example.org.conf",
            "/var/www/html",
            "/srv/acme",
        ),
    ]),
    Setup::new("healthy_another_webroot_at_home", CLOUD).with(&[
        Run(Home, "mkdir -p /var/www/cloud"),
        Edit(Home, CLOUD_CONF, "DocumentRoot /var/www/html", "DocumentRoot /var/www/cloud"),
        Edit(
            Home,
            "/etc/letsencrypt/renewal/cloud.example.org.conf",
            "/var/www/html",
            "/var/www/cloud",
        ),
    ]),
    // Not home's any more.
    Setup::new("healthy_a_name_with_only_an_ipv4_address", WIKI)
        .with(&[
            Address(WIKI, &["192.0.2.10"]),
            Run(
                Home,
                "rm -r /etc/letsencrypt/*/wiki.example.org* /etc/apache2/sites-*/wiki.example.org.conf
                 systemctl restart apache2",
            ),
        ])
        .home(Nothing),
    Setup::new("healthy_a_name_with_only_an_ipv6_address", WIKI)
        .with(&[Address(WIKI, &["2001:db8::20"])]),
    Setup::new("healthy_http_2", WIKI).with(&[
        Run(Home, "a2enmod -q http2 > /dev/null"),
        Run(Vps, "a2enmod -q http2 > /dev/null"),
        Before(Home, WIKI_CONF, "ServerName", "    Protocols h2 h2c http/1.1"),
        Before(Vps, WIKI_CONF, "ServerName", "    Protocols h2 h2c http/1.1"),
    ]),
    Setup::new("healthy_a_vhost_of_its_own_for_ipv6", GIT).with(&[
        Run(Home, "cd /etc/apache2/sites-enabled && sed '/:443/,$d' git.example.org.conf > /tmp/6"),
        Run(
            Home,
            "sed 's/\\*:80/[2001:db8::20]:80/' /tmp/6 > /etc/apache2/sites-available/git6.conf
             rm /tmp/6; a2ensite -q git6 > /dev/null; systemctl restart apache2",
        ),
    ]),
    Setup::new("healthy_a_vhost_for_all_names", WIKI).with(&[
        Edit(Home, WIKI_CONF, "ServerName wiki.example.org\n    DocumentRoot", "ServerName any.example.org\n    ServerAlias *.example.org\n    DocumentRoot"),
    ]),
    Setup::new("healthy_web_sockets", WIKI).with(&[
        Run(Home, "a2enmod -q proxy_wstunnel > /dev/null"),
        Before(
            Home,
            WIKI_CONF,
            "ProxyPreserveHost",
            "    RewriteEngine On
    RewriteCond %{HTTP:Upgrade} =websocket [NC]
    RewriteRule ^/(.*)$ ws://localhost:8080/$1 [P,L]",
        ),
    ]),
    // Who has no file of its own asks the other host: nothing is ever to be switched.
    Setup::new("healthy_a_file_of_ones_own_or_the_others", CLOUD).with(&[Edit(
        Home,
        CLOUD_CONF,
        CLOUD_PROXY_PASS,
        "\tRewriteEngine On
\tRewriteCond /var/www/html/.well-known/acme-challenge/$1 !-f
\tRewriteRule ^/\\.well-known/acme-challenge/([A-Za-z0-9_-]+)$ http://vps.example.org/.well-known/acme-challenge/$1 [P,L]",
    )])
    .home(Passes),
    Setup::new("healthy_a_variable_names_the_other_host", CLOUD).with(&[
        Write(Home, "/etc/apache2/conf-enabled/peer.conf", "Define PEER vps.example.org\n"),
        Edit(Home, CLOUD_CONF, "http://vps.example.org/", "http://${PEER}/"),
    ]),
    // A packet filter, or a router, lets nobody reach its own public address from within.
    Setup::new("healthy_a_home_that_cannot_reach_itself", CLOUD).with(&[Run(
        Home,
        "nft add table inet hairpin
         nft 'add chain inet hairpin out { type filter hook output priority 0; }'
         nft add rule inet hairpin out ip6 daddr 2001:db8::20 oif lo tcp dport '{ 80, 443 }' reject with tcp reset",
    )]),
];

pub(crate) const CLOUD_PROXY_PASS: &str = "\tProxyPass        /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/";
pub(crate) const CLOUD_PROXY_PASS_REVERSE: &str = "\tProxyPassReverse /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/";
pub(crate) const GIT_PROXY_PASS: &str =
    "  ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/";

const CLOUD_LOCATION: &str = "\t<Location /.well-known/acme-challenge/>
\t\tProxyPass http://vps.example.org/.well-known/acme-challenge/
\t\tProxyPassReverse http://vps.example.org/.well-known/acme-challenge/
\t</Location>";
