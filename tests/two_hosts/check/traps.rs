//! pure: traps of certbot's files, its hooks and its timers.

use crate::check::setup::Change::{Run, Write};
use crate::check::setup::On::{Home, Vps};
use crate::check::setup::Renewal::Nothing;
use crate::check::setup::{Setup, WIKI, line, words};

const WIKI_RENEWAL: &str = "/etc/letsencrypt/renewal/wiki.example.org.conf";

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("home_has_its_hooks_where_certonly_forgets_them", WIKI)
        .with(&[Run(
            Home,
            "rm /etc/letsencrypt/renewal-hooks/*/certbaton
             cd /etc/letsencrypt/renewal
             for file in *.conf; do
                 sed -i '/\\[renewalparams\\]/a pre_hook = certbaton-pre-hook\\nrenew_hook = certbaton-deploy-hook\\npost_hook = certbaton-post-hook' $file
             done",
        )])
        .finds(&[line(Home, "saved-hooks", "/etc/letsencrypt/renewal/cloud.example.org.conf", "pre_hook", "renewal-hooks").warns(),line(Home, "saved-hooks", "/etc/letsencrypt/renewal/git.example.org.conf", "pre_hook", "renewal-hooks").warns(),line(Home, "saved-hooks", "/etc/letsencrypt/renewal/wiki.example.org.conf", "pre_hook", "renewal-hooks").warns()]),
    Setup::new("home_has_a_script_that_switches_besides", WIKI)
        .with(&[
            Write(
                Home,
                "/etc/letsencrypt/renewal-hooks/pre/open-challenge",
                "#!/bin/sh\nperl -pi -e 's/^(\\s*ProxyPass)/#$1/' /etc/apache2/sites-enabled/*.conf\nsystemctl restart apache2\n",
            ),
            Run(Home, "chmod 755 /etc/letsencrypt/renewal-hooks/pre/open-challenge"),
        ])
        .finds(&[line(Home, "other-hook", "/etc/letsencrypt/renewal-hooks/pre/open-challenge", "perl", "remove").warns()]),
    Setup::new("home_has_a_script_that_switches_back_after_each_lineage", WIKI)
        .with(&[
            Write(
                Home,
                "/etc/letsencrypt/renewal-hooks/deploy/close-challenge",
                "#!/bin/sh\nsed -i 's/^#ProxyPass/ProxyPass/' /etc/apache2/sites-enabled/*.conf\nsystemctl reload apache2\n",
            ),
            Run(Home, "chmod 755 /etc/letsencrypt/renewal-hooks/deploy/close-challenge"),
        ])
        .finds(&[line(Home, "deploy-restores", "/etc/letsencrypt/renewal-hooks/deploy/close-challenge", "sed", "remove")]),
    Setup::new("vps_has_a_cron_job_beside_its_timer", WIKI)
        .with(&[Write(Vps, "/var/spool/cron/crontabs/root", "MAILTO=root\n17 3 * * * certbot renew -q\n")])
        .finds(&[line(Vps, "two-timers", "/var/spool/cron/crontabs/root", "certbot renew", "timer").warns()]),
    Setup::new("home_proves_its_names_otherwise", WIKI)
        .with(&[Run(Home, "sed -i 's/authenticator = webroot/authenticator = standalone/' /etc/letsencrypt/renewal/wiki.example.org.conf")])
        .finds(&[words(Home, "not-webroot", WIKI_RENEWAL, "webroot")])
        .home(Nothing),
];
