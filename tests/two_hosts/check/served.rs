//! pure: certificates that are served, and should not be.

use crate::check::setup::Change::{Edit, Run};
use crate::check::setup::On::{Home, Vps};
use crate::check::setup::{Setup, WIKI, WIKI_CONF, line};

const LEAF: &str = "live/wiki.example.org/cert.pem";
const FULL: &str = "live/wiki.example.org/fullchain.pem";

/// Another certificate comes into the lineage, with its key and chain, and nobody tells Apache.
const RENEWED: &str = "
    cd /etc/letsencrypt/archive/wiki.example.org
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=wiki.example.org -days 60 \\
        -addext subjectAltName=DNS:wiki.example.org -keyout privkey9.pem -out cert9.pem 2> /dev/null
    : > chain9.pem
    cp cert9.pem fullchain9.pem
    for part in privkey cert chain fullchain; do
        ln -sfn ../../archive/wiki.example.org/${part}9.pem ../../live/wiki.example.org/$part.pem
    done";

pub(crate) const SETUPS: &[Setup] = &[
    Setup::new("vps_serves_the_certificate_of_before", WIKI)
        .with(&[Run(
            Vps,
            "certbot renew -q --force-renewal --no-directory-hooks --cert-name wiki.example.org",
        )])
        .finds(&[line(Vps, "old-certificate", WIKI_CONF, "SSLCertificateFile", "reload")]),
    Setup::new("home_serves_the_certificate_of_before", WIKI)
        .with(&[Run(Home, RENEWED)])
        .finds(&[line(Home, "old-certificate", WIKI_CONF, "SSLCertificateFile", "reload")]),
    Setup::new("home_does_not_send_the_chain", WIKI)
        .with(&[Edit(Home, WIKI_CONF, FULL, LEAF)])
        .finds(&[line(Home, "incomplete-chain", WIKI_CONF, "SSLCertificateFile", "fullchain.pem")]),
    Setup::new("home_serves_the_certificate_of_another_name", WIKI)
        .with(&[Edit(Home, WIKI_CONF, "live/wiki.example.org", "live/git.example.org")])
        .finds(&[line(
            Home,
            "wrong-certificate",
            WIKI_CONF,
            "SSLCertificateFile",
            "live/wiki.example.org/fullchain.pem",
        )]),
];
